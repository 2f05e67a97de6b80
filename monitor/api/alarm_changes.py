"""What a change of an alarm brings along, in the same commit: its event, its history, its actions.

An alarm's event is one of the log: "CloudWatch Alarm State Change" for rules, and with HistoryData for the alarm's own
history. Actions on topics become deliveries; scaling policies read the alarm itself, again and again while it lasts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.api.operation import Ids
from monitor.model.alarm import ACTION, CONFIGURATION_UPDATE, STATE_UPDATE, Alarm, alarm_name
from monitor.model.delivery import Delivery
from monitor.model.event import ALARM_CHANGE, Event
from monitor.model.state import Change, Drop, Log, Put
from monitor.rules import notice

SOURCE = "aws.cloudwatch"
STATE_TYPE = "CloudWatch Alarm State Change"
CONFIGURATION_TYPE = "CloudWatch Alarm Configuration Change"
UNKNOWN_TARGET = "there is nothing here that could do it; topics (arn:aws:sns:…) and scaling policies act"


def moved(before: Alarm, alarm: Alarm, now: float, ids: Ids, does_act: bool = True) -> list[Change]:
    """The alarm as it is now; where its state changed, told. `does_act`: a composite alarm acts when its suppressor
    lets it."""
    changes: list[Change] = [Put(alarm)]
    if alarm.state == before.state:
        return changes
    summary, data = notice.state_history(alarm, before)
    detail = notice.state_change(alarm, before)
    changes.append(Log(_event(alarm.arn, STATE_UPDATE, summary, data, now, ids, STATE_TYPE, detail)))
    if does_act:
        changes += actions(alarm, before, now, ids)
    return changes


def actions(alarm: Alarm, before: Alarm, now: float, ids: Ids) -> list[Change]:
    """What is to be done on the alarm's present state."""
    subject, message = notice.sns_message(alarm, before)
    changes: list[Change] = []
    for target in dict.fromkeys(alarm.state_actions):
        service = target.split(":", 3)[2]
        if service == "sns":
            about = {"Subject": subject, "state": alarm.state}
            changes.append(
                Put(Delivery(ids.uuid(), target, message, now, now, origin=alarm.arn, about=about))
            )
        else:
            problem = "" if ":scalingPolicy:" in target else UNKNOWN_TARGET
            changes.append(Log(acted(alarm.arn, alarm.state, target, problem, now, ids)))
    return changes


def acted(alarm_arn: str, state: str, target: str, problem: str, now: float, ids: Ids) -> Event:
    """The outcome of one action, for the alarm's history. `problem`: why it failed, "" when it was done."""
    summary, data = notice.action_history(alarm_name(alarm_arn), state, target, problem)
    return _event(alarm_arn, ACTION, summary, data, now, ids)


def configured(before: Alarm | None, alarm: Alarm, now: float, ids: Ids) -> list[Change]:
    operation = notice.CREATE if before is None else notice.UPDATE
    return [Put(alarm), Log(_configuration(alarm, operation, before, now, ids))]


def deleted(alarm: Alarm, now: float, ids: Ids) -> list[Change]:
    return [Drop(alarm), Log(_configuration(alarm, notice.DELETE, alarm, now, ids))]


def _configuration(alarm: Alarm, operation: str, before: Alarm | None, now: float, ids: Ids) -> Event:
    summary, data = notice.configuration_history(alarm, operation)
    detail = notice.configuration_change(alarm, operation, before)
    return _event(alarm.arn, CONFIGURATION_UPDATE, summary, data, now, ids, CONFIGURATION_TYPE, detail)


def _event(
    arn: str,
    name: str,
    summary: str,
    data: str,
    now: float,
    ids: Ids,
    detail_type: str = "",
    detail: Mapping[str, Any] | None = None,
) -> Event:
    return Event(
        id=ids.uuid(),
        at=now,
        kind=ALARM_CHANGE,
        cluster_arn="",
        message=f"alarm {alarm_name(arn)}: {summary}",
        name=name,
        detail_type=detail_type,
        detail=json.dumps(detail, separators=(",", ":"), ensure_ascii=False) if detail is not None else "",
        source=SOURCE,
        subject=arn,
        resources=(arn,),
        data=data,
    )
