"""Where a task may run, and where it runs best (ECS developer guide, "Task placement").

Filters first (state, capacity provider, constraints, resources), each able to explain itself; then the strategies rank
in the given order, ties broken by the instance's ARN so that the same state always gives the same answer.

Many tasks of one kind are placed without looking at every instance for each of them: `Queue` filters once and keeps
the instances in order; a placement changes the rank of one instance only.
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
from monitor.scheduler import query, ranking

AVAILABILITY_ZONE = "ecs.availability-zone"
AGENT = "AGENT"
ATTRIBUTE = "ATTRIBUTE"
MEMBER_OF = "MemberOf placement constraint unsatisfied"
DISTINCT_INSTANCE = "DISTINCT_INSTANCE"
NO_INSTANCES = "NO ACTIVE INSTANCES"
EMPTY_PROVIDER = "EMPTY CAPACITY PROVIDER"

QUEUES_KEPT = 8  # of one look; a service asks with one request again and again

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
    MEMBER_OF: "does not satisfy the placement constraint memberOf",
    DISTINCT_INSTANCE: "already runs a task of this group, and the placement constraint is distinctInstance",
}
# The nearer to a yes, the sooner told.
_NEARNESS = {
    "RESOURCE:PORTS": 0,
    "RESOURCE:CPU": 1,
    "RESOURCE:MEMORY": 2,
    DISTINCT_INSTANCE: 3,
    MEMBER_OF: 5,
    ATTRIBUTE: 6,
    AGENT: 9,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no instance took the task: the closest one, what it lacked, and how many lacked what."""

    reason: str
    instance_arn: str = ""
    detail: str = ""
    counts: tuple[tuple[str, int], ...] = ()

    def sentence(self) -> str:
        """ECS's service event text after the service's name."""
        start = "was unable to place a task because no container instance met all of its requirements."
        if not self.instance_arn:
            where = "capacity provider" if self.reason == EMPTY_PROVIDER else "cluster"
            return f"{start} Reason: No Container Instances were found in your {where}."
        why = _CLOSEST.get(self.reason, f'encountered error "{self.reason}"')
        return f"{start} The closest matching (container-instance {short(self.instance_arn)}) {why}."

    @property
    def is_for_want_of_room(self) -> bool:
        """Whether a task that ends can make the place."""
        return self.reason.startswith("RESOURCE:") or self.reason == DISTINCT_INSTANCE


@dataclass(frozen=True, slots=True)
class Request:
    """What one task asks of its instance; equal requests share a queue."""

    cluster_arn: str
    group: str
    needs: Resources
    expressions: tuple[str, ...]
    is_distinct: bool
    strategy: ranking.Steps
    provider: str
    only: frozenset[str] | None
    requires: tuple[str, ...]


class Placer:
    """Places tasks one after the other, each seeing what the ones before it took.

    It keeps its own copy of the usage of the instances it touched, so the state stays as it is.
    """

    def __init__(self, state: State, seed: str = "") -> None:
        self._state, self._seed = state, seed
        self._usage: dict[str, Usage] = {}
        self._extra: dict[tuple[str, str], Counter[str]] = {}
        self._capacity: dict[str, list[ContainerInstance]] = {}
        self._queues: dict[Request, Queue] = {}
        # What was placed, in order: (instance, cluster, group). Queues catch up when they are asked again.
        self.journal: list[tuple[str, str, str]] = []

    def usage(self, instance_arn: str) -> Usage:
        return self._usage.get(instance_arn) or self._state.usage_of(instance_arn)

    def place(
        self,
        cluster_arn: str,
        group: str,
        needs: Resources,
        constraints: Sequence[Mapping[str, str]] = (),
        strategy: Sequence[Mapping[str, str]] = (),
        *,
        provider: str = "",
        only: Collection[str] | None = None,
        requires: Collection[str] = (),
    ) -> ContainerInstance | Refusal:
        """The best instance for one task of `group`, its resources taken; or why there is none.

        `provider`: only instances of that capacity provider. `only`: none but these ARNs. `requires`: attributes that
        must be there.
        """
        request = Request(
            cluster_arn,
            group,
            needs,
            tuple(c.get("expression", "") for c in constraints if c.get("type") == "memberOf"),
            is_distinct(constraints),
            ranking.steps(strategy or DEFAULT_STRATEGY),
            provider,
            None if only is None else frozenset(only),
            tuple(requires),
        )
        queue = self._queues.get(request)
        if queue is None:
            if len(self._queues) >= QUEUES_KEPT:
                del self._queues[next(iter(self._queues))]
            queue = self._queues[request] = Queue(self, request)
        best = queue.best()
        if isinstance(best, Refusal):
            return best
        self.take(best.arn, group, needs, cluster_arn)
        return best

    def take(self, instance_arn: str, group: str, needs: Resources, cluster_arn: str = "") -> None:
        if instance_arn not in self._usage:
            self._usage[instance_arn] = self._state.usage_of(instance_arn).copy()
        self._usage[instance_arn].add(needs)
        self._count_extra(cluster_arn, group, instance_arn)

    def _count_extra(self, cluster_arn: str, group: str, instance_arn: str) -> None:
        self._extra.setdefault((cluster_arn, group), Counter())[instance_arn] += 1
        self.journal.append((instance_arn, cluster_arn, group))

    def check(self, instance: ContainerInstance, needs: Resources) -> str | None:
        """Why `instance` cannot take the task, or None (StartTask's checks)."""
        if not instance.takes_tasks:
            return AGENT
        return shortage(instance.resources, self.usage(instance.arn), needs)

    def take_distinct(self, instance_arn: str, group: str, cluster_arn: str) -> bool:
        """Whether a standby of `group` may be started there although each of its tasks needs an instance of its own;
        if so, the instance is taken."""
        if self.runs(cluster_arn, group, instance_arn):
            return False
        self._count_extra(cluster_arn, group, instance_arn)
        return True

    def runs(self, cluster_arn: str, group: str, instance_arn: str) -> bool:
        """Whether the instance has a task of the group: also one that is still stopping, but not a standby."""
        if self.extra(cluster_arn, group).get(instance_arn):
            return True
        return bool(self._state.present_of(cluster_arn, group).get(instance_arn))

    def extra(self, cluster_arn: str, group: str) -> Mapping[str, int]:
        """Tasks of the group placed by this placer, by instance."""
        return self._extra.setdefault((cluster_arn, group), Counter())

    def count(self, cluster_arn: str, group: str, instance_arn: str) -> int:
        """Tasks of the group that are meant to run there."""
        there = self._state.spread_of(cluster_arn, group).get(instance_arn, 0)
        return there + self.extra(cluster_arn, group).get(instance_arn, 0)

    def capacity(self, cluster_arn: str) -> list[ContainerInstance]:
        found = self._capacity.get(cluster_arn)
        if found is None:
            found = self._capacity[cluster_arn] = self._state.capacity_of(cluster_arn)
        return found

    @property
    def state(self) -> State:
        return self._state

    @property
    def seed(self) -> str:
        return self._seed


class Queue:
    """The instances that may take a task of one request, best first."""

    def __init__(self, placer: Placer, request: Request) -> None:
        self._placer, self.request = placer, request
        self._refused: dict[str, str] = {}
        self._read = len(placer.journal)
        takers = [i for i in self._instances() if self._may_ever(i)]
        self._order = ranking.Order(placer, request.cluster_arn, request.group, request.strategy, takers)

    def _instances(self) -> list[ContainerInstance]:
        found = [i for i in self._placer.capacity(self.request.cluster_arn) if i.status == "ACTIVE"]
        if self.request.only is not None:
            found = [i for i in found if i.arn in self.request.only]
        if self.request.provider:
            found = [i for i in found if self.request.provider in providers_of(i)]
        return found

    def _may_ever(self, instance: ContainerInstance) -> bool:
        """What no task that comes or goes in this look can change."""
        why = None
        if not instance.takes_tasks:
            why = AGENT
        elif any(name not in instance.attributes for name in self.request.requires):
            why = ATTRIBUTE
        elif not all(query.parse(e).matches(self._placer.state, instance) for e in self.request.expressions):
            why = MEMBER_OF
        if why is not None:
            self._refused[instance.arn] = why
        return why is None

    def best(self) -> ContainerInstance | Refusal:
        """The best instance that has room. One that has none is put aside: room does not come back within a look."""
        self._catch_up()
        while True:
            instance = self._order.first()
            if instance is None:
                return self._refusal()
            why = self._room(instance)
            if why is None:
                return instance
            self._refused[instance.arn] = why
            self._order.remove(instance)

    def _room(self, instance: ContainerInstance) -> str | None:
        request = self.request
        why = shortage(instance.resources, self._placer.usage(instance.arn), request.needs)
        if (
            why is None
            and request.is_distinct
            and self._placer.runs(request.cluster_arn, request.group, instance.arn)
        ):
            return DISTINCT_INSTANCE
        return why

    def _catch_up(self) -> None:
        """What was placed since the queue was last asked has changed ranks."""
        journal, own = self._placer.journal, (self.request.cluster_arn, self.request.group)
        for instance_arn, cluster_arn, group in journal[self._read :]:
            self._order.changed(instance_arn, (cluster_arn, group) == own)
        self._read = len(journal)

    def _refusal(self) -> Refusal:
        if not self._refused:
            return Refusal(EMPTY_PROVIDER if self.request.provider else NO_INSTANCES)
        arn, reason = min(self._refused.items(), key=lambda r: (_NEARNESS.get(r[1], 7), r[0]))
        counts = tuple(sorted(Counter(self._refused.values()).items(), key=lambda c: (-c[1], c[0])))
        return Refusal(reason, arn, self._detail(arn, reason), counts)

    def _detail(self, instance_arn: str, reason: str) -> str:
        """What the closest instance lacks, in numbers."""
        needs, instance = self.request.needs, self._placer.state.instances[instance_arn]
        used = self._placer.usage(instance_arn)
        match reason:
            case "RESOURCE:CPU":
                free = instance.resources.cpu - used.cpu
                return f"The task needs {needs.cpu} CPU units and {max(0, free)} are free."
            case "RESOURCE:MEMORY":
                free = instance.resources.memory - used.memory
                return f"The task needs {needs.memory} MiB of memory and {max(0, free)} are free."
            case "RESOURCE:PORTS":
                taken = sorted(p for p in needs.ports if p in used.ports or p in instance.resources.ports)
                shown = ", ".join(f"{number}/{kind}" for number, kind in taken)
                return f"Host port {shown} is in use there: use hostPort 0 or another port."
            case "ATTRIBUTE":
                lacking = [name for name in self.request.requires if name not in instance.attributes]
                return f"The attribute {', '.join(lacking)} is missing there."
            case "AGENT":
                return "Its container agent is not connected."
        return f"It {_CLOSEST.get(reason, reason)}."


def is_distinct(constraints: Iterable[Mapping[str, str]]) -> bool:
    return any(c.get("type") == "distinctInstance" for c in constraints)


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
        known = field in ("instanceId", "host") or (field.startswith("attribute:") and field[10:])
        if kind == "spread" and not known:
            raise invalid_parameter(
                f"Placement strategy spread needs the field instanceId, host or attribute:NAME, not {field!r}."
            )
        if kind == "random" and field:
            raise invalid_parameter("Placement strategy random takes no field.")


def check_constraints(constraints: Sequence[Mapping[str, str]], only_member_of: bool = False) -> None:
    """Raises InvalidParameterException. `only_member_of`: those of a task definition."""
    if len(constraints) > 10:
        raise invalid_parameter("placementConstraints can have at most 10 entries.")
    for constraint in constraints:
        kind, expression = constraint.get("type", ""), constraint.get("expression") or ""
        known = ("memberOf",) if only_member_of else ("distinctInstance", "memberOf")
        if kind not in known:
            raise invalid_parameter(f"Placement constraint type {kind!r} should be one of {list(known)}.")
        if kind == "memberOf":
            query.parse(expression)
        elif expression:
            raise invalid_parameter("The placement constraint distinctInstance takes no expression.")
