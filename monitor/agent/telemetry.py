"""Telemetry: samples each second → statistic sets → TCS every 20 s; health at once.

The samples come from the exporter, which reads cgroup files; Docker is not asked. While disconnected the sets go
on growing, so that the next message covers the gap. What TCS cannot say (limits, OOM kills, throttling) is on
the agent's /metrics.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection

from exporters import host
from exporters.exporter import Exporter
from exporters.sample import Sample
from monitor.agent.engine import ContainerView, Engine, EngineError, EngineInfo, EngineUnreachable
from monitor.agent.held import Held
from monitor.agent.host_use import HostUse
from monitor.agent.roster import Roster
from monitor.agent.session import Backoff, Deregistered, NetworkErrors, Session
from monitor.agent.worker import Worker
from monitor.clock import Clock
from monitor.wire import agent as wire

log = logging.getLogger("moorwatch.agent.telemetry")

SAMPLE_SECONDS = 1.0
PUBLISH_SECONDS = 20.0
TASKS_A_MESSAGE = 10
WORDS_KEPT = 1000
MIB = 1024 * 1024
Track = Callable[[ContainerView], None]


@dataclass(slots=True)
class StatisticSet:
    count: int = 0
    total: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def add(self, value: float) -> None:
        self.low = value if not self.count else min(self.low, value)
        self.high = value if not self.count else max(self.high, value)
        self.total += value
        self.count += 1

    def message(self) -> dict[str, float]:
        return {"min": self.low, "max": self.high, "sum": self.total, "sampleCount": self.count}


@dataclass(slots=True)
class Window:
    """The sets of one container since the last message."""

    previous: Sample | None = None
    sets: dict[str, StatisticSet] = field(default_factory=dict)

    def add(self, name: str, value: float | None) -> None:
        if value is not None:
            self.sets.setdefault(name, StatisticSet()).add(value)


class Telemetry:
    def __init__(self, exporter: Exporter, track: Track, info: EngineInfo, clock: Clock) -> None:
        self._exporter, self._track, self._info, self._clock = exporter, track, info, clock
        self._host = HostUse()
        self._windows: dict[str, Window] = {}
        self._words: OrderedDict[str, tuple[int | None, int | None]] = OrderedDict()
        self._health = asyncio.Event()
        self._status = asyncio.Event()

    # -- what the roster needs ----------------------------------------------------------------------

    def track(self, view: ContainerView) -> None:
        self._track(view)

    def declare(self, cluster: str, service: str, containers: Sequence[str]) -> None:
        self._exporter.declare_service(cluster, service, containers)

    def last_look(self, container_id: str) -> None:
        """The process is gone and its memory freed, but the cgroup still tells the peak: what it held is from the
        sample before, what it held at most from one taken now."""
        before = self._exporter.last_words(container_id)
        self._exporter.sample_now(container_id)
        after = self._exporter.last_words(container_id)
        self._words[container_id] = (
            before.memory_bytes if before else None,
            after.memory_peak_bytes if after else None,
        )
        while len(self._words) > WORDS_KEPT:
            self._words.popitem(last=False)

    def last_words(self, container_id: str) -> tuple[int | None, int | None]:
        looked = self._words.pop(container_id, None)
        if looked is not None:
            return looked
        found = self._exporter.last_words(container_id)
        if found is None:
            return None, None
        return found.memory_bytes, found.memory_peak_bytes

    def oom_kills(self, container_id: str) -> int:
        found = self._exporter.last_words(container_id)
        return found.oom_kills if found else 0

    def health_changed(self) -> None:
        self._health.set()

    def heartbeat(self) -> None:
        """A heartbeat also asks for the instance's status."""
        self._status.set()

    # -- sampling -----------------------------------------------------------------------------------

    async def sample_forever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            samples = await asyncio.to_thread(self._exporter.sample_all, self._clock.now())
            self._collect(samples)
            due = max(due + SAMPLE_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())

    def _collect(self, samples: Sequence[Sample]) -> None:
        seen = set()
        for sample in samples:
            seen.add(sample.container_id)
            window = self._windows.setdefault(sample.container_id, Window())
            self._add(window, sample)
        for gone in [c for c in self._windows if c not in seen]:
            del self._windows[gone]

    def _add(self, window: Window, s: Sample) -> None:
        before, window.previous = window.previous, s
        memory = s.memory_usage_bytes
        if memory is not None:
            window.add("memory", (memory - (s.memory_cache_bytes or 0)) / MIB)
        for name, value in _counters(s).items():
            window.add(name, value)
        elapsed = s.at - before.at if before is not None else 0.0
        if before is None or elapsed <= 0:
            return
        if s.cpu_seconds is not None and before.cpu_seconds is not None:
            used = max(0.0, s.cpu_seconds - before.cpu_seconds)
            window.add("cpu", 100.0 * used / max(1, self._info.cpus) / elapsed)
        now, then = _counters(s), _counters(before)
        for direction in ("rx", "tx"):
            name = f"{direction}Bytes"
            if name in now and name in then:
                window.add(f"{name}PerSecond", max(0.0, now[name] - then[name]) / elapsed)

    # -- publishing ---------------------------------------------------------------------------------

    async def publish_forever(self, session: Session, roster: Roster, engine: Engine) -> None:
        """Keep the TCS websocket for ever."""
        backoff = Backoff()
        while True:
            await session.connected.wait()
            if session.telemetry_endpoint:
                try:
                    await self._session(session, roster, engine, backoff)
                except Deregistered:
                    log.debug("waiting for the instance to be registered again")
                except NetworkErrors as error:
                    log.info("telemetry session lost: %s", error or type(error).__name__)
            await backoff.pause()

    async def _session(self, session: Session, roster: Roster, engine: Engine, backoff: Backoff) -> None:
        url = session.url(
            session.telemetry_endpoint,
            cluster=roster.cluster,
            containerInstance=session.instance_arn,
            agentVersion="1.0.0",
            agentHash="moorwatch",
            dockerVersion=self._info.version,
        )
        socket = await session.open(url)
        backoff.reset()
        tasks = [
            asyncio.create_task(self._drain(socket)),
            asyncio.create_task(self._metrics(socket, session, roster)),
            asyncio.create_task(self._publish_health(socket, session, roster)),
            asyncio.create_task(self._publish_status(socket, session, engine)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await socket.close()

    async def _drain(self, socket: ClientConnection) -> None:
        async for _ in socket:
            continue

    async def _send(
        self, socket: ClientConnection, session: Session, kind: str, message: Mapping[str, Any]
    ) -> None:
        headers = session.signed(session.url(session.telemetry_endpoint))
        await socket.send(wire.encode_tcs(kind, message, headers))

    def _metadata(self, session: Session, **extra: object) -> dict[str, Any]:
        return {"cluster": session.cluster, "containerInstance": session.instance_arn, **extra}

    async def _metrics(self, socket: ClientConnection, session: Session, roster: Roster) -> None:
        while True:
            await asyncio.sleep(PUBLISH_SECONDS)
            tasks = self._task_metrics(list(roster.workers.values()))
            chunks = [tasks[i : i + TASKS_A_MESSAGE] for i in range(0, len(tasks), TASKS_A_MESSAGE)] or [[]]
            message_id = str(uuid.uuid4())
            for number, chunk in enumerate(chunks):
                metadata = self._metadata(
                    session, idle=not tasks, fin=number == len(chunks) - 1, messageId=message_id
                )
                body = {"metadata": metadata, "timestamp": self._clock.now(), "taskMetrics": chunk}
                if number == len(chunks) - 1:
                    body["moorwatchInstance"] = await self._of_host()
                await self._send(socket, session, "PublishMetricsRequest", body)

    async def _of_host(self) -> dict[str, float]:
        found = await asyncio.to_thread(host.facts, self._exporter.data_root, self._exporter.proc)
        return self._host.told(found, self._clock.now())

    def _task_metrics(self, workers: Sequence[Worker]) -> list[dict[str, Any]]:
        out = []
        for worker in workers:
            containers = []
            for name, held in worker.held.items():
                if held.is_internal:
                    continue
                window = self._windows.get(held.id)
                # A set needs two raw points to say anything.
                if window is not None and "cpu" in window.sets and window.sets["cpu"].count >= 2:
                    containers.append({"containerName": name, **_message(window), **_restarts(held)})
                    window.sets = {}
            if containers:
                out.append(
                    {
                        "taskArn": worker.arn,
                        "taskDefinitionFamily": worker.payload.get("family", ""),
                        "taskDefinitionVersion": worker.payload.get("version", ""),
                        "containerMetrics": containers,
                    }
                )
        return out

    async def _publish_health(self, socket: ClientConnection, session: Session, roster: Roster) -> None:
        """At once when it changes, and with every publish interval."""
        while True:
            tasks = [t for t in (_health(w) for w in roster.workers.values()) if t is not None]
            for i in range(0, len(tasks), TASKS_A_MESSAGE):
                chunk = tasks[i : i + TASKS_A_MESSAGE]
                metadata = self._metadata(
                    session, fin=i + TASKS_A_MESSAGE >= len(tasks), messageId=str(uuid.uuid4())
                )
                body = {"metadata": metadata, "timestamp": self._clock.now(), "tasks": chunk}
                await self._send(socket, session, "PublishHealthRequest", body)
            self._health.clear()
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._health.wait()
            except TimeoutError:
                continue

    async def _publish_status(self, socket: ClientConnection, session: Session, engine: Engine) -> None:
        """The container runtime's state, asked for by heartbeats and told when it changes."""
        status, since = "", self._clock.now()
        while True:
            await self._status.wait()
            self._status.clear()
            try:
                await engine.ping()
                found = "OK"
            except (EngineUnreachable, EngineError) as error:
                found = "IMPAIRED"
                log.warning("Docker does not answer: %s", error)
            if found == status:
                await asyncio.sleep(PUBLISH_SECONDS / 4)
                continue
            status, since = found, self._clock.now()
            entry = {
                "type": "ContainerRuntime",
                "status": status,
                "lastUpdated": since,
                "lastStatusChange": since,
            }
            body = {"metadata": self._metadata(session, requestId=str(uuid.uuid4())), "statuses": [entry]}
            await self._send(socket, session, "PublishInstanceStatusRequest", body)


def _counters(s: Sample) -> dict[str, float]:
    """Cumulative counters in TCS's names. Network is absent in host mode."""
    out: dict[str, float] = {}
    if s.network:
        for direction in ("rx", "tx"):
            for ours, theirs in (
                ("bytes", "Bytes"),
                ("packets", "Packets"),
                ("dropped", "Dropped"),
                ("errors", "Errors"),
            ):
                out[f"{direction}{theirs}"] = sum(getattr(i, f"{direction}_{ours}") for i in s.network)
    if s.blkio_read_bytes is not None:
        out["readSizeBytes"] = s.blkio_read_bytes
    if s.blkio_write_bytes is not None:
        out["writeSizeBytes"] = s.blkio_write_bytes
    return out


def _message(window: Window) -> dict[str, Any]:
    sets = {name: s.message() for name, s in window.sets.items()}
    body: dict[str, Any] = {"cpuStatsSet": sets.pop("cpu")}
    if "memory" in sets:
        body["memoryStatsSet"] = sets.pop("memory")
    network = {name: s for name, s in sets.items() if name.startswith(("rx", "tx"))}
    if network:
        body["networkStatsSet"] = network
    storage = {name: sets[name] for name in ("readSizeBytes", "writeSizeBytes") if name in sets}
    if storage:
        body["storageStatsSet"] = storage
    return body


def _restarts(held: Held) -> dict[str, Any]:
    """Since the message before; only of a container with a restart policy (agent protocol, restartStatsSet)."""
    if not (held.raw.get("restartPolicy") or {}).get("enabled"):
        return {}
    before, held.restarts_published = held.restarts_published, held.restarts
    return {"restartStatsSet": {"restartCount": held.restarts - before}}


def _health(worker: Worker) -> dict[str, Any] | None:
    """PublishHealth's entry of a task that has a health check."""
    containers = [
        {
            "containerName": name,
            "healthStatus": held.seen.health,
            "statusSince": held.health_since,
            "statusMessage": "",
        }
        for name, held in worker.held.items()
        if held.raw.get("healthCheckType") == "docker" and held.seen.phase == "RUNNING"
    ]
    if not containers:
        return None
    return {
        "taskArn": worker.arn,
        "taskDefinitionFamily": worker.payload.get("family", ""),
        "taskDefinitionVersion": worker.payload.get("version", ""),
        "containers": containers,
    }
