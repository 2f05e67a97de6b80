"""OTLP's metrics → measurements: sums as what was added, histograms as values. No I/O.

A cumulative sum counts from its second point on, or from its start where that is after ours: what came before we
listened is not ours to tell.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from exporters.otlp_read import GAUGE, HISTOGRAM, OtlpMetric, Point
from monitor.rules.custom import LARGEST, Labels, Measured, is_name, labels_of, within

MOST_SERIES = 10_000
_SECOND = 1_000_000_000
# UCUM, as OpenTelemetry writes units.
UNITS = {
    "s": "Seconds",
    "ms": "Milliseconds",
    "us": "Microseconds",
    "By": "Bytes",
    "kBy": "Kilobytes",
    "MBy": "Megabytes",
    "GBy": "Gigabytes",
    "TBy": "Terabytes",
    "bit": "Bits",
    "%": "Percent",
    "By/s": "Bytes/Second",
    "bit/s": "Bits/Second",
    "1/s": "Count/Second",
}

_Key = tuple[str, Labels]
_State = tuple[int, float, tuple[float, ...], tuple[float, ...]]


class Points:
    """`began`: when we began to listen, seconds since the epoch."""

    def __init__(self, began: float, refuse: Callable[[str], None]) -> None:
        self._began, self._refuse = int(began * _SECOND), refuse
        self._known: OrderedDict[_Key, _State] = OrderedDict()

    def measured(self, metric: OtlpMetric, now: float) -> list[Measured]:
        unit = "Count" if metric.unit.startswith("{") else UNITS.get(metric.unit, "None")
        if not is_name(metric.name):
            for _ in metric.points:
                self._refuse("name")
            return []
        out = []
        for point in metric.points:
            labels = labels_of(point.labels)
            if labels is None:
                self._refuse("tags")
                continue
            values = self._values(metric, point, labels)
            if values:
                at = point.at / _SECOND if point.at else now
                out.append(Measured(metric.name, labels, unit, at, tuple(values)))
        return out

    def _values(self, metric: OtlpMetric, point: Point, labels: Labels) -> list[tuple[float, float]]:
        if not -LARGEST <= point.value <= LARGEST:  # NaN is not either
            self._refuse("value")
            return []
        is_histogram = metric.kind == HISTOGRAM
        if is_histogram and (not point.counts or not all(map(math.isfinite, point.bounds[1:-1]))):
            self._refuse("value")
            return []
        if metric.kind == GAUGE or not metric.is_monotonic:
            return [(point.value, 1.0)]
        if not metric.is_delta:
            added = self._added(point, (metric.name, labels))
            if added is None:
                return []
            point = added
        return _spread(point) if is_histogram else [(point.value, 1.0)]

    def _added(self, point: Point, key: _Key) -> Point | None:
        """What came since the point before; None: nothing is known of what was before."""
        before = self._known.pop(key, None)
        self._known[key] = (point.start, point.value, point.bounds, point.counts)
        if len(self._known) > MOST_SERIES:
            self._known.popitem(last=False)
        if before is None:
            return point if point.start >= self._began else None
        start, value, bounds, counts = before
        pairs = list(zip(point.counts, counts, strict=False))
        is_reset = (
            point.start > start
            or (not point.counts and point.value < value)
            or point.bounds != bounds
            or any(new < old for new, old in pairs)
        )
        if is_reset:
            return point
        return Point(
            point.labels,
            point.start,
            point.at,
            point.value - value,
            point.bounds,
            tuple(new - old for new, old in pairs),
        )


def _spread(point: Point) -> list[tuple[float, float]]:
    """The outer buckets end at what is the least and the largest, or else at the next bound."""
    first, *inner = point.bounds
    last = inner.pop() if inner else first
    total = sum(point.counts)
    if total <= 0:
        return []
    mean = point.value / total
    if math.isinf(first):
        first = point.low if point.low is not None else min([*inner[:1], 0.0]) if inner else mean
    if math.isinf(last):
        last = point.high if point.high is not None else (inner[-1] if inner else mean)
    edges = [first, *inner, last]
    for n in range(1, len(edges)):  # a least or largest value inside the buckets must not turn them round
        edges[n] = max(edges[n], edges[n - 1])
    return [
        (value, count)
        for value, count in within(edges, point.counts, point.value)
        if -LARGEST <= value <= LARGEST
    ]
