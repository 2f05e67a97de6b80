"""The control plane's metrics of what stands in for CloudWatch: deliveries, alarms, the metric store (names as in
exporters/names.py)."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.model.alarm import STATES
from monitor.model.state import State

DELIVERY_RESULTS = ("delivered", "retried", "given_up")


class CloudMetrics(Collector):
    def __init__(self, state: State, registry: CollectorRegistry) -> None:
        self._state = state
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
