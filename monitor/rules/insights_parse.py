"""Logs Insights queries, read: text → commands (CloudWatch Logs user guide, "CloudWatch Logs Insights language query
syntax").

    query   := command {"|" command}
    or      := and {"or" and}            and := not {"and" not}            not := "not" not | compared
    compared:= sum [("=" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "like" (text | regex) | "=~" regex
             | ["not"] "in" "[" or {"," or} "]"]
    sum     := product {("+" | "-") product}       product := power {("*" | "/" | "%") power}
    power   := "-" power | atom ["^" power]
    atom    := number | text | name | "`" name "`" | function "(" [or {"," or}] ")" | "(" or ")"

A # starts a comment. Words of the language may be written in any case, names of fields may not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from monitor.model.errors import ClientFault
from monitor.rules import regex
from monitor.rules.insights_functions import FUNCTIONS
from monitor.rules.insights_stats import AGGREGATES
from monitor.rules.insights_syntax import (
    Aggregate,
    Call,
    Chain,
    Command,
    Compared,
    Dedup,
    Display,
    FieldName,
    Fields,
    Filter,
    In,
    Like,
    Limit,
    Literal,
    Named,
    Negative,
    Node,
    Not,
    Parse,
    Period,
    Sort,
    Stats,
)
from monitor.rules.regex_program import BadRegex

MOST_CHARACTERS = 10_000
MOST_COMMANDS = 50
MOST_DEPTH = 50
MOST_ROWS = 10_000
_SKIPPED = re.compile(r"(?:\s|\#[^\n]*)*")
_LEXEME = re.compile(
    r"""(?P<number>(?:[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3}(?![A-Za-z0-9_]))?)(?P<unit>[A-Za-z]+)?
    | (?P<name>[@A-Za-z_][@A-Za-z0-9_.]*) | `(?P<quoted>[^`]{1,1024})`
    | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<mark>=~|!=|<=|>=|[-+*/%^=<>()\[\],|])""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNITS = {
    **dict.fromkeys(("ms", "msec", "millisecond"), 1),
    **dict.fromkeys(("s", "sec", "second"), 1000),
    **dict.fromkeys(("m", "min", "minute"), 60_000),
    **dict.fromkeys(("h", "hr", "hour"), 3_600_000),
    **dict.fromkeys(("d", "day"), 86_400_000),
    **dict.fromkeys(("w", "week"), 604_800_000),
}
_UNSUPPORTED = (
    *(
        "pattern",
        "diff",
        "anomaly",
        "unmask",
        "unnest",
        "lookup",
        "join",
        "source",
        "filterindex",
        "addtotals",
    ),
    *("tail", "subqueries"),
)
_RESERVED = ("and", "or", "not", "like", "in", "as", "by")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")


def parse(text: str) -> tuple[Command, ...]:
    """Raises MalformedQueryException, with the place in its queryCompileError."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.aggregates = False  # whether they may stand here
        if len(text) > MOST_CHARACTERS:
            self.text = ""
            raise self.wrong(f"a query has at most {MOST_CHARACTERS} characters")
        self.skip()

    # -- lexemes

    def skip(self) -> None:
        match = _SKIPPED.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def wrong(self, why: str = "") -> ClientFault:
        found = self.text[self.at : self.at + 32].split("\n")[0].split(" ")[0]
        line = self.text.count("\n", 0, self.at) + 1
        place = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        message = why or (f"unexpected symbol found {found}" if found else "unexpected end of query")
        message = f"{message} at line {line} and position {place}"
        location = {
            "startCharOffset": self.at,
            "endCharOffset": min(self.at + max(len(found), 1), len(self.text)),
        }
        return ClientFault(
            "MalformedQueryException",
            message,
            details={"queryCompileError": {"location": location, "message": message}},
        )

    def lexeme(self) -> re.Match[str] | None:
        return _LEXEME.match(self.text, self.at)

    def take(self, end: int) -> None:
        self.at = end
        self.skip()

    def accept(self, *marks: str) -> str:
        match = self.lexeme()
        if match and match["mark"] in marks:
            self.take(match.end())
            return str(match["mark"])
        return ""

    def need(self, mark: str) -> None:
        if not self.accept(mark):
            raise self.wrong()

    def word(self, *words: str) -> str:
        match = self.lexeme()
        if match and match["name"] and match["name"].lower() in words:
            self.take(match.end())
            return str(match["name"]).lower()
        return ""

    def name(self) -> str:
        match = self.lexeme()
        if match and match["quoted"]:
            self.take(match.end())
            return str(match["quoted"])
        if match and match["name"] and match["name"].lower() not in _RESERVED:
            self.take(match.end())
            return str(match["name"])
        raise self.wrong()

    def quoted(self) -> str | None:
        match = self.lexeme()
        if match is None or (match["double"] is None and match["single"] is None):
            return None
        self.take(match.end())
        return _ESCAPED.sub(r"\1", match["double"] if match["double"] is not None else match["single"])

    def regex(self) -> regex.Regex | None:
        match = _REGEX.match(self.text, self.at)
        if match is None:
            return None
        try:
            found = regex.parse(match[1])
        except BadRegex as error:
            raise self.wrong(f"invalid regular expression: {error}") from error
        self.take(match.end())
        return found

    # -- commands

    def query(self) -> tuple[Command, ...]:
        commands: list[Command] = []
        while True:
            if self.at >= len(self.text) and commands:  # the last | may be one too many
                break
            commands.append(self.command())
            if commands[-1:] and isinstance(commands[-1], Limit):
                pass
            elif any(isinstance(one, Dedup) for one in commands[:-1]):
                raise self.wrong("only limit may follow dedup")
            if len(commands) > MOST_COMMANDS:
                raise self.wrong(f"a query has at most {MOST_COMMANDS} commands")
            if self.at >= len(self.text):
                break
            self.need("|")
        return tuple(commands)

    def command(self) -> Command:
        start = self.at
        match = self.lexeme()
        name = str(match["name"]).lower() if match and match["name"] else ""
        parser = _COMMANDS.get(name)
        if match is None or parser is None:
            raise self.wrong(f"{name} is not supported" if name in _UNSUPPORTED else "")
        self.take(match.end())
        self.depth = 0
        command = parser(self)
        assert self.at > start
        return command

    def fields(self) -> Fields:
        return Fields(self.items())

    def display(self) -> Display:
        return Display(self.items())

    def items(self) -> tuple[Named, ...]:
        found = [self.item()]
        while self.accept(","):
            found.append(self.item())
        return tuple(found)

    def item(self) -> Named:
        start = self.at
        node = self.expression()
        written = self.text[start : self.at].strip()
        if self.word("as"):
            return Named(self.name(), node)
        return Named(node.name if isinstance(node, FieldName) else written, node)

    def filter(self) -> Filter:
        return Filter(self.expression())

    def stats(self) -> Stats:
        self.aggregates = True
        items = self.items()
        self.aggregates = False
        if not all(_aggregates(item.node) for item in items):
            raise self.wrong("stats takes aggregate functions")
        return Stats(items, self.items() if self.word("by") else ())

    def sort(self) -> Sort:
        keys = [self.key()]
        while self.accept(","):
            keys.append(self.key())
        return Sort(tuple(keys))

    def key(self) -> tuple[Named, bool]:
        self.aggregates = True  # a column may be called count(*)
        item = self.item()
        self.aggregates = False
        return item, self.word("asc", "desc") == "desc"

    def limit(self) -> Limit:
        match = self.lexeme()
        if match is None or not match["number"] or match["unit"] or not match["number"].isdigit():
            raise self.wrong()
        count = int(match["number"])
        if not 1 <= count <= MOST_ROWS:
            raise self.wrong(f"limit takes a number from 1 to {MOST_ROWS}")
        self.take(match.end())
        return Limit(count)

    def parse(self) -> Parse:
        value: Node = FieldName("@message")
        if not self.text.startswith(("/", '"', "'"), self.at):
            value = FieldName(self.name())
        expression = self.regex()
        if expression is not None:
            if not expression.names:
                raise self.wrong("the regular expression has no named groups")
            return Parse(value, expression, expression.names)
        pattern = self.quoted()
        if pattern is None or not self.word("as"):
            raise self.wrong()
        names = [self.name()]
        while self.accept(","):
            names.append(self.name())
        parts = tuple(pattern.split("*"))
        if len(parts) != len(names) + 1:
            raise self.wrong("parse takes as many names as the pattern has *")
        return Parse(value, parts, tuple(names))

    def dedup(self) -> Dedup:
        return Dedup(self.items())

    # -- expressions

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.wrong(f"an expression is nested at most {MOST_DEPTH} deep")
        found = self.chain(self.conjunction, lambda: self.word("or"))
        self.depth -= 1
        return found

    def chain(self, part: Callable[[], Node], operator: Callable[[], str]) -> Node:
        first = part()
        rest = []
        while found := operator():
            rest.append((found, part()))
        return Chain(first, tuple(rest)) if rest else first

    def conjunction(self) -> Node:
        return self.chain(self.negation, lambda: self.word("and"))

    def negation(self) -> Node:
        negated = False
        while self.word("not"):
            negated = not negated
        compared = self.compared()
        return Not(compared) if negated else compared

    def compared(self) -> Node:
        left = self.sum()
        operator = self.accept(*_COMPARISONS, "=~")
        if operator == "=~":
            expression = self.regex()
            if expression is None:
                raise self.wrong()
            return Like(left, expression)
        if operator:
            return Compared(operator, left, self.sum())
        start = self.at
        negated = bool(self.word("not"))
        match self.word("like", "in"):
            case "like":
                found: Node = self.like(left)
            case "in":
                found = self.membership(left)
            case _:
                if negated:
                    self.at = start
                    raise self.wrong()
                return left
        return Not(found) if negated else found

    def like(self, left: Node) -> Node:
        pattern = self.regex() or self.quoted()
        if pattern is None:
            raise self.wrong()
        return Like(left, pattern)

    def membership(self, left: Node) -> Node:
        self.need("[")
        among = [self.expression()]
        while self.accept(","):
            among.append(self.expression())
        self.need("]")
        return In(left, tuple(among))

    def sum(self) -> Node:
        return self.chain(self.product, lambda: self.accept("+", "-"))

    def product(self) -> Node:
        return self.chain(self.power, lambda: self.accept("*", "/", "%"))

    def power(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.wrong(f"an expression is nested at most {MOST_DEPTH} deep")
        if self.accept("-"):
            found: Node = Negative(self.power())
        else:
            found = self.atom()
            if self.accept("^"):
                found = Chain(found, (("^", self.power()),))
        self.depth -= 1
        return found

    def atom(self) -> Node:
        if self.accept("("):
            inner = self.expression()
            self.need(")")
            return inner
        text = self.quoted()
        if text is not None:
            return Literal(text)
        match = self.lexeme()
        if match and match["number"]:
            return self.number(match)
        if match and match["name"] and match["name"].lower() in ("true", "false"):
            self.take(match.end())
            return Literal(match["name"].lower() == "true")
        if match and match["name"] and _SKIPPED.sub("", self.text[match.end() : match.end() + 64])[:1] == "(":
            return self.call(match)
        return FieldName(self.name())

    def number(self, match: re.Match[str]) -> Node:
        unit = match["unit"]
        number = int(match["number"]) if match["number"].isdigit() and len(match["number"]) < 19 else None
        value = float(match["number"]) if number is None else number
        if unit is None:
            self.take(match.end())
            return Literal(value)
        size = _UNITS.get(unit.lower(), _UNITS.get(unit.lower().removesuffix("s")))
        if size is None or not 1 <= value * size < 1e15:
            raise self.wrong()
        self.take(match.end())
        return Period(int(value * size))

    def call(self, match: re.Match[str]) -> Node:
        name = str(match["name"]).lower()
        if name in AGGREGATES:
            return self.aggregate(name, match)
        if name != "bin" and name not in FUNCTIONS:
            raise self.wrong(f"unknown function {match['name'][:64]}")
        self.take(match.end())
        self.need("(")
        arguments: list[Node] = []
        while not self.accept(")"):
            if arguments:
                self.need(",")
            arguments.append(self.expression())
        fewest, most = (1, 1) if name == "bin" else FUNCTIONS[name][:2]
        if not fewest <= len(arguments) <= most:
            raise self.wrong(f"{name} takes {fewest if fewest == most else f'{fewest} to {most}'} arguments")
        last = isinstance(arguments[-1], Period)
        if name in ("bin", "datefloor", "dateceil") and not last:
            raise self.wrong(f"{name} takes a period")
        if name == "bin":
            return Call("datefloor", (FieldName("@timestamp"), arguments[0]))
        return Call(name, tuple(arguments))

    def aggregate(self, name: str, match: re.Match[str]) -> Node:
        if not self.aggregates:
            raise self.wrong(f"{name} may stand in stats only")
        self.take(match.end())
        self.need("(")
        self.aggregates = False
        argument: Node | None = None
        if name == "count" and (self.accept("*") or self.text.startswith(")", self.at)):
            pass
        else:
            argument = self.expression()
        percentile = 0.0
        if AGGREGATES[name]:
            self.need(",")
            number = self.lexeme()
            if (
                number is None
                or not number["number"]
                or number["unit"]
                or not 0 <= float(number["number"]) <= 100
            ):
                raise self.wrong()
            percentile = float(number["number"])
            self.take(number.end())
        self.need(")")
        self.aggregates = True
        return Aggregate(name, argument, percentile)


_COMMANDS: dict[str, Callable[[_Parser], Command]] = {
    "fields": _Parser.fields,
    "display": _Parser.display,
    "filter": _Parser.filter,
    "stats": _Parser.stats,
    "sort": _Parser.sort,
    "limit": _Parser.limit,
    "head": _Parser.limit,
    "parse": _Parser.parse,
    "dedup": _Parser.dedup,
}


def _aggregates(node: Node) -> bool:
    """Whether it is made of aggregates and constants only: a field would have as many values as the group has records."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, FieldName | Like | In | Compared | Not):
            return False
        if isinstance(found, Call):
            waiting += found.arguments
        elif isinstance(found, Negative):
            waiting.append(found.inner)
        elif isinstance(found, Chain):
            waiting += (found.first, *(part for _, part in found.rest))
    return True
