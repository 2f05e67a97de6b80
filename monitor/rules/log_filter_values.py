"""What a value in a log event is compared with, in filter patterns on JSON and on fields (CloudWatch Logs user guide,
"Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.rules import regex
from monitor.rules.regex import Regex
from monitor.rules.regex_program import BadRegex
from monitor.rules.wildcard import Wildcard

MOST_DEPTH = 30
MOST_REGEX = 2  # of a pattern on JSON or on fields
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
_REGEX_TEXT = re.compile(r"[A-Za-z0-9:_#=@/;,^$?\[\]{}|\\*+.\s-]*")
_LEXEME = re.compile(
    r"""\s*(?:
      "(?P<quoted>(?:[^"\\]|\\.)*)" | %(?P<regex>[^%]*)%
    | (?P<mark>&&|\|\||!=|<=|>=|=!|[=<>(),])
    | (?P<word>[^\s"%=<>!&|(),]+) | (?P<other>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
COMPARISONS = ("=", "!=", "=!", "<", "<=", ">", ">=")

Scalar = str | float | bool


class BadFilter(ValueError):
    """`str()` is the text of AWS's for the client, empty for its common one."""


@dataclass(frozen=True, slots=True)
class Lexeme:
    kind: str  # quoted, regex, mark, word
    text: str


def lexemes(text: str) -> list[Lexeme]:
    """Raises BadFilter."""
    found = []
    for match in _LEXEME.finditer(text.rstrip()):
        kind = str(match.lastgroup)
        if kind == "other":
            raise BadFilter(f"Invalid character(s) in term '{match[kind]}'")
        found.append(Lexeme(kind, unescaped(match[kind]) if kind == "quoted" else match[kind]))
    return found


def unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


@dataclass(frozen=True, slots=True)
class Condition:
    """`operator` is one of = != < <= > >=; exactly one of the others is set, `number` beside `wildcard` too."""

    operator: str
    wildcard: Wildcard | None = None
    number: float | None = None
    regex: Regex | None = None

    def holds(self, value: Scalar) -> bool:
        if self.operator in _COMPARE:
            have = as_number(value)
            return have is not None and self.number is not None and _COMPARE[self.operator](have, self.number)
        return self._equals(value) is (self.operator == "=")

    def _equals(self, value: Scalar) -> bool:
        text = as_text(value)
        if self.regex is not None:
            return self.regex.search(text)
        if self.number is not None and as_number(value) == self.number:
            return True
        return self.wildcard is not None and self.wildcard.matches(text)


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda have, than: have < than,
    "<=": lambda have, than: have <= than,
    ">": lambda have, than: have > than,
    ">=": lambda have, than: have >= than,
}


def as_number(value: Scalar) -> float | None:
    """A text that is written as a number counts as one: account ids in CloudTrail's events are texts."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if len(value) <= 70 and _NUMBER.fullmatch(value) else None
    return value


def as_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def condition(operator: str, operand: Lexeme) -> Condition:
    """Raises BadFilter."""
    operator = "!=" if operator == "=!" else operator
    if operand.kind == "regex":
        if operator in _COMPARE:
            raise BadFilter
        return Condition(operator, regex=parse_regex(operand.text))
    if operand.kind not in ("word", "quoted"):
        raise BadFilter
    number = as_number(operand.text) if operand.kind == "word" else None
    if operator in _COMPARE and number is None:
        raise BadFilter
    return Condition(operator, wildcard=at_the_ends(operand.text), number=number)


def at_the_ends(text: str) -> Wildcard:
    """A star is a wildcard at the start and at the end of a term; inside it is a star."""
    inner = text.removeprefix("*")
    parts = ("",) * (inner != text)
    return Wildcard((*parts, inner[:-1], "") if inner.endswith("*") else (*parts, inner))


def parse_regex(text: str) -> Regex:
    """The documented part: no groups, only ASCII's letters, digits and some symbols. Raises BadFilter."""
    allowed = _REGEX_TEXT.match(text)
    if allowed is None or allowed.end() < len(text):
        raise BadFilter(f"Invalid character(s) in term '{text[allowed.end() if allowed else 0]}'")
    try:
        return regex.parse(text)
    except BadRegex as error:
        raise BadFilter(f"Invalid regex: {error}") from error
