"""reconcile on any state, reachable or not: what a plan may never do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clock import SeededIds
from monitor.model import arn as arns
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.resources import Resources
from monitor.model.service import Deployment, Service
from monitor.model.state import Put, State
from monitor.model.task import (
    ESSENTIAL_CONTAINER_EXITED,
    INFRASTRUCTURE_HEALTH,
    RUNNING,
    SERVICE_SCHEDULER_INITIATED,
    STOPPED,
    TASK_FAILED_TO_START,
    USER_INITIATED,
    Task,
)
from monitor.model.task_definition import ContainerDefinition, TaskDefinition
from monitor.scheduler.plan import make_task
from monitor.scheduler.snapshot import Snapshot
from tests.properties.invariants import check_look, image, rebuilt
from tests.scenarios.world import CLUSTER, SCOPE, START

NOW = START + 10_000.0
times = st.sampled_from([NOW - 7200.0, NOW - 60.0, NOW - 10.0, NOW - 1.0, NOW])
flags = st.booleans()


@st.composite
def instances(draw: st.DrawFn, number: int) -> ContainerInstance:
    status = draw(st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING", "INACTIVE"]))
    connected = status != "INACTIVE" and draw(flags)
    lost_at = None if connected else draw(st.sampled_from([None, NOW - 5, NOW, NOW + 5]))
    return ContainerInstance(
        arn=arns.container_instance(SCOPE, "default", f"{number:032x}"),
        cluster_arn=CLUSTER,
        registered_at=START,
        resources=Resources(draw(st.sampled_from([256, 768, 2048])), 1024, frozenset({(22, "tcp")})),
        status=status,
        attributes={"ecs.availability-zone": draw(st.sampled_from("ab"))},
        agent_connected=connected,
        lost_at=lost_at,
        inactive_at=draw(st.sampled_from([NOW - 4000.0, NOW])) if status == "INACTIVE" else None,
    )


def definition(number: int, has_check: bool, port: bool) -> TaskDefinition:
    return TaskDefinition(
        arn=arns.task_definition(SCOPE, "family", number),
        family="family",
        revision=number,
        status="ACTIVE",
        network_mode="bridge",
        containers=(ContainerDefinition("main", "busybox", True, 256, 256, 0, has_check),),
        needs=Resources(256, 256, frozenset({(8000 + number, "tcp")}) if port else frozenset()),
        document={},
        registered_at=START,
    )


@st.composite
def deployments(draw: st.DrawFn, number: int, definition_arn: str) -> Deployment:
    step = draw(st.sampled_from([0, 0, 1, 3, 12]))
    return Deployment(
        id=f"ecs-svc/{number:019d}",
        definition_arn=definition_arn,
        created_at=START,
        updated_at=START,
        rollout_state=draw(st.sampled_from(["IN_PROGRESS", "COMPLETED"])),
        failed_tasks=step,
        backoff_step=step,
        step_at=draw(times) if step else 0.0,
        retry_at=draw(st.sampled_from([0.0, NOW - 1, NOW, NOW + 30])) if step else 0.0,
        owed=tuple(draw(st.lists(st.sampled_from(["x", "y", "z"]), max_size=2, unique=True))),
    )


@st.composite
def services(draw: st.DrawFn, number: int, definitions: list[TaskDefinition]) -> Service:
    first = draw(st.sampled_from(definitions))
    made = [draw(deployments(10 * number + i, draw(st.sampled_from(definitions)).arn)) for i in range(2)]
    primary = replace(made[0], definition_arn=first.arn)
    older = (replace(made[1], status="ACTIVE"),) if draw(flags) else ()
    status = draw(st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "DRAINING", "INACTIVE"]))
    return Service(
        arn=arns.service(SCOPE, "default", f"s{number}"),
        name=f"s{number}",
        cluster_arn=CLUSTER,
        desired_count=draw(st.integers(0, 4)) if status == "ACTIVE" else 0,
        definition_arn=first.arn,
        created_at=START,
        deployments=(primary, *older),
        status=status,
        minimum_healthy_percent=draw(st.sampled_from([0, 50, 100])),
        maximum_percent=draw(st.sampled_from([100, 150, 200])),
        health_check_grace_seconds=draw(st.sampled_from([0, 30])),
        placement_constraints=({"type": "distinctInstance"},) if draw(flags) else (),
        placement_strategy=draw(
            st.sampled_from([(), ({"type": "binpack", "field": "cpu"},), ({"type": "random"},)])
        ),
        steady_at=draw(st.sampled_from([None, NOW - 30_000, NOW - 5])),
        complaint=draw(st.sampled_from(["", "was unable"])),
        complaint_at=draw(times),
        inactive_at=draw(st.sampled_from([NOW - 4000.0, NOW])) if status == "INACTIVE" else None,
        warm_standby=draw(st.integers(0, 2)),
    )


@st.composite
def tasks(draw: st.DrawFn, state: State, number: int) -> Task:
    instance = draw(st.sampled_from(list(state.instances.values())))
    service = draw(st.sampled_from([None, *state.services.values()]))
    held = service.deployments if service else ()
    deployment = draw(st.sampled_from(held)) if held else None
    made_by = state.definitions[deployment.definition_arn if deployment else next(iter(state.definitions))]
    task = make_task(made_by, CLUSTER, instance.arn, SeededIds(number), draw(times), "family:family")
    if service is not None and deployment is not None:
        task = replace(
            task, service_arn=service.arn, deployment_id=deployment.id, group=f"service:{service.name}"
        )
    last = draw(st.sampled_from(["PENDING", "RUNNING", "RUNNING", "STOPPED"]))
    health = draw(st.sampled_from(["UNKNOWN", "HEALTHY", "UNHEALTHY"]))
    task = replace(
        task,
        last=last,
        containers=tuple(replace(c, health=health) for c in task.containers),
        started_at=draw(times) if last != "PENDING" else None,
        standby=service is not None and last == "PENDING" and draw(flags),
    )
    if last == STOPPED or draw(st.integers(0, 3)) == 0:
        codes = (
            ESSENTIAL_CONTAINER_EXITED,
            TASK_FAILED_TO_START,
            USER_INITIATED,
            SERVICE_SCHEDULER_INITIATED,
            INFRASTRUCTURE_HEALTH,
        )
        task = replace(
            task,
            desired=STOPPED,
            stop_code=draw(st.sampled_from(codes)),
            stopped_reason="told",
            stopping_at=draw(times),
            stopped_at=draw(st.sampled_from([NOW - 40 * 86400.0, NOW])) if last == STOPPED else None,
            settled=draw(flags),
        )
    return task


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    state = State()
    state.apply([Put(Cluster(CLUSTER, "default", START))])
    definitions = [definition(n, draw(flags), draw(flags)) for n in (1, 2)]
    state.apply(map(Put, definitions))
    state.apply([Put(draw(instances(n))) for n in range(draw(st.integers(1, 3)))])
    state.apply([Put(draw(services(n, definitions))) for n in range(draw(st.integers(1, 2)))])
    for number in range(draw(st.integers(0, 8))):
        state.apply([Put(draw(tasks(state, number)))])
    return Snapshot(state, NOW)


@given(snapshots(), st.integers(100, 2**32))
@settings(max_examples=250, deadline=None)
def test_a_look_at_any_state(snapshot: Snapshot, seed: int) -> None:
    check_look(snapshot, seed)


@given(snapshots())
@settings(max_examples=80, deadline=None)
def test_a_restart_changes_nothing(snapshot: Snapshot) -> None:
    """The plan on what was stored is the plan on what was in memory; ids come from the same seed."""
    again = Snapshot(rebuilt(snapshot.state), NOW)
    assert image(again.state) == image(snapshot.state)
    check_look(snapshot, 700)
    check_look(again, 700)
    assert image(again.state) == image(snapshot.state)


@given(snapshots())
@settings(max_examples=80, deadline=None)
def test_running_tasks_of_one_state_count_alike_everywhere(snapshot: Snapshot) -> None:
    """The state's indexes say what a count by hand says."""
    state = snapshot.state
    check_look(snapshot)
    for instance in state.instances.values():
        live = [t for t in state.tasks.values() if t.instance_arn == instance.arn and t.last != STOPPED]
        assert {t.arn for t in live} == {t.arn for t in state.live_tasks_on(instance.arn)}
        usage = state.usage_of(instance.arn)
        assert (usage.cpu, usage.memory) == (
            sum(t.needs.cpu for t in live),
            sum(t.needs.memory for t in live),
        )
        assert set(usage.ports) == {p for t in live for p in t.needs.ports}
    for service in state.services.values():
        live = [t for t in state.tasks.values() if t.service_arn == service.arn and t.last != STOPPED]
        assert {t.arn for t in live} == {t.arn for t in state.live_tasks_of_service(service.arn)}
    assert set(state.unsettled) == {
        t.arn for t in state.tasks.values() if t.desired != RUNNING and not t.settled
    }
