"""The embedded log store: SQLite, one writer thread with group commit, each acknowledged event on disk.

Whatever changes runs on the writer thread: all that is queued in one transaction, each piece of work in a savepoint of
its own, so that one that fails takes nothing else with it. Reads have threads of their own and see whole transactions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from monitor import disk
from monitor.logs import blocks, tables
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
    Reading,
    Resend,
    Stream,
)
from monitor.model.arn import Scope

log = logging.getLogger("moorwatch.logs")

SCHEMA_VERSION = "2"
READERS = 2
TIDY_SECONDS, TIDY_BLOCKS = 30.0, 500
DROPPED_SHARE = 0.02  # of the limit
MOST_COUNTED = 100_000  # streams, at each level, whose blocks are counted
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
        self._facts = Facts(0, 0, 0, disk.size(db), limit_bytes)
        self._followers: list[Follower] = []
        self._tidied_at = now()
        self._readers = disk.Readers(path, READERS, "logs-reader")
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
            row = (
                tables.scope_key(scope),
                group.name,
                group.created,
                group.retention_days,
                json.dumps(dict(group.tags)),
            )
            query = (
                "INSERT OR IGNORE INTO groups (scope, name, created, retention, tags, kind, bytes) "
                "VALUES (?, ?, ?, ?, ?, ?, 0)"
            )
            if not db.execute(query, (*row, group.kind)).rowcount:
                raise Exists

        await self._submit(work)

    async def delete_group(self, scope: Scope, name: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            number = tables.group_number(db, scope, name)
            db.execute(
                "DELETE FROM sources WHERE stream IN (SELECT id FROM streams WHERE grp = ?)", (number,)
            )
            db.execute("DELETE FROM blocks WHERE grp = ?", (number,))
            db.execute("DELETE FROM streams WHERE grp = ?", (number,))
            db.execute("DELETE FROM groups WHERE id = ?", (number,))

        await self._submit(work)

    async def change_group(self, scope: Scope, name: str, change: Callable[[Group], Group]) -> None:
        def work(db: sqlite3.Connection) -> None:
            group = change(tables.group_of(db, scope, name))
            row = (group.retention_days, json.dumps(dict(group.tags)), tables.scope_key(scope), name)
            db.execute("UPDATE groups SET retention = ?, tags = ? WHERE scope = ? AND name = ?", row)

        await self._submit(work)

    async def group(self, scope: Scope, name: str) -> Group:
        return await self._read(lambda db: tables.group_of(db, scope, name))

    async def groups(self, scope: Scope, prefix: str = "", after: str = "", limit: int = 50) -> list[Group]:
        query = (
            f"SELECT {tables.GROUP} FROM groups WHERE scope = ? AND name > ? AND substr(name, 1, ?) = ? "
            "ORDER BY name LIMIT ?"
        )
        row = (tables.scope_key(scope), after, len(prefix), prefix, limit)
        return await self._read(lambda db: [tables.as_group(found) for found in db.execute(query, row)])

    async def create_stream(self, scope: Scope, group: str, name: str, created: int) -> None:
        def work(db: sqlite3.Connection) -> None:
            row = (tables.group_number(db, scope, group), name, created)
            if not db.execute(
                "INSERT OR IGNORE INTO streams (grp, name, created) VALUES (?, ?, ?)", row
            ).rowcount:
                raise Exists

        await self._submit(work)

    async def delete_stream(self, scope: Scope, group: str, name: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            grp, stream = tables.stream_number(db, scope, group, name)
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
            row = (tables.group_number(db, scope, group), len(prefix), prefix)
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
            grp, number = tables.stream_number(db, scope, group, stream)
            if not events or (resend is not None and not tables.is_new(db, number, resend)):
                return False
            rows = [(at, n, ingested, text) for n, (at, text) in enumerate(events, self._seq + 1)]
            self._seq += len(rows)
            count, length = blocks.insert(db, grp, number, rows)
            db.execute("UPDATE groups SET bytes = bytes + ? WHERE id = ?", (length, grp))
            db.execute(
                "UPDATE streams SET first = min(coalesce(first, ?1), ?1), last = max(coalesce(last, ?2), ?2), "
                "ingested = ?3 WHERE id = ?4",
                (rows[0][0], rows[-1][0], ingested, number),
            )
            self._merge(db, number, count, length)
            if self._followers:
                item.news = (scope, group, stream, list(map(LogEvent._make, rows)))
            return True

        item.work = work
        return bool(await self._queued(item))

    def _merge(self, db: sqlite3.Connection, stream: int, count: int, length: int) -> None:
        """Sixteen blocks of a size become one of the next."""
        for level, below in enumerate(blocks.LEVELS):
            if length >= below:
                continue
            key = (stream, level)
            # Not all at once: streams that began together would be merged together, while all puts wait.
            self._small[key] = self._small.get(key, stream % blocks.MERGED) + count
            if self._small[key] < blocks.MERGED:
                return
            self._small[key] = 0
            blocks.merge(db, stream, below)
            count, length = 1, below  # one more of the next level

    async def read(self, reading: Reading) -> Page:
        now = self._now()

        def run(db: sqlite3.Connection) -> Page:
            db.execute("BEGIN")  # as of one moment: a merge moves events from block to block
            try:
                return tables.page(db, reading, now)
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
        await self._readers.close()

    # -- reading ------------------------------------------------------------------------------------

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._readers.run(work)
        except sqlite3.Error as error:
            raise LogsError(f"cannot read {self.path}: {error}") from error

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
                items, is_over = disk.take(self._queue, TIDY_SECONDS)
                if items:
                    self._write(items)
                    self._tell(items)
                if is_over:
                    return
                is_full = bool(self._limit) and disk.size(self._db) > self._limit
                if is_full or self._now() >= self._tidied_at + TIDY_SECONDS:
                    self._tidy()
                self._facts = Facts(
                    self._written, self._refused, self._dropped, disk.size(self._db), self._limit
                )
        finally:
            self._db.close()

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

        disk.tell(self._loop, told)

    # -- tidying ------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """What is older than its group keeps, and what is too much: some at a time, so that puts wait shortly."""
        self._tidied_at = now = self._now()
        if len(self._small) > MOST_COUNTED:
            self._small.clear()
        try:
            kept = self._db.execute("SELECT id, retention FROM groups WHERE retention > 0").fetchall()
            for number, days in kept:
                self._drop("grp = ? AND high < ?", (number, int(now * 1000) - days * tables.DAY_MS))
            if self._limit and disk.size(self._db) > self._limit:
                # Some more than is too much, or the next put would drop again.
                enough = disk.size(self._db) - self._limit * (1 - DROPPED_SHARE)
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


def _no_work(_: sqlite3.Connection) -> None:
    return


def _open(path: Path) -> sqlite3.Connection:
    try:
        db = disk.open_file(path, tables.SCHEMA + blocks.SCHEMA, SCHEMA_VERSION)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('seq', '0')")
        return db
    except (sqlite3.Error, OSError) as error:
        raise LogsError(f"cannot open the logs in {path}: {error}") from error
    except disk.OtherSchema as error:
        raise LogsError(str(error)) from error
