"""Alarms as alerts of Alertmanager's API v2: told while they last, ended when they are over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.clock import FixedClock
from monitor.control.alertmanager import Alertmanager
from monitor.control.channels import Failed, Http
from monitor.model.alarm import ALARM, METRIC, OK, Alarm, alarm_arn
from monitor.model.state import Put, State
from tests.fakes.webhook import Webhook

START = 1_800_000_000.0
DIMENSIONS = (("ClusterName", "shop"), ("ServiceName", "web"))
FIRING = Alarm(
    alarm_arn("eu-west-1", "123456789012", "busy"),
    "busy",
    ALARM,
    START,
    "Threshold Crossed",
    kind=METRIC,
    dimensions=DIMENSIONS,
    description="long queue",
    tags={"severity": "critical"},
)


async def test_an_alert_lasts_as_long_as_its_alarm() -> None:
    state, clock, http = State(), FixedClock(START + 10), Http()
    with Webhook() as hook:
        told = Alertmanager(state, hook.url + "/", http, clock)
        state.apply([Put(FIRING), Put(replace(FIRING, arn=FIRING.arn + "2", name="calm", state=OK))])
        await told.tell()
        await told.tell()
        state.apply([Put(replace(FIRING, state=OK))])
        clock.advance(60)
        await told.tell()
        await told.tell()  # nothing to say
        await http.close()
        alerts = [alert for body in hook.documents("/api/v2/alerts") for alert in body]
    assert len(alerts) == 3
    assert alerts[0] == {
        "labels": {
            "alertname": "busy",
            "alarm_arn": FIRING.arn,
            "region": "eu-west-1",
            "account": "123456789012",
            "severity": "critical",
            "cluster": "shop",
            "service": "web",
        },
        "annotations": {
            "summary": "busy is in ALARM",
            "reason": "Threshold Crossed",
            "description": "long queue",
        },
        "startsAt": "2027-01-15T08:00:00.000Z",
        "endsAt": "2027-01-15T08:03:10.000Z",
    }
    assert [alert["endsAt"] for alert in alerts[1:]] == [
        "2027-01-15T08:03:10.000Z",
        "2027-01-15T08:01:10.000Z",
    ]


async def test_what_did_not_arrive_is_told_again() -> None:
    state, http = State(), Http()
    with Webhook() as hook:
        hook.next_statuses = [503]
        told = Alertmanager(state, hook.url, http, FixedClock(START))
        state.apply([Put(FIRING)])
        with pytest.raises(Failed, match="answered 503"):
            await told.tell()
        await told.tell()
        await http.close()
        assert len(hook.documents("/api/v2/alerts")) == 2
