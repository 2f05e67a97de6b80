"""Logging set-up and the control plane's own metrics (names as in exporters/names.py, compared by a test).

Counters of failures exist at 0 from the moment a service is created: a counter first seen at 1 never fires
`increase() > 0`. Task ids are never labels.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from monitor import gauges
from monitor.cloud_metrics import CloudMetrics
from monitor.model import arn as arns
from monitor.model import task as tasks
from monitor.model.arn import Scope
from monitor.model.rollout import ROLLBACK_FAILED, ROLLBACK_SUCCESSFUL, SUCCESSFUL, ServiceDeployment
from monitor.model.rollout import STOPPED as ROLLOUT_STOPPED
from monitor.model.service import INACTIVE, Service
from monitor.model.state import State
from monitor.model.stop import CLASSES, failed_pulls, stop_class
from monitor.model.task import HEALTHY, RUNNING, STOPPED, UNKNOWN, Task

STOP_CODES = (
    tasks.TASK_FAILED_TO_START,
    tasks.ESSENTIAL_CONTAINER_EXITED,
    tasks.USER_INITIATED,
    tasks.SERVICE_SCHEDULER_INITIATED,
    tasks.INFRASTRUCTURE_HEALTH,
    tasks.TERMINATION_NOTICE,
)
RESULTS = ("COMPLETED", "FAILED", "ROLLED_BACK", "STOPPED")
PLACEMENT_REASONS = ("RESOURCE:CPU", "RESOURCE:MEMORY", "RESOURCE:PORTS", "AGENT", "NO ACTIVE INSTANCES")


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

    def __init__(self, state: State, home: Scope, now: Callable[[], float]) -> None:
        self._state, self._home, self._now = state, home, now
        self.registry = CollectorRegistry()
        r = self.registry
        self._stopped = Counter(
            "ecs_task_stopped_total",
            "Tasks that reached STOPPED, by stop code.",
            ("cluster", "service", "stop_code"),
            registry=r,
        )
        self._reasons = Counter(
            "ecs_task_stop_reasons_total",
            "Tasks that reached STOPPED, by class of reason.",
            ("cluster", "service", "reason"),
            registry=r,
        )
        self._latency = Histogram(
            "ecs_task_start_latency_seconds",
            "From a task's creation to RUNNING, and to HEALTHY where it has a health check.",
            ("cluster", "service", "stage"),
            buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300),
            registry=r,
        )
        self._pull = Histogram(
            "ecs_image_pull_duration_seconds",
            "Time the images of a task took to be pulled.",
            ("cluster", "service"),
            buckets=(0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600),
            registry=r,
        )
        self._pull_failures = Counter(
            "ecs_image_pull_failures_total",
            "Tasks that stopped because an image could not be pulled.",
            ("cluster", "service", "image_repository"),
            registry=r,
        )
        self._backoff = Counter(
            "ecs_service_backoff_seconds_total",
            "Time in which start attempts were held back by back-off.",
            ("cluster", "service"),
            registry=r,
        )
        self._deployments = Counter(
            "ecs_deployments_total",
            "Deployments that came to an end, by result.",
            ("cluster", "service", "result"),
            registry=r,
        )
        self._deployment_time = Histogram(
            "ecs_deployment_duration_seconds",
            "From the start of a deployment to its COMPLETED.",
            ("cluster", "service"),
            buckets=(1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
            registry=r,
        )
        self._commit = Histogram(
            "ecs_store_commit_duration_seconds",
            "Time from a change to its being on disk.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1),
            registry=r,
        )
        self._missed = Counter(
            "ecs_events_dropped_total", "Events a reader asked for after they had left memory.", registry=r
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
        self.cloud = CloudMetrics(state, r)
        Gauge("ecs_controlplane_is_leader", "1 when this process runs the scheduler.", registry=r).set(1)
        r.register(self)
        ProcessCollector(registry=r)
        state.listen(Task, self._on_task)
        state.listen(Service, self._on_service)
        state.listen(ServiceDeployment, self._on_deployment)

    async def render(self, accept: str, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
        """(body, headers), in the form that the request's headers ask for. The state is read at once; writing it out,
        which takes longer at thousands of services, is a thread's work."""
        families = _Families(list(self.registry.collect()))
        return await asyncio.to_thread(_written, families, accept, accept_encoding)

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
            self._reasons.labels(cluster, service, stop_class(new)).inc()
            for repository in failed_pulls(new):
                self._pull_failures.labels(cluster, service, repository).inc()
        if new.pull_stopped_at and new.pull_started_at and (old is None or not old.pull_stopped_at):
            self._pull.labels(cluster, service).observe(max(0.0, new.pull_stopped_at - new.pull_started_at))
        is_up = new.last == RUNNING and (old is None or old.last != RUNNING)
        if is_up and new.started_at is not None:
            took = max(0.0, new.started_at - new.created_at)
            self._latency.labels(cluster, service, "running").observe(took)
        if new.health == HEALTHY and old is not None and old.health == UNKNOWN:
            took = max(0.0, self._now() - new.created_at)
            self._latency.labels(cluster, service, "healthy").observe(took)
        if is_up and new.replaces:
            replaced = self._state.tasks.get(new.replaces)
            ended = replaced and (replaced.execution_stopped_at or replaced.stopping_at)
            if ended and new.started_at is not None:
                self._replacement.labels(cluster, service).observe(max(0.0, new.started_at - ended))

    def _on_service(self, old: Service | None, new: Service) -> None:
        now, before = new.primary, old.primary if old is not None else None
        is_longer = before is None or before.id != now.id or now.retry_at > before.retry_at
        if now.backoff_step and is_longer:
            wait = max(0.0, now.retry_at - max(now.step_at, before.retry_at if before else 0.0))
            self._backoff.labels(self.cluster_label(new.cluster_arn), new.name).inc(wait)

    def _on_deployment(self, old: ServiceDeployment | None, new: ServiceDeployment) -> None:
        result = _result(new)
        if not result or (old is not None and old.status == new.status):
            return
        labels = (self.cluster_label(new.cluster_arn), arns.short(new.service_arn))
        self._deployments.labels(*labels, result).inc()
        if new.status == SUCCESSFUL and new.finished_at is not None:
            self._deployment_time.labels(*labels).observe(max(0.0, new.finished_at - new.created_at))

    def committed(self, seconds: float) -> None:
        """A batch of changes is on disk."""
        self._commit.observe(seconds)

    def events_missed(self, count: int) -> None:
        self._missed.inc(count)

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
        for kind in CLASSES:
            self._reasons.labels(cluster, service.name, kind)
        for result in RESULTS:
            self._deployments.labels(cluster, service.name, result)
        self._latency.labels(cluster, service.name, "running")
        self._backoff.labels(cluster, service.name)
        for each in (self._replacement, self._pull, self._deployment_time):
            each.labels(cluster, service.name)

    # -- at scrape time -----------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        services = [s for s in self._state.services.values() if s.status != INACTIVE]
        for service in services:
            self.declare(service)
        yield from gauges.collect(self._state, services, self.cluster_label)


def _result(deployment: ServiceDeployment) -> str:
    """One of RESULTS; "" while it is under way. One that the circuit breaker or an alarm ended, without a rollback,
    FAILED, though ECS calls it STOPPED as well."""
    match deployment.status:
        case status if status == SUCCESSFUL:
            return "COMPLETED"
        case status if status == ROLLBACK_SUCCESSFUL:
            return "ROLLED_BACK"
        case status if status == ROLLBACK_FAILED:
            return "FAILED"
        case status if status == ROLLOUT_STOPPED:
            is_failed = deployment.breaker_status == "TRIGGERED" or deployment.alarms_triggered
            return "FAILED" if is_failed else "STOPPED"
    return ""


def _written(families: Collector, accept: str, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
    encode, content_type = choose_encoder(accept)
    body, headers = encode(families), {"content-type": content_type, "vary": "Accept, Accept-Encoding"}
    if gzip_accepted(accept_encoding):
        body, headers["content-encoding"] = gzip.compress(body, 1, mtime=0), "gzip"
    return body, headers


class _Families(Collector):
    """Families that were collected already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _service_name(task: Task) -> str:
    return arns.short(task.service_arn) if task.service_arn else ""
