"""The default event bus: rules match in the commit of an event, schedules by the minute, replays go through the log.

A matching rule's deliveries are part of the very commit that logs the event: a crash can neither lose nor double one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from monitor.api.announce import envelope, iso
from monitor.clock import Clock, Ids
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.event import Event
from monitor.model.rule import COMPLETED, ENABLED, FAILED, RUNNING, STARTING, Replay, Rule
from monitor.model.state import Change, Log, Put, State
from monitor.rules import event_pattern, routing, schedule
from monitor.store.base import Announce, Past, Store, StoreError

log = logging.getLogger("moorwatch.bus")

REPLAY_PAGE, LOOK_SECONDS = 200, 1.0


class Router:
    """Stands in the store's commit, behind `announce`, which completes the events."""

    def __init__(self, state: State, announce: Announce, clock: Clock, ids: Ids) -> None:
        self._announce, self._clock, self._ids, self._state = announce, clock, ids, state
        self._tables: dict[Scope, routing.Table] = {}
        self._version = -1

    def __call__(self, state: State, changes: Sequence[Change]) -> Sequence[Change]:
        told = list(self._announce(state, changes))
        events = [c.event for c in told if isinstance(c, Log) and c.event.detail_type]
        return [*told, *(d for event in events for d in self.deliveries(event))] if events else told

    def deliveries(self, event: Event, replay: Replay | None = None) -> list[Change]:
        scope = arns.scope_of(event.cluster_arn or event.subject)
        table = self._table(scope)
        if table.is_empty:
            return []
        body: dict[str, Any] = envelope(event)
        if replay is not None:
            body["replay-name"] = replay.name
        now, found = self._clock.now(), []
        for rule in table.matching(body):
            if replay is not None and replay.rules and rule.arn not in replay.rules:
                continue
            for target in rule.targets:
                made = routing.delivery(self._ids.uuid(), rule, target, body, iso(now), now)
                found.append(Put(made))
        return list(found)

    def _table(self, scope: Scope) -> routing.Table:
        """Made anew when a rule has changed."""
        version = self._state.rules_version
        if version != self._version:
            self._tables, self._version = {}, version
        if scope not in self._tables:
            own = [r for r in self._state.rules.values() if arns.scope_of(r.arn) == scope]
            self._tables[scope] = routing.Table(own)
        return self._tables[scope]


class Bus:
    """Schedules and replays."""

    def __init__(self, store: Store, router: Router, clock: Clock, ids: Ids) -> None:
        self._store, self._router, self._clock, self._ids = store, router, clock, ids

    async def run(self) -> None:
        while True:
            self.look()
            await self.replay()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Fire the schedules that are due in this minute. Minutes in which nobody looked are not made up for, as in
        EventBridge."""
        now = self._clock.now()
        minute = now // 60 * 60
        changes: list[Change] = []
        for rule in list(self._store.state.rules.values()):
            if rule.state == ENABLED and rule.schedule and rule.fired_at < minute:
                changes.append(Put(replace(rule, fired_at=minute)))
                if self._is_due(rule, minute):
                    changes += self._fired(rule, minute)
        if changes:
            # Not awaited: a failed write ends the process (store.failed).
            self._store.commit(changes)

    @staticmethod
    def _is_due(rule: Rule, minute: float) -> bool:
        local = datetime.fromtimestamp(minute, UTC).replace(tzinfo=None)
        started = datetime.fromtimestamp(rule.created_at, UTC).replace(tzinfo=None)
        return schedule.parse(rule.schedule).is_due(local, started)

    def _fired(self, rule: Rule, minute: float) -> list[Change]:
        scope, now = arns.scope_of(rule.arn), self._clock.now()
        event = {
            "version": "0",
            "id": self._ids.uuid(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": scope.account,
            "time": datetime.fromtimestamp(minute, UTC).isoformat().replace("+00:00", "Z"),
            "region": scope.region,
            "resources": [rule.arn],
            "detail": {},
        }
        return [
            Put(routing.delivery(self._ids.uuid(), rule, target, event, iso(now), now))
            for target in rule.targets
        ]

    # -- replays ------------------------------------------------------------------------------------

    async def replay(self) -> None:
        """One page of each replay that is under way."""
        for replay in list(self._store.state.replays.values()):
            if replay.state in (STARTING, RUNNING):
                try:
                    await self._page(replay)
                except StoreError as error:
                    log.error("replay=%s: %s", replay.name, error)

    async def _page(self, replay: Replay) -> None:
        archive = self._store.state.archives.get(replay.archive_arn)
        now = self._clock.now()
        if archive is None:
            failed = replace(replay, state=FAILED, reason="The archive is gone.", ended_at=now)
            await self._store.commit([Put(failed)])
            return
        since = max(replay.start, archive.created_at)
        if archive.retention_days:
            since = max(since, now - archive.retention_days * 86_400.0)
        found = await self._store.past(
            Past(since=since, until=replay.end, after=replay.after, limit=REPLAY_PAGE)
        )
        current = self._store.state.replays.get(replay.arn)
        if current is None or current.state not in (STARTING, RUNNING):
            return  # cancelled meanwhile
        pattern = event_pattern.parse(archive.pattern) if archive.pattern else None
        scope = arns.scope_of(archive.arn)
        changes: list[Change] = []
        for event in found:
            if not event.detail_type or arns.scope_of(event.cluster_arn or event.subject) != scope:
                continue
            if pattern is None or pattern.matches(envelope(event)):
                changes += self._router.deliveries(event, replay)
        moved = replace(current, state=RUNNING)
        if found:
            moved = replace(moved, after=found[-1].seq, replayed_at=found[-1].at)
        if len(found) < REPLAY_PAGE:
            moved = replace(moved, state=COMPLETED, ended_at=now)
        await self._store.commit([*changes, Put(moved)])
