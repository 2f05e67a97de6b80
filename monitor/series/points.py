"""Points of metrics as samples of a Prometheus-compatible back-end, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.model.metric import MetricKey, StatisticSet
from monitor.series import labels, remote_write
from monitor.series.base import Listing, Series
from monitor.series.columns import Columns, bucketed, of_points
from monitor.series.labels import COUNT, MAX, MIN, SUM, TIMES, VALUE
from monitor.series.promql import Line

DAY = 86_400
MOST_STEPS = 10_000  # of a range query: Prometheus allows 11,000
MOST_POINTS = 400_000  # of one query, all series together
MOST_SERIES = 200
_PER_POINT = {True: 4, False: 6}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A series' labels in protobuf, by stat."""

    id: str
    by_stat: Mapping[str, bytes]

    @classmethod
    def of(cls, series: Series, step: int) -> Encoded:
        """Raises SeriesError."""
        plain = labels.of(series, step)
        stats = (COUNT, SUM, MIN, MAX, VALUE, TIMES)
        return cls(plain["id"], {stat: remote_write.labels(plain | {"stat": stat}) for stat in stats})


@dataclass(frozen=True, slots=True)
class Fresh:
    """A point to write: all that came for its step (`at` .. `at + step`, seconds) at once."""

    encoded: Encoded
    step: int
    at: int
    point: StatisticSet

    @property
    def values(self) -> tuple[tuple[float, float], ...]:
        """Those that do not follow from the set."""
        known = self.point.values
        return known if known is not None and len(known) > 1 else ()

    @property
    def slots(self) -> int:
        return max(1, len(self.values))

    def without_values(self) -> Fresh:
        return replace(self, point=replace(self.point, values=None))

    def timeseries(self, slot: int) -> Iterator[bytes]:
        at, p, by_stat = self.at * 1000 + slot, self.point, self.encoded.by_stat
        numbers = {COUNT: p.sample_count, SUM: p.total, MIN: p.minimum, MAX: p.maximum}
        for stat, number in numbers.items():
            yield remote_write.timeseries(by_stat[stat], [(at, number)])
        if self.values:
            for stat, column in ((VALUE, 0), (TIMES, 1)):
                samples = [(at + n, pair[column]) for n, pair in enumerate(self.values)]
                yield remote_write.timeseries(by_stat[stat], samples)


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) by `period`, seconds; see SeriesStore.select."""

    start: int
    end: int
    period: int
    in_detail: bool

    @property
    def is_rolled(self) -> bool:
        """Whether the back-end can add up periods for us: whole ones, of whole minutes, and no percentile asked."""
        whole = self.period % 60 == 0 and (self.end - self.start) % self.period == 0
        return whole and not self.in_detail and self.end > self.start

    def days(self) -> Iterator[tuple[int, int]]:
        """Where to read samples: (after, until] in milliseconds, a day each at most. Points of a minute have their
        samples anywhere in it."""
        at, end = self.start - self.start % 60, -(-self.end // 60) * 60
        while at < end:
            until = min(end, at + DAY)
            yield at * 1000, until * 1000 - 1
            at = until

    def stretches(self) -> Iterator[tuple[int, int]]:
        """When to evaluate, first and last, milliseconds: at the last of each period."""
        at, span = self.start, MOST_STEPS * self.period
        while at < self.end:
            until = min(self.end, at + span)
            yield (at + self.period) * 1000 - 1, until * 1000 - 1
            at = until


def portions(ids: Sequence[str], window: Window) -> Iterator[Sequence[str]]:
    """As many series a query as its answer can hold."""
    step = window.period if window.is_rolled else 60
    steps = max(1, min((window.end - window.start) // step, MOST_STEPS)) * _PER_POINT[window.is_rolled]
    at_once = max(1, min(MOST_SERIES, MOST_POINTS // steps))
    for at in range(0, len(ids), at_once):
        yield ids[at : at + at_once]


def selector(ids: Sequence[str], stats: str = "") -> str:
    stat = f',stat=~"{stats}"' if stats else ""
    return f'{labels.NAME}{{id=~"{"|".join(ids)}"{stat}}}'


def rolled_queries(ids: Sequence[str], period: int) -> Iterator[str]:
    for function, stats in (("sum", f"{COUNT}|{SUM}"), ("min", MIN), ("max", MAX)):
        # A millisecond less than the period: slot 0 is never used, so the window's open or closed end is no matter.
        yield f"{function}_over_time({selector(ids, stats)}[{period * 1000 - 1}ms])"


def of_rolled(lines: Sequence[Line], window: Window) -> dict[str, Columns]:
    """The answers of `rolled_queries`, by the series' id."""
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for line in lines:
        by_stat = found.setdefault(line.metric.get("id", ""), {}).setdefault(line.metric.get("stat", ""), {})
        for seconds, number in line.values:
            at = (round(seconds * 1000) + 1) // 1000 - window.period
            by_stat.setdefault(at, []).append(float(number))
    return {name: _columns(by_stat) for name, by_stat in found.items()}


def _columns(by_stat: Mapping[str, Mapping[int, Sequence[float]]]) -> Columns:
    out = Columns()
    counts = by_stat.get(COUNT, {})
    for at in sorted(counts):
        total, low, high = (by_stat.get(stat, {}).get(at) for stat in (SUM, MIN, MAX))
        if total and low and high:
            out.append(at, _set(sum(counts[at]), sum(total), min(low), max(high)))
    return out


def of_raw(lines: Sequence[Line], window: Window) -> dict[str, Columns]:
    """Samples as they were written, by the series' id."""
    samples: dict[tuple[str, int], dict[str, dict[int, float]]] = {}
    for line in lines:
        where = (line.metric.get("id", ""), int(line.metric.get("step", "60")))
        by_stat = samples.setdefault(where, {}).setdefault(line.metric.get("stat", ""), {})
        by_stat.update((round(seconds * 1000), float(number)) for seconds, number in line.values)
    found: dict[str, list[tuple[int, StatisticSet]]] = {}
    for (name, step), written in samples.items():
        for at, point in _sets(written, step):
            if window.start <= at < window.end:
                found.setdefault(name, []).append((at, point))
    return {name: bucketed(of_points(sets, 1), window.period) for name, sets in found.items()}


def _sets(by_stat: Mapping[str, Mapping[int, float]], step: int) -> Iterator[tuple[int, StatisticSet]]:
    counts = by_stat.get(COUNT, {})
    totals, lows, highs = (by_stat.get(stat, {}) for stat in (SUM, MIN, MAX))
    values, times = by_stat.get(VALUE, {}), by_stat.get(TIMES, {})
    for at, count in counts.items():
        if at in totals and at in lows and at in highs:
            known = tuple(_values(values, times, at, count)) if at in values else None
            seconds = at // 1000
            yield seconds - seconds % step, _set(count, totals[at], lows[at], highs[at], known)


def _values(
    values: Mapping[int, float], times: Mapping[int, float], at: int, count: float
) -> Iterator[tuple[float, float]]:
    """Those of the set in slot `at`: up to its count."""
    left = count
    while left > 0 and at in values and at in times:
        yield values[at], times[at]
        left -= times[at]
        at += 1


def _set(
    count: float, total: float, low: float, high: float, values: tuple[tuple[float, float], ...] | None = None
) -> StatisticSet:
    if math.isclose(low, high, rel_tol=1e-12):
        high = low  # a back-end may round the two apart
    if values is None and (low == high or count == 1):
        values = ((low, count),)
    return StatisticSet(count, total, low, high, values)


def listed(found: Sequence[Mapping[str, str]], wanted: Listing) -> list[MetricKey]:
    """The page of metrics among these labels."""
    keys = set()
    for each in found:
        try:
            keys.add(labels.key(each))
        except (KeyError, ValueError, TypeError):
            continue  # another's series of our name
    chosen = [k for k in keys if _has(k, wanted)]
    return sorted(chosen)[: wanted.limit]


def _has(key: MetricKey, wanted: Listing) -> bool:
    mine = dict(key.dimensions)
    is_after = wanted.after is None or key > wanted.after
    return is_after and all(n in mine and v in (None, mine[n]) for n, v in wanted.dimensions)
