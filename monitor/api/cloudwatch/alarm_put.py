"""PutMetricAlarm, PutCompositeAlarm (CloudWatch API reference): the request as an alarm, which rules.alarm_check
judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.api import alarm_changes
from monitor.api.cloudwatch.asked import SERVICE, validation
from monitor.api.operation import Context, Outcome, Params, operation
from monitor.model.alarm import COMPOSITE, METRIC, Alarm, MetricQuery, alarm_arn
from monitor.model.errors import ClientFault
from monitor.model.state import State
from monitor.rules.alarm import check, configured
from monitor.rules.alarm_check import check_children

MOST_ALARMS = 5_000  # of an account in a region (CloudWatch service quotas)
_LATER = {
    "EvaluationWindow": "every alarm is evaluated over a sliding window",
    "WarmUpConfiguration": "an alarm is judged from its first datapoint on",
    "EvaluationCriteria": "PromQL alarms are Prometheus's own here: write a rule for it (deploy/prometheus/rules)",
    "EvaluationInterval": "it belongs to PromQL alarms",
    "ActionConfiguration": "actions are told once of each change of state",
}


@operation(SERVICE, "PutMetricAlarm")
def put_metric_alarm(ctx: Context, params: Params) -> Outcome:
    """Replaces the whole configuration; the state of a known alarm stays."""
    name = params["AlarmName"]
    _refuse(params)
    wanted = Alarm(
        **_common(ctx, params),
        kind=METRIC,
        namespace=params.get("Namespace") or "",
        metric=params.get("MetricName") or "",
        dimensions=_dimensions(params),
        statistic=params.get("Statistic") or "",
        extended_statistic=params.get("ExtendedStatistic") or "",
        unit=params.get("Unit") or "",
        period=params.get("Period") or 0,
        evaluation_periods=params.get("EvaluationPeriods") or 0,
        datapoints_to_alarm=params.get("DatapointsToAlarm") or 0,
        threshold=params.get("Threshold"),
        comparison=params.get("ComparisonOperator") or "",
        treat_missing_data=params.get("TreatMissingData") or "",
        evaluate_low_sample=params.get("EvaluateLowSampleCountPercentile") or "",
        threshold_metric_id=params.get("ThresholdMetricId") or "",
        queries=tuple(_query(query, name) for query in params.get("Metrics") or ()),
    )
    check(wanted)
    return _put(ctx, wanted)


@operation(SERVICE, "PutCompositeAlarm")
def put_composite_alarm(ctx: Context, params: Params) -> Outcome:
    _refuse(params)
    wanted = Alarm(
        **_common(ctx, params),
        kind=COMPOSITE,
        threshold=None,
        rule=params["AlarmRule"],
        suppressor=params.get("ActionsSuppressor") or "",
        suppressor_wait=params.get("ActionsSuppressorWaitPeriod"),
        suppressor_extension=params.get("ActionsSuppressorExtensionPeriod"),
    )
    check(wanted)
    check_children(wanted, [a.name for a in own(ctx)])
    return _put(ctx, wanted)


def own(ctx: Context) -> list[Alarm]:
    """The caller's alarms, by name."""
    prefix = alarm_arn(ctx.scope.region, ctx.scope.account, "")
    return sorted((a for a in ctx.state.alarms.values() if a.arn.startswith(prefix)), key=lambda a: a.name)


def known(ctx: Context, name: str) -> Alarm | None:
    return ctx.state.alarms.get(alarm_arn(ctx.scope.region, ctx.scope.account, name))


def _refuse(params: Params) -> None:
    for member, why in _LATER.items():
        if params.get(member):
            raise validation(f"{member} is not available: {why}.")


def _put(ctx: Context, wanted: Alarm) -> Outcome:
    before = ctx.state.alarms.get(wanted.arn)
    if before is not None and before.kind != wanted.kind and COMPOSITE in (before.kind, wanted.kind):
        kinds = ("composite", "metric") if before.kind == COMPOSITE else ("metric", "composite")
        raise validation(f"{wanted.name} is a {kinds[0]} alarm and cannot be made a {kinds[1]} alarm.")
    if before is None and len(own(ctx)) >= MOST_ALARMS:
        raise ClientFault("LimitExceeded", f"The maximum of {MOST_ALARMS} alarms has been reached.")
    alarm = configured(before, wanted, ctx.now)
    return Outcome(_nothing, tuple(alarm_changes.configured(before, alarm, ctx.now, ctx.ids)))


def _nothing(_: State) -> dict[str, Any]:
    return {}


def _common(ctx: Context, params: Params) -> dict[str, Any]:
    return {
        "arn": alarm_arn(ctx.scope.region, ctx.scope.account, params["AlarmName"]),
        "name": params["AlarmName"],
        "description": params.get("AlarmDescription") or "",
        "actions_enabled": params.get("ActionsEnabled", True),
        "ok_actions": tuple(params.get("OKActions") or ()),
        "alarm_actions": tuple(params.get("AlarmActions") or ()),
        "insufficient_data_actions": tuple(params.get("InsufficientDataActions") or ()),
        "tags": {tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()},
    }


def _dimensions(of: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((d["Name"], d["Value"]) for d in of.get("Dimensions") or ())


def _query(entry: Mapping[str, Any], alarm: str) -> MetricQuery:
    stat, expression = entry.get("MetricStat"), entry.get("Expression")
    if (stat is None) == (expression is None):
        raise validation(
            f"Invalid metrics list: '{entry['Id'][:64]}' of {alarm} needs one of MetricStat and Expression"
        )
    shared = {
        "id": entry["Id"],
        "label": entry.get("Label"),
        "returns": entry.get("ReturnData", True),
        "account_id": entry.get("AccountId") or "",
    }
    if stat is None:
        return MetricQuery(**shared, expression=expression or "", period=entry.get("Period") or 0)
    return MetricQuery(
        **shared,
        period=stat["Period"],
        namespace=stat["Metric"].get("Namespace") or "",
        metric=stat["Metric"].get("MetricName") or "",
        dimensions=_dimensions(stat["Metric"]),
        stat=stat["Stat"],
        unit=stat.get("Unit") or "",
    )
