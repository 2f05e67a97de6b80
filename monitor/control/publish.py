"""Each minute's metrics of ECS: what agents told, by task → AWS/ECS and ECS/ContainerInsights → the metric store.

Our time counts, not the agent's. A minute is published some seconds after its end; what comes later counts for the
minute it comes in. A minute that a restart interrupts is published from what came after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.clock import Clock
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.service import ACTIVE
from monitor.model.state import State
from monitor.model.task import RUNNING, UNHEALTHY, Task
from monitor.rules.published import (
    ClusterUse,
    ContainerUse,
    Published,
    ServiceCounts,
    TaskUse,
    of_ecs,
    of_insights,
)
from monitor.rules.published_enhanced import InstanceUse, of_enhanced, of_instances
from monitor.series.base import Datum, Series, SeriesError, SeriesStore

log = logging.getLogger("moorwatch.publish")

MIB = 1024 * 1024
AT_ONCE = 500  # tasks looked at before the loop is let go
HOST_FIGURES = ("cpuPercent", "memoryBytes", "filesystemPercent", "networkBytesPerSecond")
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
    restarts: float | None = None  # of one with a restart policy


Hosts = Mapping[str, _Mean]


class Publisher:
    def __init__(self, state: State, series: SeriesStore, clock: Clock) -> None:
        self._state, self._series, self._clock = state, series, clock
        self._published = 0  # the newest minute that is
        self._news = asyncio.Event()
        self._hosts: dict[int, dict[str, dict[str, _Mean]]] = {}  # minute → instance → figure
        self._told: dict[int, dict[str, dict[str, _Told]]] = {}  # minute → task → container
        self._counters: dict[tuple[str, str, str], float] = {}  # (task, container, counter) → a minute ago

    def telemetry(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """A PublishMetricsRequest."""
        minute = int(self._clock.now() // MINUTE)
        host = message.get("moorwatchInstance")
        if isinstance(host, Mapping):
            means = self._hosts.setdefault(minute, {}).setdefault(instance_arn, {})
            for name in HOST_FIGURES:
                (value,) = _numbers(host, name)
                if value is not None:
                    mean = means.setdefault(name, _Mean())
                    mean.total, mean.count = mean.total + value, mean.count + 1
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
        hosts = {i: f for m in sorted(self._hosts) if m <= minute for i, f in self._hosts.pop(m).items()}
        uses: dict[str, list[TaskUse]] = {}
        for number, (arn, containers) in enumerate(told.items()):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # at thousands of tasks others have to get a turn
            task = self._state.tasks.get(arn)
            if task is not None and (use := self._use(task, containers)) is not None:
                uses.setdefault(task.cluster_arn, []).append(use)
        living = {key for key in self._counters if key[0] in told}
        self._counters = {key: value for key, value in self._counters.items() if key in living}
        data: list[Datum] = []
        for cluster in [c for c in self._state.clusters.values() if c.status == "ACTIVE"]:
            computed = self._of(cluster, minute, uses.get(cluster.arn, []), hosts)
            data += await asyncio.to_thread(computed)
        if data:
            await self._series.append(data)

    def _of(
        self, cluster: Cluster, minute: int, uses: list[TaskUse], hosts: Mapping[str, Hosts]
    ) -> Callable[[], list[Datum]]:
        """What is read off the state is read now; what is computed of it is a thread's work."""
        state, scope = self._state, arns.scope_of(cluster.arn)
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
        insights = _insights(cluster)
        counts = [self._counts(cluster, s.arn) for s in services] if insights != "disabled" else []
        own = [self._instance(cluster, i, hosts.get(i.arn, {})) for i in instances]

        def compute() -> list[Datum]:
            published = of_ecs(whole, uses)
            if insights != "disabled":
                published += of_insights(whole, counts, uses) + of_instances(cluster.name, own)
            if insights == "enhanced":
                published += of_enhanced(cluster.name, uses)
            return [_datum(scope, minute, one) for one in published]

        return compute

    def _instance(self, cluster: Cluster, i: ContainerInstance, told: Hosts) -> InstanceUse:
        usage, cpu = self._state.usage_of(i.arn), i.resources.cpu
        figures = {name: mean.value for name, mean in told.items()}
        percent = figures.get("cpuPercent")
        running = sum(t.last == RUNNING and not t.standby for t in self._state.live_tasks_on(i.arn))
        return InstanceUse(
            cluster.name,
            arns.short(i.arn),
            i.external_id or arns.short(i.arn),
            cpu,
            usage.cpu,
            i.resources.memory * MIB,
            usage.memory * MIB,
            running,
            None if percent is None else percent / 100 * cpu,
            figures.get("memoryBytes"),
            figures.get("filesystemPercent"),
            figures.get("networkBytesPerSecond"),
        )

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
        own = self._containers(task, containers, instance)
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
            _sum(c.read for c in own),
            _sum(c.written for c in own),
            arns.short(task.arn),
            tuple(own),
        )

    def _containers(
        self, task: Task, containers: Mapping[str, _Told], instance: ContainerInstance
    ) -> list[ContainerUse]:
        definition = self._state.definitions.get(task.definition_arn)
        defined = {c.name: c for c in definition.containers} if definition else {}
        seen = {c.name: c for c in task.containers}
        out = []
        for name, told in containers.items():
            means = {figure: mean.value for figure, mean in told.means.items()}
            cpu, memory, own = means.get("cpu"), means.get("memory"), defined.get(name)
            checked = seen.get(name) if own is not None and own.has_health_check else None
            out.append(
                ContainerUse(
                    name,
                    (cpu or 0.0) / 100 * instance.resources.cpu,
                    memory or 0.0,
                    float(own.cpu) if own else 0.0,
                    float(own.memory_reservation or own.memory) if own else 0.0,
                    means.get("received"),
                    means.get("sent"),
                    self._grown(task.arn, name, told, "read"),
                    self._grown(task.arn, name, told, "written"),
                    told.restarts,
                    None if checked is None else float(checked.health == UNHEALTHY),
                )
            )
        return out

    def _grown(self, task: str, name: str, told: _Told, counter: str) -> float | None:
        """What the container's counter grew by since the minute before; one that went back began anew."""
        if counter not in told.counters:
            return None
        now, before = told.counters[counter], self._counters.get((task, name, counter), 0.0)
        self._counters[task, name, counter] = now
        return now - before if now >= before else now


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
    (restarts,) = _numbers(container.get("restartStatsSet"), "restartCount")
    if restarts is not None:
        told.restarts = (told.restarts or 0.0) + restarts


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


def _insights(cluster: Cluster) -> str:
    """disabled, enabled or enhanced."""
    settings = {s["name"]: s["value"] for s in cluster.config.get("settings") or ()}
    return str(settings.get("containerInsights", "disabled"))


def _datum(scope: Scope, minute: int, published: Published) -> Datum:
    key, unit, point = published
    return Datum(Series(scope, key, unit), float(minute * MINUTE), point)
