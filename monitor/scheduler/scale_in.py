"""Which tasks to stop first when there are too many (ECS developer guide, "Scaling in"): the placement strategy turned
round. Spread takes from the value with most tasks, binpack from the instance with most left of the resource."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from monitor.model.state import State
from monitor.model.task import Task
from monitor.scheduler import ranking

Steps = ranking.Steps


def by_least_loss(
    tasks: Sequence[Task], wanted: Iterable[Task], state: State, strategy: Sequence[Mapping[str, str]]
) -> list[Task]:
    """`tasks` in the order to stop them: those not healthy first, then by the strategy, the newest first. `wanted` is
    all of the service's tasks: what they are spread over counts, whether they may be stopped or not."""
    loads = _Loads(state, ranking.steps(strategy), wanted)
    ordered: list[Task] = []
    for is_healthy in (False, True):
        # Equals in rank stay in this order: only the newest of an instance has to be compared.
        newest = sorted((t for t in tasks if t.is_healthy is is_healthy), key=lambda t: (t.created_at, t.arn))
        piles: dict[str, list[Task]] = {}
        for task in newest:
            piles.setdefault(task.instance_arn, []).append(task)
        while piles:
            arn = max(piles, key=lambda a: (loads.rank(a), piles[a][-1].created_at, piles[a][-1].arn))
            task = piles[arn].pop()
            if not piles[arn]:
                del piles[arn]
            ordered.append(task)
            loads.remove(task)
    return ordered


class _Loads:
    """What the tasks are spread over, and what their instances have left."""

    def __init__(self, state: State, steps: Steps, wanted: Iterable[Task]) -> None:
        self._state, self._steps = state, steps
        self._by_value: list[Counter[str]] = [Counter() for _ in steps]
        self._freed: Counter[tuple[str, str]] = Counter()
        for task in wanted:
            self._add(task, 1)

    def remove(self, task: Task) -> None:
        self._add(task, -1)
        self._freed[task.instance_arn, "cpu"] += task.needs.cpu
        self._freed[task.instance_arn, "memory"] += task.needs.memory

    def _add(self, task: Task, by: int) -> None:
        for (kind, field), counts in zip(self._steps, self._by_value, strict=True):
            if kind == "spread":
                counts[self._value(task.instance_arn, field)] += by

    def _value(self, instance_arn: str, field: str) -> str:
        instance = self._state.instances.get(instance_arn)
        if field == "instanceId" or instance is None:
            return instance_arn
        return instance.attributes.get(field.removeprefix("attribute:"), "")

    def rank(self, instance_arn: str) -> tuple[float, ...]:
        """The higher, the sooner a task of the instance goes."""
        found: list[float] = []
        for (kind, field), counts in zip(self._steps, self._by_value, strict=True):
            if kind == "spread":
                found.append(counts[self._value(instance_arn, field)])
            elif kind == "binpack":
                found.append(self._left(instance_arn, field))
        return tuple(found)

    def _left(self, instance_arn: str, field: str) -> float:
        instance = self._state.instances.get(instance_arn)
        if instance is None:
            return 0.0
        usage = self._state.usage_of(instance_arn)
        used = usage.cpu if field == "cpu" else usage.memory
        total = instance.resources.cpu if field == "cpu" else instance.resources.memory
        return total - used + self._freed[instance_arn, field]
