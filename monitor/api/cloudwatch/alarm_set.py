"""SetAlarmState, EnableAlarmActions, DisableAlarmActions, DeleteAlarms, tags of alarms (CloudWatch API reference)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from monitor.api import alarm_changes
from monitor.api.cloudwatch.alarm_put import known, own
from monitor.api.cloudwatch.asked import SERVICE, bad_value, validation
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model import arn as arns
from monitor.model.alarm import COMPOSITE, Alarm
from monitor.model.errors import ClientFault
from monitor.model.state import Change, Put, State
from monitor.rules.alarm_check import MOST_TAGS
from monitor.rules.composite import children, parse

MOST_NAMES = 100


def _nothing(_: State) -> dict[str, Any]:
    return {}


@operation(SERVICE, "SetAlarmState")
def set_alarm_state(ctx: Context, params: Params) -> Outcome:
    """For the time until the alarm is evaluated again; history is written and actions run."""
    alarm = known(ctx, params["AlarmName"])
    if alarm is None:
        raise ClientFault("ResourceNotFound", "", 404)
    data = params.get("StateReasonData") or ""
    try:
        json.loads(data or "{}")
    except (ValueError, RecursionError) as error:
        raise ClientFault("InvalidFormat", "StateReasonData is not JSON.") from error
    state = params["StateValue"]
    changed = replace(
        alarm, state=state, reason=params["StateReason"], reason_data=data, state_updated_at=ctx.now
    )
    if state != alarm.state:
        changed = replace(changed, changed_at=ctx.now)
    changes = alarm_changes.moved(alarm, changed, ctx.now, ctx.ids, does_act=alarm.kind != COMPOSITE)
    return Outcome(_nothing, tuple(changes))


@operation(SERVICE, "EnableAlarmActions")
def enable_alarm_actions(ctx: Context, params: Params) -> Outcome:
    return _enable(ctx, params, True)


@operation(SERVICE, "DisableAlarmActions")
def disable_alarm_actions(ctx: Context, params: Params) -> Outcome:
    return _enable(ctx, params, False)


def _enable(ctx: Context, params: Params, is_enabled: bool) -> Outcome:
    """Names that are no alarm's are passed over, as in AWS."""
    changes: list[Change] = []
    for name in dict.fromkeys(_names(params)):
        alarm = known(ctx, name)
        if alarm is not None and alarm.actions_enabled != is_enabled:
            after = replace(alarm, actions_enabled=is_enabled, configured_at=ctx.now)
            changes += alarm_changes.configured(alarm, after, ctx.now, ctx.ids)
    return Outcome(_nothing, tuple(changes))


def _names(params: Params) -> list[str]:
    names = list(params["AlarmNames"])
    if len(names) > MOST_NAMES:
        raise validation(f"AlarmNames has at most {MOST_NAMES} members: there are {len(names)}.")
    return names


@operation(SERVICE, "DeleteAlarms")
def delete_alarms(ctx: Context, params: Params) -> Outcome:
    """All or none of them. One composite alarm at most, and none that another composite alarm looks at."""
    found: dict[str, Alarm] = {}
    for name in _names(params):
        alarm = known(ctx, name)
        if alarm is None:
            raise ClientFault("ResourceNotFound", f"Alarm {name[:255]} does not exist.", 404)
        found[name] = alarm
    if sum(alarm.kind == COMPOSITE for alarm in found.values()) > 1:
        raise validation("At most one composite alarm can be deleted by one request.")
    for other in own(ctx):
        if other.kind != COMPOSITE or other.name in found:
            continue
        looked_at = [name for name in children(parse(other.rule)) if name in found]
        if looked_at:
            raise validation(
                f"Cannot delete {looked_at[0]} as there are composite alarms depending on it: {other.name}."
            )
    changes = [c for alarm in found.values() for c in alarm_changes.deleted(alarm, ctx.now, ctx.ids)]
    return Outcome(_nothing, tuple(changes))


# -- tags ----------------------------------------------------------------------------------------------------


def _tagged(ctx: Context, params: Params) -> Alarm:
    arn = params["ResourceARN"]
    alarm = ctx.state.alarms.get(arn)
    if alarm is None or arns.scope_of(arn) != ctx.scope:
        raise ClientFault("ResourceNotFoundException", f"{arn[:256]} is not the ARN of an alarm.", 404)
    return alarm


@operation(SERVICE, "ListTagsForResource")
def list_tags(ctx: Context, params: Params) -> Outcome:
    tags = _tagged(ctx, params).tags
    return answer({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})


@operation(SERVICE, "TagResource")
def tag(ctx: Context, params: Params) -> Outcome:
    alarm = _tagged(ctx, params)
    tags = dict(alarm.tags) | {tag["Key"]: tag["Value"] for tag in params["Tags"]}
    if len(tags) > MOST_TAGS:
        raise bad_value(f"An alarm has at most {MOST_TAGS} tags.")
    return Outcome(_nothing, (Put(replace(alarm, tags=tags)),))


@operation(SERVICE, "UntagResource")
def untag(ctx: Context, params: Params) -> Outcome:
    alarm = _tagged(ctx, params)
    tags = {key: value for key, value in alarm.tags.items() if key not in params["TagKeys"]}
    return Outcome(_nothing, (Put(replace(alarm, tags=tags)),))
