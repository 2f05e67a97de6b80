"""SEARCH expressions: which metrics a text finds (CloudWatch user guide, "CloudWatch search expression syntax").

    search  := ["{" namespace {"," dimension} "}" [","]] [any]
    any     := all {"OR" all}
    all     := not {["AND"] not}
    not     := "NOT" not | [property "="] "(" any ")" | [property "="] term
    term    := word | '"' exact '"'

A word matches by tokens, a quoted text only the whole name or value. Everything is compared token by token: no text of
a user's is ever read as a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from monitor.model.metric import MetricKey

MOST_CHARACTERS = 1024
MOST_DEPTH = 50
MOST_RESULTS = 100

_LEXEME = re.compile(
    r'\s*(?:"(?P<exact>(?:[^"\\]|\\.)*)"|(?P<mark>[(){},=])|(?P<word>[^\s(){},="]+)|(?P<other>\S))'
)
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_CHUNK = re.compile(r"[A-Za-z0-9]+")
_OPERATORS = ("AND", "OR", "NOT")


class BadSearch(ValueError):
    """The text is no search; `str()` says why."""


# -- tokens ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tokens:
    """A name cut where its case changes, where digits start and at what is neither letter nor digit."""

    parts: tuple[str, ...]  # as written
    lower: tuple[str, ...]
    whole: str  # lower case, only letters and digits


@lru_cache(maxsize=16_384)
def tokens(text: str) -> Tokens:
    parts = tuple(_TOKEN.findall(text))
    return Tokens(parts, tuple(part.lower() for part in parts), "".join(_CHUNK.findall(text)).lower())


@dataclass(frozen=True, slots=True)
class Term:
    """`property`: where to look (MetricName, Namespace, a dimension's name); None: everywhere."""

    text: str
    exact: bool
    property: str | None = None

    def matches(self, key: MetricKey) -> bool:
        return any(self._is(text) for text in _texts(key, self.property))

    def _is(self, text: str) -> bool:
        return text == self.text if self.exact else _has_tokens(text, self.text)


def _has_tokens(text: str, term: str) -> bool:
    """One token matches in any case; several must follow each other, and those written together keep their case.

    So `network-errors` finds NetworkErrors and CustomCount finds CustomCount1, but customcount and count1 do not.
    """
    have, want, keeps_case = tokens(text), tokens(term), _keeps_case(term)
    if not want.parts:
        return False
    if want.whole == have.whole:
        return True
    size = len(want.parts)
    return any(
        all(
            have.parts[at + i] == want.parts[i] if keeps_case[i] else have.lower[at + i] == want.lower[i]
            for i in range(size)
        )
        for at in range(len(have.parts) - size + 1)
    )


@lru_cache(maxsize=1024)
def _keeps_case(term: str) -> tuple[bool, ...]:
    """For each token, whether it is written together with another one."""
    chunks = [_TOKEN.findall(chunk) for chunk in _CHUNK.findall(term)]
    return tuple(len(chunk) > 1 for chunk in chunks for _ in chunk)


def _texts(key: MetricKey, name: str | None) -> Iterator[str]:
    if name is None:
        yield key.name
        yield key.namespace
        for pair in key.dimensions:
            yield from pair
    elif name == "MetricName":
        yield key.name
    elif name == "Namespace":
        yield key.namespace
    else:
        value = key.dimension(name)
        if value is not None:
            yield value


# -- what is looked for ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """`:aws.AccountId = …`: there is one account here, which is every account one may ask for."""

    def matches(self, key: MetricKey) -> bool:
        return bool(key.name)


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node

    def matches(self, key: MetricKey) -> bool:
        return not self.inner.matches(key)


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Node, ...]

    def matches(self, key: MetricKey) -> bool:
        return all(part.matches(key) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Node, ...]

    def matches(self, key: MetricKey) -> bool:
        return any(part.matches(key) for part in self.parts)


Node = Term | Account | Not | All | Any


@dataclass(frozen=True, slots=True)
class Search:
    """A search and, where it stands in an expression, the statistic and the period (None: the request's) to show.

    `dimensions`: the exact set of names that a metric of the schema has; None where no schema is written.
    """

    text: str
    namespace: str | None = None
    dimensions: frozenset[str] | None = None
    node: Node | None = None
    statistic: str = "Average"
    period: int | None = None

    def matches(self, key: MetricKey) -> bool:
        if self.namespace is not None and key.namespace != self.namespace:
            return False
        if self.dimensions is not None and {name for name, _ in key.dimensions} != self.dimensions:
            return False
        return self.node is None or self.node.matches(key)

    def among(self, keys: Iterable[MetricKey]) -> list[MetricKey]:
        """At most 100, in the order of their names, so that the same ones are found each time."""
        return sorted(key for key in keys if self.matches(key))[:MOST_RESULTS]


@lru_cache(maxsize=1024)
def parse(text: str) -> Search:
    """Raises BadSearch."""
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise BadSearch(f"A search expression has 1 to {MOST_CHARACTERS} characters.")
    return _Parser(text).whole()


# -- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str


def _lexemes(text: str) -> list[_Lexeme]:
    found = []
    for match in _LEXEME.finditer(text.rstrip()):
        kind = str(match.lastgroup)
        value = match[kind]
        if kind == "other":
            raise BadSearch("A quoted text is not closed." if value == '"' else f"{value!r} is not expected.")
        found.append(_Lexeme(kind, re.sub(r"\\(.)", r"\1", value) if kind == "exact" else value))
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.lexemes, self.at, self.depth = text, _lexemes(text), 0, 0
        self.property: str | None = None  # of the parentheses that one is in

    def mark(self, text: str) -> bool:
        return self.kind("mark", text)

    def word(self, text: str) -> bool:
        return self.kind("word", text)

    def kind(self, kind: str, text: str) -> bool:
        if self.at < len(self.lexemes) and self.lexemes[self.at] == _Lexeme(kind, text):
            self.at += 1
            return True
        return False

    def next(self, why: str) -> _Lexeme:
        if self.at >= len(self.lexemes) or self.lexemes[self.at].kind == "mark":
            raise BadSearch(f"{why} is expected.")
        self.at += 1
        return self.lexemes[self.at - 1]

    def whole(self) -> Search:
        namespace: str | None = None
        dimensions: frozenset[str] | None = None
        if self.mark("{"):
            namespace, *names = self.schema()
            dimensions = frozenset(names)
            self.mark(",")
        node = self.any() if self.at < len(self.lexemes) else None
        if self.at < len(self.lexemes):
            raise BadSearch(f"{self.lexemes[self.at].text!r} is not expected.")
        if node is None and namespace is None:
            raise BadSearch("A metric schema or a search term is expected.")
        return Search(self.text, namespace, dimensions, node)

    def schema(self) -> list[str]:
        names = [self.name("A namespace")]
        while self.mark(","):
            names.append(self.name("The name of a dimension"))
        if not self.mark("}"):
            raise BadSearch("The metric schema is not closed by a brace.")
        return names

    def name(self, why: str) -> str:
        """Names with blanks should be quoted; those that are not are taken as one name all the same."""
        first = self.next(why)
        words = [first.text]
        while first.kind == "word" and self.at < len(self.lexemes) and self.lexemes[self.at].kind == "word":
            words.append(self.next(why).text)
        return " ".join(words)

    def any(self) -> Node:
        parts = [self.all()]
        while self.word("OR"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def all(self) -> Node:
        parts = [self.negation()]
        while self.at < len(self.lexemes) and self.lexemes[self.at] not in _ENDS:
            self.word("AND")
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def negation(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise BadSearch(f"It is nested deeper than {MOST_DEPTH}.")
        try:
            if self.word("NOT"):
                return Not(self.negation())
            return self.inner() if self.mark("(") else self.term()
        finally:
            self.depth -= 1

    def inner(self) -> Node:
        inner = self.any()
        if not self.mark(")"):
            raise BadSearch("A closing parenthesis is missing.")
        return inner

    def term(self) -> Node:
        first = self.next("A search term")
        if first.kind == "word" and first.text in _OPERATORS:
            raise BadSearch(f"A search term is expected before {first.text}.")
        if not self.mark("="):
            return Term(first.text, first.kind == "exact", self.property)
        if self.mark("("):
            outer, self.property = self.property, first.text
            found = self.inner()
            self.property = outer
            return Account() if first.text == ":aws.AccountId" else found
        value = self.next(f"A value of {first.text!r}")
        if first.text == ":aws.AccountId":
            return Account()
        return Term(value.text, value.kind == "exact", first.text)


_ENDS = (_Lexeme("mark", ")"), _Lexeme("word", "OR"))
