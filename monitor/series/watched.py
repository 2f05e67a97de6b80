"""The datapoints that alarms are judged by, read from any metric store: for many alarms at once.

An alarm's window slides by the minute while its periods may be longer, so points of the finest step that fits are read
and put together here. Metric math keeps to whole periods of the clock: its newest period is one that is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from monitor.model import arn as arns
from monitor.model.alarm import Alarm, MetricQuery
from monitor.model.arn import Scope
from monitor.model.metric import MetricKey, StatisticSet
from monitor.rules import statistics
from monitor.rules.alarm import window
from monitor.rules.alarm_reason import Datapoint
from monitor.rules.statistics import Statistic
from monitor.series.base import Series, SeriesStore
from monitor.series.columns import Columns
from monitor.series.query import Asked, BadQuery, Query, answer

Datapoints = dict[str, list[Datapoint] | None]  # by the alarm's ARN; None: its metrics cannot be computed
_AT_ONCE = 500
_STEPS = (3600, 300, 60, 10)


class Watch:
    """Remembers the units of metrics whose alarms do not name one."""

    def __init__(self, store: SeriesStore) -> None:
        self._store = store
        self._units: dict[tuple[Scope, MetricKey], str] = {}

    async def datapoints(self, alarms: Sequence[Alarm], now: float) -> Datapoints:
        """Raises SeriesError."""
        found: Datapoints = {}
        single = [a for a in alarms if not a.queries]
        groups: dict[tuple[int, int, int, bool], list[Alarm]] = {}
        for alarm in single:
            start, end, _ = window(alarm, now)
            needs_values = statistics.parse(alarm.stat).needs_values
            groups.setdefault((start, end, _step(alarm, start, end), needs_values), []).append(alarm)
        for (start, end, step, in_detail), members in groups.items():
            rest = iter(members)
            while part := list(islice(rest, _AT_ONCE)):
                series = [await self._series(alarm) for alarm in part]
                columns = await self._store.select(series, start, end, step, in_detail)
                for alarm, one in zip(part, columns, strict=True):
                    found[alarm.arn] = _put_together(alarm, one, start, end)
        for alarm in alarms:
            if alarm.queries:
                found[alarm.arn] = await self._computed(alarm, now)
        return found

    async def _series(self, alarm: Alarm) -> Series:
        scope, key = arns.scope_of(alarm.arn), alarm.metric_key
        if alarm.unit:
            return Series(scope, key, alarm.unit)
        unit = self._units.get((scope, key))
        if unit is None:
            (units,) = await self._store.units(scope, [key])
            if not units:
                return Series(scope, key)
            unit = self._units[scope, key] = units[0]
        return Series(scope, key, unit)

    async def _computed(self, alarm: Alarm, now: float) -> list[Datapoint] | None:
        period = alarm.period_seconds
        start, end, periods = window(alarm, now)
        end -= end % period
        start = end - periods * period
        queries = [_query(q) for q in alarm.queries]
        try:
            results = await answer(self._store, queries, Asked(arns.scope_of(alarm.arn), start, end, now))
        except BadQuery:
            return None
        points = dict(results[0].points) if results else {}
        return [Datapoint(float(at), points.get(float(at))) for at in range(start, end, period)]

    def forget(self, alarms: Iterable[Alarm]) -> None:
        """Keep no more than these alarms need."""
        keys = {(arns.scope_of(a.arn), a.metric_key) for a in alarms if a.metric}
        self._units = {key: unit for key, unit in self._units.items() if key in keys}


def _step(alarm: Alarm, start: int, end: int) -> int:
    """The longest step whose points make up the alarm's periods."""
    period = alarm.period_seconds
    if start % period == 0 and end % period == 0:
        return period
    return next(s for s in _STEPS if period % s == 0 and start % s == 0 and end % s == 0)


def _query(query: MetricQuery) -> Query:
    if query.expression:
        return Query(query.id, query.period or None, expression=query.expression, is_returned=query.returns)
    return Query(
        query.id,
        query.period,
        query.metric_key,
        query.stat,
        query.unit or None,
        is_returned=query.returns,
    )


def _put_together(alarm: Alarm, columns: Columns, start: int, end: int) -> list[Datapoint]:
    statistic, period = statistics.parse(alarm.stat), alarm.period_seconds
    sets: dict[int, list[StatisticSet]] = {}
    for at, point in columns.points():
        sets.setdefault((at - start) // period, []).append(point)
    return [
        _datapoint(statistic, float(at), sets.get(n, ())) for n, at in enumerate(range(start, end, period))
    ]


def _datapoint(statistic: Statistic, at: float, points: Sequence[StatisticSet]) -> Datapoint:
    whole = statistics.merge(points)
    if whole is None:
        return Datapoint(at)
    return Datapoint(at, statistic.of(whole), whole.sample_count)
