"""The OTLP name, unit and kind of every metric of `exporters/names.py`.

Where OpenTelemetry's semantic conventions for containers (v1.44, "Container Metrics") name a thing, their name is
used. Any other keeps its own in a form that the collector's Prometheus exporters turn back into the very name that
/metrics shows: ecs_container_cpu_throttled_seconds_total is ecs.container.cpu_throttled in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from exporters import names
from exporters.metric import Metric

Kind = Literal["counter", "updown", "gauge"]
Attributes = tuple[tuple[str, str], ...]
# Prometheus's unit word → UCUM, as OTLP wants it.
_UCUM = {"seconds": "s", "bytes": "By", "ratio": "1"}


@dataclass(frozen=True, slots=True)
class Instrument:
    """`kind`: counter is a monotonic sum, updown a sum that may fall, gauge the last value."""

    name: str
    unit: str
    kind: Kind
    help: str


@dataclass(frozen=True, slots=True)
class Column:
    """One value of a row: where it goes, and the attributes that tell it from others of its instrument."""

    instrument: Instrument
    attributes: Attributes = ()


def _paging(kind: str) -> tuple[str, str, Kind, Attributes]:
    return "container.paging.faults", "{fault}", "counter", (("system.paging.fault.type", kind),)


def _flow(name: str, attribute: str, way: str) -> tuple[str, str, Kind, Attributes]:
    return name, "By", "counter", ((attribute, way),)


_CONVENTIONS: dict[str, tuple[str, str, Kind, Attributes]] = {
    "ecs_container_cpu_seconds_total": ("container.cpu.time", "s", "counter", ()),
    "ecs_container_memory_usage_bytes": ("container.memory.usage", "By", "updown", ()),
    "ecs_container_memory_working_set_bytes": ("container.memory.working_set", "By", "updown", ()),
    "ecs_container_memory_rss_bytes": ("container.memory.rss", "By", "updown", ()),
    "ecs_container_page_faults_total": _paging("minor"),
    "ecs_container_major_page_faults_total": _paging("major"),
    "ecs_container_blkio_read_bytes_total": _flow("container.disk.io", "disk.io.direction", "read"),
    "ecs_container_blkio_written_bytes_total": _flow("container.disk.io", "disk.io.direction", "write"),
    "ecs_container_network_receive_bytes_total": _flow(
        "container.network.io", "network.io.direction", "receive"
    ),
    "ecs_container_network_transmit_bytes_total": _flow(
        "container.network.io", "network.io.direction", "transmit"
    ),
}
UPTIME = Instrument("container.uptime", "s", "gauge", "The time the container has been running.")


def instrument(metric: Metric) -> Column:
    """Where the values of one metric of the table go."""
    if found := _CONVENTIONS.get(metric.name):
        name, unit, kind, attributes = found
        # One instrument has one description, whatever of it a column tells.
        text = metric.help if not attributes else _HELP[name]
        return Column(Instrument(name, unit, kind, text), attributes)
    return Column(Instrument(*_own_name(metric.name), _kind(metric), metric.help))


_HELP = {
    "container.paging.faults": "Page faults.",
    "container.disk.io": "Disk bytes for the container.",
    "container.network.io": "Network bytes for the container.",
}


def _kind(metric: Metric) -> Kind:
    return "counter" if metric.kind == "counter" else "gauge"


def _own_name(prometheus: str) -> tuple[str, str]:
    """(OTLP name, unit)."""
    words = prometheus.removesuffix("_total").split("_")
    unit = _UCUM.get(words[-1], "")
    if unit and words[-1] != "ratio":  # "…throttled" alone would be the name of the seconds, too
        words.pop()
    return ".".join((*words[:2], "_".join(words[2:]))), unit


def columns(metrics: Mapping[str, Metric]) -> tuple[Column, ...]:
    """One for each metric, in the table's order."""
    return tuple(instrument(metric) for metric in metrics.values())


SAMPLE = columns(names.SAMPLE_METRICS)
NETWORK = columns(names.NETWORK_METRICS)
IDENTITY = columns(names.IDENTITY_METRICS)
USAGE = columns(names.USAGE_METRICS)
RARE = columns(names.RARE_METRICS)
GROUP = columns(names.GROUP_METRICS)
HEALTH = instrument(names.HEALTH).instrument


def prometheus_name(found: Instrument) -> str:
    """What the collector's Prometheus exporters make of it (OpenTelemetry specification, "Prometheus and OpenMetrics
    Compatibility": dots become underscores, then the unit, then _total for monotonic sums)."""
    word = {ucum: word for word, ucum in _UCUM.items()}.get(found.unit, "")
    out = found.name.replace(".", "_")
    if word and not (word == "ratio" and found.kind != "gauge") and not out.endswith(f"_{word}"):
        out += f"_{word}"
    return f"{out}_total" if found.kind == "counter" else out
