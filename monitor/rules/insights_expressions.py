"""Expressions of Logs Insights queries, read.

or      := and {"or" and}            and := not {"and" not}            not := "not" not | compared
compared:= sum [("=" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "like" (text | regex) | "=~" regex
         | ["not"] "in" "[" or {"," or} "]"]
sum     := product {("+" | "-") product}       product := power {("*" | "/" | "%") power}
power   := "-" power | atom ["^" power]
atom    := number | text | name | "`" name "`" | function "(" [or {"," or}] ")" | "(" or ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable

from monitor.rules.insights_functions import FUNCTIONS
from monitor.rules.insights_lexer import SKIPPED, Lexer
from monitor.rules.insights_stats import AGGREGATES
from monitor.rules.insights_syntax import (
    Aggregate,
    Call,
    Chain,
    Compared,
    FieldName,
    In,
    Like,
    Literal,
    Negative,
    Node,
    Not,
    Period,
)

MOST_DEPTH = 50
_UNITS = {
    **dict.fromkeys(("ms", "msec", "millisecond"), 1),
    **dict.fromkeys(("s", "sec", "second"), 1000),
    **dict.fromkeys(("m", "min", "minute"), 60_000),
    **dict.fromkeys(("h", "hr", "hour"), 3_600_000),
    **dict.fromkeys(("d", "day"), 86_400_000),
    **dict.fromkeys(("w", "week"), 604_800_000),
}
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")


class Expressions(Lexer):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.aggregates = False  # whether they may stand here

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
        if match and match["name"] and SKIPPED.sub("", self.text[match.end() : match.end() + 64])[:1] == "(":
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


def aggregated(node: Node) -> bool:
    """Whether it is made of aggregates and constants only: a field has as many values as the group has records."""
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
