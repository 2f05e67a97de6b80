"""The loop of deliveries: what is due goes out, at least once, until it has arrived or is given up.

Deliveries live in the state, so a restart goes on with them. They are taken up when they are durable. Each endpoint has
a lane of its own, so that one that hangs holds up nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from monitor.api.alarm_changes import acted
from monitor.clock import Clock, Ids
from monitor.cloud_metrics import CloudMetrics
from monitor.control.channels import Failed
from monitor.model.delivery import Delivery
from monitor.model.state import Change, Drop, Log, Put
from monitor.rules.retry import next_due
from monitor.store.base import Store

log = logging.getLogger("moorwatch.deliver")

AT_ONCE, AT_ONCE_EACH = 64, 4
ALARM_ARN = "arn:aws:cloudwatch:"

# What is done for one kind of target. Returns what is to be committed when it has arrived. Raises Failed.
Target = Callable[[Delivery], Awaitable[Sequence[Change]]]


@dataclass(slots=True)
class _Lane:
    waiting: deque[str] = field(default_factory=deque)
    running: int = 0


class Deliverer:
    """`targets`: by the service of the target's ARN. `lane`: which endpoint a delivery goes to."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        targets: Mapping[str, Target],
        lane: Callable[[Delivery], str],
        metrics: CloudMetrics,
    ) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self._targets, self._lane, self._metrics = targets, lane, metrics
        self._due: list[tuple[float, str]] = []
        self._lanes: dict[str, _Lane] = {}
        self._taken: set[str] = set()  # in a lane
        self._news = asyncio.Event()
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        for delivery in store.state.deliveries.values():
            heapq.heappush(self._due, (delivery.due_at, delivery.id))
        store.subscribe(self._durable)

    def _durable(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, Put) and isinstance(change.entity, Delivery):
                heapq.heappush(self._due, (change.entity.due_at, change.entity.id))
                self._news.set()

    async def run(self) -> None:
        try:
            while True:
                self._news.clear()
                wait = self._take()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), timeout=wait)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self) -> float | None:
        """Put what is due into its lane. Returns the seconds until the next; None: there is none."""
        now = self._clock.now()
        while self._due:
            due_at, key = self._due[0]
            if due_at > now:
                return due_at - now
            heapq.heappop(self._due)
            delivery = self._store.state.deliveries.get(key)
            if delivery is None or delivery.due_at > now or key in self._taken:
                continue
            name = self._lane(delivery)
            self._taken.add(key)
            self._lanes.setdefault(name, _Lane()).waiting.append(key)
            self._pump(name)
        return None

    def _pump(self, name: str) -> None:
        lane = self._lanes[name]
        while lane.waiting and lane.running < AT_ONCE_EACH:
            lane.running += 1
            task = asyncio.create_task(self._one(lane.waiting.popleft(), name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not lane.running:
            del self._lanes[name]

    async def _one(self, key: str, name: str) -> None:
        try:
            async with self._limit:
                delivery = self._store.state.deliveries.get(key)
                if delivery is not None:
                    await self._store.commit(await self._attempted(delivery))
        finally:
            self._taken.discard(key)
            self._lanes[name].running -= 1
            self._pump(name)

    async def _attempted(self, delivery: Delivery) -> list[Change]:
        service = delivery.target.split(":", 3)[2]
        try:
            target = self._targets.get(service)
            if target is None:
                raise Failed(f"nothing here delivers to {delivery.target[:200]}", is_final=True)
            changes = await target(delivery)
        except Failed as failed:
            return self._failed(delivery, failed)
        except Exception:
            # The top of one delivery's work: a defect of ours must not end the loop of all.
            log.exception("delivery=%s target=%s", delivery.id, delivery.target)
            return self._failed(delivery, Failed("an error of our own: see the control plane's log"))
        self._metrics.delivered(service, "delivered")
        return [Drop(delivery), *changes, *self._told(delivery, "")]

    def _failed(self, delivery: Delivery, failed: Failed) -> list[Change]:
        now, service = self._clock.now(), delivery.target.split(":", 3)[2]
        tried = replace(delivery, attempts=delivery.attempts + 1, problem=failed.problem)
        due = None if failed.is_final else next_due(tried, now)
        if due is not None:
            self._metrics.delivered(service, "retried")
            log.info("delivery=%s target=%s: %s; again", delivery.id, delivery.target, failed.problem)
            return [Put(replace(tried, due_at=due))]
        self._metrics.delivered(service, "given_up")
        log.warning(
            "delivery=%s target=%s given up after %d attempts: %s",
            delivery.id,
            delivery.target,
            tried.attempts,
            failed.problem,
        )
        return [Drop(delivery), *self._dead(tried, now), *self._told(tried, failed.problem)]

    def _dead(self, delivery: Delivery, now: float) -> list[Change]:
        if not delivery.dead_letter:
            return []
        about = {
            **delivery.about,
            "problem": delivery.problem,
            "target_arn": delivery.target,
            "attempts": f"{delivery.attempts}",
        }
        made = Delivery(
            self._ids.uuid(), delivery.dead_letter, delivery.payload, now, now, delivery.origin, about
        )
        return [Put(made)]

    def _told(self, delivery: Delivery, problem: str) -> list[Change]:
        """For the history of the alarm that it comes from: that its topic has it, and who of its subscribers never
        got it."""
        alarm = delivery.origin if delivery.origin.startswith(ALARM_ARN) else delivery.about.get("alarm", "")
        if not alarm or (alarm != delivery.origin and not problem):
            return []
        state = delivery.about.get("state", "")
        event = acted(alarm, state, delivery.target, problem, self._clock.now(), self._ids)
        return [Log(event)]
