"""Event patterns: which events a rule is for (EventBridge guide, "Comparison operators for use in event patterns").

    pattern := "{" field {"," field} "}"
    field   := name ":" (pattern | "[" test {"," test} "]") | "$or" ":" "[" pattern "," pattern {"," pattern} "]"
    test    := text | number | true | false | null | "{" operator ":" operand "}"

Fields are joined by and, the tests of one field by or. Where the event has an array, one of its elements has to match;
a pattern with several fields below an array has to find them in one and the same element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from monitor.model.errors import ClientFault
from monitor.rules import json_text
from monitor.rules.event_tests import AnythingBut, BadTest, Exists, Test, Wild, parse_test

MOST_CHARACTERS = 4096
MOST_DEPTH = 32
MOST_COMBINATIONS = 1000  # of the $or branches, multiplied along the pattern
MOST_STARS = 64
MOST_LEAVES = 10_000  # of one event's array that are looked at
_OR = "$or"
_RESERVED = frozenset(
    (
        "exact",
        "prefix",
        "suffix",
        "exists",
        "cidr",
        "numeric",
        "anything-but",
        "equals-ignore-case",
        "wildcard",
    )
)
_TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
    "wildcard character"
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """The tests of one field. `path` leads to it from the event's root: an absence holds for the whole event."""

    path: tuple[str, ...]
    tests: tuple[Test, ...]
    may_be_absent: bool


@dataclass(frozen=True, slots=True)
class Either:
    branches: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    named: tuple[tuple[str, Fields | Leaf], ...]
    either: tuple[Either, ...]


@dataclass(frozen=True, slots=True)
class EventPattern:
    root: Fields

    def matches(self, event: Mapping[str, Any]) -> bool:
        """`event`: as JSON is read, with the keys of the envelope (source, detail-type, detail …)."""
        return _matches(self.root, event, _Event(event, {}))


# -- matching ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Event:
    root: Mapping[str, Any]
    known: dict[tuple[str, ...], bool]  # asked again for each element of an array

    def has(self, path: tuple[str, ...]) -> bool:
        if path not in self.known:
            self.known[path] = _is_present(self.root, path)
        return self.known[path]


def _matches(fields: Fields, value: Any, event: _Event) -> bool:
    """Recurses as deep as the pattern, which is bounded; the event may be as deep as it likes."""
    objects = [found for found in _elements(value) if isinstance(found, Mapping)] or [{}]
    return any(_object_matches(fields, found, event) for found in objects)


def _object_matches(fields: Fields, value: Mapping[str, Any], event: _Event) -> bool:
    for name, below in fields.named:
        # An absent field is an empty tuple: no value, not even null.
        there = value.get(name, ())
        if not (
            _leaf_matches(below, there, event) if isinstance(below, Leaf) else _matches(below, there, event)
        ):
            return False
    return all(any(_object_matches(branch, value, event) for branch in one.branches) for one in fields.either)


def _leaf_matches(leaf: Leaf, value: Any, event: _Event) -> bool:
    if value == ():
        return leaf.may_be_absent and not event.has(leaf.path)
    values = [found for found in _elements(value) if not isinstance(found, Mapping)]
    if leaf.may_be_absent and not values and not event.has(leaf.path):
        return True
    return any(test.holds(found) for test in leaf.tests for found in values)


def _elements(value: Any) -> Iterator[Any]:
    """The elements of an array, of arrays in it too; anything else is its own only element."""
    return islice(_flattened(value), MOST_LEAVES)


def _flattened(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list | tuple):
            waiting.extend(reversed(found))
        else:
            yield found


def _is_present(root: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether the event has a leaf there: an object and an empty array are none, null is one."""
    level: list[Any] = [root]
    for name in path:
        objects = (found for value in level for found in _elements(value) if isinstance(found, Mapping))
        level = [found[name] for found in islice(objects, MOST_LEAVES) if name in found]
    return any(not isinstance(found, Mapping) for value in level for found in _elements(value))


# -- reading -----------------------------------------------------------------------------------------------


def invalid(reason: str) -> ClientFault:
    return ClientFault("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}")


@lru_cache(maxsize=1024)
def parse(text: str) -> EventPattern:
    """Raises InvalidEventPatternException."""
    if len(text) > MOST_CHARACTERS:
        raise invalid(f"Event pattern must have length less than or equal to {MOST_CHARACTERS}")
    try:
        read = json_text.loads(text)
    except json_text.BadJson as error:
        raise invalid(str(error)) from error
    if not isinstance(read, dict):
        raise invalid("Filter is not an object")
    try:
        root = _fields(read, (), in_or=False, depth=1)
    except BadTest as error:
        raise invalid(str(error)) from error
    if _combinations(root) > MOST_COMBINATIONS:
        raise invalid(f"Rule is too complex - $or makes more than {MOST_COMBINATIONS} combinations")
    if sum(_stars(root)) > MOST_STARS:
        raise invalid(_TOO_COMPLEX)
    return EventPattern(root)


def _fields(read: dict[str, Any], path: tuple[str, ...], *, in_or: bool, depth: int) -> Fields:
    if not read:
        raise BadTest("Empty objects are not allowed")
    if depth > MOST_DEPTH:
        raise BadTest(f"Event pattern is nested more than {MOST_DEPTH} deep")
    named: list[tuple[str, Fields | Leaf]] = []
    either: list[Either] = []
    for name, value in read.items():
        if name == _OR:
            either.append(_either(value, path, depth))
            continue
        if in_or and name in _RESERVED:
            raise BadTest(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
        below = (*path, name)
        if isinstance(value, dict):
            named.append((name, _fields(value, below, in_or=in_or, depth=depth + 1)))
        elif isinstance(value, list):
            if not value:
                raise BadTest("Empty arrays are not allowed")
            tests = tuple(parse_test(one) for one in value)
            may_be_absent = any(isinstance(test, Exists) and not test.present for test in tests)
            named.append((name, Leaf(below, tests, may_be_absent)))
        else:
            raise BadTest(f'"{name}" must be an object or an array')
    return Fields(tuple(named), tuple(either))


def _either(value: Any, path: tuple[str, ...], depth: int) -> Either:
    if not isinstance(value, list):
        raise BadTest("It must be an Array followed with $or.")
    branches = []
    for one in value:
        if not isinstance(one, dict):
            raise BadTest("Only JSON object is allowed in array of $or relationship.")
        branches.append(_fields(one, path, in_or=True, depth=depth + 1))
    if len(branches) < 2:
        raise BadTest("There must have at least 2 Objects in $or relationship.")
    return Either(tuple(branches))


def _combinations(fields: Fields) -> int:
    count = 1
    for _, below in fields.named:
        count *= _combinations(below) if isinstance(below, Fields) else 1
    for one in fields.either:
        count *= sum(_combinations(branch) for branch in one.branches)
    return count


def _stars(fields: Fields) -> Iterator[int]:
    for _, below in fields.named:
        if isinstance(below, Fields):
            yield from _stars(below)
        else:
            yield from (test.stars for test in below.tests if isinstance(test, Wild | AnythingBut))
    for one in fields.either:
        for branch in one.branches:
            yield from _stars(branch)
