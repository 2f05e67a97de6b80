"""Sends users' own measurements to the control plane by PutMetricData: in order, kept while it is away, bounded."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from monitor.rules.custom import Measured, entries
from monitor.wire.client import AwsError, EcsClient, Unreachable

log = logging.getLogger("moorwatch.agent.custom")

MOST_WAITING, MOST_OF_CALL, MOST_BYTES = 100_000, 1000, 900_000
FIRST_SECONDS, MOST_SECONDS = 0.5, 30.0

Count = Callable[[str, str, int], None]  # input, what became of them, how many


class Sender:
    """A call that got no answer is made again: what it carried may then count twice, but is never lost."""

    def __init__(self, client: EcsClient, namespace: str, count: Count) -> None:
        self._client, self._namespace, self._count = client, namespace, count
        self._waiting: deque[tuple[str, dict[str, Any], int]] = deque()  # with its bytes
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= MOST_WAITING

    def put(self, origin: str, measured: Sequence[Measured], resolution: int) -> None:
        """`origin`: the input they came by. The oldest make room when too many wait."""
        for each in measured:
            for entry in entries(each, resolution):
                if self.is_full:
                    oldest, _, _ = self._waiting.popleft()
                    self._count(oldest, "overflow", 1)
                self._waiting.append((origin, entry, len(json.dumps(entry))))
        self._news.set()

    async def run(self) -> None:
        """For ever."""
        wait = FIRST_SECONDS
        while True:
            await self._news.wait()
            batch = self._batch()
            if not batch:
                self._news.clear()
                continue
            try:
                await self._send(batch)
            except Unreachable as error:
                log.info("%d measurements wait: %s", len(self._waiting) + len(batch), error)
            except AwsError as error:
                if error.status < 500 and error.code != "ThrottlingException":
                    log.warning("%d measurements refused: %s", len(batch), error)
                    await self._one_by_one(batch)
                    continue
                log.warning("%d measurements wait: %s", len(self._waiting) + len(batch), error)
            else:
                self._sent(batch)
                wait = FIRST_SECONDS
                continue
            self._waiting.extendleft(reversed(batch))
            await asyncio.sleep(wait)
            wait = min(MOST_SECONDS, 2 * wait)

    def _batch(self) -> list[tuple[str, dict[str, Any], int]]:
        batch: list[tuple[str, dict[str, Any], int]] = []
        size = 0
        while self._waiting and len(batch) < MOST_OF_CALL:
            if batch and size + self._waiting[0][2] > MOST_BYTES:
                break
            batch.append(self._waiting.popleft())
            size += batch[-1][2]
        return batch

    async def _send(self, batch: Sequence[tuple[str, dict[str, Any], int]]) -> None:
        data = [entry for _, entry, _ in batch]
        await self._client.call(
            "PutMetricData", {"Namespace": self._namespace, "MetricData": data}, "cloudwatch"
        )

    async def _one_by_one(self, batch: Sequence[tuple[str, dict[str, Any], int]]) -> None:
        """A call with one bad entry is refused as a whole: halves find which."""
        if len(batch) == 1:
            self._count(batch[0][0], "refused", 1)
            return
        for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
            try:
                await self._send(half)
            except Unreachable:
                self._waiting.extendleft(reversed(half))
            except AwsError as error:
                if error.status >= 500 or error.code == "ThrottlingException":
                    self._waiting.extendleft(reversed(half))
                else:
                    await self._one_by_one(half)
            else:
                self._sent(half)

    def _sent(self, batch: Sequence[tuple[str, dict[str, Any], int]]) -> None:
        for origin in {origin for origin, _, _ in batch}:
            self._count(origin, "sent", sum(1 for each, _, _ in batch if each == origin))
