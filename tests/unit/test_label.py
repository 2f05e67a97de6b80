"""Labels of GetMetricData against "Use dynamic labels"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.metric import MetricKey
from monitor.rules import label
from monitor.rules.label import BadLabel, Place, Source

AT = 1_790_553_600  # 2026-09-28T00:00:00Z
POINTS = [(AT, 4.0), (AT + 60, 1.5), (AT + 120, 8.0), (AT + 180, 2.0)]
PLACE = Place("123456789012", "eu-west-1", AT + 3900)


def source(name: str, statistic: str = "Sum", period: int = 60, **dimensions: str) -> Source:
    return Source(MetricKey.of("N", name, dimensions), statistic, period)


WEB = source("CPUUtilization", "Average", 60, ClusterName="demo", ServiceName="web")


def test_default_is_the_name_and_what_differs() -> None:
    assert label.default_labels([source("m")]) == ["m"]
    assert label.default_labels([source("m"), source("n", "Average")]) == ["m", "n"]
    assert label.default_labels([source("m"), source("m", "Average", 300)]) == ["m Sum 60", "m Average 300"]
    assert label.default_labels([source("m"), source("m", period=300)]) == ["m 60", "m 300"]


def test_found_are_told_apart() -> None:
    a, b = source("Errors", FunctionName="a"), source("Errors", FunctionName="b")
    assert label.found_labels([a, b]) == ["a", "b"]
    assert label.found_labels([a]) == ["Errors"]
    assert label.found_labels([a, source("Invocations", FunctionName="b")]) == ["a Errors", "b Invocations"]
    assert label.found_labels([a, source("Errors")]) == ["a", "Errors"]
    assert label.found_labels([]) == []


def test_of_expressions() -> None:
    assert label.of_expression("e1", None, [""]) == ["e1"]
    assert label.of_expression("e1", "Rate", [""]) == ["Rate"]
    assert label.of_expression("e1", "Filled With 0:", ["Errors", "m"]) == [
        "Filled With 0: Errors",
        "Filled With 0: m",
    ]
    assert label.of_expression("e1", "", ["Errors"]) == ["Errors"]
    assert label.of_expression("e1", None, ["a", "b"]) == ["a", "b"]
    assert label.of_expression("e1", "${LABEL}!", ["a", "b"]) == ["${LABEL}!", "${LABEL}!"]


@pytest.mark.parametrize(
    ("hole", "expected"),
    [
        ("AVG", "3.875"),
        ("SUM", "15.5"),
        ("MIN", "1.5"),
        ("MAX", "8"),
        ("FIRST", "4"),
        ("LAST", "2"),
        ("DATAPOINT_COUNT", "4"),
        ("FIRST_LAST_RANGE", "2"),
        ("FIRST_LAST_TIME_RANGE", "3m"),
        ("MIN_MAX_RANGE", "6.5"),
        ("MIN_MAX_TIME_RANGE", "1m"),
        ("FIRST_TIME", "2026-09-28 00:00:00"),
        ("MIN_TIME", "2026-09-28 00:01:00"),
        ("MAX_TIME", "2026-09-28 00:02:00"),
        ("LAST_TIME", "2026-09-28 00:03:00"),
        ("FIRST_TIME_RELATIVE", "1h 5m"),
        ("MAX_TIME_RELATIVE", "1h 3m"),
        ("LAST_TIME_RELATIVE", "1h 2m"),
        ("MIN_TIME_RELATIVE", "1h 4m"),
        ("LABEL", "own"),
        ("PROP('AccountId')", "123456789012"),
        ("PROP('Region')", "eu-west-1"),
        ("PROP('MetricName')", "CPUUtilization"),
        ("PROP('Namespace')", "N"),
        ("PROP('Stat')", "Average"),
        ("PROP('Period')", "60"),
        ("PROP('Dim.ServiceName')", "web"),
        ("PROP('Dim.TaskId')", ""),
        ("MEDIAN", "${MEDIAN}"),
        ("MAX_RELATIVE", "${MAX_RELATIVE}"),
        ("max", "${max}"),
    ],
)
def test_dynamic(hole: str, expected: str) -> None:
    assert label.expand(f"[{'${' + hole + '}'}]", "own", POINTS, PLACE, WEB) == f"[{expected}]"


def test_guide_example() -> None:
    text = "[max: ${MAX} Errors for Function Name ${LABEL}]"
    assert label.expand(text, "Name", POINTS, PLACE) == "[max: 8 Errors for Function Name Name]"


def test_without_points_or_metric() -> None:
    assert label.expand("${MAX} ${SUM} ${FIRST_LAST_RANGE} ${DATAPOINT_COUNT}", "", [], PLACE) == "-- -- -- 0"
    assert label.expand("${PROP('Stat')}", "", POINTS, PLACE) == ""


def test_timezone() -> None:
    place = Place("1", "r", AT, "-0130")
    assert label.expand("${FIRST_TIME}", "", POINTS, place) == "2026-09-27 22:30:00"
    for text in ("", "0130", "+01:30", "+9999", "+0160"):
        with pytest.raises(BadLabel, match="time zone"):
            label.parse_timezone(text)


def test_limits() -> None:
    assert (
        label.expand("${MAX}" * 6 + "${LABEL}${PROP('Stat')}", "x", POINTS, PLACE, WEB)
        == "8" * 6 + "xAverage"
    )
    with pytest.raises(BadLabel, match="at most 6"):
        label.expand("${MAX}" * 7, "", POINTS, PLACE)
    with pytest.raises(BadLabel, match="at most once"):
        label.expand("${LABEL}${LABEL}", "", POINTS, PLACE)
    with pytest.raises(BadLabel, match="characters"):
        label.expand("x" * 2049, "", POINTS, PLACE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (100, "100"),
        (1234567.5, "1234567.5"),
        (1 / 3, "0.3333"),
        (1e20, "1e+20"),
        (2e-7, "2e-07"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert label.number(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59.6, "1m"), (330, "5m 30s"), (90_061, "1d 1h")])
def test_duration(seconds: float, text: str) -> None:
    assert label.duration(seconds) == text


@given(st.text(alphabet="${}ABMAX_PROP('Dim.')é", max_size=40))
def test_any_text_is_a_label_or_a_bad_one(text: str) -> None:
    try:
        found = label.expand(text, "own", POINTS, PLACE, WEB)
    except BadLabel:
        return
    assert label.is_dynamic(text) or found == text
