"""The loop of alarms: datapoints → verdict → a commit with its event, its history and its actions.

Metric alarms are looked at every 10 s, those that are due; composite ones when any alarm has changed, and when a period
of a suppressor ends. Level-triggered like everything: nothing is remembered but when an alarm was last looked at, and
without that it is looked at once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from monitor.api import alarm_changes
from monitor.clock import Clock, Ids
from monitor.model import arn as arns
from monitor.model.alarm import COMPOSITE, METRIC, Alarm, alarm_name
from monitor.model.arn import Scope
from monitor.model.state import Change, Put
from monitor.rules import alarm as rules
from monitor.rules import composite
from monitor.series.base import SeriesError, SeriesStore
from monitor.series.watched import Watch
from monitor.store.base import Store

log = logging.getLogger("moorwatch.alarms")

TICK_SECONDS = 10
LATE_SECONDS = 7.0  # after a period's end: by then its points are published (control/publish.py)
_AT_ONCE = 100  # alarms judged before the loop is let go

Settled = Callable[[float], Awaitable[None]]


class Evaluator:
    """`settled`: resolves when the minute that has just ended is published, or will not be."""

    def __init__(self, store: Store, series: SeriesStore, clock: Clock, ids: Ids, settled: Settled) -> None:
        self._store, self._clock, self._ids, self._settled = store, clock, ids, settled
        self._watch = Watch(series)
        self._looked: dict[str, float] = {}  # alarm → when it was last evaluated
        self._causes: dict[str, Alarm | str] = {}  # what composite alarms are to look at: alarm → why
        self._news = asyncio.Event()
        store.state.listen(Alarm, self._changed)
        for alarm in store.state.alarms.values():
            if alarm.kind == COMPOSITE:
                self._causes[alarm.arn] = composite.UPDATED
                self._news.set()

    def _changed(self, before: Alarm | None, alarm: Alarm) -> None:
        if before is not None and before.state == alarm.state and before.configured_at == alarm.configured_at:
            return
        if before is None or before.configured_at != alarm.configured_at:
            self._looked.pop(alarm.arn, None)  # its configuration is new: judge it with the next tick
        if alarm.kind == COMPOSITE and (before is None or before.configured_at != alarm.configured_at):
            self._causes[alarm.arn] = composite.CREATED if before is None else composite.UPDATED
        else:
            self._causes[alarm.arn] = alarm
        self._news.set()

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            tick = ((now - LATE_SECONDS) // TICK_SECONDS + 1) * TICK_SECONDS + LATE_SECONDS
            while (now := self._clock.now()) < tick:
                due = min(tick, self._next_end())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), timeout=max(0.0, due - now))
                self.look_at_composites()
            await self._settled(tick - LATE_SECONDS)
            try:
                await self.look(self._clock.now())
            except SeriesError as error:
                log.error("alarms not evaluated: %s", error)

    # -- metric alarms ------------------------------------------------------------------------------

    async def look(self, now: float) -> None:
        """Every metric alarm that is due, once. Raises SeriesError."""
        alarms = self._store.state.alarms
        due = [
            a for a in alarms.values() if a.kind == METRIC and rules.is_due(a, self._looked.get(a.arn), now)
        ]
        for first in range(0, len(due), _AT_ONCE):
            part = due[first : first + _AT_ONCE]
            points = await self._watch.datapoints(part, now)
            changes: list[Change] = []
            for alarm in part:
                current = alarms.get(alarm.arn)
                if current is None or current.configured_at != alarm.configured_at:
                    continue  # another alarm by now: judged with the next tick
                self._looked[alarm.arn] = now
                changes += self._judged(current, points[alarm.arn], now)
            if changes:
                # Not awaited: a failed write ends the process (store.failed).
                self._store.commit(changes)
            await asyncio.sleep(0)
        if len(self._looked) > 2 * len(alarms) + 100:
            self._looked = {arn: at for arn, at in self._looked.items() if arn in alarms}
            self._watch.forget(alarms.values())
        self.look_at_composites()

    def _judged(self, alarm: Alarm, points: Sequence[rules.Datapoint] | None, now: float) -> list[Change]:
        failed = rules.kept(alarm, rules.EVALUATION_ERROR)
        verdict = failed if points is None else rules.evaluate(alarm, points, now)
        after = rules.updated(alarm, verdict, now)
        return [] if after is alarm else alarm_changes.moved(alarm, after, now, self._ids)

    # -- composite alarms ---------------------------------------------------------------------------

    def _next_end(self) -> float:
        """When the next period of a suppressor ends."""
        alarms = self._store.state.alarms.values()
        return min((a.suppression.until for a in alarms if a.suppression.until), default=float("inf"))

    def look_at_composites(self) -> None:
        """Those that a change concerns, each after those that it looks at itself."""
        now = self._clock.now()
        causes, self._causes = self._causes, {}
        self._news.clear()
        if not causes and self._next_end() > now:
            return
        scopes: dict[Scope, dict[str, Alarm]] = {}
        for alarm in self._store.state.alarms.values():
            scopes.setdefault(arns.scope_of(alarm.arn), {})[alarm.name] = alarm
        for alarms in scopes.values():
            self._look_in(alarms, causes, now)

    def _look_in(self, alarms: dict[str, Alarm], causes: Mapping[str, Alarm | str], now: float) -> None:
        """`alarms`: of one account and region by name; those that change are replaced in it."""
        looked_at = {
            a.name: composite.children(composite.parse(a.rule))
            for a in alarms.values()
            if a.kind == COMPOSITE
        }
        changed = {a.name: causes[a.arn] for a in alarms.values() if a.arn in causes}
        changes: list[Change] = []
        for name in composite.order(looked_at):
            before = after = alarms[name]
            cause = _cause(name, looked_at[name], changed, alarms)
            if cause is not None:
                after = rules.updated(before, composite.judge(before, alarms, cause), now)
            after, acts = self._suppressed(after, alarms, now)
            if after is before and not acts:
                continue
            changes += alarm_changes.moved(before, after, now, self._ids, does_act=False)
            if acts:
                changes += alarm_changes.actions(after, before, now, self._ids)
            if after.state != before.state:
                alarms[name] = changed[name] = after
        if changes:
            self._store.commit(changes)
            for change in changes:  # what we have just followed ourselves is no news
                if isinstance(change, Put) and isinstance(change.entity, Alarm):
                    self._causes.pop(change.entity.arn, None)

    def _suppressed(self, alarm: Alarm, alarms: Mapping[str, Alarm], now: float) -> tuple[Alarm, bool]:
        suppressor = alarms.get(alarm_name(alarm.suppressor)) if alarm.suppressor else None
        state = suppressor.state if suppressor is not None else ""
        judged = composite.suppression(alarm, state, now, alarm.suppression)
        if judged.memory == alarm.suppression:
            return alarm, judged.acts
        return replace(alarm, suppression=judged.memory), judged.acts


def _cause(
    name: str, children: Sequence[str], changed: Mapping[str, Alarm | str], alarms: Mapping[str, Alarm]
) -> Alarm | str | None:
    """Why the composite alarm is to be judged: it is new, its rule is, or an alarm that it looks at has changed."""
    own = changed.get(name)
    if isinstance(own, str):
        return own
    child = next((c for c in children if c in changed), None)
    return None if child is None else alarms[child]
