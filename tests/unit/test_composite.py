"""How composite alarms are judged, which cannot be, and when they act ("Suppressing composite alarm actions")."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest

from monitor.model.alarm import (
    ALARM,
    BY_ALARM,
    BY_EXTENSION,
    BY_WAIT,
    COMPOSITE,
    INSUFFICIENT_DATA,
    METRIC,
    OK,
    Alarm,
    alarm_arn,
)
from monitor.rules.alarm import configured, updated
from monitor.rules.composite import CREATED, UPDATED, Judged, cyclic, date, judge, order, suppression

NOW = 1_658_505_465.25  # 2022-07-22T15:57:45.250Z


def arn(name: str) -> str:
    return alarm_arn("eu-west-1", "123456789012", name)


def child(name: str, state: str, at: float = NOW) -> Alarm:
    return Alarm(arn(name), name, state=state, changed_at=at, kind=METRIC)


def composite(rule: str, state: str = INSUFFICIENT_DATA) -> Alarm:
    return Alarm(arn("both"), "both", state=state, kind=COMPOSITE, rule=rule, reason="old", reason_data="{}")


def named(*alarms: Alarm) -> dict[str, Alarm]:
    return {alarm.name: alarm for alarm in alarms}


# -- state ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_b", "expected"), [(ALARM, ALARM), (OK, OK), (INSUFFICIENT_DATA, OK)])
def test_a_new_one_is_judged_at_once(of_b: str, expected: str) -> None:
    others = named(child("a", ALARM), child("b", of_b))
    verdict = judge(composite("ALARM(a) AND ALARM(b)"), others, CREATED)
    assert verdict.state == expected
    assert verdict.reason == f"{arn('both')} was created and its alarm rule evaluates to {expected}"
    triggering = json.loads(verdict.reason_data)["triggeringAlarms"]
    assert [one["arn"] for one in triggering] == [arn("a"), arn("b")]


def test_the_alarm_that_changed_is_told() -> None:
    cause = child("a", ALARM)
    verdict = judge(composite("ALARM(a) OR ALARM(b)", OK), named(cause, child("b", OK)), cause)
    assert verdict.state == ALARM
    assert verdict.reason == f"{arn('a')} transitioned to ALARM at Friday 22 July, 2022 15:57:45 UTC"
    assert json.loads(verdict.reason_data) == {
        "triggeringAlarms": [
            {"arn": arn("a"), "state": {"value": "ALARM", "timestamp": "2022-07-22T15:57:45.250+0000"}}
        ]
    }


def test_an_update_is_told() -> None:
    verdict = judge(composite("FALSE", ALARM), {}, UPDATED)
    assert (verdict.state, verdict.reason) == (
        OK,
        f"{arn('both')} was updated and its alarm rule evaluates to OK",
    )


def test_what_does_not_change_the_state_keeps_the_reason_and_stores_nothing() -> None:
    cause, alarm = child("a", OK), composite("ALARM(a)", OK)
    verdict = judge(alarm, named(cause), cause)
    assert (verdict.state, verdict.reason, verdict.reason_data) == (OK, "old", "{}")
    assert updated(alarm, verdict, NOW) is alarm


def test_an_alarm_that_is_gone_is_in_no_state() -> None:
    assert judge(composite("ALARM(a) OR OK(a) OR INSUFFICIENT_DATA(a)"), {}, UPDATED).state == OK
    assert judge(composite("NOT ALARM(a)"), {}, UPDATED).state == ALARM


def test_the_data_keeps_within_its_limit() -> None:
    others = named(*(child(f"ä{n:02}" + "n" * 200, ALARM) for n in range(45)))
    verdict = judge(composite(f"AT_LEAST(1, ALARM, ({','.join(others)}))"), others, CREATED)
    assert len(verdict.reason_data) <= 4000
    triggering = json.loads(verdict.reason_data)["triggeringAlarms"]
    assert 5 < len(triggering) < 45
    assert triggering[0]["arn"] == arn(next(iter(others)))


def test_the_reason_keeps_within_its_limit() -> None:
    cause = child("n" * 255, ALARM)
    assert len(judge(composite(f"ALARM({cause.name})"), named(cause), cause).reason) <= 1023


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "Thursday 01 January, 1970 00:00:00 UTC"),
        (1_709_251_199.9, "Thursday 29 February, 2024 23:59:59 UTC"),
        (1_798_761_600.0, "Friday 01 January, 2027 00:00:00 UTC"),
    ],
)
def test_dates_are_english_whatever_the_locale(at: float, text: str) -> None:
    assert date(at) == text


# -- cycles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("composites", "expected"),
    [
        ({}, ""),
        ({"a": "m"}, ""),  # m is no composite
        ({"a": "b", "b": "c", "c": "m"}, ""),
        ({"a": "bc", "b": "d", "c": "d", "d": ""}, ""),  # a diamond is no cycle
        ({"a": "a"}, "a"),
        ({"a": "b", "b": "a"}, "ab"),
        ({"a": "b", "b": "c", "c": "a", "d": "m"}, "abc"),
        ({"a": "b", "b": "c", "c": "b"}, "abc"),  # a looks at one
        ({"a": "b", "b": "b", "c": "d", "d": ""}, "ab"),
    ],
)
def test_those_that_look_at_a_cycle_are_not_judged(composites: dict[str, str], expected: str) -> None:
    assert cyclic(composites) == set(expected)
    found = order(composites)
    assert sorted(found) == sorted(set(composites) - set(expected))
    for place, name in enumerate(found):
        assert not set(composites[name]) & set(found[place:])


def test_a_long_chain_is_ordered_without_recursion() -> None:
    chain = {str(n): [str(n + 1)] for n in range(20_000)}
    assert order(chain)[0] == "19999"
    assert cyclic({**chain, "20000": ["0"]}) == {*chain, "20000"}


# -- actions -------------------------------------------------------------------------------------------------


@dataclass
class Line:
    """A composite alarm with its suppressor in time: wait 60 s, extension 120 s. `acted`: (time, state)."""

    wait: int | None = 60
    extension: int | None = 120
    suppressor: str = "quiet"
    quiet: str = OK
    alarm: Alarm = field(init=False)
    acted: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        wanted = replace(
            composite("ALARM(a)"),
            suppressor=self.suppressor,
            suppressor_wait=self.wait,
            suppressor_extension=self.extension,
        )
        # As the first verdict leaves it: OK, and acted on that.
        known = replace(configured(None, wanted, 0.0), state=OK)
        memory = replace(known.suppression, seen=OK, seen_at=0.0)
        self.alarm = replace(known, suppression=memory)

    def at(self, now: float, state: str = "", quiet: str | None = None) -> Judged:
        """At `now` the alarm goes to `state`, its suppressor to `quiet`; then it is looked at."""
        if state:
            self.alarm = replace(self.alarm, state=state, changed_at=now)
        if quiet is not None:
            self.quiet = quiet
        judged = suppression(self.alarm, self.quiet if self.suppressor else "", now, self.alarm.suppression)
        self.alarm = replace(self.alarm, suppression=judged.memory)
        if judged.acts:
            self.acted.append((now, self.alarm.state))
        return judged

    @property
    def by(self) -> tuple[str, float]:
        return self.alarm.suppression.by, self.alarm.suppression.until


def test_without_a_suppressor_each_change_acts_once_and_at_once() -> None:
    line = Line(suppressor="", wait=None, extension=None)
    line.at(10, ALARM)
    line.at(11)
    line.at(20, OK)
    line.at(20)
    assert line.acted == [(10, ALARM), (20, OK)]


def test_the_first_verdict_acts_too() -> None:
    wanted = configured(None, composite("ALARM(a)"), 5.0)
    same_instant = replace(wanted, state=ALARM, changed_at=5.0)
    assert suppression(same_instant, "", 5.0, same_instant.suppression).acts
    assert not suppression(wanted, "", 5.0, wanted.suppression).acts


def test_the_wait_period_gives_the_suppressor_time_and_then_the_alarm_acts() -> None:
    line = Line()
    assert line.at(100, ALARM).reason == "Actions suppressed by WaitPeriod"
    assert line.by == (BY_WAIT, 160.0)
    line.at(159.9)
    assert line.acted == []
    assert line.at(160).reason == ""
    line.at(161)
    assert line.acted == [(160, ALARM)]


def test_a_suppressor_that_comes_within_the_wait_period_holds_the_actions_back() -> None:
    line = Line()
    line.at(100, ALARM)
    assert line.at(130, quiet=ALARM).reason == "Actions suppressed by Alarm"
    line.at(160)
    line.at(10_000)
    assert (line.by, line.acted) == ((BY_ALARM, 0.0), [])


def test_a_suppressor_that_leaves_starts_the_extension_and_then_the_alarm_acts() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    assert line.by == (BY_ALARM, 0.0)
    assert line.at(200, quiet=OK).reason == "Actions suppressed by ExtensionPeriod"
    assert line.by == (BY_EXTENSION, 320.0)
    line.at(319.9)
    assert line.acted == []
    line.at(320)
    line.at(321)
    assert line.acted == [(320, ALARM)]


def test_a_suppressor_without_data_suppresses_nothing() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    line.at(200, quiet=INSUFFICIENT_DATA)
    assert line.by == (BY_EXTENSION, 320.0)


def test_a_change_within_the_wait_period_starts_it_anew_and_only_the_last_state_acts() -> None:
    line = Line()
    line.at(100, ALARM)
    line.at(130, OK)
    assert line.by == (BY_WAIT, 190.0)
    line.at(160)
    line.at(190)
    assert line.acted == [(190, OK)]


def test_a_change_within_the_extension_starts_the_wait_period() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    line.at(200, quiet=OK)
    line.at(310, OK)
    assert line.by == (BY_WAIT, 370.0)
    line.at(320)
    assert line.acted == []
    line.at(370)
    assert line.acted == [(370, OK)]


def test_changes_under_the_suppressor_act_by_the_state_it_ends_with() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    line.at(110, OK)
    line.at(120, ALARM)
    line.at(200, quiet=OK)
    line.at(320)
    assert line.acted == [(320, ALARM)]


def test_a_suppressor_that_comes_and_goes_with_nothing_owed_acts_on_nothing() -> None:
    line = Line()
    line.at(100, quiet=ALARM)
    line.at(200, quiet=OK)
    assert line.by == (BY_EXTENSION, 320.0)
    line.at(320)
    assert (line.by, line.acted) == (("", 0.0), [])


def test_a_suppressor_that_comes_back_within_the_extension_goes_on_suppressing() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    line.at(200, quiet=OK)
    line.at(250, quiet=ALARM)
    line.at(320)
    assert (line.by, line.acted) == ((BY_ALARM, 0.0), [])
    line.at(400, quiet=OK)
    line.at(520)
    assert line.acted == [(520, ALARM)]


def test_periods_of_nothing_act_at_once() -> None:
    line = Line(wait=0, extension=0)
    line.at(100, ALARM)
    line.at(110, quiet=ALARM)
    line.at(120, OK)
    line.at(200, quiet=OK)
    assert line.acted == [(100, ALARM), (200, OK)]


def test_a_look_that_comes_late_acts_all_the_same() -> None:
    line = Line()
    line.at(100, ALARM)
    line.at(5000)
    assert line.acted == [(5000, ALARM)]


def test_a_change_seen_late_waits_from_when_it_was() -> None:
    line = Line()
    line.alarm = replace(line.alarm, state=ALARM, changed_at=100.0)
    line.at(130)
    assert line.by == (BY_WAIT, 160.0)


def test_a_suppressor_that_was_deleted_holds_nothing_back() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    line.at(110, quiet="")
    assert (line.by, line.acted) == (("", 0.0), [(110, ALARM)])


def test_a_put_that_takes_the_suppressor_away_lets_the_alarm_act() -> None:
    line = Line(quiet=ALARM)
    line.at(100, ALARM)
    line.suppressor = ""
    line.alarm = configured(
        line.alarm,
        replace(line.alarm, suppressor="", suppressor_wait=None, suppressor_extension=None),
        110.0,
    )
    line.at(110)
    line.at(111)
    assert line.acted == [(110, ALARM)]


def test_two_changes_in_one_instant_are_two() -> None:
    line = Line(suppressor="")
    line.at(100, ALARM)
    line.at(100, OK)
    assert line.acted == [(100, ALARM), (100, OK)]
