"""What must hold of any plan on any state, whatever led there."""

from __future__ import annotations

from collections import Counter

from monitor.clock import SeededIds
from monitor.model.resources import Resources
from monitor.model.service import ACTIVE, BLUE_GREEN, DAEMON, REPLICA, Service
from monitor.model.state import Put, State
from monitor.model.task import ORDER, RUNNING, STOPPED, Task
from monitor.scheduler.daemon import DaemonLook
from monitor.scheduler.placement import Placer
from monitor.scheduler.plan import Plan, PromoteTask, StartTasks, StopTasks, changes
from monitor.scheduler.quiet import Glance
from monitor.scheduler.reconcile import reconcile
from monitor.scheduler.replicas import ReplicaLook
from monitor.scheduler.rolling import lower_bound, upper_bound
from monitor.scheduler.snapshot import Snapshot
from monitor.store import codec


def image(state: State) -> set[bytes]:
    """The state as it would be stored."""
    return {codec.encode(entity) for kind in codec.KINDS.values() for entity in state.table(kind).values()}


def check_look(snapshot: Snapshot, seed: int = 1000) -> Plan:
    """Make a plan, apply it to the snapshot's own state, and check everything. Returns the plan."""
    state, before = snapshot.state, image(snapshot.state)
    old = dict(state.tasks)
    plan = reconcile(snapshot)
    again = reconcile(snapshot)
    assert (again.verbs, again.next_at, again.refusals) == (plan.verbs, plan.next_at, plan.refusals)
    assert image(state) == before, "a look must not change the state"
    assert plan.next_at is None or plan.next_at > snapshot.now
    check_quiet(snapshot)
    check_stops(snapshot, plan)
    if plan.verbs:
        state.apply(changes(plan, state, snapshot.now, SeededIds(seed)))
    check_starts(snapshot, plan)
    check_tasks(old, state)
    left = reconcile(snapshot)
    assert left.verbs == [], f"not a fixpoint: {left.verbs} after {plan.verbs}"
    return plan


def check_quiet(snapshot: Snapshot) -> None:
    """A service that a look passes over would not have been changed by it."""
    glance = Glance(snapshot)
    busy = {t.service_arn for t in snapshot.state.unsettled.values()}
    for service in snapshot.state.services.values():
        if service.arn not in busy and glance.is_quiet(service, Plan()):
            plan = Plan()
            look = DaemonLook if service.scheduling == DAEMON else ReplicaLook
            look(snapshot, plan, Placer(snapshot.state), service, []).run()
            assert plan.verbs == [], f"{service.name} looked quiet"


def heard(snapshot: Snapshot, service: Service) -> list[Task]:
    """The service's live tasks, standbys aside, on instances that are not lost."""
    instances = snapshot.state.instances
    tasks = (t for t in snapshot.state.live_tasks_of_service(service.arn) if not t.standby)
    return [t for t in tasks if not instances[t.instance_arn].is_lost(snapshot.now)]


def check_stops(snapshot: Snapshot, plan: Plan) -> None:
    """Scaling in and rolling over leave enough healthy tasks; nothing is stopped twice or without a reason."""
    state = snapshot.state
    stopped = [arn for verb in plan.verbs if isinstance(verb, StopTasks) for arn in verb.task_arns]
    assert len(stopped) == len(set(stopped))
    scaled: Counter[str] = Counter()
    for verb in plan.verbs:
        if isinstance(verb, StopTasks):
            assert verb.reason.text
            assert verb.reason.stop_code
            assert all(state.tasks[a].desired == RUNNING for a in verb.task_arns)
            if verb.reason.text.startswith(("Scaling", "Task moved")):
                scaled[verb.service_arn] += sum(state.tasks[a].is_healthy for a in verb.task_arns)
    for service in state.services.values():
        if service.status == ACTIVE and scaled[service.arn] and service.scheduling == REPLICA:
            healthy = sum(t.is_healthy for t in heard(snapshot, service))
            lower = lower_bound(service.desired_count, service.minimum_healthy_percent)
            assert healthy - scaled[service.arn] >= min(lower, service.desired_count)


def check_starts(snapshot: Snapshot, plan: Plan) -> None:
    """Starts go where there is room, on connected instances, and never above maximumPercent."""
    state, grown = snapshot.state, set()
    for verb in plan.verbs:
        if isinstance(verb, StartTasks):
            service = state.services[verb.service_arn]
            assert service.status == ACTIVE
            if not verb.standby:
                grown.add(service.arn)
            for start in verb.starts:
                check_instance(state, start.instance_arn, state.definitions[verb.definition_arn].needs)
        elif isinstance(verb, PromoteTask):
            task = state.tasks[verb.task_arn]
            assert state.instances[task.instance_arn].takes_tasks
            grown.add(task.service_arn)
    for arn in grown:
        service = state.services[arn]
        assert len(heard(snapshot, service)) <= most_of(state, service)
        if any(c.get("type") == "distinctInstance" for c in service.placement_constraints):
            check_distinct(state, service, plan)


def most_of(state: State, service: Service) -> int:
    """How many tasks the service may have at once."""
    if service.scheduling == DAEMON:
        return len(state.capacity_of(service.cluster_arn))
    if service.rollout == BLUE_GREEN and len(service.deployments) > 1:
        return max(2 * service.desired_count, len(list(state.live_tasks_of_service(service.arn))))
    return max(1, upper_bound(service.desired_count, service.maximum_percent))


def check_instance(state: State, instance_arn: str, needs: Resources) -> None:
    """The instance, which was given a task that takes `needs`, has all of it."""
    instance, usage = state.instances[instance_arn], state.usage_of(instance_arn)
    assert instance.takes_tasks
    assert usage.cpu <= instance.resources.cpu
    assert usage.memory <= instance.resources.memory
    assert all(usage.ports[port] == 1 for port in needs.ports)
    assert not instance.resources.ports & needs.ports


def check_distinct(state: State, service: Service, plan: Plan) -> None:
    """No instance that was given a task of the service runs another."""
    given = [
        s.instance_arn
        for v in plan.verbs
        if isinstance(v, StartTasks) and not v.standby and v.service_arn == service.arn
        for s in v.starts
    ]
    promoted = [state.tasks[v.task_arn] for v in plan.verbs if isinstance(v, PromoteTask)]
    given += [t.instance_arn for t in promoted if t.service_arn == service.arn]
    for instance_arn in given:
        on_it = [t for t in state.live_tasks_on(instance_arn) if t.service_arn == service.arn]
        assert sum(t.is_wanted and not t.standby for t in on_it) <= 1


def check_tasks(old: dict[str, Task], state: State) -> None:
    for arn, task in state.tasks.items():
        before = old.get(arn)
        if before is not None:
            assert ORDER[task.last] >= ORDER[before.last]
            assert before.desired == RUNNING or task.desired == STOPPED
            assert not before.settled or task.settled
        if task.desired == STOPPED:
            assert task.stop_code, f"{arn} is to stop and nothing says why"
            assert task.stopped_reason


def rebuilt(state: State) -> State:
    """The state as a restart would load it."""
    fresh = State()
    for name, kind in codec.KINDS.items():
        stored = [codec.encode(e) for e in state.table(kind).values()]
        fresh.apply([Put(codec.decode(name, body)) for body in stored])
    return fresh
