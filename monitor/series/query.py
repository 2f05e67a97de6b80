"""Queries over any metric store: statistics of metrics, metric math, searches (CloudWatch API, "GetMetricData").

Whoever asks checks what a caller may ask; here a query only fails by its expression, or by the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import truediv

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.rules import expression, label, period, statistics
from monitor.rules.expression import BadExpression, Search
from monitor.rules.expression import Series as Line
from monitor.rules.expression_parse import Node
from monitor.rules.label import Place, Source
from monitor.rules.search import MOST_RESULTS
from monitor.rules.statistics import Statistic
from monitor.series.base import LISTED_SECONDS, Listing, Series, SeriesStore
from monitor.series.columns import Columns

Points = tuple[tuple[float, float], ...]
DEFAULT_PERIOD = 300  # of an expression that refers to no metric
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Query:
    """A metric's statistic (`key`, `statistic`, `unit` or None for any) or an `expression`. `period` in seconds; None
    for an expression: that of the metrics of the request."""

    id: str
    period: int | None
    key: MetricKey | None = None
    statistic: str = ""
    unit: str | None = None
    expression: str = ""
    label: str | None = None
    is_returned: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """Times are seconds since the epoch: [start, end), as the caller gave them."""

    scope: Scope
    start: float
    end: float
    now: float
    timezone: str = "+0000"


@dataclass(frozen=True, slots=True)
class Result:
    """`points` ascending."""

    id: str
    label: str
    points: Points
    messages: tuple[tuple[str, str], ...] = ()
    unit: str = ""  # of a metric; "" of an expression


class BadQuery(Exception):
    """An expression, label or statistic that cannot be: `text` is for the caller."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def shown(columns: Columns, statistic: Statistic) -> Points:
    """(time, value) where the statistic can be told."""
    at: Iterable[float] = map(float, columns.at)
    plain: Mapping[str, Sequence[float]] = {
        "SampleCount": columns.count,
        "Sum": columns.total,
        "Minimum": columns.low,
        "Maximum": columns.high,
    }
    if statistic.kind in plain:
        return tuple(zip(at, plain[statistic.kind], strict=True))
    if statistic.kind == "Average":
        return tuple(zip(at, map(truediv, columns.total, columns.count), strict=True))
    found = ((when, statistic.of(point)) for when, point in columns.points())
    return tuple((float(when), value) for when, value in found if value is not None)


async def answer(store: SeriesStore, queries: Sequence[Query], asked: Asked) -> list[Result]:
    """The results of the queries that are returned, in their order. Raises BadQuery, SeriesError."""
    return [result for results in await answers(store, queries, asked) for result in results]


async def answers(
    store: SeriesStore, queries: Sequence[Query], asked: Asked, first: int = 0
) -> list[list[Result]]:
    """For each query its results, none of one that is not returned; of the queries before number `first` none at all,
    and no more is read for them than the others need. Raises BadQuery, SeriesError."""
    run = _Run(store, queries, asked)
    run.parse()
    run.need(first)
    await run.metrics()
    await run.expressions()
    return [run.results(query) if n >= first else [] for n, query in enumerate(queries)]


async def points_of(store: SeriesStore, query: Query, asked: Asked) -> tuple[Points, str]:
    """A metric query's points and the unit they are in. Raises BadQuery, SeriesError."""
    run = _Run(store, [query], asked)
    run.need(0)
    await run.metrics()
    return run.lines[query.id].points, run.units.get(query.id, "None")


@dataclass(slots=True)
class _Run:
    store: SeriesStore
    queries: Sequence[Query]
    asked: Asked
    lines: dict[str, Line] = field(default_factory=dict)
    arrays: dict[str, tuple[Line, ...]] = field(default_factory=dict)
    messages: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    order: tuple[str, ...] = ()  # of the expressions
    needed: set[str] = field(default_factory=set)  # the ids of the queries that are worked out

    def parse(self) -> None:
        for query in self.queries:
            if query.expression:
                try:
                    self.nodes[query.id] = expression.parse(query.expression)
                except BadExpression as error:
                    raise BadQuery(error.told(query.id)) from error
        try:
            self.order = expression.order(self.nodes)
        except BadExpression as error:
            raise BadQuery(error.told(next(iter(self.nodes)))) from error

    def need(self, first: int) -> None:
        """Of the queries from number `first` on those that are returned, and what they refer to."""
        metrics = [q.id for q in self.queries if q.key is not None]
        waiting = [q.id for q in self.queries[first:] if q.is_returned]
        while waiting:
            query_id = waiting.pop()
            if query_id not in self.needed:
                self.needed.add(query_id)
                if (node := self.nodes.get(query_id)) is not None:
                    waiting += metrics if expression.uses_metrics(node) else expression.names_in(node)

    def span(self, seconds: int) -> tuple[int, int]:
        return period.align(self.asked.start, self.asked.end, seconds, self.asked.now)

    # -- metrics ------------------------------------------------------------------------------------

    async def metrics(self) -> None:
        asked = [q for q in self.queries if q.key is not None]
        sources = [Source(q.key, q.statistic, q.period or 60) for q in asked if q.key is not None]
        named = zip(asked, sources, label.default_labels(sources), strict=True)
        needed = [(query, source, own) for query, source, own in named if query.id in self.needed]
        await self.choose_units([query for query, _, _ in needed])
        wanted = [
            (Series(self.asked.scope, s.key, self.units[q.id]), _statistic(q.statistic), s.period)
            for q, s, _ in needed
        ]
        for (query, source, own), points in zip(needed, await self.select(wanted), strict=True):
            self.lines[query.id] = Line(query.id, own, source.period, points, source)

    async def choose_units(self, queries: Sequence[Query]) -> None:
        """The one asked for; else the only one there is, or the first of several, which is told."""
        open_ones = [(q, q.key) for q in queries if q.unit is None and q.key is not None]
        found = await self.store.units(self.asked.scope, [key for _, key in open_ones])
        self.units |= {q.id: q.unit for q in queries if q.unit is not None}
        for (query, _), units in zip(open_ones, found, strict=True):
            self.units[query.id] = units[0] if units else "None"
            if len(units) > 1:
                told = f"Multiple units returned: '[{', '.join(units)}]'"
                self.messages[query.id] = (("MultipleUnits", told),)

    async def select(self, wanted: Sequence[tuple[Series, Statistic, int]]) -> list[Points]:
        """The points of each, asked for together where period and detail are the same."""
        groups: dict[tuple[int, bool], list[int]] = {}
        for index, (_, statistic, seconds) in enumerate(wanted):
            groups.setdefault((seconds, statistic.needs_values), []).append(index)
        out: list[Points] = [()] * len(wanted)
        for (seconds, in_detail), indexes in groups.items():
            start, end = self.span(seconds)
            if period.usable_period(seconds, start, self.asked.now) != seconds or end <= start:
                continue  # finer than what is kept of such a time
            series = [wanted[i][0] for i in indexes]
            found = await self.store.select(series, start, end, seconds, in_detail)
            for index, columns in zip(indexes, found, strict=True):
                out[index] = shown(columns, wanted[index][1])
        return out

    # -- expressions --------------------------------------------------------------------------------

    async def expressions(self) -> None:
        asked = {q.id: q for q in self.queries}
        metrics = tuple(q.id for q in self.queries if q.key is not None)
        common = min(
            (q.period for q in self.queries if q.key is not None and q.period), default=DEFAULT_PERIOD
        )
        for query_id in self.order:
            if query_id not in self.needed:
                continue
            query, node = asked[query_id], self.nodes[query_id]
            seconds = query.period or common
            start, end = self.span(seconds)
            searched = {s: await self.searched(s, seconds) for s in expression.searches_in(node)}
            request = expression.Request(start, end, seconds, metrics, searched.__getitem__)
            known: dict[str, Line | Sequence[Line]] = {**self.lines, **self.arrays}
            try:
                # Seconds of work are allowed to it: not on the loop.
                found = await asyncio.to_thread(expression.evaluate, node, known, request)
            except BadExpression as error:
                raise BadQuery(error.told(query_id)) from error
            if isinstance(found, Line):
                self.lines[query_id] = replace(found, id=query_id)
            else:
                self.arrays[query_id] = found

    async def searched(self, search: Search, common: int) -> tuple[Line, ...]:
        statistic, seconds = _statistic(search.statistic), search.period or common
        found: list[MetricKey] = []
        # What has data in the time asked for, be it months ago; ListMetrics would forget it after two weeks.
        since = min(self.asked.start, self.asked.now - LISTED_SECONDS)
        listing = Listing(self.asked.scope, since, namespace=search.namespace or "", limit=_PAGE)
        while len(found) < MOST_RESULTS:
            page = await self.store.metrics(listing)
            found += await asyncio.to_thread(search.among, page)
            if len(page) < _PAGE:
                break
            listing = replace(listing, after=page[-1])
        keys = sorted(found)[:MOST_RESULTS]
        sources = [Source(k, search.statistic, seconds) for k in keys]
        labels = label.found_labels(sources)
        units = await self.store.units(self.asked.scope, keys)
        wanted = [
            (Series(self.asked.scope, key, known[0] if known else "None"), statistic, seconds)
            for key, known in zip(keys, units, strict=True)
        ]
        points = await self.select(wanted)
        return tuple(
            Line(f"{n}", own, seconds, line, source)
            for n, (own, line, source) in enumerate(zip(labels, points, sources, strict=True))
        )

    # -- results ------------------------------------------------------------------------------------

    def results(self, query: Query) -> list[Result]:
        if not query.is_returned:
            return []
        scope = self.asked.scope
        place = Place(scope.account, scope.region, self.asked.now, self.asked.timezone)
        lines = self.arrays.get(query.id) or ((self.lines[query.id],) if query.id in self.lines else ())
        own = [line.label for line in lines]
        sources = [line.source for line in lines]
        if query.key is not None:
            given = [own[0] if query.label is None else query.label]
        elif query.id in self.lines:  # one series: named as asked, or by its id
            given, sources = [query.id if query.label is None else query.label], [None]
        else:
            given = label.of_expression(query.id, query.label, own)
        out = []
        for line, text, default, source in zip(lines, given, own, sources, strict=True):
            try:
                told = label.expand(text, default or query.id, line.points, place, source)
            except label.BadLabel as error:
                raise BadQuery(str(error)) from error
            unit = self.units.get(query.id, "")
            out.append(Result(query.id, told, line.points, self.messages.get(query.id, ()), unit))
        return out


def _statistic(text: str) -> Statistic:
    try:
        return statistics.parse(text)
    except statistics.BadStatistic as error:
        raise BadQuery(str(error)) from error
