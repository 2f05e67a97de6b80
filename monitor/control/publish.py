"""Each minute's metrics of ECS: what agents told, by task → AWS/ECS and ECS/ContainerInsights → the metric store.

Our time counts, not the agent's. A minute is published some seconds after its end; what comes later counts for the
minute it comes in. A minute that a restart interrupts is published from what came after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.clock import Clock
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import Cluster
from monitor.model.service import ACTIVE
from monitor.model.state import State
from monitor.model.task import RUNNING, Task
from monitor.rules.published import ClusterUse, Published, ServiceCounts, TaskUse, of_ecs, of_insights
from monitor.series.base import Datum, Series, SeriesError, SeriesStore

log = logging.getLogger("moorwatch.publish")

MINUTE, LATE_SECONDS, PATIENCE_SECONDS = 60, 5.0, 15.0


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    count: float = 0.0

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class _Told:
    """Of one container in one minute. Counters as they stood last."""

    means: dict[str, _Mean] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)


class Publisher:
    def __init__(self, state: State, series: SeriesStore, clock: Clock) -> None:
        self._state, self._series, self._clock = state, series, clock
        self._published = 0  # the newest minute that is
        self._news = asyncio.Event()
        self._told: dict[int, dict[str, dict[str, _Told]]] = {}  # minute → task → container
        self._counters: dict[tuple[str, str, str], float] = {}  # (task, container, counter) → a minute ago

    def telemetry(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """A PublishMetricsRequest."""
        minute = int(self._clock.now() // MINUTE)
        for entry in message.get("taskMetrics") or ():
            task = self._state.tasks.get(str(entry.get("taskArn", "")))
            if task is None or task.instance_arn != instance_arn:
                continue
            tasks = self._told.setdefault(minute, {}).setdefault(task.arn, {})
            for container in entry.get("containerMetrics") or ():
                if isinstance(container, Mapping):
                    _add(tasks.setdefault(str(container.get("containerName", "")), _Told()), container)

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            ended = int((now - LATE_SECONDS) // MINUTE)  # minutes before this one are over
            await asyncio.sleep((ended + 1) * MINUTE + LATE_SECONDS - now)
            try:
                await self.publish(ended)
            except SeriesError as error:
                log.error("minute=%d not kept: %s", ended * MINUTE, error)
            self._published = ended
            self._news.set()
            self._news = asyncio.Event()

    async def settled(self, boundary: float) -> None:
        """Resolves when the minute that ended at `boundary` is published, or should have been long ago."""
        minute = int(boundary // MINUTE) - 1
        if boundary % MINUTE or self._published >= minute:
            return
        try:
            await asyncio.wait_for(self._news.wait(), timeout=PATIENCE_SECONDS)
        except TimeoutError:
            log.warning("minute=%d is late: alarms are evaluated without it", minute * MINUTE)

    async def publish(self, minute: int) -> None:
        """Raises SeriesError."""
        told = {t: c for m in sorted(self._told) if m <= minute for t, c in self._told.pop(m).items()}
        uses: dict[str, list[TaskUse]] = {}
        for arn, containers in told.items():
            task = self._state.tasks.get(arn)
            if task is not None and (use := self._use(task, containers)) is not None:
                uses.setdefault(task.cluster_arn, []).append(use)
        living = {key for key in self._counters if key[0] in told}
        self._counters = {key: value for key, value in self._counters.items() if key in living}
        data: list[Datum] = []
        for cluster in self._state.clusters.values():
            if cluster.status == "ACTIVE":
                scope = arns.scope_of(cluster.arn)
                published = self._of(cluster, uses.get(cluster.arn, []))
                data += [_datum(scope, minute, one) for one in published]
        if data:
            await self._series.append(data)

    def _of(self, cluster: Cluster, uses: list[TaskUse]) -> list[Published]:
        state = self._state
        instances = [i for i in state.instances_of(cluster.arn) if i.status in ("ACTIVE", "DRAINING")]
        running = [t for t in state.live_tasks_of(cluster.arn) if t.last == RUNNING and not t.standby]
        services = [s for s in state.services_of(cluster.arn) if s.status == ACTIVE]
        whole = ClusterUse(
            cluster.name,
            sum(i.resources.cpu for i in instances),
            sum(i.resources.memory for i in instances),
            sum(t.needs.cpu for t in running),
            sum(t.needs.memory for t in running),
            len(instances),
            len(running),
            len(services),
        )
        published = of_ecs(whole, uses)
        if _has_insights(cluster):
            published += of_insights(whole, [self._counts(cluster, s.arn) for s in services], uses)
        return published

    def _counts(self, cluster: Cluster, service_arn: str) -> ServiceCounts:
        service = self._state.services[service_arn]
        live = [t for t in self._state.live_tasks_of_service(service_arn) if not t.standby]
        running = sum(t.last == RUNNING for t in live)
        is_external = service.controller == "EXTERNAL"
        return ServiceCounts(
            cluster.name,
            service.name,
            service.desired_count,
            running,
            sum(t.desired == RUNNING for t in live) - running if running <= len(live) else 0,
            0 if is_external else len(service.deployments),
            len(service.deployments) if is_external else 0,
        )

    def _use(self, task: Task, containers: Mapping[str, _Told]) -> TaskUse | None:
        instance = self._state.instances.get(task.instance_arn)
        cpu = _sum(c.means["cpu"].value for c in containers.values() if "cpu" in c.means)
        memory = _sum(c.means["memory"].value for c in containers.values() if "memory" in c.means)
        if instance is None or cpu is None or memory is None:
            return None
        name, _, _ = arns.short(task.definition_arn).partition(":")
        return TaskUse(
            arns.short(task.cluster_arn),
            arns.short(task.service_arn) if task.service_arn else "",
            name,
            cpu / 100 * instance.resources.cpu,  # the agent tells percent of the whole machine
            memory,
            task.needs.cpu,
            task.needs.memory,
            _sum(c.means["received"].value for c in containers.values() if "received" in c.means),
            _sum(c.means["sent"].value for c in containers.values() if "sent" in c.means),
            self._grown(task.arn, containers, "read"),
            self._grown(task.arn, containers, "written"),
        )

    def _grown(self, task: str, containers: Mapping[str, _Told], counter: str) -> float | None:
        """What the containers' counter grew by since the minute before; one that went back began anew."""
        found: list[float] = []
        for name, told in containers.items():
            if counter not in told.counters:
                continue
            now, before = told.counters[counter], self._counters.get((task, name, counter), 0.0)
            self._counters[task, name, counter] = now
            found.append(now - before if now >= before else now)
        return sum(found) if found else None


_SETS = (
    ("cpu", "cpuStatsSet", ""),
    ("memory", "memoryStatsSet", ""),
    ("received", "networkStatsSet", "rxBytesPerSecond"),
    ("sent", "networkStatsSet", "txBytesPerSecond"),
)
_COUNTERS = (("read", "readSizeBytes"), ("written", "writeSizeBytes"))


def _add(told: _Told, container: Mapping[str, Any]) -> None:
    for name, outer, inner in _SETS:
        stats = container.get(outer)
        stats = stats.get(inner) if inner and isinstance(stats, Mapping) else stats
        total, count = _numbers(stats, "sum", "sampleCount")
        if total is not None and count:
            mean = told.means.setdefault(name, _Mean())
            mean.total, mean.count = mean.total + total, mean.count + count
    storage = container.get("storageStatsSet")
    for name, inner in _COUNTERS:
        (highest,) = _numbers(storage.get(inner) if isinstance(storage, Mapping) else None, "max")
        if highest is not None:
            told.counters[name] = highest


def _numbers(stats: object, *names: str) -> tuple[float | None, ...]:
    """None for what is no finite number: another agent than ours may speak here."""
    found = [stats.get(name) if isinstance(stats, Mapping) else None for name in names]
    return tuple(
        float(v) if isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 2.0**100 else None
        for v in found
    )


def _sum(values: Iterable[float | None]) -> float | None:
    found = [v for v in values if v is not None]
    return sum(found) if found else None


def _has_insights(cluster: Cluster) -> bool:
    settings = {s["name"]: s["value"] for s in cluster.config.get("settings") or ()}
    return settings.get("containerInsights") in ("enabled", "enhanced")


def _datum(scope: Scope, minute: int, published: Published) -> Datum:
    key, unit, point = published
    return Datum(Series(scope, key, unit), float(minute * MINUTE), point)
