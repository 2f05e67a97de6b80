"""The scheduling loop: something changed, or it is time → look at everything → commit.

Changes are debounced: the first is acted on at once, those that follow within the gap together. The loop plans
on what is committed even before it is on disk: its own commits go into the same ordered queue behind it.
"""

from __future__ import annotations

import asyncio
import logging
import time

from monitor.clock import Clock, Ids
from monitor.instrument import ControlMetrics
from monitor.scheduler.plan import Plan, changes
from monitor.scheduler.reconcile import reconcile
from monitor.scheduler.snapshot import Snapshot
from monitor.store.base import Store
from monitor.tracing import OFF, Tracing

log = logging.getLogger("moorwatch.schedule")

GAP_SECONDS = 0.02
TICK_SECONDS = 5.0


class Schedule:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        metrics: ControlMetrics,
        task_retention_seconds: float,
        healthy_after_seconds: float = 10.0,
        tracing: Tracing = OFF,
    ) -> None:
        self._store, self._clock, self._ids, self._metrics = store, clock, ids, metrics
        self._retention, self._healthy_after = task_retention_seconds, healthy_after_seconds
        self._tracing = tracing
        self._changed = asyncio.Event()
        store.on_commit(self._changed.set)

    async def run(self) -> None:
        """For ever. Each cycle's sentence is its log line."""
        loop = asyncio.get_running_loop()
        next_at: float | None = None
        ran_at = 0.0
        while True:
            await self._wait(next_at)
            gap = ran_at + GAP_SECONDS - loop.time()
            if gap > 0:
                await asyncio.sleep(gap)
            self._changed.clear()
            ran_at = loop.time()
            next_at = self._cycle()

    async def _wait(self, next_at: float | None) -> None:
        wait = TICK_SECONDS
        if next_at is not None:
            wait = min(wait, max(0.0, next_at - self._clock.now()))
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            log.debug("tick")

    def _cycle(self) -> float | None:
        started = time.perf_counter()
        plan = self.look()
        spent = time.perf_counter() - started
        self._metrics.scheduler_looked(self._clock.now(), spent, plan.refusals, self._store.state)
        if plan.verbs:
            log.info("%s in_ms=%.1f", plan.sentence(), spent * 1000)
        return plan.next_at

    def look(self) -> Plan:
        """One cycle: reconcile and commit. Returns the plan."""
        now = self._clock.now()
        snapshot = Snapshot(
            self._store.state, now, self._retention, healthy_after_seconds=self._healthy_after
        )
        plan = reconcile(snapshot)
        if plan.verbs:
            # Not awaited: a failed write ends the process (store.failed), there is nothing to do about it here.
            made = changes(plan, self._store.state, now, self._ids)
            self._store.commit(made)
            self._tracing.cycle(plan, made, now, self._clock.now())
        return plan
