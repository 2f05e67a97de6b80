"""What one value of an event is held against (EventBridge guide, "Comparison operators for use in event patterns").

A value is a leaf of the event: text, number, true, false or null. Texts of errors are EventBridge's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from monitor.rules.wildcard import Wildcard

MOST_NUMBER = 5.0e9  # what EventBridge can compare, either way
_ONE_KEY = "Only one key allowed in match expression"
_TOO_MANY = "Too many elements in numeric expression"
_FOLDED = "equals-ignore-case"


class BadTest(ValueError):
    """`str()` is the reason as EventBridge tells it."""


class Test(Protocol):
    def holds(self, value: Any) -> bool: ...


@dataclass(frozen=True, slots=True)
class Exactly:
    """A text, true, false or null. Python's True is 1: kinds are compared too."""

    value: str | bool | None

    def holds(self, value: Any) -> bool:
        return type(value) is type(self.value) and value == self.value


@dataclass(frozen=True, slots=True)
class Same:
    """A number, however it is written: 300, 300.0, 3.0e2."""

    number: float

    def holds(self, value: Any) -> bool:
        return is_number(value) and value == self.number


@dataclass(frozen=True, slots=True)
class Prefix:
    text: str
    folded: bool = False

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) and _fold(value, self.folded).startswith(self.text)


@dataclass(frozen=True, slots=True)
class Suffix:
    text: str
    folded: bool = False

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) and _fold(value, self.folded).endswith(self.text)


@dataclass(frozen=True, slots=True)
class Folded:
    """The same text in any case."""

    text: str

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) and value.lower() == self.text


@dataclass(frozen=True, slots=True)
class Wild:
    wildcard: Wildcard

    def holds(self, value: Any) -> bool:
        return isinstance(value, str) and self.wildcard.matches(value)

    @property
    def stars(self) -> int:
        return self.wildcard.stars


@dataclass(frozen=True, slots=True)
class Bound:
    operator: str
    number: float

    def holds(self, value: float) -> bool:
        return _COMPARE[self.operator](value, self.number)


@dataclass(frozen=True, slots=True)
class Numeric:
    """JSON numbers only: a text that looks like one does not match."""

    bounds: tuple[Bound, ...]

    def holds(self, value: Any) -> bool:
        return (
            is_number(value)
            and abs(value) <= MOST_NUMBER
            and all(bound.holds(value) for bound in self.bounds)
        )


@dataclass(frozen=True, slots=True)
class Cidr:
    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    def holds(self, value: Any) -> bool:
        if not isinstance(value, str) or len(value) > 64:
            return False
        try:
            return ipaddress.ip_address(value) in self.network
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Exists:
    """Of an absent field there is no value to be held against: whoever walks the event looks at `present` itself."""

    present: bool

    def holds(self, value: Any) -> bool:  # noqa: ARG002  any value is one
        return self.present


@dataclass(frozen=True, slots=True)
class AnythingBut:
    """Any value, of whatever kind, that none of the tests holds for."""

    tests: tuple[Test, ...]

    def holds(self, value: Any) -> bool:
        return not any(test.holds(value) for test in self.tests)

    @property
    def stars(self) -> int:
        return sum(test.stars for test in self.tests if isinstance(test, Wild))


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, number: value == number,
    "<": lambda value, number: value < number,
    "<=": lambda value, number: value <= number,
    ">": lambda value, number: value > number,
    ">=": lambda value, number: value >= number,
}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fold(text: str, folded: bool) -> str:
    return text.lower() if folded else text


# -- reading -----------------------------------------------------------------------------------------------


def parse_test(read: Any) -> Test:
    """One element of a field's array. Raises BadTest."""
    if isinstance(read, dict):
        operator, operand = _only(read, "Match expression name not found")
        parser = _PARSERS.get(operator)
        if parser is None:
            raise BadTest(f"Unrecognized match type {operator}")
        return parser(operand)
    if is_number(read):
        return Same(read)
    if isinstance(read, str | bool) or read is None:
        return Exactly(read)
    raise BadTest("Match value must be String, number, true, false, or null")


def _only(read: dict[str, Any], empty: str) -> tuple[str, Any]:
    if not read:
        raise BadTest(empty)
    if len(read) > 1:
        raise BadTest(_ONE_KEY)
    return next(iter(read.items()))


def _text(read: Any, operator: str) -> str:
    if not isinstance(read, str):
        raise BadTest(f"{operator} match pattern must be a string")
    return read


def _affix(kind: Callable[[str, bool], Test], operator: str) -> Callable[[Any], Test]:
    def parsed(read: Any) -> Test:
        if isinstance(read, dict):
            inner, operand = _only(read, f"{operator} expression name not found")
            if inner != _FOLDED:
                raise BadTest(f"Unsupported {operator} pattern: {inner}")
            return kind(_text(operand, _FOLDED).lower(), True)
        return kind(_text(read, operator), False)

    return parsed


def _wild(read: Any) -> Test:
    """A backslash takes the star, or a backslash, for itself."""
    text = _text(read, "wildcard")
    parts, at, after_star = [""], 0, False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
            if text[at : at + 1] not in ("*", "\\"):
                raise BadTest(f"Invalid escape character at pos {at}")  # its quote is position 0
            char = text[at]
        elif char == "*":
            if after_star:
                raise BadTest(f"Consecutive wildcard characters at pos {at}")
            parts.append("")
            at, after_star = at + 1, True
            continue
        parts[-1] += char
        at, after_star = at + 1, False
    return Wild(Wildcard(tuple(parts)))


def _number(read: Any, operator: str) -> float:
    if not is_number(read):
        raise BadTest(f"Value of {operator} must be numeric")
    if not abs(read) <= MOST_NUMBER:
        raise BadTest(
            f"Value must be between {-MOST_NUMBER:.1E} and {MOST_NUMBER:.1E}, inclusive".replace("E+0", "E")
        )
    return float(read)


def _numeric(read: Any) -> Test:
    if not isinstance(read, list):
        raise BadTest("Value of numeric must be an array.")
    operator = read[0] if read else None
    if not isinstance(operator, str):
        raise BadTest(f"Invalid member in numeric match: {operator if is_number(operator) else ']'}")
    if operator not in _COMPARE:
        raise BadTest(f"Unrecognized numeric range operator: {operator}")
    first = Bound(
        operator, _number(read[1] if len(read) > 1 else None, "equals" if operator == "=" else operator)
    )
    if len(read) == 2:
        return Numeric((first,))
    if not operator.startswith(">"):
        raise BadTest(_TOO_MANY)
    upper = read[2]
    if not isinstance(upper, str):
        raise BadTest(f"Bad value in numeric range: {upper if is_number(upper) else ''}")
    if upper not in ("<", "<="):
        raise BadTest(f"Bad numeric range operator: {upper}")
    second = Bound(upper, _number(read[3] if len(read) > 3 else None, upper))
    if len(read) > 4:
        raise BadTest("Too many terms in numeric range expression")
    if first.number >= second.number:
        raise BadTest("Bottom must be less than top")
    return Numeric((first, second))


def _exists(read: Any) -> Test:
    if not isinstance(read, bool):
        raise BadTest("exists match pattern must be either true or false.")
    return Exists(read)


def _cidr(read: Any) -> Test:
    text = _text(read, "prefix")  # EventBridge says prefix here
    if text.count("/") != 1 or len(text) > 64:
        raise BadTest("Malformed CIDR, one '/' required")
    address, bits = text.split("/")
    if not (bits.isascii() and bits.isdigit()):
        raise BadTest("Malformed CIDR, mask bits must be an integer")
    try:
        return Cidr(ipaddress.ip_network(f"{ipaddress.ip_address(address)}/{int(bits)}", strict=False))
    except ValueError as error:
        raise BadTest(f"Malformed CIDR: {text}") from error


def _anything_but(read: Any) -> Test:
    if isinstance(read, dict):
        operator, operand = _only(read, "Anything-But expression name not found")
        if operator not in ("prefix", "suffix", "wildcard", _FOLDED):
            raise BadTest(f"Unsupported anything-but pattern: {operator}")
        many = operand if isinstance(operand, list) else [operand]
        if not many:
            raise BadTest("Empty arrays are not allowed")
        if operator in ("prefix", "suffix") and "" in many:
            raise BadTest("Null prefix/suffix not allowed")
        return AnythingBut(tuple(_PARSERS[operator](one) for one in many))
    if isinstance(read, list):
        if not all(isinstance(one, str) or is_number(one) for one in read):
            raise BadTest("Inside anything but list, start|null|boolean is not supported.")
        if len({isinstance(one, str) for one in read}) != 1:
            raise BadTest(
                "Inside anything but list, either all values are number or string, mixed type is not supported"
            )
        return AnythingBut(tuple(parse_test(one) for one in read))
    if isinstance(read, str) or is_number(read):
        return AnythingBut((parse_test(read),))
    raise BadTest("Value of anything-but must be an array or single string/number value.")


_PARSERS: Mapping[str, Callable[[Any], Test]] = {
    "exact": lambda read: Exactly(_text(read, "exact")),
    "prefix": _affix(Prefix, "prefix"),
    "suffix": _affix(Suffix, "suffix"),
    "numeric": _numeric,
    "anything-but": _anything_but,
    "exists": _exists,
    "cidr": _cidr,
    "equals-ignore-case": lambda read: Folded(_text(read, _FOLDED).lower()),
    "wildcard": _wild,
}
