"""Placement against a naive one that looks at every instance for each task, on any cluster."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model.cluster import ContainerInstance
from monitor.model.resources import Resources
from monitor.scheduler import query
from monitor.scheduler.placement import DEFAULT_STRATEGY, Placer, Refusal
from tests.scenarios.world import CLUSTER, World

STEPS = st.sampled_from(
    [
        {"type": "spread", "field": "attribute:ecs.availability-zone"},
        {"type": "spread", "field": "attribute:rack"},
        {"type": "spread", "field": "instanceId"},
        {"type": "binpack", "field": "cpu"},
        {"type": "binpack", "field": "memory"},
    ]
)
CONSTRAINTS = st.sampled_from(
    [
        (),
        ({"type": "distinctInstance"},),
        ({"type": "memberOf", "expression": "attribute:ecs.availability-zone in [a, b]"},),
        ({"type": "memberOf", "expression": "attribute:rack !exists"}, {"type": "distinctInstance"}),
    ]
)
INSTANCES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([None, "1", "2"]), st.sampled_from([256, 512, 2048])),
    min_size=1,
    max_size=8,
)
TASK = st.tuples(st.sampled_from("gh"), st.sampled_from([64, 256]), st.sampled_from([None, 80]))


class Naive:
    """Every instance, every time."""

    def __init__(self, world: World) -> None:
        self.world, self.used = world, {i.arn: Resources() for i in world.state.instances.values()}
        self.groups: Counter[tuple[str, str]] = Counter()
        self.tasks: Counter[str] = Counter()

    def place(self, group: str, needs: Resources, constraints: Any, strategy: Any) -> str | None:
        fit = [i for i in self.world.state.instances.values() if self.fits(i, group, needs, constraints)]
        if not fit:
            return None
        best = min(
            fit, key=lambda i: (*(self.score(i, group, s) for s in strategy), self.tasks[i.arn], i.arn)
        )
        self.used[best.arn] = self.used[best.arn].plus(needs)
        self.groups[best.arn, group] += 1
        self.tasks[best.arn] += 1
        return best.arn

    def fits(self, i: ContainerInstance, group: str, needs: Resources, constraints: Any) -> bool:
        used = self.used[i.arn]
        room = used.cpu + needs.cpu <= i.resources.cpu and used.memory + needs.memory <= i.resources.memory
        for c in constraints:
            if c["type"] == "distinctInstance" and self.groups[i.arn, group]:
                return False
            if c["type"] == "memberOf" and not query.parse(c["expression"]).matches(self.world.state, i):
                return False
        return room and not used.ports & needs.ports

    def score(self, i: ContainerInstance, group: str, step: Any) -> float:
        field, used = step["field"], self.used[i.arn]
        if step["type"] == "binpack":
            return i.resources.cpu - used.cpu if field == "cpu" else i.resources.memory - used.memory
        if field == "instanceId":
            return self.groups[i.arn, group]
        name = field.removeprefix("attribute:")
        same = (
            o for o in self.world.state.instances.values() if o.attributes.get(name) == i.attributes.get(name)
        )
        return sum(self.groups[o.arn, group] for o in same)


@given(
    INSTANCES,
    st.lists(STEPS, max_size=4, unique_by=lambda s: (s["type"], s["field"])),
    CONSTRAINTS,
    st.lists(TASK, min_size=1, max_size=25),
)
@settings(max_examples=200, deadline=None)
def test_the_same_as_looking_at_everything(
    instances: Any, strategy: Any, constraints: Any, tasks: Any
) -> None:
    world = World()
    for number, (zone, rack, cpu) in enumerate(instances):
        made = world.join(f"{number:032x}", cpu=cpu, memory=1024, zone=zone)
        if rack is not None:
            made.attributes["rack"] = rack  # type: ignore[index]
    placer, naive = Placer(world.state), Naive(world)
    for group, cpu, port in tasks:
        needs = Resources(cpu, 64, frozenset({(port, "tcp")}) if port else frozenset())
        found = placer.place(CLUSTER, group, needs, constraints, strategy)
        expected = naive.place(group, needs, constraints, strategy or DEFAULT_STRATEGY)
        assert (None if isinstance(found, Refusal) else found.arn) == expected
        if isinstance(found, Refusal):
            assert found.reason
            assert sum(count for _, count in found.counts) == len(instances)


@given(INSTANCES, st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_spreading_is_even_while_there_is_room(instances: Any, count: int) -> None:
    world = World()
    for number, (zone, _, _) in enumerate(instances):
        world.join(f"{number:032x}", cpu=65536, memory=65536, zone=zone)
    placer, zones, hosts = Placer(world.state), Counter[str](), Counter[str]()
    for _ in range(count):
        found = placer.place(CLUSTER, "g", Resources(1, 1))
        assert isinstance(found, ContainerInstance)
        zones[found.attributes["ecs.availability-zone"]] += 1
        hosts[found.arn] += 1
    every = [zones[zone] for zone in {zone for zone, _, _ in instances}]
    assert max(every) - min(every) <= 1
