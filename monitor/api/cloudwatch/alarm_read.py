"""DescribeAlarms, DescribeAlarmsForMetric, DescribeAlarmHistory (CloudWatch API reference)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.api.cloudwatch.alarm_put import known, own
from monitor.api.cloudwatch.alarm_views import view
from monitor.api.cloudwatch.asked import SERVICE, bad_combination, bad_value, key_of, read_token, token
from monitor.api.operation import Context, Outcome, Params, answer, awaited, operation
from monitor.model.alarm import COMPOSITE, Alarm, alarm_arn, alarm_name
from monitor.model.errors import ClientFault
from monitor.model.event import ALARM_CHANGE, Event
from monitor.rules.composite import children, parse
from monitor.store.base import Past

MOST_RECORDS, DEFAULT_RECORDS = 100, 50
HISTORY_RECORDS = 100
METRIC_TYPE, COMPOSITE_TYPE = "MetricAlarm", "CompositeAlarm"
_READ_AT_ONCE = 500


@operation(SERVICE, "DescribeAlarms")
def describe_alarms(ctx: Context, params: Params) -> Outcome:
    """Composite alarms only when AlarmTypes names them; by name."""
    names, prefix = params.get("AlarmNames"), params.get("AlarmNamePrefix")
    if names and prefix:
        raise bad_combination("AlarmNames and AlarmNamePrefix cannot both be specified.")
    family = [m for m in ("ChildrenOfAlarmName", "ParentsOfAlarmName") if params.get(m)]
    if family and len([m for m, value in params.items() if value]) > len({*family, "MaxRecords"} & {*params}):
        raise bad_combination(f"{family[0]} can be combined with MaxRecords and NextToken alone.")
    types = params.get("AlarmTypes") or [METRIC_TYPE]
    found = own(ctx)
    if family:
        found = _family(ctx, found, family[0], params[family[0]])
    elif not names or params.get("AlarmTypes"):
        found = [a for a in found if _type(a) in types]
    else:
        found = [a for a in found if _type(a) == METRIC_TYPE]
    if names:
        found = [a for a in found if a.name in set(names)]
    if prefix:
        found = [a for a in found if a.name.startswith(prefix)]
    if state := params.get("StateValue"):
        found = [a for a in found if a.state == state]
    if action := params.get("ActionPrefix"):
        found = [a for a in found if any(arn.startswith(action) for arn in _actions(a))]
    return answer(_page(found, params))


def _type(alarm: Alarm) -> str:
    return COMPOSITE_TYPE if alarm.kind == COMPOSITE else METRIC_TYPE


def _actions(alarm: Alarm) -> tuple[str, ...]:
    return (*alarm.ok_actions, *alarm.alarm_actions, *alarm.insufficient_data_actions)


def _family(ctx: Context, alarms: list[Alarm], which: str, name: str) -> list[Alarm]:
    if which == "ParentsOfAlarmName":
        return [a for a in alarms if a.kind == COMPOSITE and name in children(parse(a.rule))]
    parent = known(ctx, name)
    if parent is None or parent.kind != COMPOSITE:
        return []
    wanted = set(children(parse(parent.rule)))
    return [a for a in alarms if a.name in wanted]


def _page(found: list[Alarm], params: Params) -> dict[str, Any]:
    most = params.get("MaxRecords", DEFAULT_RECORDS)
    if after := read_token(params, (str,)):
        found = [a for a in found if a.name > after[0]]
    shown = found[:most]
    body: dict[str, Any] = {
        "MetricAlarms": [view(a) for a in shown if a.kind != COMPOSITE],
        "CompositeAlarms": [view(a) for a in shown if a.kind == COMPOSITE],
    }
    if len(found) > most:
        body["NextToken"] = token(shown[-1].name)
    return body


@operation(SERVICE, "DescribeAlarmsForMetric")
def describe_alarms_for_metric(ctx: Context, params: Params) -> Outcome:
    """Those on one metric that have exactly these dimensions, also as a part of metric math."""
    key = key_of(params)
    stat, extended = params.get("Statistic"), params.get("ExtendedStatistic")
    if stat and extended:
        raise bad_combination("Statistic and ExtendedStatistic cannot both be specified.")
    period, unit = params.get("Period"), params.get("Unit")
    found = []
    for alarm in own(ctx):
        if alarm.kind == COMPOSITE:
            continue
        watched = [(alarm.metric_key, alarm.stat, alarm.period, alarm.unit)] if alarm.metric else []
        watched += [(q.metric_key, q.stat, q.period, q.unit) for q in alarm.queries if q.metric]
        for own_key, own_stat, own_period, own_unit in watched:
            if (
                own_key == key
                and (stat or extended) in (None, own_stat)
                and period in (None, own_period)
                and unit in (None, own_unit)
            ):
                found.append(alarm)
                break
    return answer({"MetricAlarms": [view(a) for a in found]})


# -- history -------------------------------------------------------------------------------------------------


@operation(SERVICE, "DescribeAlarmHistory")
def describe_alarm_history(ctx: Context, params: Params) -> Outcome:
    """From the event log: also of alarms that are gone. Newest first, unless asked otherwise."""
    assert ctx.past is not None
    past, name = ctx.past, params.get("AlarmName")
    start, end = params.get("StartDate"), params.get("EndDate")
    if start is not None and end is not None and start > end:
        raise bad_value("The parameter StartDate must be less than or equal to EndDate.")
    most = params.get("MaxRecords", HISTORY_RECORDS)
    types = params.get("AlarmTypes") or [METRIC_TYPE]
    kind = params.get("HistoryItemType")
    after = read_token(params, (int,))
    arn = alarm_arn(ctx.scope.region, ctx.scope.account, name or "")
    wanted = Past(
        subject=arn if name else "",
        about="" if name else arn,
        since=start or 0.0,
        until=float("inf") if end is None else end,
        after=after[0] if after else 0,
        limit=_READ_AT_ONCE,
        is_newest_first=params.get("ScanBy", "TimestampDescending") == "TimestampDescending",
    )

    async def work() -> dict[str, Any]:
        found: list[Event] = []
        reading = wanted
        while len(found) <= most:
            events = await past(reading)
            found += [
                e
                for e in events
                if e.kind == ALARM_CHANGE and kind in (None, e.name) and _type_of(ctx, e) in types
            ]
            if len(events) < reading.limit:
                break
            reading = replace(reading, after=events[-1].seq)
        body: dict[str, Any] = {"AlarmHistoryItems": [_item(ctx, e) for e in found[:most]]}
        if len(found) > most:
            body["NextToken"] = token(found[most - 1].seq)
        return body

    return awaited(work)


def _type_of(ctx: Context, event: Event) -> str:
    """A composite alarm that is gone is known by the rule its events tell."""
    alarm = ctx.state.alarms.get(event.subject)
    if alarm is None:
        return (
            COMPOSITE_TYPE if '"alarmRule":' in event.data or '"alarmRule":' in event.detail else METRIC_TYPE
        )
    return _type(alarm)


def _item(ctx: Context, event: Event) -> dict[str, Any]:
    name = alarm_name(event.subject)
    return {
        "AlarmName": name,
        "AlarmType": _type_of(ctx, event),
        "Timestamp": event.at,
        "HistoryItemType": event.name,
        "HistorySummary": event.message.removeprefix(f"alarm {name}: "),
        "HistoryData": event.data,
    }


@operation(SERVICE, "DescribeAlarmContributors")
def describe_alarm_contributors(ctx: Context, params: Params) -> Outcome:
    """Contributors belong to alarms on several series at once, which there are none of."""
    if known(ctx, params["AlarmName"]) is None:
        raise ClientFault("ResourceNotFoundException", "The alarm does not exist.", 404)
    return answer({"AlarmContributors": []})
