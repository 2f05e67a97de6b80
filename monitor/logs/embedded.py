"""The embedded log store: SQLite, one writer thread with group commit, each acknowledged event on disk.

Whatever changes runs on the writer thread: all that is queued in one transaction, each piece of work in a savepoint of
its own, so that one that fails takes nothing else with it. Reads have threads of their own and see whole transactions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from monitor.logs import blocks
from monitor.logs.base import (
    Exists,
    Facts,
    Follower,
    Group,
    LogEvent,
    LogsError,
    NoGroup,
    NoStream,
    Page,
    Place,
    Reading,
    Resend,
    Stream,
)
from monitor.model.arn import Scope

log = logging.getLogger("moorwatch.logs")

SCHEMA_VERSION = "1"
READERS = 2
TIDY_SECONDS, TIDY_BLOCKS = 30.0, 500
DROPPED_SHARE = 0.02  # of the limit
DAY_MS = 86_400_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    retention INTEGER NOT NULL, tags TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL, UNIQUE (scope, name)
);
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    first INTEGER, last INTEGER, ingested INTEGER, UNIQUE (grp, name)
);
CREATE TABLE IF NOT EXISTS sources (
    stream INTEGER NOT NULL, source TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (stream, source)
) WITHOUT ROWID;
"""
_GROUP = "name, created, retention, tags, kind, bytes"
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Item:
    """A piece of work. `news`: what followers are told once it is durable."""

    work: Work
    done: asyncio.Future[Any]
    events: int = 0
    result: Any = None
    failure: Exception | None = None
    news: tuple[Scope, str, str, Sequence[LogEvent]] | None = None


class EmbeddedLogs:
    """Made by `EmbeddedLogs.open` on a running loop. `now`: seconds since the epoch."""

    def __init__(
        self, path: Path, db: sqlite3.Connection, now: Callable[[], float], limit_bytes: int
    ) -> None:
        self.path, self._db, self._now, self._limit = path, db, now, limit_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        (found,) = db.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()
        self._seq = int(found)
        self._small: dict[tuple[int, int], int] = {}  # (stream, level) → blocks put since the last merge
        self._written = self._refused = self._dropped = 0
        self._facts = Facts(0, 0, 0, _size(db), limit_bytes)
        self._followers: list[Follower] = []
        self._tidied_at = now()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="logs-reader")
        self._local = threading.local()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_forever, name="logs-writer", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, now: Callable[[], float], limit_bytes: int) -> EmbeddedLogs:
        """Open or create the file (mode 0600). Raises LogsError."""
        return cls(path, await asyncio.to_thread(_open, path), now, limit_bytes)

    # -- groups and streams -------------------------------------------------------------------------

    async def create_group(self, scope: Scope, group: Group) -> None:
        def work(db: sqlite3.Connection) -> None:
            row = (_key(scope), group.name, group.created, group.retention_days, json.dumps(dict(group.tags)))
            query = (
                "INSERT OR IGNORE INTO groups (scope, name, created, retention, tags, kind, bytes) "
                "VALUES (?, ?, ?, ?, ?, ?, 0)"
            )
            if not db.execute(query, (*row, group.kind)).rowcount:
                raise Exists

        await self._submit(work)

    async def delete_group(self, scope: Scope, name: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            number = _group_number(db, scope, name)
            db.execute(
                "DELETE FROM sources WHERE stream IN (SELECT id FROM streams WHERE grp = ?)", (number,)
            )
            db.execute("DELETE FROM blocks WHERE grp = ?", (number,))
            db.execute("DELETE FROM streams WHERE grp = ?", (number,))
            db.execute("DELETE FROM groups WHERE id = ?", (number,))

        await self._submit(work)

    async def change_group(self, scope: Scope, name: str, change: Callable[[Group], Group]) -> None:
        def work(db: sqlite3.Connection) -> None:
            group = change(_group(db, scope, name))
            row = (group.retention_days, json.dumps(dict(group.tags)), _key(scope), name)
            db.execute("UPDATE groups SET retention = ?, tags = ? WHERE scope = ? AND name = ?", row)

        await self._submit(work)

    async def group(self, scope: Scope, name: str) -> Group:
        return await self._read(lambda db: _group(db, scope, name))

    async def groups(self, scope: Scope, prefix: str = "", after: str = "", limit: int = 50) -> list[Group]:
        query = (
            f"SELECT {_GROUP} FROM groups WHERE scope = ? AND name > ? AND substr(name, 1, ?) = ? "
            "ORDER BY name LIMIT ?"
        )
        row = (_key(scope), after, len(prefix), prefix, limit)
        return await self._read(lambda db: [_as_group(found) for found in db.execute(query, row)])

    async def create_stream(self, scope: Scope, group: str, name: str, created: int) -> None:
        def work(db: sqlite3.Connection) -> None:
            row = (_group_number(db, scope, group), name, created)
            if not db.execute(
                "INSERT OR IGNORE INTO streams (grp, name, created) VALUES (?, ?, ?)", row
            ).rowcount:
                raise Exists

        await self._submit(work)

    async def delete_stream(self, scope: Scope, group: str, name: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            grp, stream = _stream_number(db, scope, group, name)
            query = "SELECT coalesce(sum(bytes), 0) FROM blocks WHERE stream = ?"
            (length,) = db.execute(query, (stream,)).fetchone()
            db.execute("UPDATE groups SET bytes = bytes - ? WHERE id = ?", (length, grp))
            for table, column in (("blocks", "stream"), ("sources", "stream"), ("streams", "id")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ?", (stream,))

        await self._submit(work)

    async def streams(self, scope: Scope, group: str, prefix: str = "") -> list[Stream]:
        def read(db: sqlite3.Connection) -> list[Stream]:
            query = (
                "SELECT name, created, first, last, ingested, coalesce((SELECT source || '/' || number FROM sources "
                "WHERE stream = streams.id ORDER BY number DESC LIMIT 1), '') FROM streams "
                "WHERE grp = ? AND substr(name, 1, ?) = ? ORDER BY name"
            )
            row = (_group_number(db, scope, group), len(prefix), prefix)
            return [Stream(*found) for found in db.execute(query, row)]

        return await self._read(read)

    # -- events -------------------------------------------------------------------------------------

    async def put(
        self,
        scope: Scope,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
        resend: Resend | None = None,
    ) -> bool:
        ingested = int(self._now() * 1000)
        item = _Item(_no_work, self._loop.create_future(), len(events))

        def work(db: sqlite3.Connection) -> bool:
            grp, number = _stream_number(db, scope, group, stream)
            if not events or (resend is not None and not _is_new(db, number, resend)):
                return False
            given = [LogEvent(at, self._seq + n, ingested, text) for n, (at, text) in enumerate(events, 1)]
            self._seq += len(given)
            count, length = blocks.insert(db, grp, number, given)
            db.execute("UPDATE groups SET bytes = bytes + ? WHERE id = ?", (length, grp))
            db.execute(
                "UPDATE streams SET first = min(coalesce(first, ?1), ?1), last = max(coalesce(last, ?2), ?2), "
                "ingested = ?3 WHERE id = ?4",
                (given[0].at, given[-1].at, ingested, number),
            )
            self._merge(db, number, count, length)
            item.news = (scope, group, stream, given)
            return True

        item.work = work
        return bool(await self._queued(item))

    def _merge(self, db: sqlite3.Connection, stream: int, count: int, length: int) -> None:
        """Sixteen blocks of a size become one of the next."""
        for level, below in enumerate(blocks.LEVELS):
            if length >= below:
                continue
            key = (stream, level)
            self._small[key] = self._small.get(key, 0) + count
            if self._small[key] < blocks.MERGED:
                return
            self._small.pop(key)
            blocks.merge(db, stream, below)
            count, length = 1, below  # one more of the next level

    async def read(self, reading: Reading) -> Page:
        now = self._now()

        def run(db: sqlite3.Connection) -> Page:
            db.execute("BEGIN")  # as of one moment: a merge moves events from block to block
            try:
                return _page(db, reading, now)
            finally:
                db.execute("ROLLBACK")

        return await self._read(run)

    def follow(self, follower: Follower) -> Callable[[], None]:
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def facts(self) -> Facts:
        return self._facts

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        self._is_closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._readers.shutdown)

    # -- reading ------------------------------------------------------------------------------------

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            try:
                db = getattr(self._local, "db", None)
                if db is None:
                    db = self._local.db = sqlite3.connect(self.path, isolation_level=None, timeout=5)
                    db.execute("PRAGMA query_only = ON")
                return work(db)
            except sqlite3.Error as error:
                raise LogsError(f"cannot read {self.path}: {error}") from error

        return await self._loop.run_in_executor(self._readers, run)

    # -- writing ------------------------------------------------------------------------------------

    def _submit(self, work: Work) -> Awaitable[Any]:
        return self._queued(_Item(work, self._loop.create_future()))

    def _queued(self, item: _Item) -> Awaitable[Any]:
        if self._is_closed:
            raise LogsError(f"{self.path} is closed")
        # Who went away must not turn a failed write into a stray warning.
        item.done.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._queue.put(item)
        return asyncio.shield(item.done)

    def _write_forever(self) -> None:
        try:
            while True:
                items, is_over = self._take()
                if items:
                    self._write(items)
                    self._tell(items)
                if is_over:
                    return
                is_full = bool(self._limit) and _size(self._db) > self._limit
                if is_full or self._now() >= self._tidied_at + TIDY_SECONDS:
                    self._tidy()
                self._facts = Facts(self._written, self._refused, self._dropped, _size(self._db), self._limit)
        finally:
            self._db.close()

    def _take(self) -> tuple[list[_Item], bool]:
        items: list[_Item] = []
        try:
            item = self._queue.get(timeout=TIDY_SECONDS)
            while item is not None:
                items.append(item)
                item = self._queue.get_nowait()
        except queue.Empty:
            return items, False
        return items, True

    def _write(self, items: list[_Item]) -> None:
        db, seq = self._db, self._seq
        try:
            db.execute("BEGIN IMMEDIATE")
            for item in items:
                self._one(db, item)
            db.execute("UPDATE meta SET value = ? WHERE name = 'seq'", (str(self._seq),))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            # A full disk may have ended it already.
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._seq = seq
            self._small.clear()
            log.error("path=%s not written: %s", self.path, error)
            for item in items:
                item.news, item.failure = None, self._full(error)
        for item in items:
            if isinstance(item.failure, LogsError):
                self._refused += item.events
            elif item.failure is None:
                self._written += item.events

    def _full(self, error: sqlite3.Error) -> LogsError:
        return LogsError(f"cannot write {self.path}: {error}; free space, or mend the disk")

    def _one(self, db: sqlite3.Connection, item: _Item) -> None:
        db.execute("SAVEPOINT one")
        try:
            item.result = item.work(db)
        except (NoGroup, NoStream, Exists) as error:
            db.execute("ROLLBACK TO one")
            item.failure = error
        db.execute("RELEASE one")

    def _tell(self, items: list[_Item]) -> None:
        def told() -> None:
            for item in items:
                if not item.done.done():
                    if item.failure is None:
                        item.done.set_result(item.result)
                    else:
                        item.done.set_exception(item.failure)
                if item.news is not None:
                    for follower in list(self._followers):
                        follower(*item.news)

        try:
            self._loop.call_soon_threadsafe(told)
        except RuntimeError:
            log.debug("the loop is closed: nobody is left to tell")

    # -- tidying ------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """What is older than its group keeps, and what is too much: some at a time, so that puts wait shortly."""
        self._tidied_at = now = self._now()
        if len(self._small) > 10_000:
            self._small.clear()
        try:
            kept = self._db.execute("SELECT id, retention FROM groups WHERE retention > 0").fetchall()
            for number, days in kept:
                self._drop("grp = ? AND high < ?", (number, int(now * 1000) - days * DAY_MS))
            if self._limit and _size(self._db) > self._limit:
                # Some more than is too much, or the next put would drop again.
                enough = _size(self._db) - self._limit * (1 - DROPPED_SHARE)
                dropped = self._drop("1", (), enough)
                self._dropped += dropped
                log.warning("path=%s limit_bytes=%d dropped_events=%d", self.path, self._limit, dropped)
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            log.error("path=%s cannot be tidied, tried again later: %s", self.path, error)

    def _drop(self, where: str, values: Sequence[int], enough: float = inf) -> int:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        events, gone = blocks.drop(db, where, values, TIDY_BLOCKS, enough)
        db.executemany("UPDATE groups SET bytes = bytes - ? WHERE id = ?", [(n, g) for g, n in gone.items()])
        db.execute("COMMIT")
        return events


# -- on a connection -----------------------------------------------------------------------------------------


def _no_work(_: sqlite3.Connection) -> None:
    return


def _key(scope: Scope) -> str:
    return f"{scope.account}/{scope.region}"


def _as_group(row: tuple[Any, ...]) -> Group:
    name, created, retention, tags, kind, length = row
    return Group(name, created, retention, json.loads(tags), kind, length)


def _group(db: sqlite3.Connection, scope: Scope, name: str) -> Group:
    query = f"SELECT {_GROUP} FROM groups WHERE scope = ? AND name = ?"
    found = db.execute(query, (_key(scope), name)).fetchone()
    if found is None:
        raise NoGroup(name)
    return _as_group(found)


def _group_number(db: sqlite3.Connection, scope: Scope, name: str) -> int:
    found = db.execute("SELECT id FROM groups WHERE scope = ? AND name = ?", (_key(scope), name)).fetchone()
    if found is None:
        raise NoGroup(name)
    return int(found[0])


def _stream_number(db: sqlite3.Connection, scope: Scope, group: str, name: str) -> tuple[int, int]:
    grp = _group_number(db, scope, group)
    found = db.execute("SELECT id FROM streams WHERE grp = ? AND name = ?", (grp, name)).fetchone()
    if found is None:
        raise NoStream(name)
    return grp, int(found[0])


def _is_new(db: sqlite3.Connection, stream: int, resend: Resend) -> bool:
    """Whether the batch was not stored before; from now on it was."""
    query = "SELECT number FROM sources WHERE stream = ? AND source = ?"
    found = db.execute(query, (stream, resend.source)).fetchone()
    if found is not None and found[0] >= resend.number:
        return False
    row = (stream, resend.source, resend.number)
    db.execute("INSERT OR REPLACE INTO sources (stream, source, number) VALUES (?, ?, ?)", row)
    return True


def _page(db: sqlite3.Connection, reading: Reading, now: float) -> Page:
    number = _group_number(db, reading.scope, reading.group)
    group = _group(db, reading.scope, reading.group)
    if group.retention_days:  # what is due to be dropped is gone
        oldest = int(now * 1000) - group.retention_days * DAY_MS
        reading = replace(reading, start=max(reading.start, oldest))
    names = dict(db.execute("SELECT id, name FROM streams WHERE grp = ?", (number,)).fetchall())
    wanted = _wanted(names, reading)
    budget = blocks.Budget(reading.budget_bytes)
    span = (reading.start, reading.end, reading.after, budget)
    if reading.is_backward:
        found = blocks.backward(db, next(iter(wanted)), *span)
    elif len(wanted) == 1:
        found = blocks.forward(db, ("stream", next(iter(wanted))), wanted.__contains__, *span)
    else:
        found = blocks.forward(db, ("grp", number), wanted.__contains__, *span)
    events: list[tuple[str, LogEvent]] = []
    place: Place | None = reading.after
    for one in found:
        if one is None or len(events) >= reading.limit:
            return Page(events, place, False)
        stream, event = one
        place = (event.at, event.seq)
        if reading.matches is None or reading.matches(event.message):
            events.append((names[stream], event))
    return Page(events, place, True)


def _wanted(names: dict[int, str], reading: Reading) -> set[int]:
    """Raises NoStream."""
    if reading.streams is not None:
        numbers = {name: number for number, name in names.items()}
        missing = [name for name in reading.streams if name not in numbers]
        if missing:
            raise NoStream(missing[0])
        return {numbers[name] for name in reading.streams}
    return {number for number, name in names.items() if name.startswith(reading.prefix)}


def _size(db: sqlite3.Connection) -> int:
    """Bytes in use: pages that hold nothing are used again."""
    (pages,), (free,), (length,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * length)


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA + blocks.SCHEMA)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?), ('seq', '0')", (SCHEMA_VERSION,))
        (found,) = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise LogsError(f"cannot open the logs in {path}: {error}") from error
    if found != SCHEMA_VERSION:
        raise LogsError(
            f"{path} was written with schema {found}, this version reads {SCHEMA_VERSION}: "
            "move it away, or run the version that wrote it"
        )
    return db
