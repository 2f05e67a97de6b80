"""Scalar functions of Logs Insights queries (CloudWatch Logs user guide, "Boolean, comparison, numeric, datetime, and
other functions"). A function of nothing, or of what it cannot take, is nothing.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence

from monitor.rules.insights_values import (
    MOST_TEXT,
    Number,
    Timestamp,
    Value,
    bounded,
    order,
    to_number,
    to_text,
)

Function = Callable[[Sequence[Value]], Value]
MANY = 100


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """+ - * / % ^ of numbers; None if one is none, and for what has no result (division by 0, overflow)."""
    first, second = to_number(left), to_number(right)
    if first is None or second is None:
        return None
    try:
        return bounded(_OPERATORS[operator](first, second))
    except (ZeroDivisionError, OverflowError, ValueError):
        return None


_OPERATORS: Mapping[str, Callable[[Number, Number], Number]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "%": lambda left, right: math.fmod(left, right),
    "^": lambda left, right: math.pow(left, right),
}


def floor_to(value: Value, period: Value) -> Value:
    """`period` in milliseconds."""
    at, size = to_number(value), to_number(period)
    if at is None or not size:
        return None
    return Timestamp(int(at // size * size))


def ceil_to(value: Value, period: Value) -> Value:
    at, size = to_number(value), to_number(period)
    if at is None or not size:
        return None
    return Timestamp(int(-(-at // size) * size))


def _numeric(function: Callable[[Number], Number]) -> Function:
    def call(values: Sequence[Value]) -> Value:
        number = to_number(values[0])
        try:
            return None if number is None else bounded(function(number))
        except (ValueError, OverflowError):
            return None

    return call


def _extreme(sign: int) -> Function:
    def call(values: Sequence[Value]) -> Value:
        best: Value = None
        for value in values:
            if value is not None and (best is None or order(value, best) == sign):
                best = value
        return best

    return call


def _textual(function: Callable[[str], Value]) -> Function:
    return lambda values: None if values[0] is None else function(to_text(values[0]))


def _trimmed(function: Callable[[str, str | None], str]) -> Function:
    def call(values: Sequence[Value]) -> Value:
        if values[0] is None:
            return None
        return function(to_text(values[0]), to_text(values[1]) if len(values) > 1 else None)

    return call


def _substring(values: Sequence[Value]) -> Value:
    start = to_number(values[1])
    length = to_number(values[2]) if len(values) > 2 else MOST_TEXT
    if values[0] is None or start is None or length is None or start < 0 or length < 0:
        return None
    return to_text(values[0])[int(start) : int(start) + int(length)]


def _replaced(values: Sequence[Value]) -> Value:
    if values[0] is None:
        return None
    text, old, new = (to_text(value) for value in values)
    if not old or len(text) + text.count(old) * len(new) > MOST_TEXT:
        return text
    return text.replace(old, new)


def _joined(values: Sequence[Value]) -> Value:
    return "".join(to_text(value) for value in values)[:MOST_TEXT]


def _address(value: Value) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(to_text(value)[:64])
    except ValueError:
        return None


def _is_address(*versions: int) -> Function:
    def call(values: Sequence[Value]) -> Value:
        found = _address(values[0])
        return found is not None and found.version in versions

    return call


def _in_subnet(*versions: int) -> Function:
    def call(values: Sequence[Value]) -> Value:
        found = _address(values[0])
        try:
            network = ipaddress.ip_network(to_text(values[1])[:64], strict=False)
        except ValueError:
            return False
        return found is not None and found.version in versions and found in network

    return call


def _from_milliseconds(values: Sequence[Value]) -> Value:
    number = to_number(values[0])
    return None if number is None else Timestamp(int(number))


# Name (in lower case): fewest and most arguments, function.
FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    "abs": (1, 1, _numeric(abs)),
    "ceil": (1, 1, _numeric(math.ceil)),
    "floor": (1, 1, _numeric(math.floor)),
    "log": (1, 1, _numeric(math.log)),
    "sqrt": (1, 1, _numeric(math.sqrt)),
    "greatest": (1, MANY, _extreme(1)),
    "least": (1, MANY, _extreme(-1)),
    "ispresent": (1, 1, lambda values: values[0] is not None),
    "coalesce": (1, MANY, lambda values: next((value for value in values if value is not None), None)),
    "isempty": (1, 1, lambda values: to_text(values[0]) == ""),
    "isblank": (1, 1, lambda values: to_text(values[0]).strip() == ""),
    "concat": (1, MANY, _joined),
    "strlen": (1, 1, _textual(len)),
    "tolower": (1, 1, _textual(str.lower)),
    "toupper": (1, 1, _textual(str.upper)),
    "trim": (1, 2, _trimmed(str.strip)),
    "ltrim": (1, 2, _trimmed(str.lstrip)),
    "rtrim": (1, 2, _trimmed(str.rstrip)),
    "substr": (2, 3, _substring),
    "replace": (3, 3, _replaced),
    "strcontains": (
        2,
        2,
        lambda values: int(values[0] is not None and to_text(values[1]) in to_text(values[0])),
    ),
    "datefloor": (2, 2, lambda values: floor_to(values[0], values[1])),
    "dateceil": (2, 2, lambda values: ceil_to(values[0], values[1])),
    "frommillis": (1, 1, _from_milliseconds),
    "tomillis": (1, 1, lambda values: to_number(values[0])),
    "isvalidip": (1, 1, _is_address(4, 6)),
    "isvalidipv4": (1, 1, _is_address(4)),
    "isvalidipv6": (1, 1, _is_address(6)),
    "isipinsubnet": (2, 2, _in_subnet(4, 6)),
    "isipv4insubnet": (2, 2, _in_subnet(4)),
    "isipv6insubnet": (2, 2, _in_subnet(6)),
}
