"""The nouns: ARNs, the resource vector, task health, and the state with its indexes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import SHARED_ATTRIBUTE, Cluster
from monitor.model.errors import AwsError, ServerFault, client_exception
from monitor.model.event import Event
from monitor.model.resources import Resources, Usage, shortage
from monitor.model.service import Service
from monitor.model.state import SERVICE_EVENTS_KEPT, Drop, Log, Put, State
from monitor.model.task import Container, Task
from monitor.scheduler.plan import service_event
from tests.scenarios.world import CLUSTER, SCOPE, START, World

TASK_ID = "0a" * 16


# -- ARNs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "kind", "parts"),
    [
        (arns.cluster(SCOPE, "c"), "cluster", ("c",)),
        (arns.service(SCOPE, "c", "web"), "service", ("c", "web")),
        (arns.task(SCOPE, "c", TASK_ID), "task", ("c", TASK_ID)),
        (arns.container(SCOPE, "c", TASK_ID, "x"), "container", ("c", TASK_ID, "x")),
        (arns.container_instance(SCOPE, "c", "i"), "container-instance", ("c", "i")),
        (arns.task_definition(SCOPE, "web", 7), "task-definition", ("web:7",)),
    ],
)
def test_what_is_formatted_is_parsed(made: str, kind: str, parts: tuple[str, ...]) -> None:
    assert arns.parse(made) == arns.Arn(SCOPE, kind, parts)
    assert arns.scope_of(made) == SCOPE
    assert arns.short(made) == parts[-1]
    assert arns.is_arn(made)


def test_the_cluster_of_an_arn() -> None:
    assert arns.cluster_name_of(arns.task(SCOPE, "c", TASK_ID)) == "c"


@pytest.mark.parametrize(
    "text",
    ["", "arn:", "arn:aws:s3:::bucket", "arn:aws:ecs:us-east-1:1:cluster", "urn:aws:ecs:r:1:cluster/c"],
)
def test_what_is_no_ecs_arn_is_refused(text: str) -> None:
    with pytest.raises(AwsError, match="Invalid arn syntax"):
        arns.parse(text)


def test_names_and_task_ids() -> None:
    assert arns.check_name("a-B_9", "Name") == "a-B_9"
    for bad in ("", "a b", "ä", "x" * 256, "a/b"):
        with pytest.raises(AwsError, match="is not valid"):
            arns.check_name(bad, "Name")
    assert arns.is_task_id(TASK_ID)
    assert arns.is_task_id("0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a")
    assert not arns.is_task_id(TASK_ID.upper())
    assert not arns.is_task_id(TASK_ID[:-1])


def test_errors_carry_their_code_and_status() -> None:
    assert (client_exception("no").code, client_exception("no").status) == ("ClientException", 400)
    assert ServerFault("ServerException", "ours").status == 500
    assert AwsError("Teapot", "short", 418).status == 418


# -- resources ----------------------------------------------------------------------------------------


def test_resources_add_up() -> None:
    both = Resources(1, 2, frozenset({(80, "tcp")})).plus(Resources(3, 4, frozenset({(80, "udp")})))
    assert both == Resources(4, 6, frozenset({(80, "tcp"), (80, "udp")}))


def test_usage_takes_and_gives_back() -> None:
    port = (80, "tcp")
    usage, need = Usage(), Resources(256, 128, frozenset({port}))
    usage.add(need)
    usage.add(need)
    copy = usage.copy()
    usage.remove(need)
    assert (usage.cpu, usage.memory, usage.tasks, usage.ports) == (256, 128, 1, {port: 1})
    usage.remove(need)
    assert usage == Usage()
    assert (copy.cpu, copy.ports) == (512, {port: 2})


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        (Resources(1024, 1024), None),
        (Resources(1025, 1), "RESOURCE:CPU"),
        (Resources(1, 1025), "RESOURCE:MEMORY"),
        (Resources(2000, 2000), "RESOURCE:CPU"),
        (Resources(1, 1, frozenset({(22, "tcp")})), "RESOURCE:PORTS"),
        (Resources(1, 1, frozenset({(80, "tcp")})), "RESOURCE:PORTS"),
        (Resources(1, 1, frozenset({(80, "udp"), (81, "tcp")})), None),
    ],
)
def test_what_an_instance_lacks(need: Resources, expected: str | None) -> None:
    total = Resources(2048, 2048, frozenset({(22, "tcp")}))
    used = Usage(1024, 1024, {(80, "tcp"): 1}, 1)
    assert shortage(total, used, need) == expected


# -- task ---------------------------------------------------------------------------------------------


def container(name: str, health: str = "UNKNOWN", essential: bool = True, check: bool = True) -> Container:
    return Container(name, name, "image", essential, health=health, has_health_check=check)


def task(*containers: Container, last: str = "RUNNING", desired: str = "RUNNING") -> Task:
    return Task(
        "arn",
        CLUSTER,
        "definition",
        "instance",
        START,
        containers,
        Resources(),
        "group",
        last=last,
        desired=desired,
    )


@pytest.mark.parametrize(
    ("containers", "health", "is_healthy"),
    [
        ((container("a", check=False),), "UNKNOWN", True),
        ((container("a", "HEALTHY"),), "HEALTHY", True),
        ((container("a"),), "UNKNOWN", False),
        ((container("a", "HEALTHY"), container("b", "UNHEALTHY")), "UNHEALTHY", False),
        ((container("a", "HEALTHY"), container("b")), "UNKNOWN", False),
        ((container("a", "HEALTHY"), container("b", "UNHEALTHY", essential=False)), "HEALTHY", True),
        ((container("a", check=False), container("b", "UNHEALTHY", essential=False)), "UNKNOWN", True),
    ],
)
def test_a_task_is_as_healthy_as_its_essential_containers(
    containers: tuple[Container, ...], health: str, is_healthy: bool
) -> None:
    assert task(*containers).health == health
    assert task(*containers).is_healthy is is_healthy
    assert not task(*containers, last="PENDING").is_healthy
    assert not task(*containers, desired="STOPPED").is_healthy


def test_wanted_live_and_given_up() -> None:
    running = task(container("a"))
    stopping = replace(running, desired="STOPPED", stop_code="InfrastructureHealth")
    assert (running.is_live, running.is_wanted, running.is_given_up) == (True, True, False)
    assert (stopping.is_live, stopping.is_wanted, stopping.is_given_up) == (True, False, True)
    assert not replace(stopping, last="STOPPED").is_given_up
    assert not replace(stopping, stop_code="UserInitiated").is_given_up
    assert running.key == "arn"


# -- state --------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    world = World()
    world.join("one")
    world.define("web", portMappings=[{"containerPort": 80, "hostPort": 8080}])
    world.define("web")
    return world


def test_a_batch_moves_the_version_and_numbers_its_events(world: World) -> None:
    event = Event("id", START, "task", CLUSTER, "told")
    version, seq = world.state.version, world.state.seq
    applied = world.state.apply([Log(event), Log(event)])
    assert [c.event.seq for c in applied if isinstance(c, Log)] == [seq + 1, seq + 2]
    assert (world.state.version, world.state.seq) == (version + 1, seq + 2)
    world.state.apply([Log(replace(event, seq=40))])  # a replay keeps the numbers
    assert world.state.seq == 40


def test_tasks_take_and_give_back_their_place(world: World) -> None:
    world.call("RunTask", taskDefinition="web:1", clientToken="once")
    (made,) = world.state.tasks.values()
    instance = world.instance("one")
    assert world.state.usage_of(instance.arn).ports == {(8080, "tcp"): 1}
    assert list(world.state.live_tasks_on(instance.arn)) == [made]
    world.ended(made, 0)
    ended = world.state.tasks[made.arn]
    assert not world.state.usage_of(instance.arn).ports
    assert list(world.state.live_tasks_on(instance.arn)) == []
    assert list(world.state.tasks_of(CLUSTER)) == [ended]
    assert list(world.state.stopped) == [made.arn]
    assert world.state.tokens == {(CLUSTER, "once"): [made.arn]}
    world.state.apply([Drop(ended)])
    assert (list(world.state.tasks_of(CLUSTER)), list(world.state.stopped), world.state.tokens) == (
        [],
        [],
        {},
    )
    world.state.apply([Drop(ended)])  # a second time changes nothing


def test_of_two_tasks_of_one_token_the_other_stays(world: World) -> None:
    world.call("RunTask", taskDefinition="web:2", clientToken="twice", count=2)
    first, second = world.state.tasks.values()
    world.state.apply([Drop(first)])
    assert world.state.tokens == {(CLUSTER, "twice"): [second.arn]}


def test_standbys_are_no_tasks_to_the_outside(world: World) -> None:
    world.serve(taskDefinition="web:2", desired=1, standbys=1)
    world.settle()
    assert len(list(world.state.tasks_of(CLUSTER))) == 1
    assert len(list(world.state.live_tasks_of_service(world.service().arn))) == 2


def test_an_instance_dropped_before_its_tasks(world: World) -> None:
    world.call("RunTask", taskDefinition="web:2")
    (made,) = world.state.tasks.values()
    world.state.apply([Drop(world.instance("one"))])
    world.state.apply([Put(replace(made, last="STOPPED", desired="STOPPED"))])
    assert list(world.state.instances_of(CLUSTER)) == []
    assert world.state.usage_of(made.instance_arn) == Usage()


def test_a_service_of_the_same_name_starts_with_no_events(world: World) -> None:
    world.serve(taskDefinition="web:2", desired=1)
    old = world.service()
    world.call("DeleteService", service="web", force=True)
    world.settle()
    assert any("has stopped 1 running tasks" in m for m in world.said())
    world.now += 10
    world.serve(taskDefinition="web:2", desired=0)
    assert world.said() == [
        f"(service web) (deployment {world.service().primary.id}) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    # Replayed from disk, the events of the earlier one are not taken for the new one's.
    world.state.apply([Log(service_event(old, "old", "x", old.created_at))])
    assert not any("old" in m for m in world.said())
    world.state.apply([Drop(world.service())])
    assert list(world.state.events_of_service(old.arn)) == []
    assert list(world.state.services_of(CLUSTER)) == []


def test_only_the_newest_events_of_a_service_are_kept(world: World) -> None:
    world.serve(taskDefinition="web:2", desired=0)
    service = world.service()
    events = [Log(service_event(service, str(n), str(n), world.now)) for n in range(SERVICE_EVENTS_KEPT + 5)]
    world.state.apply(events)
    kept = world.said()
    assert len(kept) == SERVICE_EVENTS_KEPT
    assert kept[-1] == f"(service web) {SERVICE_EVENTS_KEPT + 4}"


def test_a_definition_is_never_dropped(world: World) -> None:
    definition = next(iter(world.state.definitions.values()))
    with pytest.raises(ValueError, match="must not be used again"):
        world.state.apply([Drop(definition)])
    assert definition.container("main") is definition.containers[0]
    assert definition.container("other") is None
    assert (definition.name, definition.key) == ("web:1", definition.arn)


def test_dropping_a_cluster() -> None:
    state, cluster = State(), Cluster(CLUSTER, "default", START)
    state.apply([Put(cluster)])
    state.apply([Drop(cluster)])
    assert state.clusters == {}
    assert cluster.key == CLUSTER


def test_a_cluster_without_an_instance_uses_the_shared_ones_of_its_scope(world: World) -> None:
    other = arns.cluster(SCOPE, "other")
    world.commit([Put(Cluster(other, "other", START)), Put(replace(world.instance("one"), attributes={}))])
    assert world.state.capacity_of(other) == []
    shared = replace(world.instance("one"), attributes={SHARED_ATTRIBUTE: ""})
    world.commit([Put(shared)])
    assert world.state.capacity_of(other) == [shared]
    foreign = arns.cluster(Scope("999999999999", SCOPE.region), "other")
    assert world.state.capacity_of(foreign) == []
    world.commit([Put(replace(shared, status="INACTIVE"))])
    assert world.state.capacity_of(CLUSTER) == []


def test_listeners_hear_each_task_before_and_after(world: World) -> None:
    heard: list[tuple[str, str]] = []
    world.state.listen(Task, lambda old, new: heard.append((old.last if old else "", new.last)))
    world.call("RunTask", taskDefinition="web:2")
    world.obey()
    assert heard == [("", "PENDING"), ("PENDING", "RUNNING")]


def test_a_service_knows_its_primary(world: World) -> None:
    world.serve(taskDefinition="web:2", desired=0)
    service: Service = world.service()
    assert service.primary is service.deployments[0]
    assert service.key == service.arn
    assert world.instance("one").key == world.instance("one").arn
