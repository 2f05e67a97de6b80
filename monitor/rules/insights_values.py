"""What a query's fields hold, and how they turn into each other: a text is a number where a number is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitor.rules.log_filter_values import as_number

MOST_TEXT = 262_144  # of one value: as much as a log event may hold
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = 2**63  # beyond, a number is kept as a float, so that no product of a query's grows without bound


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Milliseconds since the epoch."""

    milliseconds: int


Value = str | int | float | bool | Timestamp | None
Number = int | float


def to_number(value: Value) -> Number | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Timestamp):
        return value.milliseconds
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        return as_number(text)
    return bounded(value)


def bounded(number: Number) -> Number | None:
    """None for what is no number and for what is too large to be one."""
    if isinstance(number, int):
        if -_WHOLE <= number <= _WHOLE:
            return number
        try:
            return float(number)
        except OverflowError:
            return None
    return number if abs(number) < float("inf") else None


def to_text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Timestamp):
        return written(value)
    if isinstance(value, float):
        return decimal(value)
    return str(value)


def written(at: Timestamp) -> str:
    """2026-01-02 03:04:05.678, as results show times. Outside of the years 1 to 9999 the milliseconds."""
    try:
        return (_EPOCH + timedelta(milliseconds=at.milliseconds)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except OverflowError:
        return str(at.milliseconds)


def decimal(number: float) -> str:
    """Up to four decimals, none that are 0; very small and very large ones with an exponent."""
    if number and not 1e-4 <= abs(number) < 1e15:
        return f"{number:.5g}"
    text = f"{number:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def is_true(value: Value) -> bool:
    if isinstance(value, str):
        return value.lower() == "true" or bool(to_number(value))
    return isinstance(value, bool | int | float) and bool(value)


def order(left: Value, right: Value) -> int:
    """-1, 0 or 1: numbers before texts, nothing last. Two texts that are numbers are compared as such."""
    ranks = _rank(left), _rank(right)
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if ranks[0] == 2:
        return 0
    if ranks[0] == 0:
        first, second = to_number(left) or 0, to_number(right) or 0
        return (first > second) - (first < second)
    one, other = to_text(left), to_text(right)
    return (one > other) - (one < other)


def _rank(value: Value) -> int:
    if value is None:
        return 2
    return 0 if to_number(value) is not None else 1


def equal(left: Value, right: Value) -> bool:
    first, second = to_number(left), to_number(right)
    if first is not None and second is not None:
        return first == second
    return to_text(left) == to_text(right)
