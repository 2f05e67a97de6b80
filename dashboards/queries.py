"""Query: PromQL that names only metrics which exist. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporters import names

# Of Prometheus itself, and of prometheus_client in each of our processes.
FOREIGN = frozenset(
    (
        "ALERTS",
        "up",
        "scrape_samples_scraped",
        "scrape_duration_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    )
)
_OURS = re.compile(r"\b(ecs_[a-z0-9_]+)\b")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


class UnknownMetric(ValueError):
    """A query names a metric that nothing exposes."""


def series() -> frozenset[str]:
    """Every series name that our processes expose."""
    found = set()
    for metric in names.every():
        found |= {metric.name + suffix for suffix in _SUFFIXES.get(metric.kind, ("",))}
    return frozenset(found)


_SERIES = series()


@dataclass(frozen=True, slots=True)
class Query:
    """`legend`: as Grafana's legendFormat. `is_table`: the present value alone, as rows of a table."""

    expr: str
    legend: str = ""
    is_table: bool = False

    def __post_init__(self) -> None:
        for name in _OURS.findall(self.expr):
            if name not in _SERIES:
                raise UnknownMetric(f"{name} in {self.expr}: not in exporters/names.py")


def table(expr: str) -> Query:
    return Query(expr, is_table=True)


# Matchers, by what a series carries.
CLUSTER = 'cluster=~"$cluster"'
SERVICE = f'{CLUSTER}, service=~"$service"'
TASK = f'{SERVICE}, task=~"$task", container=~"$container"'
INSTANCE = f'{CLUSTER}, container_instance=~"$container_instance"'
FAILED = 'reason=~"OutOfMemory|Failed|Killed|Unhealthy|ImagePull|NotStarted|InstanceLost"'
JOB = 'job=~"$job"'
HOST = f'{JOB}, instance=~"$instance"'


def quantile(of: float, histogram: str, matchers: str, by: str = "") -> str:
    """The quantile of a histogram over $__rate_interval."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({of}, sum by ({labels}) (rate({histogram}_bucket{{{matchers}}}[$__rate_interval])))"


def rate(counter: str, matchers: str, by: str = "") -> str:
    """Per second, summed by labels."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({counter}{{{matchers}}}[$__rate_interval]))"


def increase(counter: str, matchers: str, by: str = "", over: str = "$__rate_interval") -> str:
    """How many, summed by labels."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (increase({counter}{{{matchers}}}[{over}]))"
