"""Recent metric values: the last minutes of each service, from what agents tell (TCS), in memory and bounded.

CPUUtilization and MemoryUtilization of namespace AWS/ECS: used over reserved, averaged over the service's tasks
(CloudWatch metrics for ECS). A restart loses them: policies then see no data for a few minutes and change nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.model import arn as arns
from monitor.model.state import State
from monitor.model.task import Task
from monitor.series.base import Datum

MINUTES_KEPT = 20
NAMESPACE = "AWS/ECS"
Dimensions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, total: float, count: int) -> None:
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        return self.total / self.count


@dataclass(slots=True)
class _Series:
    """Minute → what is averaged (a task's ARN, or "" for a custom metric) → its mean."""

    minutes: OrderedDict[int, dict[str, _Mean]] = field(default_factory=OrderedDict)

    def add(self, minute: int, part: str, total: float, count: int) -> None:
        means = self.minutes.setdefault(minute, {})
        means.setdefault(part, _Mean()).add(total, count)
        while len(self.minutes) > MINUTES_KEPT:
            self.minutes.popitem(last=False)

    def at(self, minute: int) -> float | None:
        means = self.minutes.get(minute)
        return sum(m.value for m in means.values()) / len(means) if means else None


class Recent:
    def __init__(self, state: State) -> None:
        self._state = state
        self._series: dict[tuple[str, str, Dimensions], _Series] = {}

    def minutes(
        self, namespace: str, metric: str, dimensions: Mapping[str, str], until: float, count: int
    ) -> list[float | None]:
        """The average of each of the last `count` whole minutes before `until`, oldest first; None: no data."""
        series = self._series.get((namespace, metric, tuple(sorted(dimensions.items()))))
        last = int(until // 60)
        return [series.at(minute) if series else None for minute in range(last - count, last)]

    def put(
        self, namespace: str, metric: str, dimensions: Mapping[str, str], at: float, value: float
    ) -> None:
        """One datum of a custom metric."""
        self._add(namespace, metric, dimensions, at, "", value, 1)

    def observe(self, data: Sequence[Datum]) -> None:
        """What users put: kept where a scaling policy asks for it."""
        wanted = self._asked_for()
        for datum in data if wanted else ():
            key = datum.series.key
            if (key.namespace, key.name, key.dimensions) in wanted and datum.point.sample_count:
                mean = datum.point.total / datum.point.sample_count
                self.put(key.namespace, key.name, dict(key.dimensions), datum.at, mean)

    def _asked_for(self) -> set[tuple[str, str, Dimensions]]:
        """The metrics of customised target tracking."""
        found = set()
        for policy in self._state.scaling_policies.values():
            custom = policy.config.get("CustomizedMetricSpecification") or {}
            if custom.get("MetricName"):
                given = sorted((d["Name"], d["Value"]) for d in custom.get("Dimensions") or ())
                found.add((custom["Namespace"], custom["MetricName"], tuple(given)))
        return found

    def _add(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        at: float,
        part: str,
        total: float,
        n: int,
    ) -> None:
        key = (namespace, metric, tuple(sorted(dimensions.items())))
        self._series.setdefault(key, _Series()).add(int(at // 60), part, total, n)

    def telemetry(self, instance_arn: str, message: Mapping[str, Any], now: float) -> None:
        """A PublishMetricsRequest. Our time counts, not the agent's."""
        instance = self._state.instances.get(instance_arn)
        if instance is None:
            return
        for entry in message.get("taskMetrics") or ():
            task = self._state.tasks.get(str(entry.get("taskArn", "")))
            if task is None or task.instance_arn != instance_arn or not task.service_arn:
                continue
            dimensions = service_dimensions(task.service_arn)
            containers = [c for c in entry.get("containerMetrics") or () if isinstance(c, Mapping)]
            cpu = _mean(containers, "cpuStatsSet")
            if cpu is not None and task.needs.cpu:
                used = cpu / 100 * instance.resources.cpu
                self._add(
                    NAMESPACE, "CPUUtilization", dimensions, now, task.arn, 100 * used / task.needs.cpu, 1
                )
            memory = _mean(containers, "memoryStatsSet")
            if memory is not None and task.needs.memory:
                share = 100 * memory / task.needs.memory
                self._add(NAMESPACE, "MemoryUtilization", dimensions, now, task.arn, share, 1)

    def forget(self, living: Iterable[str]) -> None:
        """Keep the ECS series of these services (ARNs) only."""
        kept = {tuple(sorted(service_dimensions(a).items())) for a in living}
        for key in [k for k in self._series if k[0] == NAMESPACE and k[2] not in kept]:
            del self._series[key]


def service_dimensions(service_arn: str) -> dict[str, str]:
    return {"ClusterName": arns.cluster_name_of(service_arn), "ServiceName": arns.short(service_arn)}


def _mean(containers: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The sum over the containers of their mean in the message."""
    found: list[float] = []
    for container in containers:
        stats = container.get(name)
        if isinstance(stats, Mapping):
            total, count = stats.get("sum"), stats.get("sampleCount")
            if isinstance(total, int | float) and isinstance(count, int) and count > 0:
                found.append(total / count)
    return sum(found) if found else None


__all__ = ["Recent", "Task", "service_dimensions"]
