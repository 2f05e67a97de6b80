"""How metric alarms are judged, against the tables of "Configuring how CloudWatch alarms treat missing data"."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from monitor.model.alarm import (
    ALARM,
    BREACHING,
    COMPOSITE,
    EXTERNAL,
    IGNORE,
    INSUFFICIENT_DATA,
    METRIC,
    MISSING,
    NOT_BREACHING,
    OK,
    STATES,
    Alarm,
    AlarmHistoryItem,
    MetricQuery,
    Suppression,
    alarm_arn,
    alarm_name,
)
from monitor.rules.alarm import Datapoint, configured, evaluate, interval, is_due, updated, window

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z, a whole hour
ARN = alarm_arn("eu-west-1", "123456789012", "cpu")
KEEP = "keep"
LETTERS = {"A": ALARM, "O": OK, "I": INSUFFICIENT_DATA, "k": KEEP}
TREATMENTS = (MISSING, IGNORE, BREACHING, NOT_BREACHING)
POLICY = "arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:1:resource/ecs/service/a/b:policyName/p"


def metric_alarm(**given: object) -> Alarm:
    wanted = Alarm(
        ARN,
        "cpu",
        kind=METRIC,
        namespace="Shop",
        metric="Load",
        statistic="Average",
        period=60,
        evaluation_periods=3,
        threshold=10.0,
        comparison="GreaterThanThreshold",
    )
    return replace(wanted, **given)  # type: ignore[arg-type]


def points(drawn: str, samples: float | None = None) -> list[Datapoint]:
    """X breaches, 0 does not, - is missing; oldest first."""
    marks = drawn.split()
    start = NOW - 60 * len(marks)
    values = {"X": 20.0, "0": 5.0, "-": None}
    return [
        Datapoint(start + 60 * n, values[mark], None if mark == "-" else samples)
        for n, mark in enumerate(marks)
    ]


def state_of(alarm: Alarm, drawn: str) -> str:
    """The state, or KEEP where each of the three present ones stays."""
    found = {evaluate(replace(alarm, state=s), points(drawn), NOW).state for s in STATES}
    return found.pop() if len(found) == 1 else KEEP


# -- the tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needed", "drawn", "expected"),
    [
        # "missing", "ignore", "breaching", "notBreaching"
        (3, "0 - X - X", "OOOO"),
        (3, "0 - - - -", "OOOO"),
        (3, "- - - - -", "IkAO"),
        (3, "0 X X - X", "AAAA"),
        (3, "- - X - -", "AkAO"),
        (2, "0 - X - X", "AAAA"),
        (2, "0 0 X 0 X", "AAAA"),
        (2, "0 - X - -", "OOAO"),
        (2, "- - - - 0", "OOAO"),
        (2, "- - - X -", "AkAO"),
    ],
)
@pytest.mark.parametrize("column", range(4), ids=TREATMENTS)
def test_missing_data_is_treated_as_in_the_guides_tables(
    needed: int, drawn: str, expected: str, column: int
) -> None:
    alarm = metric_alarm(datapoints_to_alarm=needed, treat_missing_data=TREATMENTS[column])
    assert state_of(alarm, drawn) == LETTERS[expected[column]]


@pytest.mark.parametrize(
    ("drawn", "fires"), [("- - - - X", False), ("- - - X -", False), ("- - X - -", True), ("X - - - -", True)]
)
def test_an_early_alarm_needs_a_breach_that_is_m_datapoints_old(drawn: str, fires: bool) -> None:
    assert (state_of(metric_alarm(), drawn) == ALARM) is fires


def test_an_early_alarm_needs_everything_newer_to_breach_or_miss() -> None:
    assert state_of(metric_alarm(datapoints_to_alarm=3), "- - X 0 -") == OK


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_enough_real_datapoints_make_the_treatment_idle(treatment: str) -> None:
    alarm = metric_alarm(treat_missing_data=treatment)
    assert state_of(alarm, "X - X - X") == ALARM
    assert state_of(alarm, "X X 0 - -") == OK


@pytest.mark.parametrize(("older", "expected"), [("X X X 0 0 0", OK), ("0 0 0 X X X", ALARM)])
def test_only_the_newest_n_are_evaluated(older: str, expected: str) -> None:
    assert state_of(metric_alarm(), older) == expected


def test_datapoints_before_the_evaluation_range_do_not_count() -> None:
    assert state_of(metric_alarm(), "X X X - - - - -") == INSUFFICIENT_DATA


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanOrEqualToThreshold", (10.0, 11.0)),
        ("GreaterThanThreshold", (11.0,)),
        ("LessThanThreshold", (9.0,)),
        ("LessThanOrEqualToThreshold", (9.0, 10.0)),
    ],
)
@pytest.mark.parametrize("value", [9.0, 10.0, 11.0])
def test_each_comparison_at_its_edge(comparison: str, breaching: tuple[float, ...], value: float) -> None:
    alarm = metric_alarm(comparison=comparison, evaluation_periods=1)
    assert evaluate(alarm, [Datapoint(NOW, value)], NOW).state == (ALARM if value in breaching else OK)


def test_alarms_on_dynamodb_ignore_missing_data_unless_they_say_otherwise() -> None:
    alarm = metric_alarm(namespace="AWS/DynamoDB")
    assert state_of(alarm, "- - - - -") == KEEP
    assert state_of(replace(alarm, treat_missing_data=BREACHING), "- - - - -") == ALARM


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_missing(value: float) -> None:
    assert evaluate(metric_alarm(), [Datapoint(NOW, value)], NOW).state == INSUFFICIENT_DATA


# -- percentiles with few samples ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statistic", "samples", "is_judged"),
    [
        ("p99", 999, False),  # 10 / (1 - 0.99)
        ("p99", 1000, True),
        ("p50", 19, False),
        ("p50", 20, True),
        ("p10", 99, False),  # 10 / 0.1
        ("p10", 100, True),
        ("p99.9", 9_999, False),
        ("p99.9", 10_000, True),
        ("p100", 1, True),
        ("p0", 1, True),
        ("tm90", 1, True),
        ("PR(:300)", 1, True),
    ],
)
def test_a_percentile_of_few_samples_keeps_the_state_if_asked_to(
    statistic: str, samples: int, is_judged: bool
) -> None:
    alarm = metric_alarm(
        statistic="", extended_statistic=statistic, evaluate_low_sample="ignore", evaluation_periods=1
    )
    verdict = evaluate(replace(alarm, state=OK), points("X", samples), NOW)
    assert verdict.state == (ALARM if is_judged else OK)
    assert evaluate(replace(alarm, evaluate_low_sample="evaluate"), points("X", samples), NOW).state == ALARM


def test_samples_are_counted_over_all_datapoints_evaluated() -> None:
    alarm = metric_alarm(statistic="", extended_statistic="p50", evaluate_low_sample="ignore")
    assert evaluate(alarm, points("X X X", 6), NOW).state == INSUFFICIENT_DATA  # kept
    assert evaluate(alarm, points("X X X", 7), NOW).state == ALARM


def test_few_samples_do_not_hide_that_there_are_none() -> None:
    alarm = metric_alarm(
        statistic="", extended_statistic="p99", evaluate_low_sample="ignore", treat_missing_data=BREACHING
    )
    assert state_of(alarm, "- - - - -") == ALARM


# -- what cannot be judged -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EXTERNAL, COMPOSITE])
def test_other_kinds_keep_their_state(kind: str) -> None:
    verdict = evaluate(metric_alarm(kind=kind, state=OK, reason="told"), points("X X X"), NOW)
    assert (verdict.state, verdict.reason, verdict.evaluation_state) == (OK, "told", "")


@pytest.mark.parametrize(
    "given",
    [
        {"threshold": None},
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"comparison": ""},
        {"comparison": "GreaterThanUpperThreshold"},
    ],
)
def test_an_alarm_that_cannot_be_judged_says_so_and_keeps_its_state(given: dict[str, object]) -> None:
    verdict = evaluate(metric_alarm(state=OK, reason="told", **given), points("X X X"), NOW)
    assert (verdict.state, verdict.reason, verdict.evaluation_state) == (OK, "told", "EVALUATION_ERROR")


def test_a_verdict_has_the_newest_value() -> None:
    assert evaluate(metric_alarm(), points("0 X - X -"), NOW).value == 20.0
    assert evaluate(metric_alarm(), points("- - -"), NOW).value is None


def test_no_datapoints_at_all_are_missing_ones() -> None:
    verdict = evaluate(metric_alarm(state=OK), [], NOW)
    assert verdict.state == INSUFFICIENT_DATA
    assert verdict.reason == "Insufficient Data: 3 datapoints were unknown."


def test_a_metric_math_alarm_is_judged_by_what_its_expression_gave() -> None:
    queries = (
        MetricQuery("rate", expression="errors / all * 100"),
        MetricQuery("errors", returns=False, period=300, namespace="Shop", metric="Errors", stat="Sum"),
        MetricQuery("all", returns=False, period=300, namespace="Shop", metric="Orders", stat="Sum"),
    )
    alarm = metric_alarm(namespace="", metric="", statistic="", period=0, queries=queries)
    assert (alarm.period_seconds, interval(alarm)) == (300, 60)
    assert window(alarm, NOW) == (NOW - 1500, NOW, 5)
    verdict = evaluate(alarm, points("X X X"), NOW)
    assert verdict.state == ALARM
    data = json.loads(verdict.reason_data)
    assert data["period"] == 300
    assert "statistic" not in data
    assert configured(None, alarm, NOW).window_seconds == 900.0


# -- when ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "periods", "expected"),
    [
        (10, 1, 10),
        (30, 2880, 10),
        (60, 1, 60),
        (300, 288, 60),  # a day
        (3600, 24, 60),
        (3600, 25, 3600),
        (86_400, 1, 60),
        (86_400, 7, 3600),
    ],
)
def test_the_interval_depends_on_the_period_and_the_range(period: int, periods: int, expected: int) -> None:
    assert interval(metric_alarm(period=period, evaluation_periods=periods)) == expected


@pytest.mark.parametrize(
    ("period", "last", "now", "expected"),
    [
        (60, None, 0.0, True),
        (60, 0.0, 59.9, False),
        (60, 59.9, 60.0, True),
        (60, 0.5, 60.0, True),  # of the clock, not since the last
        (60, 60.0, 60.0, False),
        (10, 0.0, 9.9, False),
        (10, 9.9, 10.0, True),
        (60, 600.0, 0.0, True),  # the clock was set back: rather once more than not for long
    ],
)
def test_an_alarm_is_due_once_in_each_interval(
    period: int, last: float | None, now: float, expected: bool
) -> None:
    assert is_due(metric_alarm(period=period), last, now) is expected


@pytest.mark.parametrize(
    ("period", "periods", "after", "end", "count"),
    [
        (60, 1, 0.0, 0, 3),
        (60, 1, 59.999, 0, 3),
        (60, 1, 60.0, 60, 3),
        (300, 1, 400.0, 360, 3),  # ends with a minute, not with a period
        (10, 3, 29.0, 20, 5),
        (30, 1, 29.0, 20, 3),
        (3600, 24, 90.0, 60, 26),
        (604_800, 1, 299.0, 0, 3),  # kept by 5 minutes only
        (604_800, 1, 300.0, 300, 3),
    ],
)
def test_the_window_slides_and_never_ends_in_the_future(
    period: int, periods: int, after: float, end: int, count: int
) -> None:
    found = window(metric_alarm(period=period, evaluation_periods=periods), NOW + after)
    assert found == (NOW + end - count * period, NOW + end, count)


# -- what is stored ------------------------------------------------------------------------------------------


def test_a_change_of_state_is_stored_with_its_time() -> None:
    before = metric_alarm(state=OK, changed_at=1.0)
    after = updated(before, evaluate(before, points("X X X"), NOW), NOW)
    assert (after.state, after.changed_at, after.state_updated_at) == (ALARM, NOW, NOW)
    assert after.transitioned_at == NOW
    assert after.reason.startswith("Threshold Crossed: 3 datapoints [")


def test_nothing_new_stores_nothing() -> None:
    before = metric_alarm(state=ALARM, value=1.0)
    assert updated(before, evaluate(before, points("X X X"), NOW), NOW) is before


def test_a_value_is_stored_only_while_policies_act_on_it() -> None:
    before = metric_alarm(state=ALARM, value=1.0, alarm_actions=(POLICY,))
    after = updated(before, evaluate(before, points("X X X"), NOW), NOW)
    assert (after.value, after.changed_at) == (20.0, before.changed_at)
    idle = replace(before, actions_enabled=False)
    assert updated(idle, evaluate(idle, points("X X X"), NOW), NOW) is idle


def test_an_error_of_evaluation_is_stored_and_cleared() -> None:
    before = metric_alarm(state=OK, threshold=None)
    broken = updated(before, evaluate(before, points("0 0 0"), NOW), NOW)
    assert (broken.state, broken.evaluation_state, broken.changed_at) == (OK, "EVALUATION_ERROR", 0.0)
    assert broken.state_updated_at == NOW
    mended = replace(broken, threshold=10.0)
    assert updated(mended, evaluate(mended, points("0 0 0"), NOW), NOW).evaluation_state == ""


def test_a_new_alarm_is_unchecked() -> None:
    alarm = configured(None, metric_alarm(state=ALARM, reason="no", tags={"a": "b"}), NOW)
    assert (alarm.state, alarm.reason) == (INSUFFICIENT_DATA, "Unchecked: Initial alarm creation")
    assert alarm.created_at == alarm.configured_at == alarm.changed_at == alarm.state_updated_at == NOW
    assert alarm.suppression == Suppression(seen=INSUFFICIENT_DATA, seen_at=NOW)
    assert (alarm.window_seconds, alarm.tags) == (180.0, {"a": "b"})


def test_a_put_replaces_the_configuration_and_keeps_state_and_tags() -> None:
    known = replace(
        configured(None, metric_alarm(tags={"a": "b"}), 1.0), state=ALARM, reason="why", value=3.0
    )
    after = configured(known, metric_alarm(threshold=99.0, tags={"c": "d"}, evaluation_periods=1), NOW)
    assert (after.state, after.reason, after.value, after.tags) == (ALARM, "why", 3.0, {"a": "b"})
    assert (after.created_at, after.changed_at, after.configured_at) == (1.0, 1.0, NOW)
    assert (after.threshold, after.window_seconds) == (99.0, 60.0)


@pytest.mark.parametrize(("suppressor", "by", "until"), [("quiet", "WaitPeriod", 9.0), ("other", "", 0.0)])
def test_another_suppressor_ends_the_period_of_the_former(suppressor: str, by: str, until: float) -> None:
    memory = Suppression(by="WaitPeriod", until=9.0, owed=True, seen=ALARM, seen_at=5.0)
    known = Alarm(ARN, "both", kind=COMPOSITE, rule="TRUE", suppressor="quiet", suppression=memory)
    after = configured(known, replace(known, suppressor=suppressor, suppression=Suppression()), NOW)
    assert after.suppression == replace(memory, by=by, until=until)


# -- nouns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpu", "a:b:c:d:e:f:g", "with blank", "größe"])
def test_an_alarm_is_found_by_name_and_by_arn(name: str) -> None:
    arn = alarm_arn("eu-west-1", "123456789012", name)
    assert alarm_name(name) == alarm_name(arn) == name
    assert AlarmHistoryItem(arn, NOW, "Action", "x", seq=3).alarm_name == name


def test_an_arn_of_something_else_is_a_name() -> None:
    other = "arn:aws:sns:eu-west-1:123456789012:alarm:x"
    assert alarm_name(other) == other


def test_actions_follow_the_state_and_the_switch() -> None:
    alarm = metric_alarm(ok_actions=("o",), alarm_actions=("a", POLICY), insufficient_data_actions=("i",))
    found = {state: replace(alarm, state=state).state_actions for state in (OK, ALARM, INSUFFICIENT_DATA)}
    assert found == {OK: ("o",), ALARM: ("a", POLICY), INSUFFICIENT_DATA: ("i",)}
    assert alarm.scaling_policies == (POLICY,)
    off = replace(alarm, actions_enabled=False, actions=("told",), state=ALARM)
    assert (off.state_actions, off.scaling_policies) == ((), ("told",))


def test_history_items_of_one_instant_have_keys_of_their_own() -> None:
    keys = {AlarmHistoryItem(ARN, NOW, "Action", "x", seq=seq).key for seq in range(3)}
    assert len(keys) == 3
