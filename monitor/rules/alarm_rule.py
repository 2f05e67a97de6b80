"""AlarmRule, the expression of a composite alarm, read (CloudWatch API reference, "PutCompositeAlarm"; user guide,
"Composite alarms").

    or        := and {"OR" and}
    and       := not {"AND" not}
    not       := {"NOT"} atom
    atom      := "TRUE" | "FALSE" | state "(" alarm ")" | "(" or ")" | at least
    at least  := "AT_LEAST" "(" (count | percent "%") "," ["NOT"] state "," "(" alarm {"," alarm} ")" ")"
    state     := "ALARM" | "OK" | "INSUFFICIENT_DATA"
    alarm     := name or ARN: '"' text '"' with \\" for ", or without blanks, round brackets and commas

The guide does not rank AND and OR: this is the usual order. TRUE and FALSE are taken in any case, as it writes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from monitor.model.alarm import STATES, alarm_name
from monitor.model.errors import ClientFault

MOST_CHARACTERS, MOST_CHILDREN, MOST_ELEMENTS = 10_240, 100, 500
MOST_DEPTH = 50  # of parentheses: AWS names no bound but the elements

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([(),])|([^\s(),"]+)|(\S))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COUNT = re.compile(r"([0-9]{1,3})(%?)")
_OPERAND = "'(', 'NOT', AT_LEAST, TRUE or FALSE, ALARM, OK, or INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool


@dataclass(frozen=True, slots=True)
class In:
    """Whether the alarm of this name is in the state."""

    state: str
    alarm: str


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Whether so many alarms, or `is_percent` of them, are in the state, or `negated` in another."""

    count: int
    is_percent: bool
    negated: bool
    state: str
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    node: Node


@dataclass(frozen=True, slots=True)
class All:
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    nodes: tuple[Node, ...]


Node = Constant | In | AtLeast | Not | All | Either


def children(rule: Node) -> tuple[str, ...]:
    """The names of the alarms that it looks at, once each, as first written."""
    return tuple(dict.fromkeys(_names(rule)))


def holds(rule: Node, states: Mapping[str, str]) -> bool:
    """`states` by name. An alarm that is not there is in no state: only NOT makes that true."""
    match rule:
        case Constant(value):
            return value
        case In(state, alarm):
            return states.get(alarm) == state
        case AtLeast(count, is_percent, negated, state, alarms):
            found = sum((states.get(alarm) == state) != negated for alarm in alarms)
            return found * 100 >= count * len(alarms) if is_percent else found >= count
        case Not(node):
            return not holds(node, states)
        case All(nodes):
            return all(holds(node, states) for node in nodes)
        case Either(nodes):
            return any(holds(node, states) for node in nodes)


def _names(node: Node) -> Iterator[str]:
    match node:
        case Constant():
            pass
        case In(_, alarm):
            yield alarm
        case AtLeast(alarms=alarms):
            yield from alarms
        case Not(below):
            yield from _names(below)
        case All(nodes) | Either(nodes):
            for below in nodes:
                yield from _names(below)


# -- reading -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Raises ClientFault (ValidationError)."""
    if len(text) > MOST_CHARACTERS:
        raise _invalid(
            f"1 validation error detected: Value '{text[:64]}' at 'alarmRule' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MOST_CHARACTERS}"
        )
    if not text or text != text.strip():
        raise _invalid("AlarmRule must not contain leading or trailing whitespace or be null")
    rule = _Parser(text).whole()
    if len(children(rule)) > MOST_CHILDREN:
        raise _invalid(f"AlarmRule must not refer to more than {MOST_CHILDREN} alarms")
    return rule


def _invalid(message: str) -> ClientFault:
    return ClientFault("ValidationError", message)


class _Parser:
    """One token of look-ahead: `token` as written ("" at the end), found at `at`."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.end, self.token = text, 0, 0, ""
        self.elements, self.depth = 0, 0
        self.advance()

    def advance(self) -> None:
        match = _TOKEN.match(self.text, self.end)
        self.token = str(match[match.lastindex or 0]) if match else ""
        self.end = match.end() if match else len(self.text)
        self.at = self.end - len(self.token)

    def unsupported(self, must: str) -> ClientFault:
        found = f"Unsupported token '{self.token[:64]}'" if self.token else "Unexpected end"
        return _invalid(f"Error in AlarmRule [{found} at char {self.at}, must be: {must}]")

    def accept(self, *tokens: str) -> str:
        found = self.token
        if found not in tokens:
            return ""
        self.advance()
        return found

    def need(self, token: str) -> None:
        if not self.accept(token):
            raise self.unsupported(f"'{token}'")

    def count_element(self) -> None:
        """Alarms, TRUE and FALSE, and pairs of parentheses are elements."""
        self.elements += 1
        if self.elements > MOST_ELEMENTS:
            raise _invalid(f"AlarmRule must not have more than {MOST_ELEMENTS} elements")

    def whole(self) -> Node:
        rule = self.either()
        if self.token:
            raise self.unsupported("'AND', 'OR' or the end")
        return rule

    def either(self) -> Node:
        nodes = [self.all()]
        while self.accept("OR"):
            nodes.append(self.all())
        return nodes[0] if len(nodes) == 1 else Either(tuple(nodes))

    def all(self) -> Node:
        nodes = [self.negation()]
        while self.accept("AND"):
            nodes.append(self.negation())
        return nodes[0] if len(nodes) == 1 else All(tuple(nodes))

    def negation(self) -> Node:
        # Thousands fit in a rule: counted, not nested.
        count = 0
        while self.accept("NOT"):
            count += 1
        node = self.atom()
        return Not(node) if count % 2 else node

    def atom(self) -> Node:
        if self.accept("("):
            self.count_element()
            self.depth += 1
            if self.depth > MOST_DEPTH:
                raise _invalid(f"AlarmRule must not be nested more than {MOST_DEPTH} deep")
            node = self.either()
            self.need(")")
            self.depth -= 1
            return node
        if self.token.upper() in ("TRUE", "FALSE"):
            self.count_element()
            value = self.token.upper() == "TRUE"
            self.advance()
            return Constant(value)
        if self.accept("AT_LEAST"):
            return self.at_least()
        state = self.accept(*STATES)
        if not state:
            raise self.unsupported(_OPERAND)
        self.need("(")
        alarm = self.alarm()
        self.need(")")
        return In(state, alarm)

    def at_least(self) -> AtLeast:
        self.need("(")
        match = _COUNT.fullmatch(self.token.strip('"'))
        if match is None or not 1 <= int(match[1]) <= 100:  # there are at most 100 alarms
            raise self.unsupported("a number or a percentage")
        self.advance()
        self.need(",")
        negated = bool(self.accept("NOT"))
        state = self.accept(*STATES)
        if not state:
            raise self.unsupported("ALARM, OK, or INSUFFICIENT_DATA")
        self.need(",")
        self.need("(")
        self.count_element()
        alarms = [self.alarm()]
        while self.accept(","):
            alarms.append(self.alarm())
        self.need(")")
        self.need(")")
        return AtLeast(int(match[1]), bool(match[2]), negated, state, tuple(alarms))

    def alarm(self) -> str:
        quoted = len(self.token) > 2 and self.token[0] == '"' == self.token[-1]
        if not quoted and (not self.token or self.token in ("(", ")", ",") or '"' in self.token):
            raise self.unsupported("an alarm's name or ARN")
        self.count_element()
        reference = _ESCAPED.sub(r"\1", self.token[1:-1]) if quoted else self.token
        self.advance()
        return alarm_name(reference)
