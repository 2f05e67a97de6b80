"""What a dashboard's body and a widget's JSON may be, and what is told of one that may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.rules.dashboard import check
from monitor.rules.widget import expanded, rows_of
from monitor.rules.widget_image import BadWidget, moment, parse

NOW = 1_790_000_000.0
METRIC = {"metrics": [["AWS/ECS", "CPUUtilization", "ClusterName", "default"]], "region": "us-east-1"}


def widget(**changes: Any) -> dict[str, Any]:
    return {"type": "metric", "x": 0, "y": 0, "width": 12, "height": 6, "properties": METRIC, **changes}


def found(body: Any) -> list[tuple[str, str]]:
    return [(f.path, f.message) for f in check(json.dumps(body))[0]]


def test_good_bodies() -> None:
    text = {"type": "text", "properties": {"markdown": "hello"}}
    log = {"type": "log", "properties": {"query": "SOURCE 'x' | fields @message", "region": "us-east-1"}}
    body = {"start": "-PT6H", "periodOverride": "inherit", "widgets": [widget(), text, log]}
    assert check(json.dumps(body)) == ([], [])
    assert check('{"widgets":[]}') == ([], [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"widgets": NaN}', "[" * 100_000])
def test_what_is_no_json_object(text: str) -> None:
    assert [f.message for f in check(text)[0]] == ["The field DashboardBody must be a valid JSON object"]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({}, "", "Should have required property 'widgets'"),
        ({"widgets": {}}, "/widgets", "Should be array"),
        ({"widgets": [{"type": "text"}] * 501}, "/widgets", "Should NOT have more than 500 items"),
        ({"widgets": [1]}, "/widgets/0", "Should be object"),
        (
            {"widgets": [widget(type="chat")]},
            "/widgets/0/type",
            "Should be equal to one of the allowed values",
        ),
        ({"widgets": [widget(width=25)]}, "/widgets/0/width", "Should be <= 24"),
        ({"widgets": [widget(x=True)]}, "/widgets/0/x", "Should be integer"),
        ({"widgets": [], "end": "-PT1H"}, "", "Should have required property 'start'"),
        (
            {"widgets": [], "periodOverride": ["auto"]},
            "/periodOverride",
            "Should be equal to one of the allowed values",
        ),
        (
            {"widgets": [widget(properties={"metrics": ["AWS/ECS"], "region": "x"})]},
            "/widgets/0/properties/metrics/0",
            "Should be array",
        ),
        (
            {"widgets": [widget(properties={"metrics": METRIC["metrics"]})]},
            "/widgets/0/properties",
            "Should have required property 'region'",
        ),
        (
            {"widgets": [{"type": "alarm", "properties": {"alarms": []}}]},
            "/widgets/0/properties/alarms",
            "Should NOT have less than 1 items",
        ),
        (
            {"widgets": [{"type": "text", "properties": {}}]},
            "/widgets/0/properties",
            "Should have required property 'markdown'",
        ),
    ],
)
def test_errors_say_where(body: Any, path: str, message: str) -> None:
    assert (path, message) in found(body)


def test_the_metrics_of_all_widgets_are_counted() -> None:
    full = {"metrics": [["A", "b"]] * 500, "region": "us-east-1"}
    assert found({"widgets": [widget(properties=full)] * 5}) == []
    assert found({"widgets": [widget(properties=full)] * 6}) == [
        ("/widgets", "Should NOT have more than 2500 metrics")
    ]


def test_an_unknown_member_is_a_warning() -> None:
    errors, warnings = check('{"widgets": [], "colour": 1}')
    assert (errors, [w.path for w in warnings]) == ([], ["/colour"])


def test_dots_stand_for_the_row_before() -> None:
    before = ("AWS/ECS", "CPUUtilization", "ClusterName", "default", "ServiceName", "web")
    assert expanded([".", "MemoryUtilization", ".", ".", ".", "."], before) == (
        "AWS/ECS",
        "MemoryUtilization",
        *before[2:],
    )
    assert expanded(["...", "api"], before) == (*before[:-1], "api")
    assert expanded([".", "X", "..."], before) == ("AWS/ECS", "X", *before[2:])
    assert expanded(["."], ()) is None
    assert expanded(["...", "a", "b", "c"], ("x", "y")) is None


def test_rows_have_ids_of_their_own_or_get_free_ones() -> None:
    rows, wrong = rows_of(
        [
            ["A", "b", {"id": "row1", "stat": "p99", "yAxis": "right"}],
            ["...", {"period": 60}],
            [{"expression": "row1 * 2", "label": "twice", "color": "#ff0000"}],
        ],
        "",
        "Sum",
        300,
    )
    assert wrong == []
    assert [(r.id, r.statistic, r.period, r.axis, r.expression) for r in rows] == [
        ("row1", "p99", 300, "right", ""),
        ("row2", "Sum", 60, "left", ""),
        ("row3", "", None, "left", "row1 * 2"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        ["A"],
        ["A", "b", "c"],
        ["A", 1],
        ["...", "x"],
        [["A"]],
        ["A", "b", {"color": "red"}],
        ["A", "b", {"stat": "Mode"}],
        ["A", "b", {"yAxis": []}],
        ["A", "b", {"id": "X"}],
        ["A", "b", {"id": []}],
        ["A", "b", {"period": 7}],
        ["A", {"expression": "1"}],
    ],
)
def test_bad_rows(row: list[Any]) -> None:
    assert len(rows_of([row], "/metrics")[1]) == 1


def test_a_widget_of_a_picture() -> None:
    given = parse(
        json.dumps(
            {
                "metrics": [["A", "b"]],
                "start": "-PT1H",
                "timezone": "-0330",
                "yAxis": {"left": {"min": 0, "max": 0}},
                "annotations": {
                    "horizontal": [
                        {"value": 5, "fill": "above"},
                        [{"value": 1}, {"value": 2, "label": "top"}],
                    ],
                    "vertical": [{"value": "2026-09-21T00:00:00Z"}, {"value": "-PT5M", "visible": False}],
                },
            }
        ),
        NOW,
    )
    frame = given.frame
    assert (frame.start, frame.end, frame.ahead, frame.left.high) == (NOW - 3600, NOW, -12_600, None)
    assert [(a.value, a.fill, a.until) for a in frame.horizontal] == [(5.0, "above", None), (1.0, "", 2.0)]
    assert len(frame.vertical) == 1


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"view": "table"}, "/view"),
        ({"view": []}, "/view"),
        ({"width": 2001}, "/width"),
        ({"height": 0}, "/height"),
        ({"start": "-PT0H"}, "/start"),
        ({"start": "-P2000D"}, "/start"),
        ({"start": "yesterday"}, "/start"),
        ({"timezone": "CET"}, "/timezone"),
        ({"legend": {"position": "top"}}, "/legend/position"),
        ({"metrics": [["A", "b"]] * 101}, "/metrics"),
        ({"metrics": []}, "/metrics"),
        ({"annotations": {"horizontal": [{"value": "5"}]}}, "/annotations/horizontal/0/value"),
        ({"annotations": {"vertical": [{"value": 5}]}}, "/annotations/vertical/0/value"),
        ({"annotations": {"horizontal": [{"value": 5, "fill": "before"}]}}, "/annotations/horizontal/0/fill"),
        ({"annotations": []}, "/annotations/horizontal"),
        ({"yAxis": {"left": {"max": "9"}}}, "/yAxis/left/max"),
        ({"title": "x" * 102_400}, ""),
    ],
)
def test_bad_widgets(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BadWidget) as caught:
        parse(json.dumps({"metrics": [["A", "b"]], **changes}), NOW)
    assert path in [f.path for f in caught.value.findings]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("-PT3H", NOW - 10_800),
        ("-P1DT30M", NOW - 88_200),
        ("-P1M", NOW - 30 * 86_400),
        ("2026-01-01", 1_767_225_600.0),
        ("2026-01-01T00:00:00.000Z", 1_767_225_600.0),
        ("2026-01-01T00:00:00+01:00", 1_767_222_000.0),
        ("-P", None),
        ("-PT", None),
        ("-PTH", None),
        ("-PT٣H", None),
        ("x" * 99, None),
    ],
)
def test_times(text: str, at: float | None) -> None:
    assert moment(text, NOW) == at
