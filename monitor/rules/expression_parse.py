"""Metric math, read: text → frozen nodes (CloudWatch user guide, "Using math expressions with CloudWatch metrics").

    or       := and {("OR" | "||") and}
    and      := compared {("AND" | "&&") compared}
    compared := sum {("==" | "!=" | "<=" | ">=" | "<" | ">") sum}
    sum      := product {("+" | "-") product}
    product  := unary {("*" | "/") unary}
    unary    := "-" unary | power
    power    := atom ["^" unary]
    atom     := number | id | FUNCTION "(" [arguments] ")" | "[" or {"," or} "]" | "(" or ")"

The guide does not rank its operators: this is the usual order, with ^ before the minus sign and from the right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from monitor.rules import period as periods
from monitor.rules import search, statistics
from monitor.rules.search import Search

MOST_CHARACTERS = 2048
MOST_DEPTH = 50

_LEXEME = re.compile(
    r"""\s*(?:
      (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)"
    | (?P<mark>&&|\|\||==|!=|<=|>=|[-+*/^<>()\[\],])
    | (?P<other>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ID = re.compile(r"[a-z][A-Za-z0-9_]*")

# How many arguments each function takes: fewest, most.
FUNCTIONS = {
    **dict.fromkeys(("ABS", "AVG", "CEIL", "DATAPOINT_COUNT", "DIFF", "DIFF_TIME", "FLOOR"), (1, 1)),
    **dict.fromkeys(("LOG", "LOG10", "MAX", "METRIC_COUNT", "MIN", "PERIOD", "RATE", "REMOVE_EMPTY"), (1, 1)),
    **dict.fromkeys(("RUNNING_SUM", "STDDEV", "SUM", "TIME_SERIES", "FIRST", "LAST"), (1, 1)),
    **dict.fromkeys(("MINUTE", "HOUR", "DAY", "DATE", "MONTH", "YEAR", "EPOCH"), (1, 1)),
    "FILL": (2, 2),
    "IF": (2, 3),
    "METRICS": (0, 1),
    "SEARCH": (2, 3),
    "SLICE": (2, 3),
    "SORT": (3, 4),
}
REFUSED = {
    "ANOMALY_DETECTION_BAND": "there are no anomaly detection models here",
    "DB_PERF_INSIGHTS": "there is no Performance Insights here",
    "INSIGHT_RULE_METRIC": "there are no Contributor Insights rules here",
    "LAMBDA": "there are no Lambda functions here",
    "SERVICE_QUOTA": "there are no service quotas here",
}
# Which words stand where, besides ids.
_WORDS = {
    ("FILL", 1): ("REPEAT", "LINEAR"),
    ("SORT", 1): ("AVG", "MIN", "MAX", "SUM"),
    ("SORT", 2): ("ASC", "DESC"),
}


class BadExpression(ValueError):
    """The expression cannot be read or computed. `reason` is AWS's text where it is known, `detail` the place."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def told(self, query_id: str) -> str:
        """The message of the ValidationError that answers the query."""
        return f"Error in expression '{query_id}': {self.reason}"


def invalid_syntax(detail: str) -> BadExpression:
    return BadExpression("Invalid syntax", detail)


# -- nodes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """The id of another query."""

    id: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word that a function knows: REPEAT, LINEAR, AVG, ASC …"""

    text: str


@dataclass(frozen=True, slots=True)
class Negative:
    inner: Node


@dataclass(frozen=True, slots=True)
class Operation:
    operator: str  # AND and OR also for && and ||
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The request's metrics whose id contains `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Find:
    search: Search


Node = Number | Name | Word | Negative | Operation | Array | Call | Metrics | Find


def _walk(node: Node) -> Iterator[Node]:
    """Every node below, itself first. Chains of operators may be long: no recursion."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        if isinstance(found, Negative):
            waiting.append(found.inner)
        elif isinstance(found, Operation):
            waiting += (found.right, found.left)
        elif isinstance(found, Array):
            waiting += reversed(found.items)
        elif isinstance(found, Call):
            waiting += reversed(found.arguments)


def names_in(node: Node) -> tuple[str, ...]:
    """The ids referred to, once each in the order written: what has to be known before."""
    return tuple(dict.fromkeys(found.id for found in _walk(node) if isinstance(found, Name)))


def searches_in(node: Node) -> tuple[Search, ...]:
    """The searches: an alarm may have none, as each finds any number of series."""
    return tuple(found.search for found in _walk(node) if isinstance(found, Find))


def uses_metrics(node: Node) -> bool:
    """Whether it needs the request's metrics, whichever they are (METRICS)."""
    return any(isinstance(found, Metrics) for found in _walk(node))


# -- reading -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Raises BadExpression."""
    if not text.strip():
        raise invalid_syntax("an expression is expected")
    if len(text) > MOST_CHARACTERS:
        raise BadExpression(f"An expression has at most {MOST_CHARACTERS} characters")
    if text.split(maxsplit=1)[0].upper() == "SELECT":
        raise BadExpression("Metrics Insights queries (SELECT) are not answered here: SEARCH finds metrics")
    return _Parser(text).whole()


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str
    at: int


def _lexemes(text: str) -> list[_Lexeme]:
    found = []
    for match in _LEXEME.finditer(text.rstrip()):
        kind = str(match.lastgroup)
        if kind == "other":
            raise invalid_syntax(f"{match[kind]!r} is not expected at character {match.start(kind) + 1}")
        found.append(_Lexeme(kind, match[kind], match.start(kind)))
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.lexemes, self.at, self.depth = text, _lexemes(text), 0, 0

    def whole(self) -> Node:
        root = self.disjunction()
        if self.at < len(self.lexemes):
            raise self.wrong("an operator or the end is expected")
        return root

    def wrong(self, why: str) -> BadExpression:
        at = self.lexemes[self.at].at if self.at < len(self.lexemes) else len(self.text)
        return invalid_syntax(f"{why} at character {at + 1}")

    def accept(self, *texts: str) -> str:
        """The next mark or word, if it is one of these; or an empty text."""
        if self.at < len(self.lexemes):
            lexeme = self.lexemes[self.at]
            if lexeme.kind in ("mark", "word") and lexeme.text in texts:
                self.at += 1
                return lexeme.text
        return ""

    def need(self, text: str) -> None:
        if not self.accept(text):
            raise self.wrong(f"{text} is expected")

    def disjunction(self) -> Node:
        left = self.conjunction()
        while self.accept("OR", "||"):
            left = Operation("OR", left, self.conjunction())
        return left

    def conjunction(self) -> Node:
        left = self.compared()
        while self.accept("AND", "&&"):
            left = Operation("AND", left, self.compared())
        return left

    def compared(self) -> Node:
        left = self.sum()
        while operator := self.accept("==", "!=", "<=", ">=", "<", ">"):
            left = Operation(operator, left, self.sum())
        return left

    def sum(self) -> Node:
        left = self.product()
        while operator := self.accept("+", "-"):
            left = Operation(operator, left, self.product())
        return left

    def product(self) -> Node:
        left = self.unary()
        while operator := self.accept("*", "/"):
            left = Operation(operator, left, self.unary())
        return left

    def unary(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise BadExpression(f"An expression is nested at most {MOST_DEPTH} deep")
        try:
            if self.accept("-"):
                return Negative(self.unary())
            base = self.atom()
            return Operation("^", base, self.unary()) if self.accept("^") else base
        finally:
            self.depth -= 1

    def atom(self) -> Node:
        if self.at >= len(self.lexemes):
            raise self.wrong("a value is expected")
        if self.accept("("):
            inner = self.disjunction()
            self.need(")")
            return inner
        if self.accept("["):
            items = [self.disjunction()]
            while self.accept(","):
                items.append(self.disjunction())
            self.need("]")
            return Array(tuple(items))
        lexeme = self.lexemes[self.at]
        if lexeme.kind == "number":
            self.at += 1
            value = float(lexeme.text)
            if not math.isfinite(value):
                raise invalid_syntax(f"{lexeme.text} is too large")
            return Number(value)
        if lexeme.kind == "word":
            return self.word(lexeme)
        raise self.wrong("a value is expected")

    def word(self, lexeme: _Lexeme) -> Node:
        if _ID.fullmatch(lexeme.text):
            self.at += 1
            return Name(lexeme.text)
        if lexeme.text in REFUSED:
            raise BadExpression(f"{lexeme.text} is not supported: {REFUSED[lexeme.text]}")
        if lexeme.text not in FUNCTIONS:
            raise invalid_syntax(f"there is no function {lexeme.text[:64]}")
        self.at += 1
        self.need("(")
        return self.call(lexeme.text)

    def call(self, function: str) -> Node:
        fewest, most = FUNCTIONS[function]
        texts: list[str] = []
        arguments: list[Node] = []
        while not self.accept(")"):
            position = len(texts) + len(arguments)
            if position:
                self.need(",")
            quoted = self.quoted() if function in ("METRICS", "SEARCH") and position < 2 else None
            known = self.accept(*_WORDS.get((function, position), ()))
            if quoted is not None:
                texts.append(quoted)
            else:
                arguments.append(Word(known) if known else self.disjunction())
        if not fewest <= len(texts) + len(arguments) <= most:
            asked = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise invalid_syntax(f"{function} takes {asked} arguments")
        if function == "SEARCH":
            return _find(texts, arguments)
        if function == "METRICS":
            if arguments:
                raise invalid_syntax("METRICS takes a quoted text")
            return Metrics(texts[0] if texts else "")
        if function == "SORT" and not all(isinstance(a, Word) for a in arguments[1:3]):
            raise invalid_syntax("SORT takes AVG, MIN, MAX or SUM and then ASC or DESC")
        return Call(function, tuple(arguments))

    def quoted(self) -> str | None:
        if self.at < len(self.lexemes) and self.lexemes[self.at].kind in ("single", "double"):
            lexeme = self.lexemes[self.at]
            self.at += 1
            # Only the quotes of this kind were escaped for us; other backslashes are the search's own.
            quote = "'" if lexeme.kind == "single" else '"'
            return lexeme.text.replace("\\" + quote, quote)
        return None


def _find(texts: list[str], arguments: list[Node]) -> Find:
    if len(texts) != 2:
        raise invalid_syntax("SEARCH takes two quoted texts, then a period")
    period: int | None = None
    if arguments:
        written = arguments[0]
        if not isinstance(written, Number) or written.value % 1 or not periods.is_period(int(written.value)):
            raise BadExpression("The period of SEARCH is 1, 5, 10, 20, 30 or a multiple of 60")
        period = int(written.value)
    try:
        statistic = statistics.parse(texts[1]).text
        return Find(replace(search.parse(texts[0]), statistic=statistic, period=period))
    except (search.BadSearch, statistics.BadStatistic) as error:
        raise BadExpression(f"Invalid search: {error}") from error
