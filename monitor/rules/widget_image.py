"""What a picture of metrics is asked to show (CloudWatch API reference, "GetMetricWidgetImage: Metric Widget Structure
and Syntax"). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.rules import label
from monitor.rules.json_text import BadJson, loads
from monitor.rules.widget import AXES, Finding, Row, is_color, is_seconds, is_statistic, rows_of

MOST_BYTES, MOST_METRICS, MOST_ANNOTATIONS, LONGEST_SIDE = 100 * 1024, 100, 100, 2000
MOST_SECONDS = 455 * 86_400  # what is kept at all
VIEWS = ("timeSeries", "singleValue", "bar", "pie")
LEGENDS = ("bottom", "right", "hidden")
_FILLS = {"horizontal": ("above", "below", "none"), "vertical": ("before", "after", "none")}
_SECONDS = {"W": 7 * 86_400, "D": 86_400, "H": 3600, "M": 60, "S": 1}


@dataclass(frozen=True, slots=True)
class Axis:
    label: str = ""
    low: float | None = None
    high: float | None = None
    shows_units: bool = True


@dataclass(frozen=True, slots=True)
class Annotation:
    """A line at `value` (seconds since the epoch when vertical), or a band up to `until`. `fill`: "" for none."""

    value: float
    label: str = ""
    color: str = ""
    fill: str = ""
    axis: str = "left"
    until: float | None = None
    until_label: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """All but the data. `width`, `height`: pixels; times: seconds since the epoch; `ahead`: of UTC, seconds."""

    start: float
    end: float
    width: int = 600
    height: int = 400
    title: str = ""
    view: str = "timeSeries"
    is_stacked: bool = False
    legend: str = "bottom"
    ahead: int = 0
    left: Axis = Axis()
    right: Axis = Axis()
    horizontal: tuple[Annotation, ...] = ()
    vertical: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Widget:
    frame: Frame
    rows: tuple[Row, ...]
    timezone: str


class BadWidget(ValueError):
    """`findings`: what is wrong, at least one."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{f.path or '/'}: {f.message}" for f in findings[:10]))
        self.findings = findings


def parse(text: str, now: float) -> Widget:
    """Raises BadWidget."""
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise BadWidget([Finding("", f"Should NOT be longer than {MOST_BYTES} bytes")])
    try:
        root = loads(text)
    except BadJson as error:
        raise BadWidget([Finding("", "Should be a valid JSON object")]) from error
    if not isinstance(root, dict):
        raise BadWidget([Finding("", "Should be a valid JSON object")])
    wrong = list(_plain(root))
    if wrong:
        raise BadWidget(wrong)
    rows, wrong = _rows(root)
    zone = root.get("timezone", "+0000")
    ahead = 0
    try:
        offset = label.parse_timezone(zone).utcoffset(None)
        ahead = int(offset.total_seconds())
    except label.BadLabel as error:
        wrong.append(Finding("/timezone", str(error)))
    times = []
    for name, default in (("start", "-PT3H"), ("end", "-PT0H")):
        found = moment(root.get(name, default), now)
        if found is None:
            wrong.append(Finding(f"/{name}", "Should be an ISO 8601 time or a duration such as -PT3H"))
        times.append(found or 0.0)
    if not wrong and not 0 <= times[0] < times[1]:
        wrong.append(Finding("/start", "Should be before end"))
    if not wrong and times[1] - times[0] > MOST_SECONDS:
        wrong.append(Finding("/start", f"Should NOT be more than {MOST_SECONDS // 86_400} days before end"))
    annotations = {kind: list(_annotations(root, kind, now, wrong)) for kind in _FILLS}
    if wrong:
        raise BadWidget(wrong)
    axes = root.get("yAxis", {})
    frame = Frame(
        times[0],
        times[1],
        root.get("width", 600),
        root.get("height", 400),
        root.get("title", ""),
        root.get("view", "timeSeries"),
        root.get("stacked", False),
        root.get("legend", {}).get("position", "bottom"),
        ahead,
        _axis(axes.get("left", {})),
        _axis(axes.get("right", {})),
        tuple(annotations["horizontal"]),
        tuple(annotations["vertical"]),
    )
    return Widget(frame, rows, zone)


def _plain(root: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the members that hold one value."""
    for name in ("title", "start", "end", "timezone", "region"):
        if not isinstance(root.get(name, ""), str) or len(root.get(name, "")) > 1024:
            yield Finding(f"/{name}", "Should be string")
    for name, default in (("width", 600), ("height", 400)):
        value = root.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            yield Finding(f"/{name}", "Should be integer")
        elif not 1 <= value <= LONGEST_SIDE:
            yield Finding(f"/{name}", f"Should be >= 1 and <= {LONGEST_SIDE}")
    if root.get("view", "timeSeries") not in VIEWS:
        told = str(root["view"])[:32]
        yield Finding("/view", f"The view {told} is not drawn: it is one of {', '.join(VIEWS)}")
    if not isinstance(root.get("stacked", False), bool):
        yield Finding("/stacked", "Should be boolean")
    legend = root.get("legend", {})
    if not isinstance(legend, dict) or legend.get("position", "bottom") not in LEGENDS:
        yield Finding("/legend/position", f"Should be one of {', '.join(LEGENDS)}")
    if "period" in root and not is_seconds(root["period"]):
        yield Finding("/period", "Should be 1, 5, 10, 20, 30 or a multiple of 60")
    if "stat" in root and not is_statistic(root["stat"]):
        yield Finding("/stat", "Invalid statistic")
    axes = root.get("yAxis", {})
    if not isinstance(axes, dict):
        yield Finding("/yAxis", "Should be object")
        return
    for side in AXES:
        axis = axes.get(side, {})
        if not isinstance(axis, dict):
            yield Finding(f"/yAxis/{side}", "Should be object")
            continue
        for name in ("min", "max"):
            if axis.get(name) is not None and not _is_number(axis[name]):
                yield Finding(f"/yAxis/{side}/{name}", "Should be number")
        if not isinstance(axis.get("label", ""), str) or not isinstance(axis.get("showUnits", True), bool):
            yield Finding(f"/yAxis/{side}", "label should be string, showUnits boolean")


def _rows(root: Mapping[str, Any]) -> tuple[tuple[Row, ...], list[Finding]]:
    given = root.get("metrics")
    if given is None:
        return (), [Finding("", "Should have required property 'metrics'")]
    if isinstance(given, list) and not 1 <= len(given) <= MOST_METRICS:
        return (), [Finding("/metrics", f"Should have 1 to {MOST_METRICS} items")]
    return rows_of(given, "/metrics", root.get("stat", "Average"), root.get("period", 300))


def _axis(given: Mapping[str, Any]) -> Axis:
    low, high = given.get("min"), given.get("max")
    if low is not None and high is not None and low >= high:
        low = high = None  # nothing lies between them
    return Axis(
        given.get("label", "")[:255],
        None if low is None else float(low),
        None if high is None else float(high),
        given.get("showUnits", True),
    )


def _annotations(
    root: Mapping[str, Any], kind: str, now: float, wrong: list[Finding]
) -> Iterator[Annotation]:
    every = root.get("annotations", {})
    given = every.get(kind, []) if isinstance(every, dict) else None
    if not isinstance(given, list) or len(given) > MOST_ANNOTATIONS:
        wrong.append(Finding(f"/annotations/{kind}", f"Should be array of at most {MOST_ANNOTATIONS} items"))
        return
    for n, item in enumerate(given):
        path = f"/annotations/{kind}/{n}"
        pair = item if isinstance(item, list) else [item]
        if not 1 <= len(pair) <= 2 or not all(isinstance(part, dict) for part in pair):
            wrong.append(Finding(path, "Should be object, or array of two objects"))
            continue
        values = [_value(part.get("value"), kind, now) for part in pair]
        first, last = pair[0], pair[-1]
        color, axis = first.get("color", ""), first.get("yAxis", "left")
        if any(value is None for value in values):
            wrong.append(
                Finding(f"{path}/value", f"Should be {'number' if kind == 'horizontal' else 'time'}")
            )
        elif (color and not is_color(color)) or axis not in AXES:
            wrong.append(Finding(path, "color should be #RRGGBB, yAxis left or right"))
        elif first.get("fill", "none") not in _FILLS[kind]:
            wrong.append(Finding(f"{path}/fill", f"Should be one of {', '.join(_FILLS[kind])}"))
        elif first.get("visible", True) is not False:
            fill = first.get("fill", "none")
            yield Annotation(
                values[0] or 0.0,
                str(first.get("label", ""))[:255],
                color,
                "" if fill == "none" else fill,
                axis,
                values[1] if len(values) == 2 else None,
                str(last.get("label", ""))[:255] if len(values) == 2 else "",
            )


def _value(value: Any, kind: str, now: float) -> float | None:
    if kind == "horizontal":
        return float(value) if _is_number(value) else None
    return moment(value, now) if isinstance(value, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e100


def moment(text: str, now: float) -> float | None:
    """An ISO 8601 time, or a duration before now (-PT3H, -P7D); seconds since the epoch. None: it is neither."""
    if len(text) > 40:
        return None
    if text.startswith(("-P", "P")):
        back = _duration(text.removeprefix("-")[1:])
        return None if back is None else now - back
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        found = datetime.fromisoformat(f"{text}+00:00" if "T" in text else f"{text}T00:00:00+00:00")
    return found.timestamp()


def _duration(text: str) -> float | None:
    """`7D`, `T3H`, `1DT12H`; months have 30 days, years 365."""
    date, _, clock = text.partition("T")
    total = 0.0
    for part, units in ((date, {**_SECONDS, "M": 30 * 86_400, "Y": 365 * 86_400}), (clock, _SECONDS)):
        digits = ""
        for letter in part:
            if letter.isascii() and letter.isdigit():
                digits += letter
            elif letter in units and digits:
                total += int(digits) * units[letter]
                digits = ""
            else:
                return None
        if digits:
            return None
    return total if text and text != "T" else None
