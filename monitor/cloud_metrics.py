"""The control plane's metrics of what stands in for CloudWatch: deliveries, alarms, the metric store,
the log store (names as in exporters/names.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.model.alarm import STATES
from monitor.model.state import State


@dataclass(frozen=True, slots=True)
class _Nothing:
    series: int = 0
    points_written: int = 0
    points_refused: int = 0
    chunks_dropped: int = 0
    size_bytes: int = 0
    limit_bytes: int = 0


class SeriesFacts(Protocol):
    """monitor.series.base.Facts, which lies above this layer."""

    @property
    def series(self) -> int: ...
    @property
    def points_written(self) -> int: ...
    @property
    def points_refused(self) -> int: ...
    @property
    def chunks_dropped(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def limit_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _NoLogs:
    events_written: int = 0
    events_refused: int = 0
    events_dropped: int = 0
    size_bytes: int = 0
    limit_bytes: int = 0


class LogFacts(Protocol):
    """monitor.logs.base.Facts, likewise."""

    @property
    def events_written(self) -> int: ...
    @property
    def events_refused(self) -> int: ...
    @property
    def events_dropped(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def limit_bytes(self) -> int: ...


DELIVERY_RESULTS = ("delivered", "retried", "given_up")


class CloudMetrics(Collector):
    def __init__(self, state: State, registry: CollectorRegistry) -> None:
        self._state = state
        self.series: Callable[[], SeriesFacts] = _Nothing  # of the metric store, once it is open
        self.logs: Callable[[], LogFacts] = _NoLogs
        self._deliveries = Counter(
            "moorwatch_deliveries_total",
            "Attempts to deliver notifications and events, by kind of target and result.",
            ("target", "result"),
            registry=registry,
        )
        registry.register(self)

    def delivered(self, target: str, result: str) -> None:
        for each in DELIVERY_RESULTS:  # the others exist at 0 from now on
            self._deliveries.labels(target, each)
        self._deliveries.labels(target, result).inc()

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "moorwatch_deliveries_pending",
            "Notifications and events on their way.",
            value=len(self._state.deliveries),
        )
        alarms = GaugeMetricFamily("moorwatch_alarms", "CloudWatch alarms, by state.", labels=["state"])
        counts = dict.fromkeys(STATES, 0)
        for alarm in self._state.alarms.values():
            counts[alarm.state] += 1
        for state, count in counts.items():
            alarms.add_metric([state], count)
        yield alarms
        yield from _of_series(self.series())
        yield from _of_logs(self.logs())


def _of_series(facts: SeriesFacts) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "moorwatch_metric_store_series", "Series the metric store holds.", value=facts.series
    )
    yield CounterMetricFamily(
        "moorwatch_metric_store_points_total", "Datapoints the metric store took.", value=facts.points_written
    )
    yield CounterMetricFamily(
        "moorwatch_metric_store_refused_points_total",
        "Datapoints that could not be written: the disk is full, or the back-end is away.",
        value=facts.points_refused,
    )
    yield CounterMetricFamily(
        "moorwatch_metric_store_dropped_chunks_total",
        "Chunks of old datapoints deleted because the store had reached its bound.",
        value=facts.chunks_dropped,
    )
    yield GaugeMetricFamily(
        "moorwatch_metric_store_size_bytes", "What the metric store takes on disk.", value=facts.size_bytes
    )
    yield GaugeMetricFamily(
        "moorwatch_metric_store_limit_bytes",
        "What the metric store may take on disk; 0: no bound.",
        value=facts.limit_bytes,
    )


def _of_logs(facts: LogFacts) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "moorwatch_log_store_events_total", "Log events the log store took.", value=facts.events_written
    )
    yield CounterMetricFamily(
        "moorwatch_log_store_refused_events_total",
        "Log events that could not be written: the disk is full.",
        value=facts.events_refused,
    )
    yield CounterMetricFamily(
        "moorwatch_log_store_dropped_events_total",
        "Old log events deleted because the store had reached its bound.",
        value=facts.events_dropped,
    )
    yield GaugeMetricFamily(
        "moorwatch_log_store_size_bytes", "What the log store takes on disk.", value=facts.size_bytes
    )
    yield GaugeMetricFamily(
        "moorwatch_log_store_limit_bytes",
        "What the log store may take on disk; 0: no bound.",
        value=facts.limit_bytes,
    )
