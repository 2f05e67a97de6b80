"""The agent's /metrics: the exporter's exposition, and the agent's own few series after it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

import uvicorn
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from exporters.docker import identity
from exporters.exporter import Exporter
from exporters.form import Answer, Form, negotiate, pack
from exporters.metric import CONTAINER_LABELS
from exporters.render import exposition, own_registry, written
from exporters.shown import Shown
from monitor.agent.engine import ContainerView
from monitor.agent.logs import Counts
from monitor.clock import Clock

Message = MutableMapping[str, Any]


class AgentMetrics:
    def __init__(self, clock: Clock, shown: Shown | None = None) -> None:
        self.exporter = Exporter(now=clock.now, shown=shown)
        self.is_connected: Callable[[], bool] = lambda: False
        self._registry = r = own_registry()
        self._info = Gauge(
            "ecs_agent_info",
            "Who the agent is; always 1.",
            ("cluster", "container_instance", "version", "docker_version"),
            registry=r,
        )
        self._docker = Histogram(
            "ecs_agent_docker_request_duration_seconds",
            "Docker calls, by operation.",
            ("operation",),
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=r,
        )
        self._errors = Counter(
            "ecs_agent_docker_errors_total", "Docker calls without an answer.", ("operation",), registry=r
        )
        self._custom = Counter(
            "ecs_agent_custom_metrics_total",
            "What came by StatsD and OTLP, by what became of it: sent, or why not.",
            ("input", "result"),
            registry=r,
        )
        Gauge("ecs_agent_connected", "1 while the ACS session is open.", registry=r).set_function(
            lambda: 1.0 if self.is_connected() else 0.0
        )
        Gauge(
            "ecs_agent_last_metrics_timestamp_seconds", "When containers were last sampled.", registry=r
        ).set_function(lambda: self.exporter.sampled_at)
        self.restarts: Callable[[], Iterable[tuple[tuple[str, ...], int]]] = lambda: ()
        self.logs = Counts()
        r.register(_Restarts(self))
        r.register(_Logs(self))
        for operation in ("create", "start", "inspect", "kill", "list", "logs", "ping"):
            self._errors.labels(operation)
            self._docker.labels(operation)

    def docker_call(self, operation: str, seconds: float, ok: bool) -> None:
        self._docker.labels(operation).observe(seconds)
        if not ok:
            self._errors.labels(operation).inc()

    def custom(self, origin: str, result: str, count: int) -> None:
        """Measurements that came by an input: sent, or a reason why they were not."""
        self._custom.labels(origin, result).inc(count)

    def track(self, view: ContainerView) -> None:
        """A container of ours runs: sample it from now on, without waiting for Docker's event."""
        if view.pid:
            self.exporter.track(identity(view.raw))

    def is_agent(self, cluster: str, container_instance: str, version: str, docker_version: str) -> None:
        """Who this is, for joins with what carries only Prometheus's own `instance` label."""
        self._info.clear()
        self._info.labels(cluster, container_instance, version, docker_version).set(1)

    async def exposition(self, form: Form) -> Answer:
        """Written in a thread: thousands of containers take longer than the loop may be held up."""
        rest = written(self._registry, form)
        return await asyncio.to_thread(exposition, self.exporter, form, rest)

    async def serve(self, host: str, port: int) -> None:
        """For ever."""

        async def app(scope: Message, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return
            await receive()
            found = scope["path"] == "/metrics" and scope["method"] in ("GET", "HEAD")
            asked = dict(scope["headers"])
            if found:
                form = negotiate(_text(asked.get(b"accept")), _text(asked.get(b"accept-encoding")))
                answer = await self.exposition(form)
            else:
                answer = pack(b"Metrics are at /metrics\n", Form())
            headers = [(n.lower().encode(), v.encode()) for n, v in answer.headers.items()]
            await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
            await send(
                {"type": "http.response.body", "body": answer.body if scope["method"] != "HEAD" else b""}
            )

        config = uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        await server.serve()
        if not server.started:
            raise OSError(f"cannot listen on {host}:{port}; is another agent running?")


def _text(header: bytes | None) -> str:
    return (header or b"").decode("latin-1")


class _Restarts(Collector):
    """Docker's own RestartCount stays 0 when a container is started again by hand, as restart policies are here."""

    def __init__(self, metrics: AgentMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "ecs_agent_container_restarts",
            "Times the container was started again by its restart policy.",
            labels=CONTAINER_LABELS,
        )
        for labels, count in self._metrics.restarts():
            family.add_metric(labels, count)
        yield family


class _Logs(Collector):
    """What was shipped of containers' logs."""

    def __init__(self, metrics: AgentMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[CounterMetricFamily]:
        counts = self._metrics.logs
        told = {
            "ecs_agent_log_events": ("Log events stored by the control plane.", counts.lines),
            "ecs_agent_log_bytes": ("Bytes of the messages of those.", counts.bytes),
            "ecs_agent_log_events_refused": ("Log events that the control plane refused.", counts.refused),
            "ecs_agent_log_failures": (
                "Attempts to read or store a container's log that failed.",
                counts.failures,
            ),
        }
        for name, (text, value) in told.items():
            yield CounterMetricFamily(name, text, value=value)
