"""Rows of a Logs Insights query: a log record with the fields found in its JSON, and what the query adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.rules import json_text
from monitor.rules.insights_functions import FUNCTIONS, arithmetic
from monitor.rules.insights_syntax import (
    Aggregate,
    Call,
    Chain,
    Compared,
    FieldName,
    In,
    Like,
    Literal,
    Negative,
    Node,
    Not,
    Period,
)
from monitor.rules.insights_values import Timestamp, Value, equal, is_true, order, to_number, to_text

MOST_FIELDS = 200  # found in one event
MOST_DEPTH = 20

Record = Mapping[str, str | int | float]


class Row:
    """`columns` hide the record's fields of the same name, those the fields of its JSON."""

    __slots__ = ("_found", "columns", "record")

    def __init__(self, record: Record, columns: dict[str, Value] | None = None) -> None:
        self.record, self.columns = record, columns or {}
        self._found: dict[str, Value] | None = None

    def get(self, name: str) -> Value:
        if name in self.columns:
            return self.columns[name]
        if name in self.record:
            value = self.record[name]
            if name in ("@timestamp", "@ingestionTime") and not isinstance(value, str):
                return Timestamp(int(value))
            return value
        if name.startswith("@"):
            return None
        if self._found is None:
            self._found = discovered(self.record.get("@message"))
        return self._found.get(name)


def discovered(message: Any) -> dict[str, Value]:
    """{"a": {"b": [1]}} has a.b.0: at most 200 fields, at most 20 deep. Empty for what is no JSON object."""
    if not isinstance(message, str) or not message.lstrip().startswith("{"):
        return {}
    try:
        read = json_text.loads(message)
    except json_text.BadJson:
        return {}
    found: dict[str, Value] = {}
    waiting: list[tuple[str, Any, int]] = [("", read, 0)]
    while waiting and len(found) < MOST_FIELDS:
        name, value, depth = waiting.pop()
        if isinstance(value, dict | list) and depth < MOST_DEPTH:
            members = value.items() if isinstance(value, dict) else enumerate(value)
            below = [(f"{name}.{key}" if name else str(key), inner, depth + 1) for key, inner in members]
            waiting += reversed(below[:MOST_FIELDS])
        elif isinstance(value, str | int | float):
            found[name] = value
    return found


def evaluate(node: Node, row: Row) -> Value:
    """Recurses as deep as the expression is nested, which is bounded. Aggregates are looked up: see `columns`."""
    match node:
        case FieldName(name):
            return row.get(name)
        case Literal(value):
            return value
        case Period(milliseconds):
            return milliseconds
        case Compared(operator, left, right):
            return compare(operator, evaluate(left, row), evaluate(right, row))
        case Like(value_node, pattern):
            value = evaluate(value_node, row)
            if value is None:
                return False
            return pattern in to_text(value) if isinstance(pattern, str) else pattern.search(to_text(value))
        case In(value_node, among):
            value = evaluate(value_node, row)
            return value is not None and any(equal(value, evaluate(one, row)) for one in among)
        case Not(inner):
            return not is_true(evaluate(inner, row))
        case Negative(inner):
            return arithmetic("-", 0, evaluate(inner, row))
        case Chain(first, rest):
            return _chain(first, rest, row)
        case Call(function, arguments):
            return FUNCTIONS[function][2]([evaluate(one, row) for one in arguments])
        case Aggregate():
            return None  # outside of stats there is no group


def _chain(first: Node, rest: tuple[tuple[str, Node], ...], row: Row) -> Value:
    operator = rest[0][0]
    if operator in ("and", "or"):
        stops = operator == "or"  # at the first that is true, or at the first that is not
        nodes = (first, *(node for _, node in rest))
        return any(is_true(evaluate(node, row)) is stops for node in nodes) is stops
    value = evaluate(first, row)
    for sign, node in rest:
        value = arithmetic(sign, value, evaluate(node, row))
    return value


def compare(operator: str, left: Value, right: Value) -> bool:
    """What is not there is different from everything, and neither less nor greater than anything."""
    if left is None or right is None:
        return operator == "!=" and left is not right
    if operator == "=":
        return equal(left, right)
    if operator == "!=":
        return not equal(left, right)
    if (to_number(left) is None) != (to_number(right) is None):
        return False
    found = order(left, right)
    return {"<": found < 0, "<=": found <= 0, ">": found > 0, ">=": found >= 0}[operator]
