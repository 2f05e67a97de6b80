"""Ships what containers write to CloudWatch Logs, each line once.

One thread reads Docker's log of each container that asks for it (about 0.1 MB each), bounded: what is not shipped yet
stays in Docker's files. What was stored last is asked of the control plane, which keeps it with the events themselves:
the agent has nothing to remember, and a kill of either side loses and doubles nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from monitor.agent.engine import ContainerView, EngineError, EngineUnreachable, Vanished
from monitor.agent.log_lines import SECOND_NS, Batch, Events, Records
from monitor.agent.log_options import LABEL, Shipping, of_label
from monitor.model.errors import AwsError
from monitor.wire.client import Unreachable

log = logging.getLogger("moorwatch.agent.logs")

FLUSH_SECONDS, IDLE_SECONDS = 0.5, 3600.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0
EXISTS, MISSING = "ResourceAlreadyExistsException", "ResourceNotFoundException"
TOKEN = "moorwatch/{source}/{place}"


class LogReader(Protocol):
    """A container's log, followed."""

    async def read(self, seconds: float) -> list[bytes] | None:
        """What came; [] when nothing did within `seconds`; None at the end. Raises EngineError, EngineUnreachable."""
        ...

    def close(self) -> None: ...


class Reading(Protocol):
    async def follow_log(self, container_id: str, since: int) -> LogReader: ...
    async def list_ids(self, label: str) -> list[str]: ...
    async def inspect(self, container_id: str) -> ContainerView: ...


class Client(Protocol):
    async def call(self, operation: str, params: Mapping[str, Any], service: str = ...) -> dict[str, Any]: ...


@dataclass(slots=True)
class Counts:
    lines: int = 0
    bytes: int = 0
    refused: int = 0  # events that the control plane does not take
    failures: int = 0  # attempts


class Logs:
    """`client_of`: a client that signs for the region."""

    def __init__(self, engine: Reading, client_of: Callable[[str], Client]) -> None:
        self._engine, self._client_of = engine, client_of
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()  # started once more while the log of before is still read
        self.counts = Counts()

    async def prepare(self, shipping: Shipping) -> None:
        """Before the container is made: a group that is not there is the task's end, as in ECS. Raises EngineError."""
        if not shipping.stream:
            return  # named by the container's id: made when that is known
        try:
            await self._ensure(shipping)
        except AwsError as error:
            raise EngineError(
                "ResourceInitializationError: failed to validate logger args: failed to create Cloudwatch log stream: "
                f"{error.code}: {error.message}"
            ) from error
        except Unreachable as error:
            log.info(
                "group=%s: the control plane is away, the stream is made later: %s", shipping.group, error
            )

    async def _ensure(self, shipping: Shipping) -> None:
        client = self._client_of(shipping.region)
        names = {"logGroupName": shipping.group}
        if shipping.makes_group:
            await _made(client, "CreateLogGroup", names)
        await _made(client, "CreateLogStream", names | {"logStreamName": shipping.stream})

    # -- containers ---------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Go on with every container that Docker has, also those that have ended."""
        for container_id in await self._engine.list_ids(LABEL):
            try:
                self.follow(await self._engine.inspect(container_id))
            except (EngineError, EngineUnreachable) as error:
                log.warning("container=%s: its log is not shipped: %s", container_id[:12], error)

    def follow(self, view: ContainerView) -> None:
        """Ship its output until it has ended. Once more does nothing; after an end it goes on (a restart)."""
        shipping = of_label(view.labels.get(LABEL, ""), view.id) if LABEL in view.labels else None
        known = self._tasks.get(view.id)
        if shipping is None:
            return
        if known is not None and not known.done():
            self._again.add(view.id)
            return
        self._tasks[view.id] = asyncio.create_task(self._ship(view.id, shipping), name=f"logs-{view.id[:12]}")

    def is_shipping(self, container_id: str) -> bool:
        """Whether the container still has lines to give, or may have."""
        task = self._tasks.get(container_id)
        return task is not None and not task.done()

    def forget(self, container_id: str) -> None:
        self._again.discard(container_id)
        task = self._tasks.pop(container_id, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one container ------------------------------------------------------------------------------

    async def _ship(self, container_id: str, shipping: Shipping) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                self._again.discard(container_id)
                await self._shipped(container_id, shipping)
                # The stream also ends when Docker is restarted, and a container may have been.
                view = await self._engine.inspect(container_id)
                if view.is_over and container_id not in self._again:
                    return
                wait = FIRST_WAIT
            except Vanished:
                log.warning("container=%s is gone, and with it what was not shipped", container_id[:12])
                return
            except (EngineError, EngineUnreachable, Unreachable, AwsError) as error:
                self.counts.failures += 1
                log.warning("container=%s group=%s: %s; again", container_id[:12], shipping.group, error)
            except Exception:
                # The top of one container's loop: a defect of ours must not end it.
                self.counts.failures += 1
                log.exception("container=%s", container_id[:12])
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 2)

    async def _shipped(self, container_id: str, shipping: Shipping) -> None:
        """From what is stored to the end of the log."""
        client = self._client_of(shipping.region)
        stored = await self._stored(client, container_id, shipping)
        records, events = Records(), Events(shipping.starts_event)
        clock = asyncio.get_running_loop().time
        reader = await self._engine.follow_log(container_id, stored // SECOND_NS)
        due: float | None = None  # when what waits is sent
        try:
            while True:
                chunks = await reader.read(IDLE_SECONDS if due is None else max(0.0, due - clock()))
                lines = [
                    line for chunk in chunks or () for line in records.feed(chunk) if line.place > stored
                ]
                batches = [*events.add(lines)]
                if chunks is None:
                    batches += events.add(line for line in records.rest() if line.place > stored)
                if chunks is None or (due is not None and clock() >= due):
                    # Where nothing came meanwhile, the last event has no more lines.
                    batches += events.flush(is_whole=not chunks)
                    due = None
                for batch in batches:
                    await self._put(client, container_id, shipping, batch)
                if chunks is None:
                    return
                if due is None and not events.is_empty:
                    due = clock() + FLUSH_SECONDS
        finally:
            reader.close()

    async def _stored(self, client: Client, container_id: str, shipping: Shipping) -> int:
        """The place of the last line that is stored; 0 for none."""
        params = {
            "logGroupName": shipping.group,
            "logStreamNamePrefix": shipping.stream,
            "limit": 1,
        }
        try:
            found = await client.call("DescribeLogStreams", params, "logs")
        except AwsError as error:
            if error.code != MISSING:
                raise
            found = {}
        streams = [s for s in found.get("logStreams") or () if s.get("logStreamName") == shipping.stream]
        if not streams:
            await self._ensure(shipping)
            return 0
        prefix = TOKEN.format(source=container_id, place="")
        told = str(streams[0].get("uploadSequenceToken") or "")
        return int(told.removeprefix(prefix)) if told.startswith(prefix) else 0

    async def _put(self, client: Client, container_id: str, shipping: Shipping, batch: Batch) -> None:
        params = {
            "logGroupName": shipping.group,
            "logStreamName": shipping.stream,
            "logEvents": [{"timestamp": at, "message": text} for at, text in batch.events],
            "sequenceToken": TOKEN.format(source=container_id, place=batch.place),
        }
        wait = FIRST_WAIT
        while True:
            try:
                await client.call("PutLogEvents", params, "logs")
                break
            except Unreachable as error:
                self.counts.failures += 1
                log.warning("container=%s waits for the control plane: %s", container_id[:12], error)
            except AwsError as error:
                self.counts.failures += 1
                if error.code == MISSING:
                    await self._ensure(shipping)
                elif error.status < 500:
                    self.counts.refused += len(batch.events)
                    log.error(
                        "container=%s events=%d are refused: %s", container_id[:12], len(batch.events), error
                    )
                    return
                else:
                    log.warning("container=%s: %s; again", container_id[:12], error)
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT, wait * 2)
        self.counts.lines += len(batch.events)
        self.counts.bytes += sum(len(text.encode()) for _, text in batch.events)


async def _made(client: Client, operation: str, params: Mapping[str, Any]) -> None:
    try:
        await client.call(operation, params, "logs")
    except AwsError as error:
        if error.code != EXISTS:
            raise
