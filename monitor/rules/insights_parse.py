"""Logs Insights queries, read: text → commands (CloudWatch Logs user guide, "CloudWatch Logs Insights language query
syntax").

    query   := command {"|" command}
    command := ("fields" | "display" | "dedup") item {"," item} | "filter" or | "limit" number
             | "stats" item {"," item} ["by" item {"," item}] | "sort" key {"," key}
             | "parse" [name] (text "as" name {"," name} | regex)
    item    := or ["as" name]            key := or ["asc" | "desc"]

A # starts a comment. Words of the language may be written in any case, names of fields may not.
"""

from __future__ import annotations

from collections.abc import Callable

from monitor.rules.insights_expressions import Expressions, aggregated
from monitor.rules.insights_syntax import (
    Command,
    Dedup,
    Display,
    FieldName,
    Fields,
    Filter,
    Limit,
    Named,
    Node,
    Parse,
    Sort,
    Stats,
)

MOST_COMMANDS = 50
MOST_ROWS = 10_000
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


def parse(text: str) -> tuple[Command, ...]:
    """Raises MalformedQueryException, with the place in its queryCompileError."""
    return _Parser(text).query()


class _Parser(Expressions):
    def query(self) -> tuple[Command, ...]:
        commands = [self.command()]
        while self.at < len(self.text):
            self.need("|")
            start = self.at
            commands.append(self.command())
            if any(isinstance(one, Dedup) for one in commands[:-1]) and not isinstance(commands[-1], Limit):
                self.at = start
                raise self.wrong()
            if len(commands) > MOST_COMMANDS:
                raise self.wrong(f"a query has at most {MOST_COMMANDS} commands")
        return tuple(commands)

    def command(self) -> Command:
        match = self.lexeme()
        name = str(match["name"]).lower() if match and match["name"] else ""
        parser = _COMMANDS.get(name)
        if match is None or parser is None:
            raise self.wrong(f"{name} is not supported" if name in _UNSUPPORTED else "")
        self.take(match.end())
        return parser(self)

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
            return Named(self.name(), node, aliased=True)
        return Named(node.name if isinstance(node, FieldName) else written, node)

    def filter(self) -> Filter:
        return Filter(self.expression())

    def stats(self) -> Stats:
        self.aggregates = True
        items = self.items()
        self.aggregates = False
        if not all(aggregated(item.node) for item in items):
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
