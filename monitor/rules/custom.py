"""Users' measurements on their way into PutMetricData: entries of its MetricData (CloudWatch API reference,
"MetricDatum"), from distributions of any size. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_VALUES, MOST_DIMENSIONS, LONGEST_NAME, LONGEST_VALUE = 150, 30, 255, 1024
LARGEST = 2.0**360

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one series in one window. `values`: value → how often. `at`: seconds since the epoch."""

    name: str
    labels: Labels
    unit: str
    at: float
    values: tuple[tuple[float, float], ...]


def entries(measured: Measured, resolution: int) -> list[dict[str, Any]]:
    """As many as it takes: CloudWatch makes one point of them again. `resolution`: 1 or 60 seconds."""
    out = []
    for start in range(0, len(measured.values), MOST_VALUES):
        part = measured.values[start : start + MOST_VALUES]
        entry: dict[str, Any] = {
            "MetricName": measured.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in measured.labels],
            "Timestamp": measured.at,
            "Unit": measured.unit,
            "Values": [value for value, _ in part],
            "Counts": [count for _, count in part],
            "StorageResolution": resolution,
        }
        out.append(entry)
    return out


def labels_of(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels | None:
    """As dimensions, sorted, empty values left out; None: they cannot be dimensions."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    found = {name: value for name, value in items if name.strip() and value.strip()}
    if len(found) > MOST_DIMENSIONS:
        return None
    for name, value in found.items():
        if (
            not name.isascii()
            or name.startswith(":")
            or len(name) > LONGEST_NAME
            or len(value) > LONGEST_VALUE
        ):
            return None
        if not name.isprintable() or not value.isprintable():
            return None
    return tuple(sorted(found.items()))


def is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and bool(text.strip()) and text.isprintable() and text[0] != ":"


def within(bounds: Sequence[float], counts: Sequence[float], total: float) -> list[tuple[float, float]]:
    """A histogram as values: `bounds` has one more than `counts`, ascending. In each bucket the value stands at the
    same share of its width: that at which the sum of all comes out as `total`, or as near as the buckets allow."""
    filled = [
        (low, high, count) for low, high, count in zip(bounds, bounds[1:], counts, strict=False) if count > 0
    ]
    least = sum(low * count for low, _, count in filled)
    room = sum((high - low) * count for low, high, count in filled)
    share = min(1.0, max(0.0, (total - least) / room)) if room > 0 else 0.0
    values: dict[float, float] = {}
    for low, high, count in filled:
        value = low + share * (high - low)
        values[value] = values.get(value, 0.0) + count
    return sorted(values.items())
