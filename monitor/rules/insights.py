"""Logs Insights queries, run over log records (CloudWatch Logs user guide, "CloudWatch Logs Insights language query
syntax").

A record is a mapping with @timestamp (milliseconds since the epoch), @message, @logStream, @log, @ptr, @ingestionTime.
Records flow through the commands one by one; only sort, dedup and stats hold any, and of those a bounded number.

A user's regular expressions cannot hold up a query: they run in time in proportion to the text (monitor.rules.regex),
are at most 1,024 characters long, look at 262,144 characters of a value where they only have to be found, and at 16,384
where `parse` asks for their groups; long ones at less.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from monitor.rules import insights_parse
from monitor.rules.insights_parse import MOST_ROWS
from monitor.rules.insights_rows import Record, Row, evaluate
from monitor.rules.insights_stats import MOST_HELD, Budget, Group
from monitor.rules.insights_syntax import (
    Aggregate,
    Call,
    Chain,
    Command,
    Dedup,
    Display,
    FieldName,
    Fields,
    Filter,
    Limit,
    Literal,
    Named,
    Negative,
    Node,
    Parse,
    Sort,
    Stats,
)
from monitor.rules.insights_values import Value, is_true, to_number, to_text
from monitor.rules.regex import Regex

_NEWEST = Sort(((Named("@timestamp", FieldName("@timestamp")), True),))


@dataclass(slots=True)
class Counts:
    """What GetQueryResults tells as statistics. `matched`: records that passed the filters before the first stats."""

    scanned: int = 0
    matched: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Results:
    rows: list[dict[str, str]]
    counts: Counts = field(compare=False)


@dataclass(frozen=True, slots=True)
class Query:
    commands: tuple[Command, ...]

    def run(
        self, records: Iterable[Record], start: int, end: int, limit: int = MOST_ROWS
    ) -> list[dict[str, str]]:
        """The rows of `execute`."""
        return self.execute(records, start, end, limit).rows

    def execute(
        self, records: Iterable[Record], start: int, end: int, limit: int = MOST_ROWS, held: int = MOST_HELD
    ) -> Results:
        """The rows, each as its columns' texts in their order; what a row has no value for is left out.

        `start`, `end`: milliseconds since the epoch, both inclusive. `limit`: of rows, where the query has none.
        `held`: groups, distinct values, numbers of percentiles and records to sort, at once.
        Raises QueryTooLarge.
        """
        counts, budget = Counts(), Budget(held)
        rows = _within(records, start, end, counts)
        plan = self._plan(min(limit, MOST_ROWS))
        counted = False
        for at, command in enumerate(plan):
            if not counted and not isinstance(command, Fields | Display | Filter | Parse):
                rows, counted = _counted(rows, counts), True
            rows = _apply(command, rows, budget, _wanted(plan[at + 1 :]))
        if not counted:
            rows = _counted(rows, counts)
        columns = self.columns()
        return Results([dict(_shown(row, columns)) for row in islice(rows, MOST_ROWS)], counts)

    def _plan(self, limit: int) -> list[Command]:
        """The commands with what they mean unsaid: the newest first, and not more than the limit."""
        plan = list(self.commands)
        ordered = (at for at, one in enumerate(plan) if isinstance(one, Sort | Stats | Limit | Dedup))
        first = next(ordered, len(plan))
        if first == len(plan) or isinstance(plan[first], Limit | Dedup):
            plan.insert(first, _NEWEST)
        if not any(isinstance(one, Limit) for one in plan):
            plan.append(Limit(limit))
        return plan

    def columns(self) -> tuple[str, ...]:
        """What the rows show, in this order."""
        shown: list[str] = []
        grouped = displayed = False
        for command in self.commands:
            if isinstance(command, Fields) and not displayed:
                shown += (item.name for item in command.items)
            elif isinstance(command, Display):
                shown, displayed = [item.name for item in command.items], True
            elif isinstance(command, Stats):
                shown, grouped, displayed = [item.name for item in (*command.by, *command.items)], True, False
        if not grouped:
            shown = [*(shown or ("@timestamp", "@message")), "@ptr"]
        return tuple(dict.fromkeys(shown))


@lru_cache(maxsize=256)
def parse(text: str) -> Query:
    """Raises MalformedQueryException."""
    return Query(insights_parse.parse(text))


def _within(records: Iterable[Record], start: int, end: int, counts: Counts) -> Iterator[Row]:
    for record in records:
        at = to_number(record.get("@timestamp"))
        if at is None or not start <= at <= end:
            continue
        counts.scanned += 1
        counts.bytes += len(str(record.get("@message", "")).encode())
        yield Row(record)


def _counted(rows: Iterator[Row], counts: Counts) -> Iterator[Row]:
    for row in rows:
        counts.matched += 1
        yield row


def _shown(row: Row, columns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in columns:
        value = row.get(name)
        if value is not None:
            yield name, to_text(value)


def _wanted(after: list[Command]) -> int | None:
    """How many rows those after can use, if they only take the first: then a sort need not hold more."""
    for command in after:
        if isinstance(command, Limit):
            return command.count
        if not isinstance(command, Fields | Display | Parse):
            return None
    return None


# -- commands ----------------------------------------------------------------------------------------------


def _apply(command: Command, rows: Iterator[Row], budget: Budget, wanted: int | None) -> Iterator[Row]:
    match command:
        case Fields(items) | Display(items):
            return map(partial(_with_columns, items), rows)
        case Filter(condition):
            return filter(lambda row: is_true(evaluate(condition, row)), rows)
        case Limit(count):
            return islice(rows, count)
        case Parse():
            return map(partial(_parsed, command), rows)
        case Dedup(keys):
            return _dedup(keys, rows, budget)
        case Sort():
            return _sorted(command, rows, budget, wanted)
        case Stats():
            return _stats(command, rows, budget)


def _with_columns(items: tuple[Named, ...], row: Row) -> Row:
    for item in items:
        row.columns[item.name] = _column(item, row)
    return row


def _parsed(command: Parse, row: Row) -> Row:
    value = evaluate(command.value, row)
    if value is not None:
        text = to_text(value)
        pattern = command.pattern
        found = pattern.groups(text) if isinstance(pattern, Regex) else _glob(pattern, command.names, text)
        row.columns.update(found or {})
    return row


def _glob(parts: tuple[str, ...], names: tuple[str, ...], text: str) -> dict[str, str]:
    """What the stars stand for: each is as short as can be, a last one goes to the end. Empty without a match."""
    at = text.find(parts[0])
    if at < 0:
        return {}
    at += len(parts[0])
    found = {}
    for number, (name, part) in enumerate(zip(names, parts[1:], strict=True), 1):
        end = len(text) if not part and number == len(names) else text.find(part, at)
        if end < 0:
            return {}
        found[name] = text[at:end]
        at = end + len(part)
    return found


def _dedup(keys: tuple[Named, ...], rows: Iterator[Row], budget: Budget) -> Iterator[Row]:
    """The first of those with the same values; a row that lacks one of them has no equal."""
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        values = [_column(key, row) for key in keys]
        if None not in values:
            key = tuple(to_text(value) for value in values)
            if key in seen:
                continue
            budget.take()
            seen.add(key)
        yield row


def _column(item: Named, row: Row) -> Value:
    if item.name in row.columns and not item.aliased:
        return row.columns[item.name]
    return evaluate(item.node, row)


class _Backwards:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Backwards) -> bool:
        return self.text > other.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


def _rank(value: Value, descending: bool) -> tuple[Any, ...]:
    """Numbers before texts, or after them where the order is descending; what is missing comes last, either way."""
    if value is None:
        return (2,)
    number = to_number(value)
    if number is None:
        return (0, _Backwards(to_text(value))) if descending else (1, to_text(value))
    return (1, -number) if descending else (0, number)


def _sorted(command: Sort, rows: Iterator[Row], budget: Budget, wanted: int | None) -> Iterator[Row]:
    """What is equal stays in its order."""

    def key(row: Row) -> tuple[Any, ...]:
        return tuple(_rank(_column(item, row), descending) for item, descending in command.keys)

    if wanted is not None:
        yield from heapq.nsmallest(wanted, rows, key=key)
    else:
        yield from sorted(_taken(rows, budget), key=key)


def _taken(rows: Iterator[Row], budget: Budget) -> Iterator[Row]:
    for row in rows:
        budget.take()
        yield row


def _stats(command: Stats, rows: Iterator[Row], budget: Budget) -> Iterator[Row]:
    """One row a group, in the order in which the groups were met; without `by` one row, even of no records."""
    aggregates = tuple(dict.fromkeys(one for item in command.items for one in _aggregates(item.node)))
    groups: dict[tuple[str, ...], tuple[list[Value], list[Group]]] = {}

    def met(key: tuple[str, ...], values: list[Value]) -> list[Group]:
        budget.take()
        states = [Group(one.function, one.percentile, budget) for one in aggregates]
        groups[key] = values, states
        return states

    for row in rows:
        values = [_column(item, row) for item in command.by]
        key = tuple("" if value is None else f"={to_text(value)}" for value in values)
        states = groups[key][1] if key in groups else met(key, values)
        at = row.get("@timestamp")
        for one, state in zip(aggregates, states, strict=True):
            state.add(1 if one.argument is None else evaluate(one.argument, row), at)
    if not groups and not command.by:
        met((), [])
    for values, states in groups.values():
        results = {one: state.result() for one, state in zip(aggregates, states, strict=True)}
        columns = {item.name: value for item, value in zip(command.by, values, strict=True)}
        columns |= {item.name: evaluate(_filled(item.node, results.get), Row({})) for item in command.items}
        yield Row({}, columns)


def _aggregates(node: Node) -> Iterator[Aggregate]:
    if isinstance(node, Aggregate):
        yield node
    elif isinstance(node, Negative):
        yield from _aggregates(node.inner)
    elif isinstance(node, Chain):
        for part in (node.first, *(part for _, part in node.rest)):
            yield from _aggregates(part)
    elif isinstance(node, Call):
        for part in node.arguments:
            yield from _aggregates(part)


def _filled(node: Node, result: Callable[[Aggregate], Value]) -> Node:
    """The expression with the group's results in the place of the aggregates."""
    if isinstance(node, Aggregate):
        return Literal(result(node))
    if isinstance(node, Negative):
        return Negative(_filled(node.inner, result))
    if isinstance(node, Chain):
        rest = tuple((operator, _filled(part, result)) for operator, part in node.rest)
        return Chain(_filled(node.first, result), rest)
    if isinstance(node, Call):
        return Call(node.function, tuple(_filled(part, result) for part in node.arguments))
    return node
