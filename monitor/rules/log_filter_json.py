"""Filter patterns on JSON log events.

filter   := "{" any "}"
any      := all {"||" all}
all      := one {"&&" one}
one      := "(" any ")" | selector comparison value | selector "IS" ("NULL" | "TRUE" | "FALSE")
          | selector "NOT" "EXISTS"
selector := "$" {"." name | "['" name "']" | "[" index "]" | ".*" | "[*]"}
value    := word | number | '"' text '"' | "%" regex "%"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from monitor.rules import json_path, json_text
from monitor.rules.json_path import MISSING, JsonPath
from monitor.rules.log_filter_values import (
    COMPARISONS,
    MOST_DEPTH,
    MOST_REGEX,
    BadFilter,
    Condition,
    Lexeme,
    as_text,
    condition,
    lexemes,
)

MOST_WILDCARDS = 3  # one in a selector

_STATES: dict[str, bool | None] = {"NULL": None, "TRUE": True, "FALSE": False}


@dataclass(frozen=True, slots=True)
class Compared:
    """Only a value can be compared: an array, an object, null and nothing are neither equal nor different."""

    path: JsonPath
    condition: Condition

    def holds(self, event: Any) -> bool:
        found = self.path.find(event)
        values = found if isinstance(found, list) and self.path.wildcards else [found]
        return any(isinstance(one, str | int | float) and self.condition.holds(one) for one in values)


@dataclass(frozen=True, slots=True)
class Is:
    path: JsonPath
    state: bool | None

    def holds(self, event: Any) -> bool:
        return self.path.find(event) is self.state


@dataclass(frozen=True, slots=True)
class NotExists:
    path: JsonPath

    def holds(self, event: Any) -> bool:
        return self.path.find(event) is MISSING


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Node, ...]

    def holds(self, event: Any) -> bool:
        return all(part.holds(event) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Node, ...]

    def holds(self, event: Any) -> bool:
        return any(part.holds(event) for part in self.parts)


Node = Compared | Is | NotExists | Every | AnyOf


@dataclass(frozen=True, slots=True)
class JsonFilter:
    root: Node
    selectors: tuple[tuple[str, JsonPath], ...]  # as written

    def matches(self, message: str) -> bool:
        """A message that is not a JSON object or array as a whole matches no pattern."""
        event = read(message)
        return event is not MISSING and self.root.holds(event)

    def values(self, message: str) -> dict[str, str]:
        """What the pattern's selectors find: {"$.eventType": "UpdateTrail"}; only values, no objects and arrays."""
        event = read(message)
        return {name: text for name, path in self.selectors if (text := _text(path.find(event))) is not None}

    def value(self, message: str, name: str) -> str | None:
        """What a selector that need not be the pattern's finds."""
        try:
            return _text(json_path.parse(name, brackets=True).find(read(message)))
        except json_path.BadPath:
            return None


def _text(found: Any) -> str | None:
    return as_text(found) if isinstance(found, str | int | float) else None


def read(message: str) -> Any:
    """The JSON or MISSING. Most lines are no JSON: told by their first character."""
    if not message.lstrip().startswith(("{", "[")):
        return MISSING
    try:
        return json_text.loads(message)
    except json_text.BadJson:
        return MISSING


def parse(text: str) -> JsonFilter:
    """`text` from brace to brace. Raises BadFilter."""
    if not text.endswith("}") or len(text) < 2:
        raise BadFilter("If a filter pattern starts with '{' it must end with '}'")
    parser = _Parser(lexemes(text[1:-1]))
    root = parser.any()
    if parser.at < len(parser.lexemes):
        raise BadFilter
    return JsonFilter(root, tuple(parser.selectors.items()))


class _Parser:
    def __init__(self, read: list[Lexeme]) -> None:
        self.lexemes, self.at, self.depth, self.wildcards = read, 0, 0, 0
        self.selectors: dict[str, JsonPath] = {}
        if sum(one.kind == "regex" for one in read) > MOST_REGEX:
            raise BadFilter(f"A filter pattern has at most {MOST_REGEX} regular expressions")

    def next(self) -> Lexeme:
        if self.at >= len(self.lexemes):
            raise BadFilter
        self.at += 1
        return self.lexemes[self.at - 1]

    def accept(self, mark: str) -> bool:
        if self.at < len(self.lexemes) and self.lexemes[self.at] == Lexeme("mark", mark):
            self.at += 1
            return True
        return False

    def any(self) -> Node:
        parts = list(self._joined("||", self.all))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def all(self) -> Node:
        parts = list(self._joined("&&", self.one))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _joined(self, mark: str, part: Callable[[], Node]) -> Iterator[Node]:
        yield part()
        while self.accept(mark):
            yield part()

    def one(self) -> Node:
        if self.accept("("):
            self.depth += 1
            if self.depth > MOST_DEPTH:
                raise BadFilter
            inner = self.any()
            self.depth -= 1
            if not self.accept(")"):
                raise BadFilter
            return inner
        path = self.selector()
        operator = self.next()
        if operator.kind == "mark" and operator.text in COMPARISONS and operator.text != "=!":
            return Compared(path, condition(operator.text, self.next()))
        words = operator.text.upper(), self.next().text.upper()
        if words[0] == "IS" and words[1] in _STATES:
            return Is(path, _STATES[words[1]])
        if words == ("NOT", "EXISTS"):
            return NotExists(path)
        raise BadFilter

    def selector(self) -> JsonPath:
        lexeme = self.next()
        if lexeme.kind != "word" or not lexeme.text.startswith("$"):
            raise BadFilter
        try:
            path = json_path.parse(lexeme.text, brackets=True)
        except json_path.BadPath as error:
            raise BadFilter(f"Invalid character(s) in term '{lexeme.text[:64]}'") from error
        self.selectors[lexeme.text] = path
        self.wildcards += path.wildcards
        if path.wildcards > 1 or self.wildcards > MOST_WILDCARDS:
            raise BadFilter(f"A selector has at most one wildcard and a filter pattern {MOST_WILDCARDS}")
        return path
