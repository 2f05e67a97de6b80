"""Filter patterns: which log events are meant, and what a metric takes from them (CloudWatch Logs user guide, "Filter
pattern syntax for metric filters, subscription filters, filter log events, and Live Tail").

    pattern := "{" … "}" (log_filter_json) | "[" … "]" (log_filter_fields) | {["?" | "-"] term}
    term    := letters, digits, "_" | '"' text '"' | "%" regex "%"

All terms have to be there, in any place and as part of a word, and none of those with a minus sign. Where all have a
question mark, one is enough; beside others, those with a question mark mean nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from monitor.model.errors import ClientFault, invalid_parameter
from monitor.rules import log_filter_fields, log_filter_json
from monitor.rules.log_filter_fields import FieldFilter
from monitor.rules.log_filter_json import JsonFilter
from monitor.rules.log_filter_values import BadFilter, as_number, parse_regex, unescaped
from monitor.rules.regex import Regex

MOST_CHARACTERS = 1024
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|([^\s"%]+))', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    text: str = ""
    regex: Regex | None = None

    def within(self, message: str) -> bool:
        return self.text in message if self.regex is None else self.regex.search(message)


@dataclass(frozen=True, slots=True)
class TermFilter:
    every: tuple[Term, ...]
    any_of: tuple[Term, ...]
    none: tuple[Term, ...]

    def matches(self, message: str) -> bool:
        if any(term.within(message) for term in self.none):
            return False
        if self.every or self.none:
            return all(term.within(message) for term in self.every)
        return not self.any_of or any(term.within(message) for term in self.any_of)

    def values(self, message: str) -> dict[str, str]:  # noqa: ARG002  terms have no names
        return {}

    def value(self, message: str, name: str) -> str | None:  # noqa: ARG002
        return None


@dataclass(frozen=True, slots=True)
class LogFilter:
    kind: TermFilter | JsonFilter | FieldFilter

    def matches(self, message: str) -> bool:
        return self.kind.matches(message)

    def values(self, message: str) -> dict[str, str]:
        """What TestMetricFilter tells as extractedValues, of an event that matches."""
        return self.kind.values(message)

    def extract(self, message: str, value: str) -> float | None:
        """A metric filter's metricValue of an event that matches: a number as written, or of the field named by
        `$.latency` (JSON) or `$bytes` (fields). None: there is none, or it is no number.
        """
        text = self.dimension(message, value) if value.startswith("$") else value
        number = as_number(text) if text is not None else None
        return number if number is not None and math.isfinite(number) else None

    def dimension(self, message: str, value: str) -> str | None:
        """A dimension's value, written as metricValue is. None: the event has no such field."""
        return self.kind.value(message, value)


@lru_cache(maxsize=1024)
def parse(text: str, what: str = "filter") -> LogFilter:
    """`what`: `filter`, or `metric filter` where one is put. Raises InvalidParameterException.

    An empty pattern matches everything.
    """
    text = text.strip()
    if len(text) > MOST_CHARACTERS:
        raise _invalid(f"a pattern has at most {MOST_CHARACTERS} characters", what)
    try:
        if text.startswith("{"):
            return LogFilter(log_filter_json.parse(text))
        if text.startswith("["):
            return LogFilter(log_filter_fields.parse(text))
        return LogFilter(_terms(text))
    except BadFilter as error:
        raise _invalid(str(error), what) from error


def _invalid(detail: str, what: str) -> ClientFault:
    return invalid_parameter(detail or f"Invalid {what} pattern")


def _terms(text: str) -> TermFilter:
    kinds: dict[str, list[Term]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:  # a quote or a % that nothing ends
            raise BadFilter
        at = match.end()
        sign, phrase, expression, word = match.groups()
        if expression is not None:
            kinds[sign].append(Term(regex=parse_regex(expression)))
        elif phrase is not None:
            phrase = unescaped(phrase)
            if phrase.strip() or sign:  # " " is the guide's way to match everything
                kinds[sign].append(Term(phrase))
        else:
            wrong = next((char for char in word if not (char.isalnum() or char == "_")), None)
            if wrong is not None:
                raise BadFilter(f"Invalid character(s) in term '{wrong}'")
            kinds[sign].append(Term(word))
    return TermFilter(tuple(kinds[""]), tuple(kinds["?"]), tuple(kinds["-"]))
