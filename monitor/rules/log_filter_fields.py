"""Filter patterns on space-delimited log events.

    filter    := "[" field {"," field} "]"
    field     := "..." | "" | name | any
    any       := all {"||" all}
    all       := condition {"&&" condition}
    condition := name comparison value

The first name of a field's conditions is the field's name; the others may be of any field. What stands between brackets
or quotes in an event is one field, without them. The guide lets [w1=ERROR, w2] match lines of more than two words: so a
last field without conditions takes the rest of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitor.rules.log_filter_values import (
    COMPARISONS,
    MOST_REGEX,
    BadFilter,
    Condition,
    Lexeme,
    condition,
    lexemes,
)

MOST_FIELDS = 100
_FIELD = re.compile(r'\s*(?:\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+))', re.DOTALL)
_UNBRACKETED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(\S+))', re.DOTALL)
_NAME = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_-]{0,254}")
_ELLIPSIS = "..."

# A disjunction of conjunctions: which field, and what it has to be.
_Conditions = tuple[tuple[tuple[str, Condition], ...], ...]


@dataclass(frozen=True, slots=True)
class Field:
    name: str  # empty for one that has none
    conditions: _Conditions = ()


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """`before` and `after` the ellipsis; without one, all are `before`."""

    before: tuple[Field, ...]
    after: tuple[Field, ...]
    ellipsis: bool

    def matches(self, message: str) -> bool:
        return self._named(message) is not None

    def values(self, message: str) -> dict[str, str]:
        """{"$status_code": "404", "$1": "127.0.0.1"}: by name, else by place in the event. Empty without a match."""
        return self._named(message) or {}

    def value(self, message: str, name: str) -> str | None:
        return self.values(message).get(name)

    def _named(self, message: str) -> dict[str, str] | None:
        fixed = len(self.before) + len(self.after)
        takes_rest = not self.ellipsis and not self.before[-1].conditions
        parts = split(message, fixed if takes_rest else 0)
        if len(parts) < fixed or (len(parts) > fixed and not self.ellipsis):
            return None
        held: list[Field | None] = [*self.before, *[None] * (len(parts) - fixed), *self.after]
        found = {
            f"${field.name}" if field and field.name else f"${number}": part
            for number, (field, part) in enumerate(zip(held, parts, strict=True), 1)
        }
        fields = (*self.before, *self.after)
        return found if all(_holds(field.conditions, found) for field in fields) else None


def _holds(conditions: _Conditions, found: dict[str, str]) -> bool:
    return not conditions or any(
        all(one.holds(found[f"${name}"]) for name, one in every) for every in conditions
    )


def split(message: str, most: int = 0) -> list[str]:
    """The fields of an event: 127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET / HTTP/1.0" 200 has six.

    With `most`, the last of that many is the rest of the line, as it is written.
    """
    message = message.strip()  # else each of many blanks at the end would be tried as a start
    last_bracket = message.rfind("]")
    parts: list[str] = []
    at = 0
    while at < len(message):
        # A [ that nothing ends is no bracket: told without looking to the end of the line for each.
        field = _FIELD if at < last_bracket else _UNBRACKETED
        found = field.match(message, at)
        if found is None:
            break
        at = found.end()
        if len(parts) == most - 1 and at < len(message):
            return [*parts, message[found.start() :].strip()]
        parts.append(next((one for one in found.groups() if one is not None), ""))
    return parts


def parse(text: str) -> FieldFilter:
    """`text` from bracket to bracket. Raises BadFilter."""
    if not text.endswith("]") or len(text) < 2:
        raise BadFilter("If a filter pattern starts with '[' it must end with ']'")
    read = lexemes(text[1:-1])
    if sum(one.kind == "regex" for one in read) > MOST_REGEX:
        raise BadFilter(f"A filter pattern has at most {MOST_REGEX} regular expressions")
    groups: list[list[Lexeme]] = [[]]
    for lexeme in read:
        if lexeme == Lexeme("mark", ","):
            groups.append([])
        else:
            groups[-1].append(lexeme)
    if len(groups) > MOST_FIELDS:
        raise BadFilter
    ellipses = [n for n, group in enumerate(groups) if [one.text for one in group] == [_ELLIPSIS]]
    if len(ellipses) > 1:
        raise BadFilter
    fields = [Field("") if n in ellipses else _field(group) for n, group in enumerate(groups)]
    names = [field.name for field in fields if field.name]
    asked = {name for field in fields for every in field.conditions for name, _ in every}
    if len(set(names)) < len(names) or not asked <= set(names):
        raise BadFilter
    at = ellipses[0] if ellipses else len(fields)
    return FieldFilter(tuple(fields[:at]), tuple(fields[at + 1 :]), bool(ellipses))


def _field(read: list[Lexeme]) -> Field:
    if not read:
        return Field("")
    name = _name(read[0])
    if len(read) == 1:
        return Field(name)
    either: list[list[tuple[str, Condition]]] = [[]]
    for at in range(0, len(read), 4):
        part = read[at : at + 4]
        if len(part) < 3 or part[1].kind != "mark" or part[1].text not in COMPARISONS:
            raise BadFilter
        either[-1].append((_name(part[0]), condition(part[1].text, part[2])))
        if len(part) == 4:
            if part[3] == Lexeme("mark", "||"):
                either.append([])
            elif part[3] != Lexeme("mark", "&&") or at + 4 >= len(read):
                raise BadFilter
    if not either[-1]:
        raise BadFilter
    return Field(name, tuple(tuple(every) for every in either))


def _name(lexeme: Lexeme) -> str:
    if lexeme.kind != "word" or not _NAME.fullmatch(lexeme.text):
        raise BadFilter
    return lexeme.text.removeprefix("$")
