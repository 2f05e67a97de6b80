"""Agent sessions: the ACS and TCS websockets (agent protocol, sections 4 and 5).

Level-triggered like the scheduler: a session compares what its agent was told with what the state wants, and
sends the difference. Orders leave only for changes that are durable. An order is repeated until it is
acknowledged; agents ignore what they already know.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from monitor.clock import Clock, Ids
from monitor.control import silence
from monitor.control.intake import Intake
from monitor.control.payload import can_receive, task_payload
from monitor.model import arn as arns
from monitor.model.cluster import FACTS_CAPABILITY, ContainerInstance
from monitor.model.event import INSTANCE_CHANGE, Event
from monitor.model.state import Change, Log, Put
from monitor.model.task import RUNNING, Task
from monitor.store.base import Store
from monitor.wire import agent as wire

log = logging.getLogger("moorwatch.sessions")

TASKS_A_MESSAGE = 20
BYTES_A_MESSAGE = 256 * 1024
RESEND_SECONDS = 10.0


class Socket(Protocol):
    """A websocket of text frames."""

    async def send(self, text: str) -> None: ...
    async def receive(self) -> str | None:
        """The next frame, or None when the peer closed."""
        ...

    async def close(self, code: int) -> None: ...


@dataclass(slots=True)
class Order:
    """What an agent was last told about a task."""

    desired: str
    standby: bool
    sent_at: float
    message_id: str
    acked: bool = False


@dataclass(slots=True, eq=False)
class Session:
    instance_arn: str
    cluster_arn: str
    socket: Socket
    heard_at: float
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    orders: dict[str, Order] = field(default_factory=dict)
    manifest: list[str] = field(default_factory=list)
    is_silent: bool = False


class Sessions:
    def __init__(
        self,
        store: Store,
        intake: Intake,
        clock: Clock,
        ids: Ids,
        silence_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._store, self._intake, self._clock, self._ids = store, intake, clock, ids
        self._silence, self._grace = silence_seconds, grace_seconds
        self._sessions: dict[str, Session] = {}
        store.subscribe(self._on_changes)

    def inactive(self, instance_arn: str) -> bool:
        """Whether the handshake must be refused with InactiveInstanceException."""
        instance = self._store.state.instances.get(instance_arn)
        return instance is None or instance.status == "INACTIVE"

    async def start(self) -> None:
        """After a restart of ours nobody is connected yet; agents get the grace period to come back."""
        changes = [
            Put(replace(i, agent_connected=False, lost_at=i.lost_at or self._clock.now() + self._grace))
            for i in self._store.state.instances.values()
            if i.status != "INACTIVE" and (i.agent_connected or i.lost_at is None)
        ]
        await self._store.commit(changes)

    async def close(self) -> None:
        for session in list(self._sessions.values()):
            await session.socket.close(1001)

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, Put) and isinstance(change.entity, Task):
                session = self._sessions.get(change.entity.instance_arn)
                if session is not None:
                    session.wake.set()

    # -- one ACS session ----------------------------------------------------------------------------

    async def serve(self, instance_arn: str, socket: Socket) -> None:
        """From the accepted handshake to its end."""
        instance = self._store.state.instances[instance_arn]
        session = Session(instance_arn, instance.cluster_arn, socket, asyncio.get_running_loop().time())
        older = self._sessions.get(instance_arn)
        self._sessions[instance_arn] = session
        if older is not None:
            await older.socket.close(1000)
        await self._set_connected(session, True)
        session.wake.set()
        tasks = [
            asyncio.create_task(self._listen(session)),
            asyncio.create_task(self._send_orders(session)),
            asyncio.create_task(self._beat(session)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            self._log_end(session, ended)
            if self._sessions.get(instance_arn) is session:
                del self._sessions[instance_arn]
                await self._set_connected(session, False)

    def _log_end(self, session: Session, ended: Sequence[BaseException | None]) -> None:
        for error in ended:
            if isinstance(error, Exception):
                log.warning("container_instance=%s session ended: %r", session.instance_arn, error)

    async def _set_connected(self, session: Session, connected: bool) -> None:
        instance = self._store.state.instances.get(session.instance_arn)
        if instance is None or instance.status == "INACTIVE":
            return
        now = self._clock.now()
        lost_at = None if connected else now + (0.0 if session.is_silent else self._grace)
        changed = replace(
            instance,
            agent_connected=connected,
            connectivity_at=now,
            lost_at=lost_at,
            version=instance.version + 1,
        )
        await self._store.commit((Put(changed), Log(self._event(changed, session, now))))

    def _event(self, instance: ContainerInstance, session: Session, now: float) -> Event:
        ended = "fell silent" if session.is_silent else "disconnected"
        what = "connected" if instance.agent_connected else ended
        return Event(
            id=self._ids.uuid(),
            at=now,
            kind=INSTANCE_CHANGE,
            cluster_arn=instance.cluster_arn,
            instance_arn=instance.arn,
            message=f"container agent of {arns.short(instance.arn)} {what}",
        )

    async def _listen(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        while (frame := await session.socket.receive()) is not None:
            session.heard_at = loop.time()
            try:
                kind, message = wire.decode(frame)
            except wire.BadMessage as error:
                log.warning("container_instance=%s bad message: %s", session.instance_arn, error)
                continue
            await self._received(session, kind, message)

    async def _received(self, session: Session, kind: str, message: Mapping[str, Any]) -> None:
        match kind:
            case "AckRequest":
                self._acked(session, str(message.get("messageId", "")))
            case "HeartbeatAckRequest" | "IAMRoleCredentialsAckRequest":
                log.debug("container_instance=%s %s", session.instance_arn, kind)
            case "TaskStopVerificationMessage":
                await self._verify_stops(session, message)
            case "MoorwatchTaskFacts":
                await self._intake.facts(session.instance_arn, message)
            case "MoorwatchContainerGone":
                await self._intake.gone(session.instance_arn, message)
            case _:
                log.info(
                    "container_instance=%s sent %s: %s", session.instance_arn, kind, message.get("reason", "")
                )

    def _acked(self, session: Session, message_id: str) -> None:
        for order in session.orders.values():
            if order.message_id == message_id:
                order.acked = True

    # -- orders -------------------------------------------------------------------------------------

    async def _send_orders(self, session: Session) -> None:
        await self._send_manifest(session)
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(RESEND_SECONDS):
                    await session.wake.wait()
            except TimeoutError:
                log.debug("container_instance=%s resend look", session.instance_arn)
            session.wake.clear()
            due = self._due(session, loop.time())
            if due:
                # The state may be ahead of the disk; what leaves here may not.
                await self._store.flushed()
            for batch in self._batches(due):
                await self._send_payload(session, batch, loop.time())

    def _due(self, session: Session, now: float) -> list[Task]:
        """Tasks whose present wish the agent was not told, or was told and did not acknowledge."""
        state = self._store.state
        instance = state.instances[session.instance_arn]
        live = {t.arn: t for t in state.live_tasks_on(session.instance_arn)}
        for gone in set(session.orders) - set(live):
            del session.orders[gone]
        due = []
        for task in live.values():
            order = session.orders.get(task.arn)
            if order is None and task.last == RUNNING and task.desired == RUNNING:
                continue  # it runs as wanted; the manifest covers it
            told = order is not None and (order.desired, order.standby) == (task.desired, task.standby)
            if told and order is not None and (order.acked or now - order.sent_at < RESEND_SECONDS):
                continue
            if can_receive(task, instance):
                due.append(task)
        return due

    def _batches(self, due: Sequence[Task]) -> list[list[tuple[Task, dict[str, Any]]]]:
        """Orders in messages that an agent's frame limit takes: definitions may be 64 KiB each."""
        batches: list[list[tuple[Task, dict[str, Any]]]] = []
        size = 0
        for task in due:
            order = task_payload(self._store.state, task)
            bytes_more = len(wire.encode("", order))
            if not batches or size + bytes_more > BYTES_A_MESSAGE or len(batches[-1]) >= TASKS_A_MESSAGE:
                batches.append([])
                size = 0
            batches[-1].append((task, order))
            size += bytes_more
        return batches

    async def _send_payload(
        self, session: Session, batch: Sequence[tuple[Task, dict[str, Any]]], now: float
    ) -> None:
        message_id = self._ids.uuid()
        for task, _ in batch:
            session.orders[task.arn] = Order(task.desired, task.standby, now, message_id)
        message = {
            "clusterArn": session.cluster_arn,
            "containerInstanceArn": session.instance_arn,
            "messageId": message_id,
            "seqNum": self._sequence(),
            "generatedAt": self._sequence(),
            "tasks": [order for _, order in batch],
        }
        await session.socket.send(wire.encode("PayloadMessage", message))

    def _sequence(self) -> int:
        return int(self._clock.now() * 1000)

    async def _send_manifest(self, session: Session) -> None:
        """All tasks that should be there: the agent names those it has beyond them, and stops them on our word."""
        message_id = self._ids.uuid()
        wanted = [t for t in self._store.state.live_tasks_on(session.instance_arn) if t.desired == RUNNING]
        session.manifest = [message_id]
        sequence = self._sequence()
        message = {
            "clusterArn": session.cluster_arn,
            "containerInstanceArn": session.instance_arn,
            "messageId": message_id,
            "generatedAt": sequence,
            "timeline": sequence,
            "tasks": [
                {"taskArn": t.arn, "desiredStatus": t.desired, "taskClusterArn": t.cluster_arn}
                for t in wanted
            ],
        }
        await session.socket.send(wire.encode("TaskManifestMessage", message))

    async def _verify_stops(self, session: Session, message: Mapping[str, Any]) -> None:
        """Confirm only candidates that the state still does not want: a task may have been placed meanwhile."""
        message_id = str(message.get("messageId", ""))
        if message_id not in session.manifest:
            return
        stops = []
        for candidate in message.get("stopCandidates") or ():
            arn = str(candidate.get("taskArn", ""))
            task = self._store.state.tasks.get(arn)
            if task is None or task.desired != RUNNING or task.instance_arn != session.instance_arn:
                stops.append(candidate)
        if stops:
            reply = {"messageId": message_id, "stopTasks": stops}
            await session.socket.send(wire.encode("TaskStopVerificationAck", reply))

    # -- heartbeat ----------------------------------------------------------------------------------

    async def _beat(self, session: Session) -> None:
        """Ends when the agent has been silent too long."""
        instance = self._store.state.instances[session.instance_arn]
        pace = silence.rhythm(FACTS_CAPABILITY in instance.attributes, self._silence)
        loop = asyncio.get_running_loop()
        while True:
            message = {"messageId": self._ids.uuid(), "healthy": True}
            await session.socket.send(wire.encode("HeartbeatMessage", message))
            due = loop.time() + pace.heartbeat_seconds
            await asyncio.sleep(pace.heartbeat_seconds)
            now = loop.time()
            if silence.overslept(pace, now, due):
                session.heard_at = now
            elif silence.is_silent(pace, now, session.heard_at):
                session.is_silent = True
                log.warning("container_instance=%s fell silent", session.instance_arn)
                return
