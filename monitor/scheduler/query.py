"""The cluster query language: which container instances an expression means (ECS developer guide, "Cluster query
language"). Used by the placement constraint memberOf and by ListContainerInstances' filter.

    expression  := conjunction (("||" | "or") conjunction)*
    conjunction := negation (("&&" | "and") negation)*
    negation    := ("!" | "not") negation | "(" expression ")" | term
    term        := subject operator [argument]

Regular expressions are taken as Python's; one that could run for ever on a short value (a repeated group that repeats
within, a back reference) is refused when it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from monitor.model.cluster import ContainerInstance
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.model.state import State

MOST_CHARACTERS = 2000
MOST_DEPTH = 50
PATTERN_CHARACTERS = 256
VALUE_CHARACTERS = 256

_WORDS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "not_exists": "!exists",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
    "exists": "exists",
    "in": "in",
}
_SYMBOLS = {"==", "!=", ">", ">=", "<", "<=", "!exists", "!in", "=~", "!~"}
_SUBJECTS = (
    "agentConnected",
    "agentVersion",
    "ec2InstanceId",
    "registeredAt",
    "runningTasksCount",
    "task:group",
)
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<quoted>"[^"]*"|'[^']*')
    | (?P<symbol>&&|\|\||==|!=|>=|<=|=~|!~|!exists\b|!in\b|[()\[\],!<>])
    | (?P<word>[^\s()\[\],"'=!<>&|]+)
    | (?P<other>.)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Term:
    subject: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Node, ...]


Node = Term | Not | All | Any


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    root: Node

    def matches(self, state: State, instance: ContainerInstance) -> bool:
        return _holds(self.root, state, instance)


@lru_cache(maxsize=1024)
def parse(text: str) -> Query:
    """Raises InvalidParameterException, which names the place."""
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise invalid_parameter(f"An expression has 1 to {MOST_CHARACTERS} characters.")
    return Query(text, _Parser(text).whole())


# -- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _wrong(text, position, "this character is not expected")
        kind = str(match.lastgroup)
        value = match.group(kind)
        found.append(_Token(kind, value[1:-1] if kind == "quoted" else value, match.start(kind)))
        position = match.end()
    return found


def _wrong(text: str, at: int, why: str) -> ClientFault:
    return invalid_parameter(f"Invalid expression: {why}, at character {at + 1}: {text[at : at + 32]!r}.")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.position, self.depth = text, _tokens(text), 0, 0

    def whole(self) -> Node:
        root = self.expression()
        if self.peek() is not None:
            raise self.wrong("the expression should end here, or go on with and / or")
        return root

    def peek(self) -> _Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def take(self, why: str) -> _Token:
        token = self.peek()
        if token is None:
            raise _wrong(self.text, len(self.text), f"{why} is missing")
        self.position += 1
        return token

    def accept(self, *texts: str) -> bool:
        token = self.peek()
        if token is None or token.kind == "quoted" or token.text.lower() not in texts:
            return False
        self.position += 1
        return True

    def wrong(self, why: str) -> ClientFault:
        token = self.peek()
        return _wrong(self.text, token.at if token else len(self.text), why)

    def expression(self) -> Node:
        parts = [self.conjunction()]
        while self.accept("||", "or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def conjunction(self) -> Node:
        parts = [self.negation()]
        while self.accept("&&", "and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def negation(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.wrong(f"it is nested deeper than {MOST_DEPTH}")
        try:
            if self.accept("!", "not"):
                return Not(self.negation())
            if self.accept("("):
                inner = self.expression()
                if not self.accept(")"):
                    raise self.wrong("a closing parenthesis is missing")
                return inner
            return self.term()
        finally:
            self.depth -= 1

    def term(self) -> Term:
        subject = self.take("a subject (attribute:NAME, agentConnected …)")
        if not (subject.text in _SUBJECTS or (subject.text.startswith("attribute:") and subject.text[10:])):
            known = ", ".join((*_SUBJECTS, "attribute:NAME"))
            raise _wrong(self.text, subject.at, f"the subject should be one of [{known}]")
        written = self.take("an operator (==, in, exists …)")
        operator = written.text if written.text in _SYMBOLS else _WORDS.get(written.text.lower(), "")
        if not operator and written.text == "!" and self.accept("exists", "in"):
            operator = "!" + self.tokens[self.position - 1].text.lower()
        if not operator or written.kind == "quoted":
            raise _wrong(
                self.text, written.at, "an operator (==, !=, >, >=, <, <=, in, exists, =~ …) is expected"
            )
        if operator in ("exists", "!exists"):
            return Term(subject.text, operator)
        if operator in ("in", "!in"):
            return Term(subject.text, operator, self.values())
        value = self.value()
        if operator in ("=~", "!~"):
            _check_pattern(value.text, self.text, value.at)
        return Term(subject.text, operator, (value.text,))

    def value(self) -> _Token:
        """A value; a pattern may be written with brackets and parentheses of its own, up to the next blank."""
        token = self.take("a value")
        if token.kind == "symbol" and token.text not in ("[", "("):
            raise _wrong(self.text, token.at, "a value is expected (quote one that is an operator)")
        if token.kind == "quoted":
            return token
        end = self._end_of_value(token.at)
        while (following := self.peek()) is not None and following.at < end:
            self.position += 1
        return _Token("word", self.text[token.at : end], token.at)

    def _end_of_value(self, start: int) -> int:
        """Up to a blank, or a parenthesis that was not opened in the value."""
        depth = 0
        for position in range(start, len(self.text)):
            character = self.text[position]
            depth += (character == "(") - (character == ")")
            if character.isspace() or depth < 0:
                return position
        return len(self.text)

    def values(self) -> tuple[str, ...]:
        if not self.accept("["):
            raise self.wrong("a list like [a, b] is expected")
        found = []
        while True:
            token = self.take("a value")
            if token.kind == "symbol":
                raise _wrong(self.text, token.at, "a value is expected")
            found.append(token.text)
            if self.accept("]"):
                return tuple(found)
            if not self.accept(","):
                raise self.wrong("a comma or ] is expected")


# A group that is repeated although it repeats or chooses within; a reference back; a conditional.
_RUNAWAY = re.compile(r"\((?:[^()\\]|\\.)*[*+{|](?:[^()\\]|\\.)*\)\s*[*+{]|\\[1-9]|\(\?P=|\(\?\(")


def _check_pattern(pattern: str, text: str, at: int) -> None:
    if len(pattern) > PATTERN_CHARACTERS:
        raise _wrong(text, at, f"a regular expression has at most {PATTERN_CHARACTERS} characters")
    repeats = sum(pattern.count(c) for c in "*+{")
    nested = pattern.count("(") > 1 and re.search(r"\)\s*[*+{]", pattern)
    if _RUNAWAY.search(pattern) or nested or repeats > 6:
        raise _wrong(
            text,
            at,
            "a regular expression must not repeat repeated groups or refer back: it could run for ever",
        )
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise _wrong(text, at, f"the regular expression is not valid ({error})") from error


# -- judging -----------------------------------------------------------------------------------------------


def _holds(node: Node, state: State, instance: ContainerInstance) -> bool:
    if isinstance(node, Term):
        return _term_holds(node, state, instance)
    if isinstance(node, Not):
        return not _holds(node.inner, state, instance)
    if isinstance(node, All):
        return all(_holds(part, state, instance) for part in node.parts)
    return any(_holds(part, state, instance) for part in node.parts)


def _term_holds(term: Term, state: State, instance: ContainerInstance) -> bool:
    found = _values_of(term.subject, state, instance)
    operator = term.operator
    if operator == "exists":
        return bool(found)
    if operator == "!exists":
        return not found
    if operator in ("!=", "!in", "!~"):
        positive = Term(term.subject, {"!=": "==", "!in": "in", "!~": "=~"}[operator], term.values)
        return not _term_holds(positive, state, instance)
    return any(_compares(operator, value, term.values) for value in found)


def _compares(operator: str, value: str, wanted: tuple[str, ...]) -> bool:
    if operator == "in":
        return any(_order(value, w) == 0 for w in wanted)
    if operator == "=~":
        return re.fullmatch(wanted[0], value[:VALUE_CHARACTERS]) is not None
    order = _order(value, wanted[0])
    return order is not None and _ORDERS[operator](order)


_ORDERS: Mapping[str, Callable[[int], bool]] = {
    "==": lambda o: o == 0,
    ">": lambda o: o > 0,
    ">=": lambda o: o >= 0,
    "<": lambda o: o < 0,
    "<=": lambda o: o <= 0,
}


def _order(left: str, right: str) -> int:
    """-1, 0 or 1: as numbers or versions where both are, else as text."""
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return (a > b) - (a < b)
    return (left > right) - (left < right)


def _number(text: str) -> tuple[float, ...] | None:
    """12, 1.5 or 1.105.1 → numbers that compare; a date as seconds."""
    if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text):
        return (float(text),)
    if re.fullmatch(r"v?\d{1,9}(\.\d{1,9}){2,3}", text):
        return tuple(float(part) for part in text.lstrip("v").split("."))
    if re.match(r"\d{4}-\d\d-\d\d", text) and len(text) < 40:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp(),)
    return None


def _values_of(subject: str, state: State, instance: ContainerInstance) -> tuple[str, ...]:
    """What the subject is on this instance: none, one, or (task:group) several values."""
    if subject.startswith("attribute:"):
        value = instance.attributes.get(subject[10:])
        return () if value is None else (value,)
    match subject:
        case "agentConnected":
            return ("true" if instance.agent_connected else "false",)
        case "agentVersion":
            version = instance.version_info.get("agentVersion", "")
            return (version,) if version else ()
        case "ec2InstanceId":
            return (instance.external_id,) if instance.external_id else ()
        case "registeredAt":
            return (datetime.fromtimestamp(instance.registered_at, UTC).isoformat(),)
        case "runningTasksCount":
            return (str(sum(1 for t in state.live_tasks_on(instance.arn) if t.last == "RUNNING")),)
    groups = {t.group for t in state.live_tasks_on(instance.arn) if t.is_wanted and not t.standby}
    return tuple(sorted(groups))
