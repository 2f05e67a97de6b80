"""Which alarms are taken (CloudWatch API reference, "PutMetricAlarm" and "PutCompositeAlarm"; user guide, "CloudWatch
service quotas"). What is known of AWS's texts is theirs; every refusal is a ValidationError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from monitor.model.alarm import (
    BREACHING,
    COMPOSITE,
    IGNORE,
    MISSING,
    NOT_BREACHING,
    Alarm,
    MetricQuery,
    alarm_name,
)
from monitor.model.errors import ClientFault
from monitor.rules import alarm_rule, expression, statistics
from monitor.rules.alarm_reason import COMPARISONS
from monitor.rules.expression import BadExpression

NAME_LIMIT, DESCRIPTION_LIMIT, NAMESPACE_LIMIT, REFERENCE_LIMIT = 255, 1024, 255, 1600  # characters
ARN_LIMIT = 1024
MOST_ACTIONS, MOST_DIMENSIONS, MOST_TAGS = 5, 30, 50
MOST_METRICS, MOST_QUERIES = 10, 20  # of a metric math alarm
HOUR, DAY, WEEK = 3600, 86_400, 604_800
BAND_COMPARISONS = (
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)
_TREATMENTS = (BREACHING, NOT_BREACHING, IGNORE, MISSING)
_ID = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")


def invalid(message: str) -> ClientFault:
    return ClientFault("ValidationError", message)


def constraint(value: object, field: str, must: str) -> ClientFault:
    """As the front end of AWS words it; a long value is not repeated as a whole."""
    return invalid(
        f"1 validation error detected: Value '{str(value)[:64]}' at '{field}' failed to satisfy constraint: "
        f"Member must {must}"
    )


def check(alarm: Alarm) -> None:
    """Raises ClientFault, for the first thing that is wrong."""
    _check_name(alarm.name)
    _check_length(alarm.description, "alarmDescription", 0, DESCRIPTION_LIMIT)
    if len(alarm.tags) > MOST_TAGS:
        raise constraint(len(alarm.tags), "tags", f"have length less than or equal to {MOST_TAGS}")
    _check_actions(alarm)
    if alarm.kind == COMPOSITE:
        _check_composite(alarm)
    else:
        _check_metric(alarm)


def check_children(alarm: Alarm, names: Iterable[str]) -> None:
    """That the alarms of a composite alarm's rule, and its suppressor, are among the `names` there are."""
    known = frozenset(names)
    missing = [child for child in alarm_rule.children(alarm_rule.parse(alarm.rule)) if child not in known]
    if missing:
        raise invalid(
            f"Could not save the composite alarm as alarms [{', '.join(missing)}] in the alarm rule do not exist"
        )
    if alarm.suppressor and alarm_name(alarm.suppressor) not in known:
        raise invalid(f"ActionsSuppressor {alarm.suppressor[:NAME_LIMIT]} does not exist")


# -- both kinds ----------------------------------------------------------------------------------------------


def _check_length(value: str, field: str, least: int, most: int) -> None:
    if len(value) < least:
        raise constraint(value, field, f"have length greater than or equal to {least}")
    if len(value) > most:
        raise constraint(value, field, f"have length less than or equal to {most}")


def _check_name(name: str) -> None:
    _check_length(name, "alarmName", 1, NAME_LIMIT)
    if any(char < " " or char == "\x7f" for char in name):
        raise invalid("AlarmName must not contain ASCII Control characters")
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise invalid("AlarmName must contain only UTF-8 characters")


def _check_actions(alarm: Alarm) -> None:
    lists = {
        "okActions": alarm.ok_actions,
        "alarmActions": alarm.alarm_actions,
        "insufficientDataActions": alarm.insufficient_data_actions,
    }
    for field, arns in lists.items():
        if len(arns) > MOST_ACTIONS:
            raise constraint(list(arns), field, f"have length less than or equal to {MOST_ACTIONS}")
        for arn in arns:
            _check_length(arn, field, 1, ARN_LIMIT)
            parts = arn.split(":", 5)
            if len(parts) != 6 or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]) or " " in arn:
                raise invalid(f"Invalid arn syntax: {arn}")
            if alarm.kind == COMPOSITE and parts[2] in ("automate", "autoscaling", "swf"):
                raise invalid(f"Composite alarms do not support the action {arn}")


# -- composite alarms ----------------------------------------------------------------------------------------


def _check_composite(alarm: Alarm) -> None:
    rule = alarm_rule.parse(alarm.rule)
    if alarm.name in alarm_rule.children(rule):
        raise invalid("AlarmRule must not refer to the composite alarm itself")
    periods = (alarm.suppressor_wait, alarm.suppressor_extension)
    if alarm.suppressor:
        _check_length(alarm.suppressor, "actionsSuppressor", 1, REFERENCE_LIMIT)
        if None in periods:
            raise invalid(
                "ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod are required when "
                "ActionsSuppressor is specified"
            )
    elif periods != (None, None):
        raise invalid(
            "ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod must not be specified without "
            "ActionsSuppressor"
        )
    if any(period is not None and period < 0 for period in periods):
        raise invalid("ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod must not be negative")


# -- metric alarms -------------------------------------------------------------------------------------------


def _check_metric(alarm: Alarm) -> None:
    _check_threshold(alarm)
    if alarm.evaluation_periods < 1:
        raise invalid("PutMetricAlarm request should have an EvaluationPeriods parameter")
    if alarm.datapoints_to_alarm < 0:
        raise constraint(
            alarm.datapoints_to_alarm, "datapointsToAlarm", "have value greater than or equal to 1"
        )
    if alarm.datapoints_to_alarm > alarm.evaluation_periods:
        raise invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    if alarm.treat_missing_data and alarm.treat_missing_data not in _TREATMENTS:
        raise invalid(
            "Supported values for TreatMissingData are breaching, notBreaching, ignore, and missing."
        )
    if alarm.evaluate_low_sample not in ("", "evaluate", "ignore"):
        raise invalid("Supported options for EvaluateLowSampleCountPercentile are evaluate and ignore.")
    if alarm.queries and alarm.metric:
        raise invalid("MetricName must not be set if list of Metrics is set.")
    if alarm.queries:
        _check_queries(alarm)
    else:
        _check_single(alarm)


def _check_threshold(alarm: Alarm) -> None:
    if alarm.comparison in BAND_COMPARISONS or alarm.threshold_metric_id:
        raise invalid(
            "Alarms based on anomaly detection models are not available: use a static Threshold with a "
            f"ComparisonOperator of [{', '.join(COMPARISONS)}]"
        )
    if alarm.comparison not in COMPARISONS:
        raise invalid("PutMetricAlarm request should have a valid ComparisonOperator parameter")
    if alarm.threshold is None or not math.isfinite(alarm.threshold):
        raise invalid("PutMetricAlarm request should have a valid Threshold parameter")


def _check_period(period: int, periods: int) -> None:
    if period not in (10, 20, 30) and (period < 60 or period % 60):
        raise invalid("Period must be 10, 20, 30 or a multiple of 60")
    if period < HOUR and period * periods > DAY:
        raise invalid(
            f"Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= {DAY}) for "
            f"alarms using period < {HOUR}"
        )
    if period * periods > WEEK:
        raise invalid(
            f"Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= {WEEK}) for "
            f"alarms using period >= {HOUR}"
        )


def _check_metric_key(namespace: str, metric: str, dimensions: Sequence[tuple[str, str]]) -> None:
    _check_length(namespace, "namespace", 1, NAMESPACE_LIMIT)
    if namespace.startswith(":"):
        raise constraint(namespace, "namespace", "satisfy regular expression pattern: [^:].*")
    _check_length(metric, "metricName", 1, NAME_LIMIT)
    if len(dimensions) > MOST_DIMENSIONS:
        raise constraint(
            len(dimensions), "dimensions", f"have length less than or equal to {MOST_DIMENSIONS}"
        )
    for name, value in dimensions:
        _check_length(name, "dimensions.name", 1, 255)
        _check_length(value, "dimensions.value", 1, 1024)
    if len({name for name, _ in dimensions}) != len(dimensions):
        raise invalid("No two dimensions may have the same name")


def _check_statistic(text: str, field: str) -> None:
    try:
        statistics.parse(text, field)
    except statistics.BadStatistic as error:
        raise invalid(str(error)) from error


def _check_single(alarm: Alarm) -> None:
    if not alarm.metric:
        raise invalid("PutMetricAlarm request should have either MetricName or Metrics")
    _check_metric_key(alarm.namespace, alarm.metric, alarm.dimensions)
    if alarm.statistic and alarm.extended_statistic:
        raise invalid(
            "PutMetricAlarm request can not be made with both Statistic and ExtendedStatistic parameters. Only one of "
            "them should be present"
        )
    if not alarm.stat:
        raise invalid("PutMetricAlarm request should have a Statistic or ExtendedStatistic parameter")
    if alarm.statistic and alarm.statistic not in statistics.PLAIN:
        plain = ", ".join(statistics.PLAIN)
        raise constraint(alarm.statistic, "statistic", f"satisfy enum value set: [{plain}]")
    _check_statistic(alarm.stat, "ExtendedStatistic")
    if alarm.evaluate_low_sample and statistics.parse(alarm.stat).kind != "p":
        raise invalid(
            f"Option evaluateLowSampleCountPercentile can not be applied with statistic {alarm.stat}. This option is "
            "enabled only for percentile statistics."
        )
    if not alarm.period:
        raise invalid("Period must not be null")
    _check_period(alarm.period, alarm.evaluation_periods)


# -- metric math ---------------------------------------------------------------------------------------------


def _check_queries(alarm: Alarm) -> None:
    scalars = (alarm.namespace, alarm.dimensions, alarm.period, alarm.unit, alarm.stat)
    if any(scalars):
        raise invalid(
            "Namespace, Dimensions, Period, Unit, Statistic and ExtendedStatistic must not be set if list of Metrics "
            "is set."
        )
    if len(alarm.queries) > MOST_QUERIES:
        raise constraint(len(alarm.queries), "metrics", f"have length less than or equal to {MOST_QUERIES}")
    if sum(1 for query in alarm.queries if query.metric) > MOST_METRICS:
        raise invalid(f"An alarm can be based on at most {MOST_METRICS} metrics")
    if len({query.id for query in alarm.queries}) != len(alarm.queries):
        raise invalid("The values for parameter id in metrics are not unique.")
    for query in alarm.queries:
        _check_query(query, alarm.evaluation_periods)
    if sum(1 for query in alarm.queries if query.returns) != 1:
        raise invalid("Exactly one element of the metrics list should return data.")
    try:
        _check_expressions(alarm.queries)
    except BadExpression as error:
        raise invalid(f"Invalid metrics list: {error}") from error


def _check_query(query: MetricQuery, periods: int) -> None:
    if not _ID.fullmatch(query.id):
        raise invalid(f"The value {query.id[:64]} for parameter id in metrics is invalid.")
    if bool(query.metric or query.namespace or query.stat) == bool(query.expression):
        raise invalid(f"Invalid metrics list: '{query.id}' needs one of MetricStat and Expression")
    if not query.expression:
        _check_metric_key(query.namespace, query.metric, query.dimensions)
        _check_statistic(query.stat, "Stat")
        if not query.period:
            raise invalid("Period must not be null")
    if query.period:
        _check_period(query.period, periods)


def _check_expressions(queries: Sequence[MetricQuery]) -> None:
    """That the watched one can be computed and gives one series. Raises BadExpression too."""
    metrics = tuple(query.id for query in queries if not query.expression)
    nodes = {query.id: expression.parse(query.expression) for query in queries if query.expression}
    kinds = dict.fromkeys(metrics, "TS")
    for name in expression.order(nodes):
        if expression.searches_in(nodes[name]):
            raise invalid("SEARCH is not supported on Metric Alarms.")
        kinds[name] = expression.kind(nodes[name], kinds, metrics)
    watched = next(query.id for query in queries if query.returns)
    if kinds[watched] != "TS":
        raise invalid(f"Invalid metrics list: '{watched}' must give a single time series")
    if watched in nodes and not metrics and not any(query.period for query in queries):
        raise invalid("Period must not be null")
