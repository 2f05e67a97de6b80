"""Reports: the newest SubmitTaskStateChange of each task, sent until it is acknowledged.

A report carries everything known of its task, so a newer one replaces an older one not yet sent. Nothing is
stored: after a restart the same report follows from what Docker shows.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from monitor.wire.client import AwsError, EcsClient, Unreachable

log = logging.getLogger("moorwatch.agent.reports")

FIRST_SECONDS = 0.1
MOST_SECONDS = 15.0
FACTOR = 2.0

Acknowledged = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class Reports:
    def __init__(self, client: EcsClient, acknowledged: Acknowledged) -> None:
        self._client, self._acknowledged = client, acknowledged
        self._waiting: dict[str, Mapping[str, Any]] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._nudge = asyncio.Event()

    def submit(self, arn: str, report: Mapping[str, Any]) -> None:
        self._waiting[arn] = report
        if arn not in self._senders:
            task = asyncio.create_task(self._send(arn), name=f"report-{arn[-8:]}")
            self._senders[arn] = task
            task.add_done_callback(lambda _: self._senders.pop(arn, None))

    def retry_now(self) -> None:
        """The control plane is back: whoever waits tries again at once."""
        self._nudge.set()
        self._nudge = asyncio.Event()

    async def _send(self, arn: str) -> None:
        wait = FIRST_SECONDS
        while (report := self._waiting.get(arn)) is not None:
            try:
                await self._client.call("SubmitTaskStateChange", report)
            except Unreachable as error:
                log.info("task=%s report waits: %s", arn, error)
            except AwsError as error:
                if error.code in ("InvalidParameterException", "SerializationException"):
                    log.exception("task=%s report dropped", arn)
                    self._done(arn, report)
                    return
                log.warning("task=%s report refused, will try again: %s", arn, error)
            else:
                wait = FIRST_SECONDS
                if self._done(arn, report):
                    await self._acknowledged(arn, report)
                continue
            await self._pause(wait * random.uniform(0.8, 1.2))
            wait = min(wait * FACTOR, MOST_SECONDS)

    def _done(self, arn: str, report: Mapping[str, Any]) -> bool:
        """Whether that was the newest report."""
        if self._waiting.get(arn) is report:
            del self._waiting[arn]
            return True
        return False

    async def _pause(self, seconds: float) -> None:
        nudge = self._nudge
        try:
            async with asyncio.timeout(seconds):
                await nudge.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        tasks = list(self._senders.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
