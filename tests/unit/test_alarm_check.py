"""Each limit of PutMetricAlarm and PutCompositeAlarm at its edge: the last that is taken, the first that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model.alarm import COMPOSITE, METRIC, Alarm, MetricQuery, alarm_arn
from monitor.model.errors import ClientFault
from monitor.rules.alarm import check
from monitor.rules.alarm_check import check_children
from tests.unit.test_alarm import metric_alarm

TOPIC = "arn:aws:sns:eu-west-1:123456789012:oncall"


def composite_alarm(**given: object) -> Alarm:
    wanted = Alarm(
        alarm_arn("eu-west-1", "123456789012", "both"),
        "both",
        kind=COMPOSITE,
        rule="ALARM(a)",
        threshold=None,
    )
    return replace(wanted, **given)  # type: ignore[arg-type]


def math_alarm(*queries: MetricQuery, **given: object) -> Alarm:
    empty = {"namespace": "", "metric": "", "statistic": "", "period": 0}
    return metric_alarm(**{**empty, "queries": queries, **given})


def stat(name: str, returns: bool = False, **given: object) -> MetricQuery:
    wanted = MetricQuery(name, returns=returns, period=60, namespace="Shop", metric="Load", stat="Sum")
    return replace(wanted, **given)  # type: ignore[arg-type]


def refusal(alarm: Alarm) -> str:
    with pytest.raises(ClientFault) as caught:
        check(alarm)
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
    return caught.value.message


def arns(count: int) -> tuple[str, ...]:
    return tuple(f"{TOPIC}{n}" for n in range(count))


def dimensions(count: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"d{n}", "v") for n in range(count))


ACTION_LISTS = ("ok_actions", "alarm_actions", "insufficient_data_actions")


# -- taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alarm",
    [
        metric_alarm(),
        metric_alarm(name="n" * 255, description="d" * 1024),
        metric_alarm(name="größe: 1/2"),
        metric_alarm(tags={str(n): "" for n in range(50)}),
        *(metric_alarm(**{field: arns(5)}) for field in ACTION_LISTS),
        metric_alarm(alarm_actions=("arn:aws:automate:eu-west-1:ec2:stop",)),
        metric_alarm(namespace="n" * 255, metric="m" * 255),
        metric_alarm(dimensions=dimensions(30)),
        metric_alarm(dimensions=(("n" * 255, "v" * 1024),)),
        metric_alarm(datapoints_to_alarm=3),
        *(metric_alarm(treat_missing_data=t) for t in ("breaching", "notBreaching", "ignore", "missing")),
        *(metric_alarm(statistic=s) for s in ("SampleCount", "Average", "Sum", "Minimum", "Maximum")),
        *(
            metric_alarm(statistic="", extended_statistic=s)
            for s in ("p99", "p99.9", "tm90", "tc90", "ts90", "wm90", "IQM", "PR(1:300)", "TM(10%:90%)")
        ),
        *(
            metric_alarm(statistic="", extended_statistic="p9", evaluate_low_sample=o)
            for o in ("evaluate", "ignore")
        ),
        *(metric_alarm(period=p, evaluation_periods=1) for p in (10, 20, 30, 60, 120, 3600, 86_400, 604_800)),
        metric_alarm(period=10, evaluation_periods=8640),
        metric_alarm(period=60, evaluation_periods=1440),
        metric_alarm(period=3540, evaluation_periods=24),
        metric_alarm(period=3600, evaluation_periods=168),
        *(
            metric_alarm(comparison=f"{c}Threshold")
            for c in ("GreaterThanOrEqualTo", "GreaterThan", "LessThan", "LessThanOrEqualTo")
        ),
        metric_alarm(threshold=0.0),
        metric_alarm(threshold=-1e300),
        math_alarm(stat("m1", returns=True)),
        math_alarm(MetricQuery("e1", expression="m1 / 2"), stat("m1")),
        math_alarm(MetricQuery("e" * 255, expression="SUM(METRICS())"), *(stat(f"m{n}") for n in range(10))),
        math_alarm(
            stat("m1"),
            *(MetricQuery(f"e{n}", expression=f"m1 + {n}", returns=n == 0) for n in range(19)),
        ),
        composite_alarm(),
        composite_alarm(suppressor="quiet", suppressor_wait=0, suppressor_extension=0),
        composite_alarm(suppressor="q" * 1600, suppressor_wait=60, suppressor_extension=60),
    ],
)
def test_taken(alarm: Alarm) -> None:
    check(alarm)


# -- refused, both kinds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [metric_alarm, composite_alarm])
@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"name": ""},
            "'alarmName' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        ({"name": "n" * 256}, "Member must have length less than or equal to 255"),
        ({"name": "a\nb"}, "AlarmName must not contain ASCII Control characters"),
        ({"name": "a\x7f"}, "AlarmName must not contain ASCII Control characters"),
        ({"name": "a\ud800"}, "AlarmName must contain only UTF-8 characters"),
        ({"description": "d" * 1025}, "'alarmDescription' failed to satisfy constraint"),
        ({"tags": {str(n): "" for n in range(51)}}, "'tags' failed to satisfy constraint"),
        ({"ok_actions": arns(6)}, "'okActions' failed to satisfy constraint"),
        ({"alarm_actions": arns(6)}, "'alarmActions' failed to satisfy constraint"),
        ({"insufficient_data_actions": arns(6)}, "'insufficientDataActions' failed to satisfy constraint"),
        ({"alarm_actions": ("",)}, "Member must have length greater than or equal to 1"),
        ({"alarm_actions": (TOPIC + "x" * 1024,)}, "Member must have length less than or equal to 1024"),
        ({"alarm_actions": ("oncall",)}, "Invalid arn syntax: oncall"),
        ({"ok_actions": ("arn:aws:sns:eu-west-1:1:",)}, "Invalid arn syntax: arn:aws:sns:eu-west-1:1:"),
        ({"ok_actions": ("arn:aws::eu-west-1:1:x",)}, "Invalid arn syntax: arn:aws::eu-west-1:1:x"),
        ({"ok_actions": ("arn:aws:sns:eu-west-1:1:a b",)}, "Invalid arn syntax"),
    ],
)
def test_refused_of_both_kinds(make: object, given: dict[str, object], text: str) -> None:
    assert text in refusal(make(**given))  # type: ignore[operator]


def test_a_long_value_is_not_repeated_as_a_whole() -> None:
    assert len(refusal(metric_alarm(name="n" * 100_000))) < 300


# -- refused metric alarms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"comparison": ""}, "PutMetricAlarm request should have a valid ComparisonOperator parameter"),
        ({"comparison": "GreaterThan"}, "should have a valid ComparisonOperator parameter"),
        ({"comparison": "GreaterThanUpperThreshold"}, "anomaly detection models are not available"),
        ({"comparison": "LessThanLowerThreshold"}, "anomaly detection models are not available"),
        ({"comparison": "LessThanLowerOrGreaterThanUpperThreshold"}, "anomaly detection models are not"),
        ({"threshold_metric_id": "ad1"}, "anomaly detection models are not available"),
        ({"threshold": None}, "PutMetricAlarm request should have a valid Threshold parameter"),
        ({"threshold": float("nan")}, "should have a valid Threshold parameter"),
        ({"threshold": float("-inf")}, "should have a valid Threshold parameter"),
        ({"evaluation_periods": 0}, "should have an EvaluationPeriods parameter"),
        ({"datapoints_to_alarm": -1}, "'datapointsToAlarm' failed to satisfy constraint"),
        ({"datapoints_to_alarm": 4}, "DatapointsToAlarm must be less than or equal to EvaluationPeriods"),
        (
            {"treat_missing_data": "Breaching"},
            "Supported values for TreatMissingData are breaching, notBreaching, ignore, and missing.",
        ),
        ({"evaluate_low_sample": "x"}, "EvaluateLowSampleCountPercentile are evaluate and ignore."),
        ({"evaluate_low_sample": "ignore"}, "can not be applied with statistic Average"),
        ({"metric": ""}, "PutMetricAlarm request should have either MetricName or Metrics"),
        ({"metric": "m" * 256}, "'metricName' failed to satisfy constraint"),
        ({"namespace": ""}, "'namespace' failed to satisfy constraint: Member must have length greater"),
        ({"namespace": "n" * 256}, "'namespace' failed to satisfy constraint: Member must have length less"),
        ({"namespace": ":x"}, "Member must satisfy regular expression pattern: [^:].*"),
        ({"dimensions": dimensions(31)}, "'dimensions' failed to satisfy constraint"),
        ({"dimensions": (("", "v"),)}, "'dimensions.name' failed to satisfy constraint"),
        ({"dimensions": (("n" * 256, "v"),)}, "'dimensions.name' failed to satisfy constraint"),
        ({"dimensions": (("n", ""),)}, "'dimensions.value' failed to satisfy constraint"),
        ({"dimensions": (("n", "v" * 1025),)}, "'dimensions.value' failed to satisfy constraint"),
        ({"dimensions": (("n", "1"), ("n", "2"))}, "No two dimensions may have the same name"),
        ({"extended_statistic": "p99"}, "can not be made with both Statistic and ExtendedStatistic"),
        ({"statistic": ""}, "should have a Statistic or ExtendedStatistic parameter"),
        (
            {"statistic": "p99"},
            "'statistic' failed to satisfy constraint: Member must satisfy enum value set",
        ),
        (
            {"statistic": "", "extended_statistic": "p101"},
            "The value p101 for parameter ExtendedStatistic is not a valid statistic.",
        ),
        ({"period": 0}, "Period must not be null"),
        *(
            ({"period": p}, "Period must be 10, 20, 30 or a multiple of 60")
            for p in (-60, 1, 15, 40, 59, 61, 90)
        ),
        (
            {"period": 60, "evaluation_periods": 1441},
            "Period must be <= 86400) for alarms using period < 3600",
        ),
        ({"period": 10, "evaluation_periods": 8641}, "Metrics cannot be checked across more than a day"),
        (
            {"period": 3600, "evaluation_periods": 169},
            "Period must be <= 604800) for alarms using period >= 3600",
        ),
        ({"period": 604_860, "evaluation_periods": 1}, "Metrics cannot be checked across more than a week"),
    ],
)
def test_refused_metric_alarms(given: dict[str, object], text: str) -> None:
    assert text in refusal(metric_alarm(**given))


# -- refused metric math -------------------------------------------------------------------------------------

TOTAL = MetricQuery("e1", expression="m1 * 2")
ONE_LIST = "must not be set if list of Metrics is set."


@pytest.mark.parametrize(
    ("alarm", "text"),
    [
        (math_alarm(TOTAL, stat("m1"), metric="Load"), f"MetricName {ONE_LIST}"),
        *(
            (math_alarm(TOTAL, stat("m1"), **{field: value}), ONE_LIST)
            for field, value in {
                "namespace": "Shop",
                "dimensions": (("a", "b"),),
                "period": 60,
                "unit": "Count",
                "statistic": "Sum",
                "extended_statistic": "p9",
            }.items()
        ),
        (
            math_alarm(
                stat("m1"), *(MetricQuery(f"e{n}", expression="m1", returns=not n) for n in range(20))
            ),
            "'metrics'",
        ),
        (
            math_alarm(MetricQuery("e1", expression="SUM(METRICS())"), *(stat(f"m{n}") for n in range(11))),
            "at most 10 metrics",
        ),
        (
            math_alarm(stat("m1", returns=True), stat("m1")),
            "The values for parameter id in metrics are not unique.",
        ),
        (math_alarm(stat("M1", returns=True)), "The value M1 for parameter id in metrics is invalid."),
        (math_alarm(stat("m" * 256, returns=True)), "for parameter id in metrics is invalid."),
        (math_alarm(stat("", returns=True)), "for parameter id in metrics is invalid."),
        (math_alarm(stat("m1")), "Exactly one element of the metrics list should return data."),
        (
            math_alarm(stat("m1", returns=True), TOTAL),
            "Exactly one element of the metrics list should return data.",
        ),
        (math_alarm(MetricQuery("e1")), "'e1' needs one of MetricStat and Expression"),
        (math_alarm(stat("m1", returns=True, expression="1")), "'m1' needs one of MetricStat and Expression"),
        (
            math_alarm(stat("m1", returns=True, stat="Mean")),
            "The value Mean for parameter Stat is not a valid statistic.",
        ),
        (math_alarm(stat("m1", returns=True, period=0)), "Period must not be null"),
        (math_alarm(stat("m1", returns=True, period=45)), "Period must be 10, 20, 30 or a multiple of 60"),
        (
            math_alarm(stat("m1", returns=True), evaluation_periods=1441),
            "Metrics cannot be checked across more than a day",
        ),
        (math_alarm(stat("m1", returns=True, dimensions=dimensions(31))), "'dimensions' failed to satisfy"),
        (math_alarm(MetricQuery("e1", expression="m1 +"), stat("m1")), "Invalid metrics list: "),
        (math_alarm(MetricQuery("e1", expression="m2 * 2"), stat("m1")), "Invalid metrics list: "),
        (
            math_alarm(
                MetricQuery("e1", expression="e2"),
                MetricQuery("e2", expression="e1", returns=False),
                stat("m1"),
            ),
            "Invalid metrics list: ",
        ),
        (
            math_alarm(MetricQuery("e1", expression="METRICS()"), stat("m1")),
            "'e1' must give a single time series",
        ),
        (math_alarm(MetricQuery("e1", expression="5"), stat("m1")), "must be a time series"),
        (
            math_alarm(MetricQuery("e1", expression="SUM(SEARCH('{Shop} Load', 'Sum', 60))", period=60)),
            "SEARCH is not supported on Metric Alarms.",
        ),
        (math_alarm(MetricQuery("e1", expression="TIME_SERIES(1)")), "Period must not be null"),
    ],
)
def test_refused_metric_math(alarm: Alarm, text: str) -> None:
    assert text in refusal(alarm)


def test_an_expression_has_a_bounded_length() -> None:
    long = " + ".join(["m1"] * 500)
    assert len(long) > 2048
    assert "Invalid metrics list: " in refusal(math_alarm(MetricQuery("e1", expression=long), stat("m1")))


# -- refused composite alarms --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"rule": ""}, "AlarmRule must not contain leading or trailing whitespace or be null"),
        ({"rule": "ALARM(both) OR TRUE"}, "AlarmRule must not refer to the composite alarm itself"),
        ({"suppressor": "quiet"}, "are required when ActionsSuppressor is specified"),
        ({"suppressor": "quiet", "suppressor_wait": 1}, "are required when ActionsSuppressor is specified"),
        (
            {"suppressor": "q" * 1601, "suppressor_wait": 1, "suppressor_extension": 1},
            "'actionsSuppressor' failed",
        ),
        ({"suppressor_wait": 1}, "must not be specified without ActionsSuppressor"),
        ({"suppressor_extension": 0}, "must not be specified without ActionsSuppressor"),
        ({"suppressor": "quiet", "suppressor_wait": -1, "suppressor_extension": 1}, "must not be negative"),
        *(
            ({"alarm_actions": (arn,)}, f"Composite alarms do not support the action {arn}")
            for arn in (
                "arn:aws:automate:eu-west-1:ec2:stop",
                "arn:aws:swf:eu-west-1:1:action/x",
                "arn:aws:autoscaling:eu-west-1:1:scalingPolicy:x",
            )
        ),
    ],
)
def test_refused_composite_alarms(given: dict[str, object], text: str) -> None:
    assert text in refusal(composite_alarm(**given))


def test_a_rule_may_name_its_own_alarm_by_no_way() -> None:
    assert "itself" in refusal(composite_alarm(rule=f'ALARM("{composite_alarm().arn}")'))


def test_the_children_and_the_suppressor_must_exist() -> None:
    alarm = composite_alarm(
        rule=f"ALARM(a) AND (OK({alarm_arn('eu-west-1', '123456789012', 'b')}) OR ALARM(c))",
        suppressor="quiet",
        suppressor_wait=1,
        suppressor_extension=1,
    )
    check_children(alarm, ["a", "b", "c", "quiet"])
    with pytest.raises(ClientFault, match=r"alarms \[b, c\] in the alarm rule do not exist"):
        check_children(alarm, ["a", "quiet"])
    with pytest.raises(ClientFault, match="ActionsSuppressor quiet does not exist"):
        check_children(alarm, ["a", "b", "c"])


def test_the_kind_decides_what_is_checked() -> None:
    assert metric_alarm(rule="?").kind == METRIC
    check(metric_alarm(rule="?"))
    check(composite_alarm(period=7, metric=""))
