"""Where a task may run, and where it runs best (ECS developer guide, "Task placement").

Filters first (state, constraints, resources), each able to explain itself; then the strategies rank in the
given order, ties broken by the instance's ARN so that the same state always gives the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitor.model.arn import short
from monitor.model.capacity import providers_of
from monitor.model.cluster import ContainerInstance
from monitor.model.errors import invalid_parameter
from monitor.model.resources import Resources, Usage, shortage
from monitor.model.state import State

AVAILABILITY_ZONE = "ecs.availability-zone"
AGENT = "AGENT"
ATTRIBUTE = "ATTRIBUTE"
DISTINCT_INSTANCE = "DISTINCT_INSTANCE"
NO_INSTANCES = "NO ACTIVE INSTANCES"

DEFAULT_STRATEGY: tuple[Mapping[str, str], ...] = (
    {"type": "spread", "field": f"attribute:{AVAILABILITY_ZONE}"},
    {"type": "spread", "field": "instanceId"},
)

_CLOSEST = {
    "RESOURCE:PORTS": "is already using a port required by your task",
    "RESOURCE:CPU": "has insufficient CPU units available",
    "RESOURCE:MEMORY": "has insufficient memory available",
    AGENT: 'encountered error "AGENT"',
    ATTRIBUTE: "is missing an attribute required by your task",
    DISTINCT_INSTANCE: "already runs a task of this group, and the placement constraint is distinctInstance",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no instance took the task: the closest one and what it lacked."""

    reason: str
    instance_arn: str = ""

    def sentence(self) -> str:
        """ECS's service event text after the service's name."""
        start = "was unable to place a task because no container instance met all of its requirements."
        if not self.instance_arn:
            return f"{start} Reason: No Container Instances were found in your cluster."
        why = _CLOSEST.get(self.reason, f'encountered error "{self.reason}"')
        return f"{start} The closest matching (container-instance {short(self.instance_arn)}) {why}."

    @property
    def is_for_want_of_room(self) -> bool:
        """Whether a task that ends can make the place."""
        return self.reason.startswith("RESOURCE:") or self.reason == DISTINCT_INSTANCE


class Placer:
    """Places tasks one after the other, each seeing what the ones before it took.

    It keeps its own copy of the usage of the instances it touched, so the state stays as it is.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._usage: dict[str, Usage] = {}
        self._extra: dict[tuple[str, str], int] = {}

    def usage(self, instance_arn: str) -> Usage:
        return self._usage.get(instance_arn) or self._state.usage_of(instance_arn)

    def place(
        self,
        cluster_arn: str,
        group: str,
        needs: Resources,
        constraints: Sequence[Mapping[str, str]] = (),
        strategy: Sequence[Mapping[str, str]] = (),
        avoid: frozenset[str] = frozenset(),
        *,
        provider: str = "",
        only: Collection[str] | None = None,
        requires: Collection[str] = (),
    ) -> ContainerInstance | Refusal:
        """The best instance for one task of `group`, its resources taken; or why there is none."""
        candidates, refusals = self._filter(cluster_arn, group, needs, constraints, avoid)
        candidates = [
            i
            for i in candidates
            if (only is None or i.arn in only)
            and (not provider or provider in providers_of(i))
            and all(name in i.attributes for name in requires)
        ]
        if not candidates:
            return _closest(refusals)
        best = self._rank(candidates, cluster_arn, group, strategy or DEFAULT_STRATEGY)
        self.take(best.arn, group, needs)
        return best

    def take(self, instance_arn: str, group: str, needs: Resources) -> None:
        if instance_arn not in self._usage:
            self._usage[instance_arn] = self._state.usage_of(instance_arn).copy()
        self._usage[instance_arn].add(needs)
        self._extra[instance_arn, group] = self._extra.get((instance_arn, group), 0) + 1

    def check(self, instance: ContainerInstance, needs: Resources) -> str | None:
        """Why `instance` cannot take the task, or None (StartTask's checks)."""
        if not instance.takes_tasks:
            return AGENT
        return shortage(instance.resources, self.usage(instance.arn), needs)

    def _filter(
        self,
        cluster_arn: str,
        group: str,
        needs: Resources,
        constraints: Sequence[Mapping[str, str]],
        avoid: frozenset[str],
    ) -> tuple[list[ContainerInstance], list[Refusal]]:
        distinct = is_distinct(constraints)
        candidates: list[ContainerInstance] = []
        refusals: list[Refusal] = []
        for instance in self._state.capacity_of(cluster_arn):
            if instance.status != "ACTIVE" or instance.arn in avoid:
                continue
            why = self.check(instance, needs)
            if why is None and distinct and self._runs(instance.arn, group):
                why = DISTINCT_INSTANCE
            if why is None:
                candidates.append(instance)
            else:
                refusals.append(Refusal(why, instance.arn))
        return candidates, refusals

    def take_distinct(self, instance_arn: str, group: str) -> bool:
        """Whether a standby of `group` may be started there although each of its tasks needs an instance of its own;
        if so, the instance is taken."""
        if self._runs(instance_arn, group):
            return False
        self._extra[instance_arn, group] = self._extra.get((instance_arn, group), 0) + 1
        return True

    def _runs(self, instance_arn: str, group: str) -> bool:
        """Whether the instance has a task of the group: also one that is still stopping, but not a standby."""
        if self._extra.get((instance_arn, group)):
            return True
        return any(t.group == group and not t.standby for t in self._state.live_tasks_on(instance_arn))

    def _count(self, instance_arn: str, group: str) -> int:
        running = sum(1 for t in self._state.live_tasks_on(instance_arn) if t.group == group and t.is_wanted)
        return running + self._extra.get((instance_arn, group), 0)

    def _rank(
        self,
        candidates: list[ContainerInstance],
        cluster_arn: str,
        group: str,
        strategy: Iterable[Mapping[str, str]],
    ) -> ContainerInstance:
        left = candidates
        for step in strategy:
            if len(left) == 1:
                return left[0]
            scores = self._scores(left, cluster_arn, group, step)
            best = min(scores)
            left = [i for i, score in zip(left, scores, strict=True) if score == best]
        return min(left, key=lambda i: (self.usage(i.arn).tasks, i.arn))

    def _scores(
        self, instances: list[ContainerInstance], cluster_arn: str, group: str, step: Mapping[str, str]
    ) -> list[float]:
        kind, field = step.get("type", ""), step.get("field", "")
        if kind == "binpack":
            return [self._left(i, field) for i in instances]
        if kind == "spread":
            if field in ("instanceId", "host", ""):
                return [float(self._count(i.arn, group)) for i in instances]
            name = field.removeprefix("attribute:")
            # Instances that are full take no task, but what they run counts for their zone.
            totals: Counter[str] = Counter()
            for i in self._state.capacity_of(cluster_arn):
                totals[i.attributes.get(name, "")] += self._count(i.arn, group)
            return [float(totals[i.attributes.get(name, "")]) for i in instances]
        return [0.0 for _ in instances]

    def _left(self, instance: ContainerInstance, field: str) -> float:
        usage = self.usage(instance.arn)
        if field.lower() == "cpu":
            return float(instance.resources.cpu - usage.cpu)
        return float(instance.resources.memory - usage.memory)


def is_distinct(constraints: Iterable[Mapping[str, str]]) -> bool:
    return any(c.get("type") == "distinctInstance" for c in constraints)


def _closest(refusals: list[Refusal]) -> Refusal:
    """The refusal nearest to a yes: resources before constraints before a missing agent."""
    order = {"RESOURCE:PORTS": 0, "RESOURCE:CPU": 1, "RESOURCE:MEMORY": 2, DISTINCT_INSTANCE: 3, AGENT: 9}
    return min(
        refusals, key=lambda r: (order.get(r.reason, 5), r.instance_arn), default=Refusal(NO_INSTANCES)
    )


def check_strategy(strategy: Sequence[Mapping[str, str]]) -> None:
    """Raises InvalidParameterException for a placement strategy ECS would not take."""
    if len(strategy) > 5:
        raise invalid_parameter("placementStrategy can have at most 5 entries.")
    for step in strategy:
        kind, field = step.get("type", ""), step.get("field", "")
        if kind not in ("spread", "binpack", "random"):
            raise invalid_parameter(
                f"Placement strategy type {kind!r} should be one of [random, spread, binpack]."
            )
        if kind == "binpack" and field.lower() not in ("cpu", "memory"):
            raise invalid_parameter(
                f"Placement strategy binpack needs the field cpu or memory, not {field!r}."
            )
        known = field in ("instanceId", "host") or field.startswith("attribute:")
        if kind == "spread" and not known:
            raise invalid_parameter(
                f"Placement strategy spread needs the field instanceId, host or attribute:NAME, not {field!r}."
            )


def check_constraints(constraints: Sequence[Mapping[str, str]]) -> None:
    """Raises InvalidParameterException; memberOf is named as not yet served rather than ignored."""
    if len(constraints) > 10:
        raise invalid_parameter("placementConstraints can have at most 10 entries.")
    for constraint in constraints:
        kind = constraint.get("type", "")
        if kind == "memberOf":
            raise invalid_parameter(
                "Placement constraint memberOf is not implemented yet by Moorwatch. Remove it, or use distinctInstance."
            )
        if kind != "distinctInstance":
            raise invalid_parameter(
                f"Placement constraint type {kind!r} should be one of [distinctInstance, memberOf]."
            )
