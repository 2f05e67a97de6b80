"""Metrics in log lines (CloudWatch user guide, "Specification: Embedded metric format"). Pure.

A line is EMF when it is one JSON object with `_aws.CloudWatchMetrics`; Container Insights' performance events have
`CloudWatchMetrics` and `Timestamp` at the root instead. What a document has wrong costs that part of it, not the rest:
each loss is told by one word of REASONS, to be counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from monitor.model.metric import MetricKey
from monitor.rules.json_text import BadJson, loads

MOST_CHARACTERS = 1024 * 1024
MOST_DIRECTIVES, MOST_METRICS, MOST_SETS, MOST_DIMENSIONS, MOST_VALUES = 100, 100, 100, 30, 100
MOST_DATA = 10_000  # of one document: its directives, sets and metrics multiply
LONGEST_NAME, LONGEST_VALUE = 255, 1024
LARGEST = 2.0**360
_SIZES = ("", "Kilo", "Mega", "Giga", "Tera")
_BYTES = tuple(f"{size}bytes".capitalize() for size in _SIZES)
_BITS = tuple(f"{size}bits".capitalize() for size in _SIZES)
_PLAIN = ("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None")
UNITS = frozenset((*_PLAIN, *_BYTES, *_BITS, *(f"{u}/Second" for u in ("Count", *_BYTES, *_BITS))))
REASONS = (
    "document",
    "timestamp",
    "directive",
    "namespace",
    "dimensions",
    "metric",
    "unit",
    "value",
    "too_many",
)
_MARK = '"CloudWatchMetrics"'


@dataclass(frozen=True, slots=True)
class EmfDatum:
    """`timestamp`: milliseconds since the epoch; `values` as many as the line has; `resolution`: 1 or 60 seconds."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    values: tuple[float, ...]
    timestamp: int
    resolution: int

    @property
    def key(self) -> MetricKey:
        return MetricKey.of(self.namespace, self.name, self.dimensions)


@dataclass(frozen=True, slots=True)
class EmfDocument:
    """`refused`: of each part that was left out, why (REASONS)."""

    data: tuple[EmfDatum, ...]
    refused: tuple[str, ...] = ()


def parse(message: str) -> tuple[EmfDatum, ...] | None:
    """The metrics of a log line; None: the line is no EMF. Never raises."""
    found = read(message)
    return None if found is None else found.data


def read(message: str) -> EmfDocument | None:
    """`parse` with the reasons for what was left out."""
    if _MARK not in message or not message.lstrip().startswith("{"):
        return None  # nearly every line: no JSON is read
    if len(message) > MOST_CHARACTERS:
        return EmfDocument((), ("too_many",))
    try:
        root = loads(message)
    except BadJson:
        return None
    if not isinstance(root, dict):
        return None
    meta = root.get("_aws", root)
    if not isinstance(meta, dict) or "CloudWatchMetrics" not in meta:
        return None
    directives, at = meta["CloudWatchMetrics"], meta.get("Timestamp", root.get("Timestamp"))
    if not isinstance(directives, list):
        return EmfDocument((), ("document",))
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < 10**15:
        return EmfDocument((), ("timestamp",))
    refused: list[str] = []
    if len(directives) > MOST_DIRECTIVES:
        refused.append("too_many")
    data: list[EmfDatum] = []
    for directive in directives[:MOST_DIRECTIVES]:
        for datum in _of_directive(directive, root, at, refused):
            if len(data) == MOST_DATA:
                return EmfDocument(tuple(data), (*refused, "too_many"))
            data.append(datum)
    return EmfDocument(tuple(data), tuple(refused))


def _of_directive(directive: Any, root: Mapping[str, Any], at: int, refused: list[str]) -> Iterator[EmfDatum]:
    if not isinstance(directive, dict):
        refused.append("directive")
        return
    namespace = directive.get("Namespace")
    if not _is_name(namespace) or namespace.startswith("AWS/"):
        refused.append("namespace")
        return
    sets, metrics = directive.get("Dimensions", [[]]), directive.get("Metrics")
    if not isinstance(sets, list) or not isinstance(metrics, list):
        refused.append("directive")
        return
    if len(metrics) > MOST_METRICS or len(sets) > MOST_SETS:
        refused.append("too_many")
    wheres = [_where(names, root) for names in sets[:MOST_SETS]]
    refused += ["dimensions" for where in wheres if where is None]
    known = list(dict.fromkeys(where for where in wheres if where is not None))
    for metric in metrics[:MOST_METRICS]:
        found = _metric(metric, root)
        if isinstance(found, str):
            refused.append(found)
            continue
        name, unit, values, resolution = found
        for where in known:
            yield EmfDatum(namespace, name, where, unit, values, at, resolution)


def _where(names: Any, root: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """The dimension set with its values, sorted; None: it cannot be."""
    if not isinstance(names, list) or len(names) > MOST_DIMENSIONS:
        return None
    found: dict[str, str] = {}
    for name in names:
        value = root.get(name) if _is_name(name) and name.isascii() else None
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_VALUE:
            return None
        if not value.isprintable():
            return None
        found[name] = value
    return tuple(sorted(found.items()))


def _metric(metric: Any, root: Mapping[str, Any]) -> tuple[str, str, tuple[float, ...], int] | str:
    """(name, unit, values, resolution), or the reason why not."""
    if not isinstance(metric, dict):
        return "metric"
    name = metric.get("Name")
    if not _is_name(name):
        return "metric"
    unit, resolution = metric.get("Unit", "None"), metric.get("StorageResolution", 60)
    if not isinstance(unit, str) or unit not in UNITS:
        return "unit"
    if isinstance(resolution, bool) or resolution not in (1, 60):
        return "metric"
    given = root.get(name)
    values: list[Any] = given if isinstance(given, list) else [given]
    if not 1 <= len(values) <= MOST_VALUES or not all(_is_number(v) for v in values):
        return "value"
    return name, unit, tuple(float(v) for v in values), int(resolution)


def _is_name(text: Any) -> TypeGuard[str]:
    return (
        isinstance(text, str)
        and 1 <= len(text) <= LONGEST_NAME
        and bool(text.strip())
        and text.isprintable()
        and not text.startswith(":")
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST
