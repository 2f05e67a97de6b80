"""The metrics of a widget (CloudWatch API reference, "Dashboard Body Structure and Syntax" and "GetMetricWidgetImage:
Metric Widget Structure and Syntax"). Pure: what is found wrong is told with the path to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from monitor.model.metric import MetricKey
from monitor.rules import period, statistics

MOST_DIMENSIONS, LONGEST = 30, 2048
AXES = ("left", "right")
_STRINGS = ("color", "expression", "id", "label", "stat", "yAxis", "region", "accountId")


@dataclass(frozen=True, slots=True)
class Finding:
    """`path`: a JSON pointer, as AWS's DataPath."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `metrics`: a metric, or an expression (`key` None). Empty: not said."""

    id: str
    key: MetricKey | None
    expression: str
    statistic: str
    period: int | None
    label: str | None
    color: str
    axis: str
    is_visible: bool


def rows_of(
    given: Any, path: str, statistic: str = "Average", seconds: int = 300
) -> tuple[tuple[Row, ...], list[Finding]]:
    """The rows of `metrics`, `.` and `...` replaced by what the row before says; those that are wrong are left out and
    told. `statistic` and `seconds` are the widget's own."""
    if not isinstance(given, list):
        return (), [Finding(path, "Should be array")]
    wrong: list[Finding] = []
    rows: list[Row] = []
    before: tuple[str, ...] = ()
    options = [row[-1] for row in given if isinstance(row, list) and row and isinstance(row[-1], dict)]
    used = [option.get("id") for option in options]
    free = (name for n in range(1, 10 * len(given) + 1) if (name := f"row{n}") not in used)
    for n, row in enumerate(given):
        here = f"{path}/{n}"
        if not isinstance(row, list):
            wrong.append(Finding(here, "Should be array"))
            continue
        found = _row(row, here, before, statistic, seconds)
        if isinstance(found, Finding):
            wrong.append(found)
            continue
        made, before = found
        rows.append(made if made.id else replace(made, id=next(free)))
    ids = [row.id for row in rows]
    if repeated := next((i for i in ids if ids.count(i) > 1), ""):
        wrong.append(Finding(path, f'The id "{repeated}" is used more than once'))
    return tuple(rows), wrong


def _row(
    row: Sequence[Any], path: str, before: tuple[str, ...], statistic: str, seconds: int
) -> tuple[Row, tuple[str, ...]] | Finding:
    options = row[-1] if row and isinstance(row[-1], dict) else {}
    words = row[:-1] if row and isinstance(row[-1], dict) else row
    if not all(isinstance(word, str) and 0 < len(word) <= 1024 for word in words):
        return Finding(
            path,
            'Field "metrics" has to be an array of array of strings, with an optional metricRenderer object as last '
            "element",
        )
    if (finding := _check_options(options, path)) is not None:
        return finding
    shared = {
        "id": options.get("id", ""),
        "period": options.get("period"),
        "label": options.get("label"),
        "color": options.get("color", ""),
        "axis": options.get("yAxis", "left"),
        "is_visible": options.get("visible", True),
    }
    if "expression" in options:
        if words:
            return Finding(path, "An expression has no namespace, metric name or dimensions")
        return Row(key=None, expression=options["expression"], statistic="", **shared), before
    full = expanded(words, before)
    if full is None:
        return Finding(path, 'There is nothing in the row before that "." or "..." could stand for')
    if len(full) < 2 or len(full) % 2 or len(full) > 2 + 2 * MOST_DIMENSIONS:
        return Finding(path, f'Invalid metric field type, only "String" type is allowed: {len(full)} fields')
    pairs = list(zip(full[2::2], full[3::2], strict=True))
    key = MetricKey.of(full[0], full[1], pairs)
    shared["period"] = shared["period"] or seconds
    return Row(key=key, expression="", statistic=options.get("stat", statistic), **shared), full


def expanded(words: Sequence[str], before: Sequence[str]) -> tuple[str, ...] | None:
    """None: the row before is too short for what refers to it."""
    out: list[str] = []
    for n, word in enumerate(words):
        left = len(words) - n - 1
        if word == "...":
            if len(before) - left < len(out) or not before:
                return None
            out += before[len(out) : len(before) - left]
        elif word == ".":
            if len(out) >= len(before):
                return None
            out.append(before[len(out)])
        else:
            out.append(word)
    return tuple(out)


def _check_options(options: Mapping[str, Any], path: str) -> Finding | None:
    for name in _STRINGS:
        if name in options and not (isinstance(options[name], str) and len(options[name]) <= LONGEST):
            return Finding(f"{path}/{name}", "Should be string")
    if not isinstance(options.get("visible", True), bool):
        return Finding(f"{path}/visible", "Should be boolean")
    if options.get("yAxis", "left") not in AXES:
        return Finding(f"{path}/yAxis", "Should be equal to one of the allowed values")
    if "color" in options and not is_color(options["color"]):
        return Finding(f"{path}/color", "Should match pattern #RRGGBB")
    if "id" in options and not is_id(options["id"]):
        return Finding(f"{path}/id", 'Should match pattern "^[a-z][a-zA-Z0-9_]*$"')
    if "period" in options and not is_seconds(options["period"]):
        return Finding(f"{path}/period", "Should be 1, 5, 10, 20, 30 or a multiple of 60")
    if "stat" in options and not is_statistic(options["stat"]):
        return Finding(f"{path}/stat", f"Invalid statistic: {options['stat'][:64]}")
    return None


def is_color(text: Any) -> bool:
    """#RRGGBB, or #RGB."""
    return (
        isinstance(text, str)
        and len(text) in (4, 7)
        and text[0] == "#"
        and all(c in "0123456789abcdefABCDEF" for c in text[1:])
    )


def is_id(text: str) -> bool:
    return (
        0 < len(text) <= 255 and text.isascii() and "a" <= text[0] <= "z" and text.replace("_", "a").isalnum()
    )


def is_seconds(value: Any) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and 1 <= value <= 30 * 86_400
        and period.is_period(value)
    )


def is_statistic(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        statistics.parse(text)
    except statistics.BadStatistic:
        return False
    return True
