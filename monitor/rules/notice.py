"""What is told when an alarm changes: bodies of notifications, of events, of the history (CloudWatch user guide, "Alarm
events and EventBridge"; API reference, "AlarmHistoryItem"; Alertmanager's API v2). Pure: alarms in, data out.

Keys and their order follow recorded messages. `before` is the alarm as it was, None when it is new.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from monitor.model.alarm import ALARM, COMPOSITE, Alarm, MetricQuery
from monitor.rules.alarm_reason import timestamp

CREATE, UPDATE, DELETE = "create", "update", "delete"
_SUBJECT_LIMIT = 100  # characters of an e-mail's subject (SNS API reference, "Publish")
_STATISTICS = {
    "SampleCount": "SAMPLE_COUNT",
    "Average": "AVERAGE",
    "Sum": "SUM",
    "Minimum": "MINIMUM",
    "Maximum": "MAXIMUM",
}
_REGIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "ca-central-1": "Canada (Central)",
    "eu-central-1": "EU (Frankfurt)",
    "eu-north-1": "EU (Stockholm)",
    "eu-south-1": "EU (Milan)",
    "eu-west-1": "EU (Ireland)",
    "eu-west-2": "EU (London)",
    "eu-west-3": "EU (Paris)",
    "ap-east-1": "Asia Pacific (Hong Kong)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-northeast-2": "Asia Pacific (Seoul)",
    "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
    "sa-east-1": "South America (Sao Paulo)",
}


# -- topics --------------------------------------------------------------------------------------------------


def sns_message(alarm: Alarm, before: Alarm) -> tuple[str, str]:
    """(subject, message): the message is JSON text."""
    region, account = _place(alarm)
    body: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description or None,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": timestamp(alarm.configured_at),
        "NewStateValue": alarm.state,
        "NewStateReason": alarm.reason,
        "StateChangeTime": timestamp(alarm.changed_at),
        "Region": region,
        "AlarmArn": alarm.arn,
        "OldStateValue": before.state,
        "OKActions": list(alarm.ok_actions),
        "AlarmActions": list(alarm.alarm_actions),
        "InsufficientDataActions": list(alarm.insufficient_data_actions),
    }
    if alarm.kind == COMPOSITE:
        body |= {"AlarmRule": alarm.rule}
        if alarm.reason_data:
            body["NewStateReasonData"] = alarm.reason_data
    else:
        body["Trigger"] = _trigger(alarm)
    subject = f'{alarm.state}: "{alarm.name}" in {region}'
    return subject[:_SUBJECT_LIMIT], json.dumps(body, ensure_ascii=False)


def _place(alarm: Alarm) -> tuple[str, str]:
    """(region as people know it, account)."""
    pieces = alarm.arn.split(":", 5)
    return _REGIONS.get(pieces[3], pieces[3]), pieces[4]


def _trigger(alarm: Alarm) -> dict[str, Any]:
    judged = {
        "Period": alarm.period_seconds,
        "EvaluationPeriods": alarm.evaluation_periods,
        **({"DatapointsToAlarm": alarm.datapoints_to_alarm} if alarm.datapoints_to_alarm else {}),
        "ComparisonOperator": alarm.comparison,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data,
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample,
    }
    if alarm.queries:
        return judged | {"Metrics": [_trigger_query(query) for query in alarm.queries]}
    if alarm.statistic:
        kind = {"StatisticType": "Statistic", "Statistic": _STATISTICS[alarm.statistic]}
    else:
        kind = {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": alarm.extended_statistic}
    return {
        "MetricName": alarm.metric,
        "Namespace": alarm.namespace,
        **kind,
        "Unit": alarm.unit or None,
        "Dimensions": [{"value": value, "name": name} for name, value in alarm.dimensions],
        **judged,
    }


def _trigger_query(query: MetricQuery) -> dict[str, Any]:
    shown: dict[str, Any] = {"Id": query.id, "ReturnData": query.returns}
    if query.label is not None:
        shown["Label"] = query.label
    if query.expression:
        return shown | {"Expression": query.expression}
    metric = {
        "Dimensions": [{"value": value, "name": name} for name, value in query.dimensions],
        "MetricName": query.metric,
        "Namespace": query.namespace,
    }
    return shown | {"MetricStat": {"Metric": metric, "Period": query.period, "Stat": query.stat}}


# -- events --------------------------------------------------------------------------------------------------


def state_change(alarm: Alarm, before: Alarm) -> dict[str, Any]:
    """The detail of a "CloudWatch Alarm State Change"."""
    return {
        "alarmName": alarm.name,
        "state": _state(alarm),
        "previousState": _state(before),
        "configuration": _configuration(alarm),
    }


def configuration_change(alarm: Alarm, operation: str, before: Alarm | None) -> dict[str, Any]:
    """The detail of a "CloudWatch Alarm Configuration Change". `operation`: create, update or delete."""
    whole: dict[str, Any] = {
        "alarmName": alarm.name,
        "operation": operation,
        "state": _state(alarm),
        "configuration": _whole(alarm),
    }
    if operation == UPDATE and before is not None:
        whole["previousConfiguration"] = _whole(before)
    return whole


def _state(alarm: Alarm) -> dict[str, Any]:
    state: dict[str, Any] = {"value": alarm.state, "reason": alarm.reason}
    if alarm.reason_data:
        state["reasonData"] = alarm.reason_data
    state["timestamp"] = timestamp(alarm.state_updated_at)
    if alarm.evaluation_state:
        state["evaluationState"] = alarm.evaluation_state
    if alarm.suppression.by:
        state["actionsSuppressedBy"] = alarm.suppression.by
    return state


def _configuration(alarm: Alarm) -> dict[str, Any]:
    if alarm.kind == COMPOSITE:
        shown: dict[str, Any] = {"alarmRule": alarm.rule}
        if alarm.suppressor:
            shown |= {
                "actionsSuppressor": alarm.suppressor,
                "actionsSuppressorWaitPeriod": alarm.suppressor_wait,
                "actionsSuppressorExtensionPeriod": alarm.suppressor_extension,
            }
    else:
        shown = {"metrics": _metrics(alarm)}
    return shown | ({"description": alarm.description} if alarm.description else {})


def _metrics(alarm: Alarm) -> list[dict[str, Any]]:
    queries = alarm.queries or (
        MetricQuery(
            # An alarm on one metric has no id for it. One that stays the same serves as well as a random one.
            "m1",
            period=alarm.period,
            namespace=alarm.namespace,
            metric=alarm.metric,
            dimensions=alarm.dimensions,
            stat=alarm.stat,
            unit=alarm.unit,
        ),
    )
    return [_event_query(query) for query in queries]


def _event_query(query: MetricQuery) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": query.id}
    if query.expression:
        shown["expression"] = query.expression
    else:
        stat: dict[str, Any] = {
            "metric": {
                "namespace": query.namespace,
                "name": query.metric,
                "dimensions": dict(query.dimensions),
            },
            "period": query.period,
            "stat": query.stat,
        }
        if query.unit:
            stat["unit"] = query.unit
        shown["metricStat"] = stat
    if query.label is not None:
        shown["label"] = query.label
    return shown | {"returnData": query.returns}


def _whole(alarm: Alarm) -> dict[str, Any]:
    shown = _configuration(alarm) | {
        "actionsEnabled": alarm.actions_enabled,
        "timestamp": timestamp(alarm.configured_at),
        "okActions": list(alarm.ok_actions),
        "alarmActions": list(alarm.alarm_actions),
        "insufficientDataActions": list(alarm.insufficient_data_actions),
    }
    if alarm.kind != COMPOSITE:
        shown |= {
            "evaluationPeriods": alarm.evaluation_periods,
            "threshold": alarm.threshold,
            "comparisonOperator": alarm.comparison,
            **({"datapointsToAlarm": alarm.datapoints_to_alarm} if alarm.datapoints_to_alarm else {}),
            **({"treatMissingData": alarm.treat_missing_data} if alarm.treat_missing_data else {}),
        }
    return shown


# -- history -------------------------------------------------------------------------------------------------


def state_history(alarm: Alarm, before: Alarm) -> tuple[str, str]:
    """(HistorySummary, HistoryData)."""
    data = {"version": "1.0", "oldState": _history_state(before), "newState": _history_state(alarm)}
    return f"Alarm updated from {before.state} to {alarm.state}", _compact(data)


def _history_state(alarm: Alarm) -> dict[str, Any]:
    shown: dict[str, Any] = {"stateValue": alarm.state, "stateReason": alarm.reason}
    if alarm.reason_data:
        try:
            shown["stateReasonData"] = json.loads(alarm.reason_data)
        except ValueError:
            shown["stateReasonData"] = alarm.reason_data  # a user's own (SetAlarmState)
    return shown


def configuration_history(alarm: Alarm, operation: str) -> tuple[str, str]:
    """(HistorySummary, HistoryData)."""
    data: dict[str, Any] = {"version": "1.0", "type": operation.capitalize()}
    if operation == CREATE:
        data["createdAlarm"] = _whole(alarm)
    elif operation == UPDATE:
        data["updatedAlarm"] = _whole(alarm)
    else:
        data["deletedAlarm"] = _whole(alarm)
    return f'Alarm "{alarm.name}" {operation}d', _compact(data)


def action_history(alarm_name: str, state: str, target: str, problem: str = "") -> tuple[str, str]:
    """(HistorySummary, HistoryData) of one action. `problem`: why it failed, "" when it was done."""
    outcome = "Failed" if problem else "Succeeded"
    word = "Failed to execute" if problem else "Successfully executed"
    data: dict[str, Any] = {
        "version": "1.0",
        "actionState": outcome,
        "stateUpdateTimestamp": None,
        "notificationResource": target,
        "publishedMessage": None,
        "alarmName": alarm_name,
        "newStateValue": state,
    }
    data = {name: value for name, value in data.items() if value is not None}
    if problem:
        data["error"] = problem
    told = f"{word} action {target}"
    return (f"{told}. Received error: {problem}" if problem else told), _compact(data)


def _compact(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


# -- Alertmanager --------------------------------------------------------------------------------------------

_LABELS = {
    "ClusterName": "cluster",
    "ServiceName": "service",
    "TaskDefinitionFamily": "family",
    "TaskId": "task",
    "ContainerName": "container",
    "ContainerInstanceId": "container_instance",
}


def alertmanager_alert(alarm: Alarm, ends_at: float) -> dict[str, Any]:
    """An alert of Alertmanager's API v2. `ends_at`, seconds since the epoch: when it is over if nobody tells anew."""
    region, account = alarm.arn.split(":", 5)[3:5]
    labels = {"alertname": alarm.name, "alarm_arn": alarm.arn, "region": region, "account": account}
    labels["severity"] = alarm.tags.get("severity", "warning")
    queries = alarm.queries or (MetricQuery("m1", namespace=alarm.namespace, dimensions=alarm.dimensions),)
    for query in queries:
        for name, value in query.dimensions:
            if name in _LABELS:
                labels.setdefault(_LABELS[name], value)
    annotations = {"summary": f"{alarm.name} is in {ALARM}", "reason": alarm.reason}
    if alarm.description:
        annotations["description"] = alarm.description
    return {
        "labels": labels,
        "annotations": annotations,
        "startsAt": _rfc3339(alarm.changed_at),
        "endsAt": _rfc3339(ends_at),
    }


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
