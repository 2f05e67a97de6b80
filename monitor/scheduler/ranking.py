"""Order: instances ranked by a chain of placement strategies, kept while tasks are placed on them.

The rank of an instance is a tuple, one number a strategy. Spread over an attribute gives the same number to all
instances of one value, so they are kept in cells, one a combination of such values; within a cell a heap orders them by
what is their own (tasks of the group, what is left of a resource). The first of all is the least over the cells. A
placement changes one instance's own numbers and one value's total; entries of a heap that are out of date are
dropped when they come to the top.
"""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from monitor.model.cluster import ContainerInstance

if TYPE_CHECKING:
    from monitor.scheduler.placement import Placer

Steps = tuple[tuple[str, str], ...]
_Own = tuple[float, ...]


def steps(strategy: Sequence[Mapping[str, str]]) -> Steps:
    """(type, field): fields in one spelling."""
    found = []
    for step in strategy:
        kind, field = step.get("type", ""), step.get("field", "")
        if kind == "spread" and field in ("host", ""):
            field = "instanceId"
        found.append((kind, field.lower() if kind == "binpack" else field))
    return tuple(found)


class Order:
    def __init__(
        self,
        placer: Placer,
        cluster_arn: str,
        group: str,
        strategy: Steps,
        takers: Iterable[ContainerInstance],
    ) -> None:
        self._placer, self._steps = placer, strategy
        self._names = [
            f.removeprefix("attribute:") for k, f in strategy if k == "spread" and f != "instanceId"
        ]
        self._spread = placer.state.spread_of(cluster_arn, group)
        self._extra = placer.extra(cluster_arn, group)
        self._instances = {i.arn: i for i in takers}
        self._cell_of = {
            i.arn: tuple(_value(i, name) for name in self._names) for i in self._instances.values()
        }
        self._totals = [self._total(name) for name in self._names]
        self._current: dict[str, _Own] = {}
        self._heaps: dict[tuple[str, ...], list[tuple[_Own, str]]] = {}
        for arn, cell in self._cell_of.items():
            self._current[arn] = self._own(self._instances[arn])
            self._heaps.setdefault(cell, []).append((self._current[arn], arn))
        for heap in self._heaps.values():
            heapq.heapify(heap)

    def _total(self, name: str) -> Counter[str]:
        """Tasks of the group by the attribute's value. Instances that are full count for their value too."""
        totals: Counter[str] = Counter()
        instances = self._placer.state.instances
        for counts in (self._spread, self._extra):
            for arn, count in counts.items():
                if arn in instances and instances[arn].status != "INACTIVE":
                    totals[_value(instances[arn], name)] += count
        return totals

    def _own(self, instance: ContainerInstance) -> _Own:
        """The numbers of the instance itself, in the strategies' order; last, how many tasks it has in all."""
        usage, arn = self._placer.usage(instance.arn), instance.arn
        found: list[float] = []
        for kind, field in self._steps:
            if kind == "binpack":
                is_cpu = field == "cpu"
                found.append(
                    instance.resources.cpu - usage.cpu if is_cpu else instance.resources.memory - usage.memory
                )
            elif kind == "random":
                found.append(zlib.crc32(f"{self._placer.seed}/{usage.tasks}/{arn}".encode()))
            elif field == "instanceId":
                found.append(self._spread.get(arn, 0) + self._extra.get(arn, 0))
        found.append(usage.tasks)
        return tuple(found)

    def first(self) -> ContainerInstance | None:
        best: tuple[tuple[float, ...], str] | None = None
        for cell, heap in self._heaps.items():
            while heap and self._current.get(heap[0][1]) != heap[0][0]:
                heapq.heappop(heap)
            if not heap:
                continue
            own, arn = heap[0]
            key = (self._key(cell, own), arn)
            if best is None or key < best:
                best = key
        return None if best is None else self._instances[best[1]]

    def _key(self, cell: tuple[str, ...], own: _Own) -> tuple[float, ...]:
        """The whole rank: what the cell shares, and what is the instance's own, in the strategies' order."""
        shared, mine = iter(zip(self._totals, cell, strict=True)), iter(own)
        found: list[float] = []
        for kind, field in self._steps:
            if kind == "spread" and field != "instanceId":
                totals, value = next(shared)
                found.append(totals[value])
            else:
                found.append(next(mine))
        return (*found, next(mine))

    def remove(self, instance: ContainerInstance) -> None:
        self._current.pop(instance.arn, None)

    def changed(self, instance_arn: str, is_own: bool) -> None:
        """A task was placed there, of the group if `is_own`."""
        if is_own and instance_arn in self._placer.state.instances:
            instance = self._placer.state.instances[instance_arn]
            for name, totals in zip(self._names, self._totals, strict=True):
                totals[_value(instance, name)] += 1
        if instance_arn in self._current:
            own = self._own(self._instances[instance_arn])
            if own != self._current[instance_arn]:
                self._current[instance_arn] = own
                heapq.heappush(self._heaps[self._cell_of[instance_arn]], (own, instance_arn))


def _value(instance: ContainerInstance, name: str) -> str:
    return instance.attributes.get(name, "")
