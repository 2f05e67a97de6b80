"""StateReason and StateReasonData, against recorded texts."""

from __future__ import annotations

import json

import pytest

from monitor.model.alarm import ALARM, BREACHING, MISSING, NOT_BREACHING, OK
from monitor.rules.alarm import evaluate
from monitor.rules.alarm_reason import Datapoint, number, timestamp
from tests.unit.test_alarm import NOW, metric_alarm, points

LONGEST = -2.2250738585072014e-308  # no double is longer when written


def reason(drawn: str, **given: object) -> str:
    return evaluate(metric_alarm(**given), points(drawn), NOW).reason


def test_one_breaching_datapoint() -> None:
    alarm = metric_alarm(evaluation_periods=1, threshold=21.0)
    verdict = evaluate(alarm, [Datapoint(NOW - 60, 21.5)], NOW)
    assert verdict.reason == (
        "Threshold Crossed: 1 datapoint [21.5 (15/01/27 07:59:00)] was greater than the threshold (21.0)."
    )


def test_one_calm_datapoint() -> None:
    assert reason("0", evaluation_periods=1) == (
        "Threshold Crossed: 1 datapoint [5.0 (15/01/27 07:59:00)] was not greater than the threshold (10.0)."
    )


def test_m_out_of_n_is_told_in_the_long_form_newest_first() -> None:
    assert reason("X 0 X 0 X", evaluation_periods=5, datapoints_to_alarm=3) == (
        "Threshold Crossed: 3 out of the last 5 datapoints [20.0 (15/01/27 07:59:00), 20.0 (15/01/27 07:57:00), "
        "20.0 (15/01/27 07:55:00)] were greater than the threshold (10.0) "
        "(minimum 3 datapoints for OK -> ALARM transition)."
    )


def test_the_way_back_counts_what_is_not_breaching() -> None:
    assert reason("0 0 X", datapoints_to_alarm=2) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [5.0 (15/01/27 07:58:00), 5.0 (15/01/27 07:57:00)] "
        "were not greater than the threshold (10.0) (minimum 2 datapoints for ALARM -> OK transition)."
    )
    assert reason("0", evaluation_periods=1, datapoints_to_alarm=1) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (15/01/27 07:59:00)] was not greater than the "
        "threshold (10.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )


@pytest.mark.parametrize(
    ("needed", "minimum"), [(1, "5 datapoints"), (2, "4 datapoints"), (5, "1 datapoint")]
)
def test_the_way_back_needs_so_many_that_m_can_no_longer_breach(needed: int, minimum: str) -> None:
    told = reason("0 0 0 0 0", evaluation_periods=5, datapoints_to_alarm=needed)
    assert told.endswith(f"(minimum {minimum} for ALARM -> OK transition).")


def test_many_datapoints_are_not_all_listed() -> None:
    told = reason("X X X X X X", evaluation_periods=6)
    assert told.startswith(
        "Threshold Crossed: 6 datapoints were greater than the threshold (10.0). "
        "The most recent datapoints which crossed the threshold: [20.0 (15/01/27 07:59:00), "
    )
    assert told.count("15/01/27") == 5
    assert told.endswith("20.0 (15/01/27 07:55:00)].")


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        ("GreaterThanOrEqualToThreshold", "greater than or equal to"),
        ("GreaterThanThreshold", "greater than"),
        ("LessThanThreshold", "less than"),
        ("LessThanOrEqualToThreshold", "less than or equal to"),
    ],
)
def test_each_comparison_in_words(comparison: str, words: str) -> None:
    told = {reason(mark, comparison=comparison, evaluation_periods=1) for mark in "X0"}
    assert {t.split("] ")[1] for t in told} == {
        f"was {words} the threshold (10.0).",
        f"was not {words} the threshold (10.0).",
    }


@pytest.mark.parametrize(
    ("periods", "treatment", "drawn", "expected"),
    [
        (
            2,
            BREACHING,
            "- -",
            "no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching].",
        ),
        (
            1,
            NOT_BREACHING,
            "-",
            "no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].",
        ),
        (
            3,
            BREACHING,
            "- - - X X",
            "2 datapoints were received for 3 periods and 1 missing datapoint was treated as [Breaching].",
        ),
        (
            3,
            NOT_BREACHING,
            "- - - - X",
            "1 datapoint was received for 3 periods and 2 missing datapoints were treated as [NonBreaching].",
        ),
    ],
)
def test_missing_data_that_decided(periods: int, treatment: str, drawn: str, expected: str) -> None:
    told = reason(drawn, evaluation_periods=periods, treat_missing_data=treatment)
    assert told == f"Threshold Crossed: {expected}"


def test_missing_data_that_did_not_decide_is_not_told() -> None:
    assert "treated" not in reason("- - X X X", treat_missing_data=BREACHING)
    assert "treated" not in reason("- - - - 0", treat_missing_data=NOT_BREACHING, datapoints_to_alarm=3)


@pytest.mark.parametrize(
    ("periods", "expected"), [(1, "1 datapoint was unknown."), (3, "3 datapoints were unknown.")]
)
def test_insufficient_data(periods: int, expected: str) -> None:
    told = reason("- - - - -", state=OK, evaluation_periods=periods, treat_missing_data=MISSING)
    assert told == f"Insufficient Data: {expected}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (21, "21.0"),
        (-1.5, "-1.5"),
        (0.001, "0.001"),
        (0.0005, "5.0E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (12_345_678.0, "1.2345678E7"),
        (-1.25e-9, "-1.25E-9"),
        (1e23, "1.0E23"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
    ],
)
def test_numbers_are_written_as_java_does(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000+0000"),
        (1_767_323_045.678, "2026-01-02T03:04:05.678+0000"),
        (0.9996, "1970-01-01T00:00:01.000+0000"),  # rounds up into the next second
    ],
)
def test_times_are_written_to_the_millisecond(at: float, text: str) -> None:
    assert timestamp(at) == text


def test_the_data_of_a_change() -> None:
    alarm = metric_alarm(unit="Percent", datapoints_to_alarm=2)
    verdict = evaluate(alarm, points("X 0 - X -", 4.0), NOW)
    assert verdict.state == ALARM
    assert json.loads(verdict.reason_data) == {
        "version": "1.0",
        "queryDate": "2027-01-15T08:00:00.000+0000",
        "startDate": "2027-01-15T07:55:00.000+0000",
        "unit": "Percent",
        "statistic": "Average",
        "period": 60,
        "recentDatapoints": [20.0, 5.0, 20.0],
        "threshold": 10.0,
        "evaluatedDatapoints": [
            {"timestamp": "2027-01-15T07:58:00.000+0000", "sampleCount": 4.0, "value": 20.0},
            {"timestamp": "2027-01-15T07:56:00.000+0000", "sampleCount": 4.0, "value": 5.0},
            {"timestamp": "2027-01-15T07:55:00.000+0000", "sampleCount": 4.0, "value": 20.0},
        ],
    }


def test_the_data_leaves_out_what_is_not_known() -> None:
    data = json.loads(evaluate(metric_alarm(state=OK), points("- - - - -"), NOW).reason_data)
    assert "startDate" not in data
    assert "unit" not in data
    assert data["recentDatapoints"] == []
    assert data["evaluatedDatapoints"] == [
        {"timestamp": f"2027-01-15T07:{m}:00.000+0000"} for m in (59, 58, 57)
    ]


@pytest.mark.parametrize("samples", [float("inf"), float("nan")])
def test_a_sample_count_that_json_cannot_tell_is_left_out(samples: float) -> None:
    verdict = evaluate(metric_alarm(evaluation_periods=1), points("X", samples), NOW)
    assert verdict.state == ALARM
    (shown,) = json.loads(verdict.reason_data)["evaluatedDatapoints"]
    assert shown == {"timestamp": "2027-01-15T07:59:00.000+0000", "value": 20.0}


@pytest.mark.parametrize("periods", [1, 50, 8640])
@pytest.mark.parametrize("drawn", [-LONGEST, LONGEST])
def test_texts_keep_within_their_limits(periods: int, drawn: float) -> None:
    alarm = metric_alarm(
        evaluation_periods=periods,
        datapoints_to_alarm=periods,
        period=10,
        threshold=LONGEST,
        comparison="GreaterThanOrEqualToThreshold",
        statistic="",
        extended_statistic="WM(10.1234567890%:90.1234567890%)",
        unit="Kilobytes/Second",
    )
    given = [Datapoint(NOW - 10 * n, drawn, 1.2345678901234567e-300) for n in range(periods, 0, -1)]
    verdict = evaluate(alarm, given, NOW)
    assert verdict.state in (ALARM, OK)
    assert len(verdict.reason) <= 1023
    assert len(verdict.reason_data) <= 4000
    assert json.loads(verdict.reason_data)["threshold"] == LONGEST
