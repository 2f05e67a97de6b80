"""Logging set-up and the control plane's own metrics (names as in exporters/names.py, compared by a test).

Counters of failures exist at 0 from the moment a service is created: a counter first seen at 1 never fires
`increase() > 0`. Task ids are never labels.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from monitor.model import arn as arns
from monitor.model import task as tasks
from monitor.model.arn import Scope
from monitor.model.service import ACTIVE, INACTIVE, Service
from monitor.model.state import State
from monitor.model.task import RUNNING, STOPPED, Task

STOP_CODES = (
    tasks.TASK_FAILED_TO_START,
    tasks.ESSENTIAL_CONTAINER_EXITED,
    tasks.USER_INITIATED,
    tasks.SERVICE_SCHEDULER_INITIATED,
    tasks.INFRASTRUCTURE_HEALTH,
    tasks.TERMINATION_NOTICE,
)
PLACEMENT_REASONS = ("RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:PORTS", "AGENT", "NO ACTIVE INSTANCES")
MIB = 1024 * 1024


def set_up_logging(level: str) -> None:
    """One line an event to standard error, time in UTC."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for noisy in ("httpx", "httpcore", "botocore", "docker", "urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class ControlMetrics(Collector):
    """Counters and histograms as things happen; gauges are read off the state at scrape time."""

    def __init__(self, state: State, home: Scope) -> None:
        self._state, self._home = state, home
        self.registry = CollectorRegistry()
        r = self.registry
        self._stopped = Counter(
            "ecs_task_stopped_total",
            "Tasks that reached STOPPED, by stop code.",
            ("cluster", "service", "stop_code"),
            registry=r,
        )
        self._placement = Counter(
            "ecs_scheduler_placement_failures_total",
            "Looks in which a task of the service could not be placed, by reason.",
            ("cluster", "service", "reason"),
            registry=r,
        )
        self._replacement = Histogram(
            "ecs_task_replacement_latency_seconds",
            "From the end of a task to its replacement RUNNING.",
            ("cluster", "service"),
            buckets=(0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300),
            registry=r,
        )
        self._loop = Histogram(
            "ecs_scheduler_loop_duration_seconds",
            "Time of one look at the whole state.",
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=r,
        )
        self._looked_at = Gauge(
            "ecs_scheduler_last_loop_timestamp_seconds", "When the scheduler last looked.", registry=r
        )
        self._requests = Counter(
            "ecs_api_requests_total", "API requests answered.", ("operation", "code"), registry=r
        )
        self._request_time = Histogram(
            "ecs_api_request_duration_seconds",
            "Time to answer an API request.",
            ("operation",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=r,
        )
        Gauge("ecs_controlplane_is_leader", "1 when this process runs the scheduler.", registry=r).set(1)
        r.register(self)
        state.task_listeners.append(self._on_task)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def cluster_label(self, cluster_arn: str) -> str:
        """The cluster's name; with account and region before it when they are not this installation's own, so
        that two clusters of one name stay two series."""
        scope, name = arns.scope_of(cluster_arn), arns.short(cluster_arn)
        return name if scope == self._home else f"{scope.account}/{scope.region}/{name}"

    # -- as things happen ---------------------------------------------------------------------------

    def _on_task(self, old: Task | None, new: Task) -> None:
        if new.standby:
            return
        cluster, service = self.cluster_label(new.cluster_arn), _service_name(new)
        if new.last == STOPPED and (old is None or old.last != STOPPED):
            self._stopped.labels(cluster, service, new.stop_code).inc()
        if new.last == RUNNING and (old is None or old.last != RUNNING) and new.replaces:
            replaced = self._state.tasks.get(new.replaces)
            ended = replaced and (replaced.execution_stopped_at or replaced.stopping_at)
            if ended and new.started_at is not None:
                self._replacement.labels(cluster, service).observe(max(0.0, new.started_at - ended))

    def scheduler_looked(
        self, now: float, seconds: float, refusals: Iterable[tuple[str, str]], state: State
    ) -> None:
        self._looked_at.set(now)
        self._loop.observe(seconds)
        for service_arn, reason in refusals:
            service = state.services[service_arn]
            self._placement.labels(self.cluster_label(service.cluster_arn), service.name, reason).inc()

    def request(self, operation: str, code: str, seconds: float) -> None:
        self._requests.labels(operation, code).inc()
        self._request_time.labels(operation).observe(seconds)

    def declare(self, service: Service) -> None:
        """Make the service's failure counters exist at 0."""
        cluster = self.cluster_label(service.cluster_arn)
        for code in STOP_CODES:
            self._stopped.labels(cluster, service.name, code)
        for reason in PLACEMENT_REASONS:
            self._placement.labels(cluster, service.name, reason)
        self._replacement.labels(cluster, service.name)

    # -- at scrape time -----------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        services = [s for s in self._state.services.values() if s.status != INACTIVE]
        for service in services:
            self.declare(service)
        yield from self._service_gauges(services)
        yield from self._instance_gauges()

    def _service_gauges(self, services: Sequence[Service]) -> Iterator[Metric]:
        labels = ["cluster", "service"]
        desired = GaugeMetricFamily("ecs_service_desired_tasks", "Tasks the service wants.", labels=labels)
        running = GaugeMetricFamily("ecs_service_running_tasks", "Tasks that are RUNNING.", labels=labels)
        pending = GaugeMetricFamily("ecs_service_pending_tasks", "Tasks not yet RUNNING.", labels=labels)
        failed = GaugeMetricFamily(
            "ecs_service_failed_tasks", "Failed tasks in a row of the newest deployment.", labels=labels
        )
        backoff = GaugeMetricFamily(
            "ecs_service_restart_backoff_seconds", "Present wait between start attempts.", labels=labels
        )
        for s in services:
            key = [self.cluster_label(s.cluster_arn), s.name]
            live = [
                t for t in self._state.live_tasks_of_service(s.arn) if not t.standby and not t.is_given_up
            ]
            up = sum(1 for t in live if t.last == RUNNING)
            early = sum(1 for t in live if tasks.ORDER[t.last] < tasks.ORDER[RUNNING])
            desired.add_metric(key, s.desired_count)
            running.add_metric(key, up)
            pending.add_metric(key, early)
            failed.add_metric(key, s.primary.failed_tasks)
            wait = (
                s.primary.retry_at - s.primary.step_at
                if s.primary.backoff_step and s.status == ACTIVE
                else 0.0
            )
            backoff.add_metric(key, max(0.0, wait))
        yield from (desired, running, pending, failed, backoff)

    def _instance_gauges(self) -> Iterator[Metric]:
        labels = ["cluster", "container_instance"]

        def gauge(name: str, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"ecs_container_instance_{name}", text, labels=labels)

        connected = gauge("agent_connected", "1 when the container agent is connected.")
        cpu = gauge("registered_cpu", "CPU units registered.")
        cpu_left = gauge("remaining_cpu", "CPU units no task has reserved.")
        memory = gauge("registered_memory_bytes", "Memory registered.")
        memory_left = gauge("remaining_memory_bytes", "Memory no task has reserved.")
        for i in self._state.instances.values():
            if i.status == "INACTIVE":
                continue
            key = [self.cluster_label(i.cluster_arn), arns.short(i.arn)]
            usage = self._state.usage_of(i.arn)
            connected.add_metric(key, 1.0 if i.agent_connected else 0.0)
            cpu.add_metric(key, i.resources.cpu)
            cpu_left.add_metric(key, i.resources.cpu - usage.cpu)
            memory.add_metric(key, i.resources.memory * MIB)
            memory_left.add_metric(key, (i.resources.memory - usage.memory) * MIB)
        yield from (connected, cpu, cpu_left, memory, memory_left)


def _service_name(task: Task) -> str:
    return arns.short(task.service_arn) if task.service_arn else ""
