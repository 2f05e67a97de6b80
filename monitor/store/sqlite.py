"""SQLite store: one writer thread, group commit, every acknowledged write on disk (synchronous=FULL).

The loop never touches the disk: commits are applied to the state and queued; the thread writes all that is
queued in one transaction and then tells the loop. If a write fails, memory is ahead of the disk and the only
honest thing is to stop: every waiter gets StoreError and `failed` resolves, so that the process ends and
starts again from what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from monitor.model.event import SERVICE_ACTION, Event
from monitor.model.state import EVENTS_IN_MEMORY, SERVICE_EVENTS_KEPT, Change, Drop, Log, Put, State
from monitor.store import codec
from monitor.store.base import Announce, Past, StoreError, Subscriber
from monitor.store.past import read_past

log = logging.getLogger("moorwatch.store")

EVENTS_ON_DISK = 100_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, service TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_service ON events (service, seq);
"""

_Batch = tuple[list[Change], asyncio.Future[None] | None]


class SqliteStore:
    """Made by `SqliteStore.open` on a running loop."""

    def __init__(self, path: Path, connection: sqlite3.Connection, state: State) -> None:
        self.path, self.state = path, state
        self.failed: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._subscribers: list[Subscriber] = []
        self._listeners: list[Callable[[], None]] = []
        self._last: asyncio.Future[None] | None = None
        self._is_closed = False
        self.announce: Announce = _as_they_are
        self.on_durable: Callable[[float], None] = lambda _: (
            None
        )  # seconds from a commit to its being on disk
        self._thread = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Open or create the file (mode 0600) and load it. Raises StoreError."""
        connection, state = await asyncio.to_thread(_load, path)
        return cls(path, connection, state)

    def commit(self, changes: Sequence[Change]) -> Awaitable[None]:
        if self.failed.done():
            raise self.failed.result()
        if not changes:
            return self.flushed()
        if self._is_closed:
            raise StoreError(f"{self.path} is closed")
        changes = self.announce(self.state, changes)
        _check(changes)
        applied = self.state.apply(changes)
        done: asyncio.Future[None] = self._loop.create_future()
        started = time.perf_counter()
        done.add_done_callback(lambda _: self.on_durable(time.perf_counter() - started))
        # A waiter that went away (a client hung up) must not turn a failed write into a stray warning.
        done.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._last = done
        self._queue.put((applied, done))
        for listener in self._listeners:
            listener()
        return asyncio.shield(done)

    def flushed(self) -> Awaitable[None]:
        if self._last is None or self._last.done():
            done: asyncio.Future[None] = self._loop.create_future()
            done.set_result(None)
            return done if self._last is None else self._last
        return asyncio.shield(self._last)

    async def past(self, wanted: Past) -> list[Event]:
        await self.flushed()
        return await asyncio.to_thread(read_past, self.path, wanted)

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        self._is_closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # -- writer thread ------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        try:
            while self._write_some():
                continue
        finally:
            self._connection.close()

    def _write_some(self) -> bool:
        """Write one group. False at the end."""
        batches: list[_Batch] = []
        item = self._queue.get()
        while item is not None:
            batches.append(item)
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        try:
            if batches:
                self._write(batches)
        except Exception as error:
            # The top of the thread's loop: whatever it is, memory is ahead of the disk and nobody may go on.
            log.exception("state=%s cannot be written", self.path)
            failure = StoreError(
                f"cannot write {self.path}: {error}; free space or mend the disk, then start again"
            )
            self._tell(self._fail, batches, failure)
            return False
        self._tell(self._durable, batches, None)
        return item is not None

    def _write(self, batches: list[_Batch]) -> None:
        with self._connection as db:
            db.execute("BEGIN IMMEDIATE")
            for changes, _ in batches:
                for change in changes:
                    _write_change(db, change)

    def _tell(self, callback: object, batches: list[_Batch], failure: StoreError | None) -> None:
        # The loop is closed when the process is torn down in the middle: nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, batches, failure)  # type: ignore[arg-type]

    # -- on the loop --------------------------------------------------------------------------------

    def _durable(self, batches: list[_Batch], _: StoreError | None) -> None:
        for changes, done in batches:
            if done is not None and not done.done():
                done.set_result(None)
            for subscriber in self._subscribers:
                subscriber(changes)

    def _fail(self, batches: list[_Batch], failure: StoreError) -> None:
        if not self.failed.done():
            self.failed.set_result(failure)
        batches = [*batches, *self._unwritten()]
        for _, done in batches:
            if done is not None and not done.done():
                done.set_exception(failure)

    def _unwritten(self) -> list[_Batch]:
        """What was committed before the failure was known here; the thread has ended and takes no more."""
        batches: list[_Batch] = []
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batches
            if item is not None:
                batches.append(item)


def _as_they_are(_: State, changes: Sequence[Change]) -> Sequence[Change]:
    return changes


def _check(changes: Sequence[Change]) -> None:
    """Raises codec.CodecError for what could not be stored, before anything is applied."""
    for change in changes:
        if isinstance(change, Put):
            codec.encode(change.entity)
        elif isinstance(change, Log):
            codec.encode(change.event)


def _write_change(db: sqlite3.Connection, change: Change) -> None:
    match change:
        case Put(entity):
            row = (codec.kind_of(entity), entity.key, codec.encode(entity))
            db.execute("INSERT OR REPLACE INTO objects (kind, key, body) VALUES (?, ?, ?)", row)
        case Drop(entity):
            db.execute("DELETE FROM objects WHERE kind = ? AND key = ?", (codec.kind_of(entity), entity.key))
        case Log(event):
            db.execute(
                "INSERT OR REPLACE INTO events (seq, service, body) VALUES (?, ?, ?)",
                (event.seq, _subject(event), codec.encode(event)),
            )
            if event.seq % 1000 == 0:
                db.execute("DELETE FROM events WHERE seq <= ?", (event.seq - EVENTS_ON_DISK,))


def _subject(event: Event) -> str:
    """What the log finds it by; the column is called service."""
    return event.service_arn if event.kind == SERVICE_ACTION else event.subject


def _load(path: Path) -> tuple[sqlite3.Connection, State]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(handle, 0o600)  # also a file that was there already: it holds containers' environments
        os.close(handle)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        _check_version(db, path)
        return db, _read_state(db)
    except (sqlite3.Error, OSError, codec.CodecError) as error:
        raise StoreError(f"cannot open the state in {path}: {error}") from error


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if row is None:
        db.execute("INSERT INTO meta (name, value) VALUES ('schema', ?)", (str(codec.SCHEMA_VERSION),))
    elif row[0] != str(codec.SCHEMA_VERSION):
        raise StoreError(
            f"{path} was written by a version of Moorwatch with schema {row[0]}, this one reads "
            f"{codec.SCHEMA_VERSION}: run the version that wrote it"
        )


_ORDER: dict[str, Callable[[Any], float]] = {
    "cluster": lambda c: c.created_at,
    "task-definition": lambda d: d.revision,
    "container-instance": lambda i: i.registered_at,
    "service": lambda s: s.created_at,
    "task": lambda t: t.created_at,
    "service-revision": lambda r: r.created_at,
    "service-deployment": lambda d: d.created_at,
    "scalable-target": lambda t: t.created_at,
    "scaling-policy": lambda p: p.created_at,
    "scheduled-action": lambda a: a.created_at,
    "scaling-activity": lambda a: a.started_at,
    "capacity-provider": lambda p: p.created_at,
    "alarm": lambda a: a.changed_at,
    "dashboard": lambda d: d.changed_at,
    "delivery": lambda d: d.created_at,
    "rule": lambda x: x.created_at,
    "connection": lambda x: x.created_at,
    "api-destination": lambda x: x.created_at,
    "archive": lambda x: x.created_at,
    "replay": lambda r: r.started_at,
    "metric-filter": lambda f: f.created_at,
    "topic": lambda t: t.created_at,
    "subscription": lambda s: s.created_at,
    "setting": lambda _: 0.0,
}


def _read_state(db: sqlite3.Connection) -> State:
    state = State()
    for kind in codec.KINDS:
        bodies = db.execute("SELECT body FROM objects WHERE kind = ?", (kind,))
        entities = [codec.decode(kind, body) for (body,) in bodies]
        entities.sort(key=_ORDER[kind])  # as they came: lists keep their order over a restart
        state.apply([Put(e) for e in entities])
    ordered = sorted(state.stopped, key=lambda a: state.tasks[a].stopped_at or 0.0)
    state.stopped.clear()
    state.stopped.extend(ordered)
    seqs: set[int] = set()
    newest = "SELECT seq, body FROM events ORDER BY seq DESC LIMIT ?"
    rows = list(db.execute(newest, (EVENTS_IN_MEMORY,)))
    for service in state.services:
        query = "SELECT seq, body FROM events WHERE service = ? ORDER BY seq DESC LIMIT ?"
        rows += db.execute(query, (service, SERVICE_EVENTS_KEPT))
    for seq, body in sorted(rows, key=lambda row: row[0]):
        if seq not in seqs:
            seqs.add(seq)
            state.apply([Log(codec.decode_event(body))])
    return state
