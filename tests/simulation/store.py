"""A store whose disk is a dict of bytes and whose writes take a while: what is not on it when the process is killed is
gone. The same promises as the SQLite store (monitor/store/base.py), in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from monitor.model.event import Event
from monitor.model.state import Change, Drop, Log, Put, State
from monitor.store import codec
from monitor.store.base import Announce, Past, Subscriber

Disk = dict[tuple[str, str], bytes]


class SimStore:
    def __init__(self, disk: Disk, delay: Callable[[], float], announce: Announce) -> None:
        self.disk, self._delay, self.announce = disk, delay, announce
        self.state = load(disk)
        self.is_dead = False
        self.on_change: Callable[[State, Sequence[Change]], None] = lambda _, __: None
        self._loop = asyncio.get_running_loop()
        self._queue: list[tuple[list[Change], asyncio.Future[None]]] = []
        self._subscribers: list[Subscriber] = []
        self._listeners: list[Callable[[], None]] = []
        self._is_writing = False

    def commit(self, changes: Sequence[Change]) -> Awaitable[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        if self.is_dead or not changes:
            done.set_result(None)
            return self.flushed() if not self.is_dead else done
        changes = self.announce(self.state, changes)
        self.on_change(self.state, changes)
        applied = self.state.apply(changes)
        self._queue.append((applied, done))
        self._write_soon()
        for listener in self._listeners:
            listener()
        return asyncio.shield(done)

    def _write_soon(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_later(self._delay(), self._write, len(self._queue))

    def _write(self, count: int) -> None:
        """One group commit: all that was queued when it began."""
        if self.is_dead:
            return
        batches, self._queue = self._queue[:count], self._queue[count:]
        for changes, _ in batches:
            for change in changes:
                if isinstance(change, Put):
                    key = (codec.kind_of(change.entity), change.entity.key)
                    self.disk[key] = codec.encode(change.entity)
                elif isinstance(change, Drop):
                    self.disk.pop((codec.kind_of(change.entity), change.entity.key), None)
        for changes, done in batches:
            if not done.done():
                done.set_result(None)
            for subscriber in self._subscribers:
                subscriber(changes)
        self._is_writing = False
        if self._queue:
            self._write_soon()

    def flushed(self) -> Awaitable[None]:
        if self._queue:
            return asyncio.shield(self._queue[-1][1])
        done: asyncio.Future[None] = self._loop.create_future()
        done.set_result(None)
        return done

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def past(self, wanted: Past) -> list[Event]:
        raise NotImplementedError("the simulated disk keeps no events")

    async def close(self) -> None:
        self.is_dead = True


def load(disk: Disk) -> State:
    """The state as a new process finds it."""
    state = State()
    for name, kind in codec.KINDS.items():
        found = [codec.decode(name, body) for (stored, _), body in disk.items() if stored == name]
        found.sort(key=lambda e: getattr(e, "revision", 0) or getattr(e, "created_at", 0.0))
        assert all(isinstance(e, kind) for e in found)
        state.apply([Put(e) for e in found])
    return state


__all__ = ["Disk", "Log", "SimStore", "load"]
