"""How a composite alarm is judged and when it acts (CloudWatch user guide, "Composite alarms" and "Suppressing
composite alarm actions"). Pure: the alarms it looks at in, a verdict out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from monitor.model.alarm import (
    ALARM,
    BY_ALARM,
    BY_EXTENSION,
    BY_WAIT,
    OK,
    Alarm,
    Suppression,
)
from monitor.rules.alarm import Verdict, kept
from monitor.rules.alarm_reason import DATA_LIMIT, REASON_LIMIT, timestamp
from monitor.rules.alarm_rule import Node, children, holds, parse

__all__ = ["Judged", "children", "cyclic", "evaluate", "judge", "order", "parse", "suppression"]

CREATED, UPDATED = "created", "updated"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)

evaluate = holds  # evaluate(rule, states) -> bool


# -- state ---------------------------------------------------------------------------------------------------


def judge(alarm: Alarm, others: Mapping[str, Alarm], cause: str | Alarm) -> Verdict:
    """`others`: the alarms there are, by name. `cause`: the alarm whose change is the reason to look, or CREATED or
    UPDATED. The rule is one that `parse` takes. Only until it is first judged is it INSUFFICIENT_DATA."""
    rule: Node = parse(alarm.rule)
    names = children(rule)
    states = {name: others[name].state for name in names if name in others}
    state = ALARM if holds(rule, states) else OK
    if isinstance(cause, Alarm):
        reason = f"{cause.arn} transitioned to {cause.state} at {date(cause.changed_at)}"
        triggering: Sequence[Alarm] = (cause,)
    else:
        reason = f"{alarm.arn} was {cause} and its alarm rule evaluates to {state}"
        triggering = [others[name] for name in names if name in others]
    if state == alarm.state:
        return kept(alarm)
    return Verdict(state, reason[:REASON_LIMIT], _data(triggering))


def date(at: float) -> str:
    """`Friday 22 July, 2022 15:57:45 UTC`, whatever the process's locale."""
    found = datetime.fromtimestamp(int(at), UTC)
    day = f"{_DAYS[found.weekday()]} {found.day:02} {_MONTHS[found.month - 1]}, {found.year}"
    return f"{day} {found:%H:%M:%S} UTC"


def _data(triggering: Sequence[Alarm]) -> str:
    shown = [
        {"arn": one.arn, "state": {"value": one.state, "timestamp": timestamp(one.changed_at)}}
        for one in triggering
    ]
    while True:
        text = json.dumps({"triggeringAlarms": shown}, separators=(",", ":"), ensure_ascii=False)
        if len(text) <= DATA_LIMIT:
            return text
        shown = shown[: len(shown) * DATA_LIMIT // (len(text) + 1)]


def order(composites: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The composite alarms (name to its children's names), each after those it looks at: the way to judge them all in
    one go. Those that look at a cycle, directly or not, are left out, as their evaluation stops."""
    waiting = {name: {c for c in found if c in composites} for name, found in composites.items()}
    parents: dict[str, list[str]] = {}
    for name, found in waiting.items():
        for child in found:
            parents.setdefault(child, []).append(name)
    ready = [name for name, found in waiting.items() if not found]
    done: list[str] = []
    while ready:
        name = ready.pop()
        done.append(name)
        for parent in parents.get(name, ()):
            waiting[parent].discard(name)
            if not waiting[parent]:
                ready.append(parent)
    return tuple(done)


def cyclic(composites: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Those that look at a cycle, directly or not: they keep their state until a rule is changed."""
    return frozenset(composites) - frozenset(order(composites))


# -- actions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """`acts`: the actions of the alarm's present state are to be done, now and once."""

    memory: Suppression
    acts: bool

    @property
    def reason(self) -> str:
        """ActionsSuppressedReason."""
        return f"Actions suppressed by {self.memory.by}" if self.memory.by else ""


def suppression(alarm: Alarm, suppressor_state: str, now: float, memory: Suppression) -> Judged:
    """What becomes of the actions. To be asked again when the alarm or its suppressor has changed its state, and at
    `memory.until`; asking more often changes nothing. `suppressor_state`: "" when there is no suppressor.

    A change of state waits for the suppressor (WaitPeriod), which a further change starts anew, also out of the
    extension. While the suppressor is in ALARM nothing is done. When it leaves, the ExtensionPeriod runs. At the end of
    either period the alarm acts by its present state, if there was a change that it has not acted on.
    """
    has_changed = (alarm.state, alarm.changed_at) != (memory.seen, memory.seen_at)
    owed = memory.owed or has_changed
    memory = replace(memory, seen=alarm.state, seen_at=alarm.changed_at, owed=owed)
    if not alarm.suppressor or not suppressor_state:
        memory = replace(memory, by="", until=0.0)
    elif suppressor_state == ALARM:
        return Judged(replace(memory, by=BY_ALARM, until=0.0), False)
    elif has_changed:
        memory = replace(memory, by=BY_WAIT, until=alarm.changed_at + (alarm.suppressor_wait or 0))
    elif memory.by == BY_ALARM:
        memory = replace(memory, by=BY_EXTENSION, until=now + (alarm.suppressor_extension or 0))
    if memory.by and now < memory.until:
        return Judged(memory, False)
    return Judged(replace(memory, by="", until=0.0, owed=False), memory.owed)
