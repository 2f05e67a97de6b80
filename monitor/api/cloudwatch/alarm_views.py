"""Alarms as the API shows them (CloudWatch API reference, "MetricAlarm", "CompositeAlarm")."""

from __future__ import annotations

from typing import Any

from monitor.model.alarm import COMPOSITE, Alarm, MetricQuery


def view(alarm: Alarm) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured_at or alarm.changed_at,
        "ActionsEnabled": alarm.actions_enabled,
        "OKActions": list(alarm.ok_actions),
        "AlarmActions": list(alarm.alarm_actions),
        "InsufficientDataActions": list(alarm.insufficient_data_actions),
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.state_updated_at or alarm.changed_at,
        "StateTransitionedTimestamp": alarm.transitioned_at,
    }
    given = {"AlarmDescription": alarm.description, "StateReasonData": alarm.reason_data}
    given |= _composite(alarm) if alarm.kind == COMPOSITE else _metric(alarm)
    return shown | {name: value for name, value in given.items() if value not in ("", None)}


def _composite(alarm: Alarm) -> dict[str, Any]:
    by = alarm.suppression.by
    return {
        "AlarmRule": alarm.rule,
        "ActionsSuppressor": alarm.suppressor,
        "ActionsSuppressorWaitPeriod": alarm.suppressor_wait,
        "ActionsSuppressorExtensionPeriod": alarm.suppressor_extension,
        "ActionsSuppressedBy": by,
        "ActionsSuppressedReason": f"Actions suppressed by {by}" if by else "",
    }


def _metric(alarm: Alarm) -> dict[str, Any]:
    return {
        "MetricName": alarm.metric,
        "Namespace": alarm.namespace,
        "Statistic": alarm.statistic,
        "ExtendedStatistic": alarm.extended_statistic,
        "Dimensions": [{"Name": name, "Value": value} for name, value in alarm.dimensions],
        "Period": alarm.period or None,
        "Unit": alarm.unit,
        "EvaluationPeriods": alarm.evaluation_periods or None,
        "DatapointsToAlarm": alarm.datapoints_to_alarm or None,
        "Threshold": alarm.threshold,
        "ComparisonOperator": alarm.comparison,
        "TreatMissingData": alarm.treat_missing_data,
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample,
        "Metrics": [_query(q) for q in alarm.queries] or None,
        "EvaluationState": alarm.evaluation_state,
    }


def _query(query: MetricQuery) -> dict[str, Any]:
    shown: dict[str, Any] = {"Id": query.id, "ReturnData": query.returns}
    if query.label is not None:
        shown["Label"] = query.label
    if query.account_id:
        shown["AccountId"] = query.account_id
    if query.expression:
        return shown | {"Expression": query.expression} | ({"Period": query.period} if query.period else {})
    metric = {
        "Namespace": query.namespace,
        "MetricName": query.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
    }
    stat = {"Metric": metric, "Period": query.period, "Stat": query.stat}
    return shown | {"MetricStat": stat | ({"Unit": query.unit} if query.unit else {})}
