"""Statistics over the values of a period (CloudWatch user guide, "CloudWatch statistics definitions").

Two rules are ours to choose, as the guide gives none. A percentile lies between the two values next to its rank and is
interpolated in proportion (rank p/100 × (n − 1), the rule of most spreadsheets). A trimmed statistic by percent leaves
out those values that lie in the trimmed tail as a whole, so that it always keeps whole values and at least one.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from monitor.model.metric import StatisticSet

MOST_VALUES = 1000  # distinct values kept of a period; beyond, only the set is
MOST_CHARACTERS = 64

Values = tuple[tuple[float, float], ...]
Bound = tuple[float | None, float | None]


class BadStatistic(ValueError):
    """No statistic of CloudWatch. `str()` is AWS's text for it."""

    def __init__(self, text: str, parameter: str) -> None:
        super().__init__(
            f"The value {text[:MOST_CHARACTERS]} for parameter {parameter} is not a valid statistic."
        )


# -- sets --------------------------------------------------------------------------------------------------


def of_values(values: Sequence[float], counts: Sequence[float] | None = None) -> StatisticSet:
    """Values as published by PutMetricData, each once or as often as `counts` says. Raises ValueError for none."""
    if len(values) == 1 and (counts is None or (len(counts) == 1 and counts[0] == 1.0)):  # nearly always
        value = float(values[0]) + 0.0
        return StatisticSet(1.0, value, value, value, ((value, 1.0),))
    counted: dict[float, float] = {}
    for value, count in zip(values, counts or itertools.repeat(1.0), strict=counts is not None):
        if count > 0:
            counted[value + 0.0] = counted.get(value + 0.0, 0.0) + count
    if not counted:
        raise ValueError("a statistic set needs a value")
    pairs = tuple(sorted((float(value), float(count)) for value, count in counted.items()))
    return StatisticSet(
        math.fsum(count for _, count in pairs),
        math.fsum(value * count for value, count in pairs),
        pairs[0][0],
        pairs[-1][0],
        pairs if len(pairs) <= MOST_VALUES else None,
    )


def of_set(sample_count: float, total: float, minimum: float, maximum: float) -> StatisticSet:
    """A set as published: of one value, or of equal ones, it says what the values were."""
    same = minimum == maximum and math.isclose(total, minimum * sample_count, rel_tol=1e-9, abs_tol=1e-12)
    values = ((float(minimum), float(sample_count)),) if same and sample_count > 0 else None
    return StatisticSet(sample_count, total, minimum, maximum, values)


def merge(sets: Iterable[StatisticSet]) -> StatisticSet | None:
    """One set over all; it knows its values while each one does and they are at most 1,000. None for no set."""
    known = [one for one in sets if one.sample_count > 0]
    if not known:
        return None
    if len(known) == 1:
        return known[0]
    return StatisticSet(
        math.fsum(one.sample_count for one in known),
        math.fsum(one.total for one in known),
        min(one.minimum for one in known),
        max(one.maximum for one in known),
        _merged_values([one.values for one in known]),
    )


def _merged_values(parts: Sequence[Values | None]) -> Values | None:
    counted: dict[float, float] = {}
    for part in parts:
        if part is None:
            return None
        for value, count in part:
            counted[value] = counted.get(value, 0.0) + count
        if len(counted) > MOST_VALUES:
            return None
    return tuple(sorted(counted.items()))


# -- statistics --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statistic:
    """`kind`: one of the five plain names, or p, tm, wm, tc, ts, PR. `bounds` are percents or values, None: open."""

    text: str
    kind: str
    bounds: Bound = (None, None)
    by_percent: bool = False

    @property
    def needs_values(self) -> bool:
        """Whether a statistic set alone does not tell it."""
        return self.kind not in _PLAIN

    def of(self, known: StatisticSet) -> float | None:
        """None where it cannot be told: no sample, values not known, or (but for the plain five) a negative value."""
        if known.sample_count <= 0:
            return None
        if self.kind in _PLAIN:
            return _PLAIN[self.kind](known)
        values = known.values
        if values is None:
            values = of_set(known.sample_count, known.total, known.minimum, known.maximum).values
        if values is None or known.minimum < 0:
            return None
        return _OVER_VALUES[self.kind](self, values)


_PLAIN: Mapping[str, Callable[[StatisticSet], float]] = {
    "SampleCount": lambda s: s.sample_count,
    "Sum": lambda s: s.total,
    "Average": lambda s: s.total / s.sample_count,
    "Minimum": lambda s: s.minimum,
    "Maximum": lambda s: s.maximum,
}
PLAIN = tuple(_PLAIN)

_NUMBER = r"\d{1,15}(?:\.\d{1,10})?"
_ONE = re.compile(rf"(p|tm|wm|tc|ts)({_NUMBER})")
_RANGE = re.compile(rf"(TM|WM|TC|TS|PR)\((-?{_NUMBER})?(%?):(-?{_NUMBER})?(%?)\)")


@lru_cache(maxsize=1024)
def parse(text: str, parameter: str = "Stat") -> Statistic:
    """A statistic's name. `parameter` is what the error calls it (MetricDataQueries.member.1.MetricStat.Stat).

    Raises BadStatistic.
    """
    if text in _PLAIN:
        return Statistic(text, text)
    if text == "IQM":
        return Statistic(text, "tm", (25.0, 75.0), by_percent=True)
    if len(text) <= MOST_CHARACTERS:
        one, range_ = _ONE.fullmatch(text), _RANGE.fullmatch(text)
        if one and float(one[2]) <= 100:
            return Statistic(text, one[1], (None, float(one[2])), by_percent=True)
        if range_ and (found := _ranged(text, range_)):
            return found
    raise BadStatistic(text, parameter)


def _ranged(text: str, match: re.Match[str]) -> Statistic | None:
    kind, low_text, low_percent, high_text, high_percent = match.groups()
    low = None if low_text is None else float(low_text)
    high = None if high_text is None else float(high_text)
    marks = {bool(mark) for bound, mark in ((low, low_percent), (high, high_percent)) if bound is not None}
    stray = (low is None and low_percent) or (high is None and high_percent)
    if len(marks) != 1 or stray or (low is not None and high is not None and low >= high):
        return None
    by_percent = marks == {True}
    outside = any(b is not None and not 0 <= b <= 100 for b in (low, high))
    if by_percent and (outside or kind == "PR"):
        return None
    return Statistic(text, kind if kind == "PR" else kind.lower(), (low, high), by_percent)


def percentile(values: Values, percent: float) -> float:
    """`values`: (value, count) sorted. Interpolated between the two values next to rank percent/100 × (n − 1)."""
    count = math.fsum(c for _, c in values)
    rank = max(count - 1, 0.0) * percent / 100
    below = passed = 0.0
    previous = values[0][0]
    for value, times in values:
        # The ranks `passed` … `passed + times − 1` have this value.
        if rank <= passed:
            share = rank - below
            return previous + (value - previous) * share if share > 0 else previous
        passed += times
        below, previous = passed - 1, value
        if rank <= below:
            return value
    return values[-1][0]


def _kept(statistic: Statistic, values: Values) -> Values:
    """The values between the bounds: (low, high] by value; by percent those of the ranks not wholly outside."""
    low, high = statistic.bounds
    if not statistic.by_percent:
        floor, ceiling = -math.inf if low is None else low, math.inf if high is None else high
        return tuple((v, c) for v, c in values if floor < v <= ceiling)
    count = math.fsum(c for _, c in values)
    # Rounded first: 0.9 × 10 must not become ten values for a trailing bit.
    first = math.floor(round(count * (low or 0.0) / 100, 6))
    last = math.ceil(round(count * (100.0 if high is None else high) / 100, 6))
    kept, passed = [], 0.0
    for value, times in values:
        inside = min(passed + times, last) - max(passed, first)
        if inside > 0:
            kept.append((value, inside))
        passed += times
    return tuple(kept)


def _percentile(statistic: Statistic, values: Values) -> float:
    return percentile(values, statistic.bounds[1] or 0.0)


def _trimmed_count(statistic: Statistic, values: Values) -> float:
    return math.fsum(c for _, c in _kept(statistic, values))


def _trimmed_sum(statistic: Statistic, values: Values) -> float:
    return math.fsum(v * c for v, c in _kept(statistic, values))


def _trimmed_mean(statistic: Statistic, values: Values) -> float | None:
    """None when no value lies between the bounds."""
    count = _trimmed_count(statistic, values)
    return _trimmed_sum(statistic, values) / count if count else None


def _winsorized_mean(statistic: Statistic, values: Values) -> float:
    """Values beyond a bound count as the bound."""
    low, high = statistic.bounds
    if statistic.by_percent:
        low = None if low is None else percentile(values, low)
        high = None if high is None else percentile(values, high)
    floor, ceiling = -math.inf if low is None else low, math.inf if high is None else high
    total = math.fsum(min(max(v, floor), ceiling) * c for v, c in values)
    return total / math.fsum(c for _, c in values)


def _percentile_rank(statistic: Statistic, values: Values) -> float:
    """The share, in percent, of the values in (low, high]."""
    return 100 * _trimmed_count(statistic, values) / math.fsum(c for _, c in values)


_OVER_VALUES: Mapping[str, Callable[[Statistic, Values], float | None]] = {
    "p": _percentile,
    "tm": _trimmed_mean,
    "wm": _winsorized_mean,
    "tc": _trimmed_count,
    "ts": _trimmed_sum,
    "PR": _percentile_rank,
}
