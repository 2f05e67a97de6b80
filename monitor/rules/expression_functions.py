"""Metric math, computed: operators and functions over numbers, series and arrays (CloudWatch user guide, "Using math
expressions with CloudWatch metrics", tables of operators and functions).

A point whose value is not a finite number (a division by zero, the logarithm of 0) is dropped. A number that cannot be
told (the average of an empty series) is NaN inside, and drops the points it meets.
"""

from __future__ import annotations

import math
import operator as operators
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ParamSpec

from monitor.rules.expression_parse import BadExpression
from monitor.rules.label import Source
from monitor.rules.period import bucket

Points = tuple[tuple[float, float], ...]
_P = ParamSpec("_P")
_YEAR_10000 = 253_402_300_800  # the calendar's functions end before


@dataclass(frozen=True, slots=True)
class Series:
    """Points (timestamp in seconds, value), ascending; `period` in seconds. `source`: what it was found by, for its
    label, also once a function has been at its points."""

    id: str
    label: str
    period: int
    points: Points = ()
    source: Source | None = None

    def having(self, points: Sequence[tuple[float, float]]) -> Series:
        return replace(self, points=tuple(points))


Value = float | Series | tuple[Series, ...]  # S, TS and TS[] in the guide's tables


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) of a request, its periods counted from `origin`."""

    start: int
    end: int
    origin: int = 0

    def count(self, period: int) -> int:
        return max(-(-(self.end - bucket(self.start, period, self.origin)) // period), 0)

    def grid(self, period: int) -> range:
        """When each period of the request starts."""
        return range(bucket(self.start, period, self.origin), self.end, period)


def kind_of(value: Value) -> str:
    return "S" if isinstance(value, float) else "TS" if isinstance(value, Series) else "TS[]"


def unsupported(what: str, *values: Value) -> BadExpression:
    return BadExpression(f"{what} does not take ({', '.join(map(kind_of, values))})")


# -- operators ---------------------------------------------------------------------------------------------


def _power(base: float, exponent: float) -> float:
    found = base**exponent
    return found if isinstance(found, float) else math.nan  # complex: the root of a negative number


def _told(compare: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    def told(left: float, right: float) -> float:
        return math.nan if math.isnan(left) or math.isnan(right) else float(compare(left, right))

    return told


OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operators.add,
    "-": operators.sub,
    "*": operators.mul,
    "/": operators.truediv,
    "^": _power,
    "==": _told(operators.eq),
    "!=": _told(operators.ne),
    "<=": _told(operators.le),
    ">=": _told(operators.ge),
    "<": _told(operators.lt),
    ">": _told(operators.gt),
    "AND": _told(lambda a, b: a != 0 and b != 0),
    "OR": _told(lambda a, b: a != 0 or b != 0),
}


def _finite(function: Callable[_P, float], *arguments: _P.args, **named: _P.kwargs) -> float:
    """NaN for whatever has no finite value."""
    try:
        found = float(function(*arguments, **named))
    except (ArithmeticError, ValueError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _mapped(series: Series, function: Callable[[float], float]) -> Series:
    found = ((at, _finite(function, value)) for at, value in series.points)
    return series.having([(at, value) for at, value in found if not math.isnan(value)])


def operate(operator: str, left: Value, right: Value) -> Value:
    """Where only one of two series has a point, the other counts as 0."""
    function = OPERATORS[operator]
    if isinstance(left, tuple) and isinstance(right, tuple):
        raise unsupported(operator, left, right)
    if isinstance(left, tuple):
        return tuple(_operate(function, one, right) for one in left)  # type: ignore[arg-type, misc]
    if isinstance(right, tuple):
        return tuple(
            replace(_series(_operate(function, left, one)), label=one.label, source=one.source)
            for one in right
        )
    return _operate(function, left, right)


def _series(value: float | Series) -> Series:
    if isinstance(value, Series):
        return value
    raise unsupported("An array", value)


def _operate(
    function: Callable[[float, float], float], left: float | Series, right: float | Series
) -> float | Series:
    if isinstance(left, float) and isinstance(right, float):
        return _finite(function, left, right)
    if isinstance(left, Series) and isinstance(right, float):
        return _mapped(left, lambda value: function(value, right))
    if isinstance(left, float) and isinstance(right, Series):
        return _mapped(right, lambda value: function(left, value))
    assert isinstance(left, Series)
    assert isinstance(right, Series)
    ours, theirs = dict(left.points), dict(right.points)
    times = sorted(ours.keys() | theirs.keys())
    found = ((at, _finite(function, ours.get(at, 0.0), theirs.get(at, 0.0))) for at in times)
    points = [(at, value) for at, value in found if not math.isnan(value)]
    return replace(left, period=min(left.period, right.period), points=tuple(points))


def negative(value: Value) -> Value:
    return each(operators.neg, value)


def each(function: Callable[[float], float], value: Value) -> Value:
    """The function of every point; of a number, that number's."""
    if isinstance(value, float):
        return _finite(function, value)
    if isinstance(value, Series):
        return _mapped(value, function)
    return tuple(_mapped(one, function) for one in value)


EACH: Mapping[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": lambda v: float(math.ceil(v)),
    "FLOOR": lambda v: float(math.floor(v)),
    "LOG": math.log,
    "LOG10": math.log10,
}


# -- over a series (a number) or an array (a series) -------------------------------------------------------


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    """Of the population."""
    mean = _mean(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "AVG": _mean,
    "DATAPOINT_COUNT": lambda values: float(len(values)),
    "MAX": max,
    "MIN": min,
    "STDDEV": _deviation,
    "SUM": math.fsum,
}


def aggregate(name: str, value: Value) -> Value:
    """Of a series, one number over its points (NaN for none, but 0 for a sum or a count). Of an array, a series: at
    each time over the points that are there; only AVG counts a missing one as 0.
    """
    function = AGGREGATES[name]
    if isinstance(value, float):
        raise unsupported(name, value)
    if isinstance(value, Series):
        return _finite(function, [v for _, v in value.points])
    at_times: dict[float, list[float]] = {}
    for one in value:
        for at, v in one.points:
            at_times.setdefault(at, []).append(v)
    points = []
    for at in sorted(at_times):
        values = at_times[at]
        if name == "AVG":
            values = values + [0.0] * (len(value) - len(values))
        found = _finite(function, values)
        if not math.isnan(found):
            points.append((at, found))
    return Series("", "", min((one.period for one in value), default=60), tuple(points))


# -- from point to point -----------------------------------------------------------------------------------


def _difference(series: Series, function: Callable[[float, float], float]) -> Series:
    """Of each point and the one before, from the second on: `function` of the change and the seconds between."""
    pairs = zip(series.points, series.points[1:], strict=False)
    found = ((at, _finite(function, value - before, at - then)) for (then, before), (at, value) in pairs)
    return series.having([(at, value) for at, value in found if not math.isnan(value)])


def _running_sum(series: Series) -> Series:
    total, points = 0.0, []
    for at, value in series.points:
        total += value
        points.append((at, total))
    return series.having(points)


ALONG: Mapping[str, Callable[[Series], Series]] = {
    "DIFF": lambda series: _difference(series, lambda change, _: change),
    "DIFF_TIME": lambda series: _difference(series, lambda _, seconds: seconds),
    "RATE": lambda series: _difference(series, lambda change, seconds: change / seconds),
    "RUNNING_SUM": _running_sum,
}


def along(name: str, value: Value) -> Value:
    if isinstance(value, float):
        raise unsupported(name, value)
    return ALONG[name](value) if isinstance(value, Series) else tuple(map(ALONG[name], value))


# -- missing points ----------------------------------------------------------------------------------------


def fill(value: Value, filler: float | Series | str, span: Span) -> Value:
    """Every period of the request gets a point: a number, the filler's point of that time, the last one before
    (REPEAT) or on the line between its neighbours (LINEAR). What has no such neighbour stays missing.
    """
    if isinstance(value, float):
        raise unsupported("FILL", value)
    if isinstance(value, tuple):
        return tuple(_filled(one, filler, span) for one in value)
    return _filled(value, filler, span)


def _filled(series: Series, filler: float | Series | str, span: Span) -> Series:
    known = dict(series.points)
    times = sorted(known.keys() | {float(at) for at in span.grid(series.period)})
    if filler == "LINEAR":
        return series.having(_on_lines(series.points, times))
    others = dict(filler.points) if isinstance(filler, Series) else {}
    last = math.nan
    points = []
    for at in times:
        if at in known:
            last = found = known[at]
        elif isinstance(filler, Series):
            found = others.get(at, math.nan)
        else:
            found = filler if isinstance(filler, float) else last
        if not math.isnan(found):
            points.append((at, found))
    return series.having(points)


def _on_lines(points: Points, times: Sequence[float]) -> list[tuple[float, float]]:
    if not points:
        return []
    found, after = [], 0  # `after`: the first known point at or after the time
    for at in times:
        while after < len(points) and points[after][0] < at:
            after += 1
        if after == len(points):
            break
        (then, value) = points[after]
        if then == at:
            found.append((at, value))
        elif after:
            since, before = points[after - 1]
            found.append((at, before + (value - before) * (at - since) / (then - since)))
    return found


def choose(condition: Value, then: Value, otherwise: Value | None) -> Value:
    """IF. Any number but 0 is true. At a point of a series that is true a missing `then` counts as 0; one that is
    false and has nothing to show is dropped, and so is what the condition does not know.
    """
    given = (condition, then) if otherwise is None else (condition, then, otherwise)
    arrays = [value for value in given if isinstance(value, tuple)]
    if len(arrays) > 1:
        raise unsupported("IF", *given)
    if arrays:
        found = []
        for one in arrays[0]:
            parts = [one if isinstance(v, tuple) else v for v in given]
            result = choose(parts[0], parts[1], parts[2] if otherwise is not None else None)
            if not isinstance(result, Series):
                raise unsupported("IF", *given)
            found.append(replace(result, id=one.id, label=one.label, source=one.source))
        return tuple(found)
    if isinstance(condition, float):
        return _chosen(condition, then, otherwise)
    assert isinstance(condition, Series)
    trues, falses = _lookup(then, 0.0), _lookup(math.nan if otherwise is None else otherwise, math.nan)
    points = [(at, (trues if value else falses)(at)) for at, value in condition.points]
    return condition.having([(at, value) for at, value in points if not math.isnan(value)])


def _chosen(condition: float, then: Value, otherwise: Value | None) -> Value:
    """One of the two as a whole. It is a series when either is: the kind of a result must not hang on the data."""
    series = next((value for value in (then, otherwise) if isinstance(value, Series)), None)
    found = math.nan if math.isnan(condition) or (not condition and otherwise is None) else condition
    value = then if found else otherwise
    if math.isnan(found) or value is None:
        return math.nan if series is None else series.having(())
    if series is None or isinstance(value, Series):
        return value
    assert isinstance(value, float)
    return _mapped(series, lambda _: value)


def _lookup(value: Value, missing: float) -> Callable[[float], float]:
    if isinstance(value, float):
        return lambda _: value
    points = dict(value.points) if isinstance(value, Series) else {}
    return lambda at: points.get(at, missing)


# -- times -------------------------------------------------------------------------------------------------

TIMES: Mapping[str, Callable[[datetime], float]] = {
    "MINUTE": lambda t: t.minute,
    "HOUR": lambda t: t.hour,
    "DAY": lambda t: t.isoweekday(),  # Monday is 1
    "DATE": lambda t: t.day,
    "MONTH": lambda t: t.month,
    "YEAR": lambda t: t.year,
    "EPOCH": lambda t: t.timestamp(),
}


def of_time(name: str, value: Value, span: Span) -> Series:
    """For every period of the request what the clock says at its start, in UTC."""
    if not isinstance(value, Series):
        raise unsupported(name, value)
    times = (float(at) for at in span.grid(value.period) if 0 <= at < _YEAR_10000)
    return value.having([(at, float(TIMES[name](datetime.fromtimestamp(at, UTC)))) for at in times])


# -- arrays ------------------------------------------------------------------------------------------------


def sort(array: Value, by: str, order: str, most: float | None) -> tuple[Series, ...]:
    """Series without a point come last either way."""
    if not isinstance(array, tuple):
        raise unsupported("SORT", array)
    function = AGGREGATES[by]
    full = [one for one in array if one.points]
    full.sort(key=lambda one: _finite(function, [v for _, v in one.points]), reverse=order == "DESC")
    found = (*full, *(one for one in array if not one.points))
    return found if most is None else found[: _index("SORT", most)]


def cut(array: Value, start: float, end: float | None) -> tuple[Series, ...]:
    if not isinstance(array, tuple):
        raise unsupported("SLICE", array)
    return array[_index("SLICE", start) : None if end is None else _index("SLICE", end)]


def _index(function: str, number: float) -> int:
    if math.isnan(number) or number < 0:
        raise BadExpression(f"{function} takes whole numbers from 0 on")
    return int(number)
