"""Metric math: an expression over the other queries of a request (CloudWatch user guide, "Using math expressions with
CloudWatch metrics"). Pure: what is searched is handed in.

An evaluation has a budget of points, as 2,048 characters are enough to ask for hours of work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.rules import expression_functions as functions
from monitor.rules.expression_functions import Series, Span, Value, unsupported
from monitor.rules.expression_parse import (
    Array,
    BadExpression,
    Call,
    Find,
    Metrics,
    Name,
    Negative,
    Node,
    Number,
    Operation,
    Word,
    names_in,
    parse,
    searches_in,
    uses_metrics,
)
from monitor.rules.search import Search

__all__ = [
    "BadExpression",
    "Request",
    "Search",
    "Series",
    "evaluate",
    "kind",
    "names_in",
    "order",
    "parse",
    "searches_in",
    "uses_metrics",
]

MOST_POINTS = 5_000_000  # handled in one evaluation: fifty times the points of a reply


def _finds_nothing(_: Search) -> Sequence[Series]:
    return ()


@dataclass(frozen=True, slots=True)
class Request:
    """What an expression may know of its request: [start, end) and period in seconds, the ids of its metric queries
    in order (METRICS), and how to search. Periods are counted from `origin`, which is the epoch.
    """

    start: int
    end: int
    period: int = 60
    metrics: tuple[str, ...] = ()
    search: Callable[[Search], Sequence[Series]] = _finds_nothing
    origin: int = 0


def evaluate(
    node: Node, known: Mapping[str, Series | Sequence[Series]], request: Request
) -> Series | tuple[Series, ...]:
    """A series, or an array of them. `known`: the results of the queries that are referred to.

    Raises BadExpression: an id that is not known, kinds that do not fit, a result that is a number, too much work.
    """
    found = _Evaluation(known, request).value(node)
    if isinstance(found, float):
        raise BadExpression("The result of an expression must be a time series or an array of time series")
    return found


def kind(node: Node, known: Mapping[str, str], metrics: Sequence[str] = ()) -> str:
    """Whether an expression gives one series, TS, or an array of them, TS[] (which no alarm can watch), without any
    data. `known`: the same of the queries that are referred to. Raises BadExpression as `evaluate` does.
    """
    empty = Series("", "", 60)
    samples = {name: (empty if found == "TS" else ()) for name, found in known.items()}
    return functions.kind_of(evaluate(node, samples, Request(0, 0, metrics=tuple(metrics))))


def order(expressions: Mapping[str, Node]) -> tuple[str, ...]:
    """The ids of the expressions, each after those it refers to. Raises BadExpression for a cycle."""
    done: dict[str, None] = {}
    for first in expressions:
        # (id, what it still waits for); the path is what is being worked on.
        path = [(first, [n for n in names_in(expressions[first]) if n in expressions])]
        while path:
            current, waiting = path[-1]
            if current in done or not waiting:
                done[current] = None
                path.pop()
                continue
            following = waiting.pop()
            if any(following == on_path for on_path, _ in path):
                raise BadExpression(f"The expressions refer to each other in a cycle through '{following}'")
            if following not in done:
                path.append((following, [n for n in names_in(expressions[following]) if n in expressions]))
    return tuple(done)


@dataclass(slots=True)
class _Evaluation:
    known: Mapping[str, Series | Sequence[Series]]
    request: Request
    left: int = MOST_POINTS
    span: Span = field(init=False)

    def __post_init__(self) -> None:
        self.span = Span(self.request.start, self.request.end, self.request.origin)

    def spend(self, points: int) -> None:
        self.left -= points + 1
        if self.left < 0:
            raise BadExpression("The expression needs too many data points to be computed")

    def value(self, node: Node) -> Value:
        # A long chain of operators leans to the left: gone through without recursion.
        chain: list[Operation] = []
        while isinstance(node, Operation):
            chain.append(node)
            node = node.left
        found = self.spent(self.plain(node))
        while chain:
            operation = chain.pop()
            right = self.value(operation.right)
            found = self.spent(functions.operate(operation.operator, found, right))
        return found

    def spent(self, value: Value) -> Value:
        if isinstance(value, float):
            self.spend(0)
        else:
            self.spend(sum(len(s.points) + 1 for s in ((value,) if isinstance(value, Series) else value)))
        return value

    def plain(self, node: Node) -> Value:
        match node:
            case Number(value):
                return value
            case Name(name):
                return self.named(name)
            case Negative(inner):
                return functions.negative(self.value(inner))
            case Array(items):
                return self.array(items)
            case Metrics(text):
                return self.metrics(text)
            case Find(search):
                return tuple(self.request.search(search))
            case Call(function, arguments):
                return self.call(function, arguments)
        raise BadExpression("Invalid syntax", "a word stands where a value is expected")

    def named(self, name: str) -> Value:
        if name not in self.known:
            raise BadExpression(f"There is no query with the id '{name}'")
        found = self.known[name]
        return found if isinstance(found, Series) else tuple(found)

    def array(self, items: Sequence[Node]) -> tuple[Series, ...]:
        found: list[Series] = []
        for item in items:
            value = self.value(item)
            if isinstance(value, float):
                raise unsupported("An array", value)
            found += (value,) if isinstance(value, Series) else value
        return tuple(found)

    def metrics(self, text: str) -> tuple[Series, ...]:
        found: list[Series] = []
        for name in self.request.metrics:
            if text in name:
                value = self.named(name)
                assert not isinstance(value, float)
                found += (value,) if isinstance(value, Series) else value
        return tuple(found)

    def call(self, function: str, arguments: Sequence[Node]) -> Value:
        if function == "FILL":
            return self.fill(*arguments)
        if function == "SORT":
            by, order_ = (word.text for word in arguments[1:3] if isinstance(word, Word))
            most = self.number("SORT", arguments[3]) if len(arguments) == 4 else None
            return functions.sort(self.value(arguments[0]), by, order_, most)
        if function == "SLICE":
            end = self.number("SLICE", arguments[2]) if len(arguments) == 3 else None
            return functions.cut(self.value(arguments[0]), self.number("SLICE", arguments[1]), end)
        if function == "IF":
            values = [self.value(argument) for argument in arguments]
            return functions.choose(values[0], values[1], values[2] if len(values) == 3 else None)
        if function == "TIME_SERIES":
            return self.time_series(self.number("TIME_SERIES", arguments[0]))
        return self.of_one(function, self.value(arguments[0]))

    def of_one(self, function: str, value: Value) -> Value:
        if function in functions.EACH:
            return functions.each(functions.EACH[function], value)
        if function in functions.AGGREGATES:
            return functions.aggregate(function, value)
        if function in functions.ALONG:
            return functions.along(function, value)
        if function in functions.TIMES:
            self.budget_for_grid(value)
            return functions.of_time(function, value, self.span)
        if function == "PERIOD" and isinstance(value, Series):
            return float(value.period)
        if isinstance(value, tuple):
            empty = Series("", "", self.request.period)
            match function:
                case "METRIC_COUNT":
                    return float(len(value))
                case "REMOVE_EMPTY":
                    return tuple(one for one in value if one.points)
                case "FIRST":
                    return value[0] if value else empty
                case "LAST":
                    return value[-1] if value else empty
        raise unsupported(function, value)

    def fill(self, filled: Node, filler: Node) -> Value:
        value = self.value(filled)
        self.budget_for_grid(value)
        if isinstance(filler, Word):
            return functions.fill(value, filler.text, self.span)
        other = self.value(filler)
        if isinstance(other, tuple):
            raise unsupported("FILL", value, other)
        return functions.fill(value, other, self.span)

    def time_series(self, number: float) -> Series:
        self.spend(self.span.count(self.request.period))
        grid = self.span.grid(self.request.period)
        points = () if number != number else tuple((float(at), number) for at in grid)
        return Series("", "", self.request.period, points)

    def number(self, function: str, node: Node) -> float:
        value = self.value(node)
        if not isinstance(value, float):
            raise unsupported(function, value)
        return value

    def budget_for_grid(self, value: Value) -> None:
        """Before it is made: a long range of short periods must not be built only to be refused."""
        if not isinstance(value, float):
            for one in (value,) if isinstance(value, Series) else value:
                self.spend(self.span.count(one.period))
