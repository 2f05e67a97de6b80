"""What a dashboard's body may be (CloudWatch API reference, "Dashboard Body Structure and Syntax"). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.rules.json_text import BadJson, loads
from monitor.rules.widget import Finding, is_seconds, rows_of

MOST_CHARACTERS = 1024 * 1024
MOST_WIDGETS, MOST_VARIABLES, MOST_METRICS, MOST_METRICS_OF_ALL = 500, 25, 500, 2500
MOST_FINDINGS = 100
COLUMNS, MOST_HEIGHT = 24, 1000
TYPES = ("metric", "text", "log", "alarm", "explorer", "chart", "custom")
VIEWS = ("timeSeries", "singleValue", "gauge", "bar", "pie", "table")
_ROOT = ("widgets", "variables", "start", "end", "periodOverride")
_ONE_OF = "Should be equal to one of the allowed values"


def check(body: str) -> tuple[list[Finding], list[Finding]]:
    """(errors, for which a body is refused; warnings, with which it is kept). At most MOST_FINDINGS each."""
    if len(body) > MOST_CHARACTERS:
        return [Finding("", f"Should NOT be longer than {MOST_CHARACTERS} characters")], []
    try:
        root = loads(body)
    except BadJson:
        return [Finding("", "The field DashboardBody must be a valid JSON object")], []
    if not isinstance(root, dict):
        return [Finding("", "The field DashboardBody must be a valid JSON object")], []
    errors, warnings = _root(root), _unknown(root)
    widgets = root.get("widgets")
    if isinstance(widgets, list):
        total = 0
        for n, widget in enumerate(widgets[:MOST_WIDGETS]):
            found = _widget(widget, f"/widgets/{n}")
            errors += found
            total += _count(widget)
        if total > MOST_METRICS_OF_ALL:
            errors.append(Finding("/widgets", f"Should NOT have more than {MOST_METRICS_OF_ALL} metrics"))
    return errors[:MOST_FINDINGS], warnings[:MOST_FINDINGS]


def _unknown(root: Mapping[str, Any]) -> list[Finding]:
    return [
        Finding(f"/{name[:64]}", "Should NOT have additional properties")
        for name in root
        if name not in _ROOT
    ]


def _root(root: Mapping[str, Any]) -> list[Finding]:
    found = []
    if "widgets" not in root:
        found.append(Finding("", "Should have required property 'widgets'"))
    for name, most in (("widgets", MOST_WIDGETS), ("variables", MOST_VARIABLES)):
        items = root.get(name, [])
        if not isinstance(items, list):
            found.append(Finding(f"/{name}", "Should be array"))
        elif len(items) > most:
            found.append(Finding(f"/{name}", f"Should NOT have more than {most} items"))
    for name in ("start", "end"):
        if name in root and not isinstance(root[name], str):
            found.append(Finding(f"/{name}", "Should be string"))
    if "end" in root and "start" not in root:
        found.append(Finding("", "Should have required property 'start'"))
    if root.get("periodOverride", "auto") not in ("auto", "inherit"):
        found.append(Finding("/periodOverride", _ONE_OF))
    return found


def _count(widget: Any) -> int:
    properties = widget.get("properties") if isinstance(widget, dict) else None
    metrics = properties.get("metrics") if isinstance(properties, dict) else None
    return len(metrics) if isinstance(metrics, list) else 0


def _widget(widget: Any, path: str) -> list[Finding]:
    if not isinstance(widget, dict):
        return [Finding(path, "Should be object")]
    found = []
    for name in ("type", "properties"):
        if name not in widget:
            found.append(Finding(path, f"Should have required property '{name}'"))
    for name, least, most in (
        ("x", 0, COLUMNS - 1),
        ("y", 0, 10**9),
        ("width", 1, COLUMNS),
        ("height", 1, MOST_HEIGHT),
    ):
        found += _whole(widget, name, least, most, path)
    if ("x" in widget) != ("y" in widget):
        missing = "y" if "x" in widget else "x"
        found.append(Finding(path, f"Should have required property '{missing}'"))
    kind, properties = widget.get("type"), widget.get("properties")
    if kind is not None and kind not in TYPES:
        found.append(Finding(f"{path}/type", _ONE_OF))
    if properties is None:
        return found
    path = f"{path}/properties"
    if not isinstance(properties, dict):
        return [*found, Finding(path, "Should be object")]
    if kind == "metric":
        found += _metric(properties, path)
    needed = {"text": ("markdown", str), "log": ("query", str), "alarm": ("alarms", list)}.get(str(kind))
    if needed is not None:
        name, wanted = needed
        if name not in properties and not (kind == "log" and "queryString" in properties):
            found.append(Finding(path, f"Should have required property '{name}'"))
        elif name in properties and not isinstance(properties[name], wanted):
            found.append(Finding(f"{path}/{name}", f"Should be {'string' if wanted is str else 'array'}"))
        elif kind == "alarm" and not properties[name]:
            found.append(Finding(f"{path}/alarms", "Should NOT have less than 1 items"))
    return found


def _whole(item: Mapping[str, Any], name: str, least: int, most: int, path: str) -> list[Finding]:
    value = item.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int):
        return [Finding(f"{path}/{name}", "Should be integer")]
    if value < least:
        return [Finding(f"{path}/{name}", f"Should be >= {least}")]
    return [Finding(f"{path}/{name}", f"Should be <= {most}")] if value > most else []


def _metric(properties: Mapping[str, Any], path: str) -> list[Finding]:
    found = []
    annotations = properties.get("annotations")
    has_alarm = isinstance(annotations, dict) and bool(annotations.get("alarms"))
    if "metrics" not in properties and not has_alarm:
        found += [
            Finding(path, "Should have required property 'metrics'"),
            Finding(
                path,
                "The metric widget should have specified a region and a data source or an alarm annotation",
            ),
            Finding(path, "Should have required property 'annotations'"),
        ]
    if "metrics" in properties:
        metrics = properties["metrics"]
        if isinstance(metrics, list) and len(metrics) > MOST_METRICS:
            found.append(Finding(f"{path}/metrics", f"Should NOT have more than {MOST_METRICS} items"))
        else:
            found += rows_of(metrics, f"{path}/metrics")[1]
        if "region" not in properties:
            found.append(Finding(path, "Should have required property 'region'"))
    if properties.get("view", "timeSeries") not in VIEWS:
        found.append(Finding(f"{path}/view", _ONE_OF))
    for name, kind, word in (
        ("title", str, "string"),
        ("region", str, "string"),
        ("stacked", bool, "boolean"),
    ):
        if name in properties and not isinstance(properties[name], kind):
            found.append(Finding(f"{path}/{name}", f"Should be {word}"))
    if "period" in properties and not is_seconds(properties["period"]):
        found.append(Finding(f"{path}/period", "Should be 1, 5, 10, 20, 30 or a multiple of 60"))
    return found
