"""Placement: filters that explain themselves, strategies, and what a look has already given away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model.capacity import PROVIDER_ATTRIBUTE
from monitor.model.cluster import ContainerInstance
from monitor.model.errors import AwsError
from monitor.model.resources import Resources
from monitor.model.state import Put
from monitor.scheduler.placement import (
    ATTRIBUTE,
    EMPTY_PROVIDER,
    MEMBER_OF,
    NO_INSTANCES,
    Placer,
    Refusal,
    check_constraints,
    check_strategy,
)
from tests.scenarios.world import CLUSTER, World

SMALL = Resources(256, 128)
DISTINCT = ({"type": "distinctInstance"},)


@pytest.fixture
def world() -> World:
    world = World()
    world.define("web")
    return world


def placed(placer: Placer, count: int, needs: Resources = SMALL, **how: object) -> list[str]:
    """Names of the instances that took `count` tasks of the group "g", or the reasons why not."""
    names = []
    for _ in range(count):
        found = placer.place(CLUSTER, "g", needs, **how)  # type: ignore[arg-type]
        names.append(found.reason if isinstance(found, Refusal) else found.arn.rsplit("/", 1)[1])
    return names


def test_spread_over_zones_and_then_instances(world: World) -> None:
    for name, zone in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        world.join(name, zone=zone)
    assert placed(Placer(world.state), 5) == ["a1", "b1", "a2", "b1", "a1"]


def test_what_runs_on_a_full_instance_counts_for_its_zone(world: World) -> None:
    world.join("a1", cpu=512, zone="a")
    world.serve(desired=2)
    world.settle()
    world.join("a2", zone="a")
    world.join("b1", zone="b")
    found = Placer(world.state).place(CLUSTER, "service:web", SMALL)
    assert isinstance(found, ContainerInstance)
    assert found.arn.endswith("/b1")


def test_binpack_fills_the_fullest(world: World) -> None:
    world.join("big", cpu=4096, memory=512)
    world.join("little", cpu=1024, memory=8192)
    by_cpu = ({"type": "binpack", "field": "CPU"},)
    by_memory = ({"type": "binpack", "field": "memory"},)
    assert placed(Placer(world.state), 5, strategy=by_cpu) == ["little"] * 4 + ["big"]
    assert placed(Placer(world.state), 2, strategy=by_memory) == ["big", "big"]


def test_random_and_host(world: World) -> None:
    for name in "abcdefgh":
        world.join(name)
    anywhere = ({"type": "random"},)
    first = placed(Placer(world.state), 20, strategy=anywhere)
    assert first == placed(Placer(world.state), 20, strategy=anywhere), "chance is an argument"
    assert first != placed(Placer(world.state, seed="other"), 20, strategy=anywhere)
    assert len(set(first)) > 4
    by_host = ({"type": "spread", "field": "host"},)
    assert placed(Placer(world.state), 3, strategy=by_host) == ["a", "b", "c"]


def test_distinct_instances(world: World) -> None:
    world.join("one")
    world.join("two")
    assert placed(Placer(world.state), 3, constraints=DISTINCT) == ["one", "two", "DISTINCT_INSTANCE"]
    world.serve(desired=1)
    placer = Placer(world.state)
    assert not placer.take_distinct(world.live()[0].instance_arn, "service:web", CLUSTER)
    assert placer.take_distinct(world.live()[0].instance_arn, "other", CLUSTER)
    assert not placer.take_distinct(world.live()[0].instance_arn, "other", CLUSTER)


def test_a_stopping_task_holds_its_instance_and_a_standby_does_not(world: World) -> None:
    world.join("one")
    world.serve(desired=1, standbys=1)
    world.settle()
    (task,) = world.live()
    placer = Placer(world.state)
    assert not placer.take_distinct(task.instance_arn, task.group, CLUSTER)
    world.commit([Put(replace(task, desired="STOPPED", stop_code="UserInitiated", stopped_reason="x"))])
    assert not Placer(world.state).take_distinct(task.instance_arn, task.group, CLUSTER)
    world.ended(task, 0)
    assert world.standbys()
    assert Placer(world.state).take_distinct(task.instance_arn, task.group, CLUSTER)


@pytest.mark.parametrize(
    ("needs", "reason", "words"),
    [
        (Resources(5000, 1), "RESOURCE:CPU", "has insufficient CPU units available"),
        (Resources(1, 9000), "RESOURCE:MEMORY", "has insufficient memory available"),
    ],
)
def test_a_refusal_names_the_closest_instance(
    world: World, needs: Resources, reason: str, words: str
) -> None:
    world.join("one")
    world.join("deaf")
    world.disconnect("deaf")
    refusal = Placer(world.state).place(CLUSTER, "g", needs)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert refusal.is_for_want_of_room
    assert refusal.sentence() == (
        "was unable to place a task because no container instance met all of its requirements. "
        f"The closest matching (container-instance one) {words}."
    )


def test_ports_and_agents_and_no_instance_at_all(world: World) -> None:
    placer = Placer(world.state)
    nobody = placer.place(CLUSTER, "g", SMALL)
    assert nobody == Refusal(NO_INSTANCES)
    assert isinstance(nobody, Refusal)
    assert nobody.sentence().endswith("Reason: No Container Instances were found in your cluster.")
    assert not nobody.is_for_want_of_room
    world.join("one")
    port = Resources(1, 1, frozenset({(80, "tcp")}))
    assert placed(Placer(world.state), 2, port) == ["one", "RESOURCE:PORTS"]
    world.disconnect("one")
    deaf = Placer(world.state).place(CLUSTER, "g", SMALL)
    assert isinstance(deaf, Refusal)
    assert deaf.sentence().endswith('encountered error "AGENT".')
    assert Refusal("ODD", "x/y").sentence().endswith('(container-instance y) encountered error "ODD".')


def test_draining_instances_take_nothing(world: World) -> None:
    one = world.join("one")
    two = world.join("two")
    world.commit([Put(replace(one, status="DRAINING"))])
    assert placed(Placer(world.state), 1) == ["two"]
    assert placed(Placer(world.state), 1, only=[one.arn]) == [NO_INSTANCES]
    assert placed(Placer(world.state), 1, only=[one.arn, two.arn]) == ["two"]


def test_providers_attributes_and_expressions(world: World) -> None:
    world.join("plain")
    spot = world.join("spot")
    marked = {**spot.attributes, PROVIDER_ATTRIBUTE: "FARGATE_SPOT other", "disk": "ssd"}
    world.commit([Put(replace(spot, attributes=marked))])
    placer = Placer(world.state)
    assert placed(placer, 2, provider="FARGATE_SPOT") == ["spot", "spot"]
    nobody = placer.place(CLUSTER, "g", SMALL, provider="nobody")
    assert isinstance(nobody, Refusal)
    assert nobody.reason == EMPTY_PROVIDER
    assert nobody.sentence().endswith("Reason: No Container Instances were found in your capacity provider.")
    assert placed(placer, 1, requires=["disk"]) == ["spot"]
    lacking = placer.place(CLUSTER, "g", SMALL, requires=["disk", "gpu"])
    assert isinstance(lacking, Refusal)
    assert (lacking.reason, lacking.detail) == (ATTRIBUTE, "The attribute disk, gpu is missing there.")
    member = [{"type": "memberOf", "expression": "attribute:disk == ssd"}]
    assert placed(placer, 2, constraints=member) == ["spot", "spot"]
    refused = placer.place(
        CLUSTER, "g", SMALL, [{"type": "memberOf", "expression": "attribute:disk == tape"}]
    )
    assert isinstance(refused, Refusal)
    assert refused.reason == MEMBER_OF
    assert refused.counts == ((MEMBER_OF, 2),)


def test_details_are_in_numbers(world: World) -> None:
    world.join("one", cpu=512, memory=256)
    placer = Placer(world.state)
    placer.place(CLUSTER, "g", Resources(256, 100, frozenset({(80, "tcp")})))
    for needs, detail in (
        (Resources(512, 1), "The task needs 512 CPU units and 256 are free."),
        (Resources(1, 200), "The task needs 200 MiB of memory and 156 are free."),
        (
            Resources(1, 1, frozenset({(80, "tcp")})),
            "Host port 80/tcp is in use there: use hostPort 0 or another port.",
        ),
    ):
        refusal = placer.place(CLUSTER, "g", needs)
        assert isinstance(refusal, Refusal)
        assert refusal.detail == detail


def test_placing_leaves_the_state_as_it_is(world: World) -> None:
    world.join("one")
    placer = Placer(world.state)
    placed(placer, 3)
    assert placer.usage(world.instance("one").arn).tasks == 3
    assert world.state.usage_of(world.instance("one").arn).tasks == 0


@pytest.mark.parametrize(
    "bad",
    [
        [{"type": "scatter"}],
        [{"type": "binpack", "field": "disk"}],
        [{"type": "binpack"}],
        [{"type": "spread"}],
        [{"type": "spread", "field": "attribute:"}],
        [{"type": "random", "field": "cpu"}],
        [{"type": "random"}] * 6,
    ],
)
def test_bad_strategies(bad: list[dict[str, str]]) -> None:
    with pytest.raises(AwsError) as error:
        check_strategy(bad)
    assert error.value.code == "InvalidParameterException"


def test_good_strategies() -> None:
    check_strategy(
        [
            {"type": "spread", "field": "attribute:ecs.availability-zone"},
            {"type": "spread", "field": "instanceId"},
            {"type": "binpack", "field": "MEMORY"},
            {"type": "random"},
        ]
    )
    check_constraints(DISTINCT)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([{"type": "memberOf", "expression": "x"}], "subject should be one of"),
        ([{"type": "memberOf"}], "has 1 to 2000 characters"),
        ([{"type": "distinctInstance", "expression": "x"}], "takes no expression"),
        ([{"type": "near"}], "should be one of"),
        ([{"type": "distinctInstance"}] * 11, "at most 10"),
    ],
)
def test_bad_constraints(bad: list[dict[str, str]], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        check_constraints(bad)
