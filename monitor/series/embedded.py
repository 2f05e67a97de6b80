"""The embedded metric store: SQLite, one writer thread with group commit, each acknowledged point on disk.

Points come as rows (`recent`). When their hour is over they are sealed: merged into compressed chunks of each
resolution (`seal`), which is the roll-up as well, in the transaction that deletes the rows. A kill at any moment leaves
either.
tests/performance/bench_series.py measures this beside DuckDB, which takes bulk faster and fewer bytes, but more
memory and longer to start, and which is one more library: RESULTS.md has the figures.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from monitor import disk
from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.series import catalog, chunks
from monitor.series.base import Datum, Facts, Listing, Series, SeriesError
from monitor.series.catalog import Catalog
from monitor.series.columns import Columns

log = logging.getLogger("moorwatch.series")

SCHEMA_VERSION = "1"
READERS = 2
SEAL_EVERY_SECONDS = 60.0

Batch = tuple[Sequence[Datum], asyncio.Future[None]]
T = TypeVar("T")


class EmbeddedStore:
    """Made by `EmbeddedStore.open` on a running loop. `now`: seconds since the epoch."""

    def __init__(
        self, path: Path, db: sqlite3.Connection, now: Callable[[], float], limit_bytes: int
    ) -> None:
        self.path = path
        self._now, self._limit = now, limit_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._catalog = Catalog(db)
        self._db = db
        self._sealed_at = 0.0
        self._facts = Facts(self._catalog.count, 0, 0, 0, disk.size(db), limit_bytes)
        self._written = self._refused = self._dropped = 0
        self._readers = disk.Readers(path, READERS, "series-reader")
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_forever, name="series-writer", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, now: Callable[[], float], limit_bytes: int) -> EmbeddedStore:
        """Open or create the file (mode 0600). Raises SeriesError."""
        return cls(path, await asyncio.to_thread(_open, path), now, limit_bytes)

    def append(self, data: Sequence[Datum]) -> Awaitable[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        if self._is_closed:
            raise SeriesError(f"{self.path} is closed")
        # Who went away must not turn a failed write into a stray warning.
        done.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._queue.put((data, done))
        return asyncio.shield(done)

    async def units(self, scope: Scope, keys: Sequence[MetricKey]) -> list[list[str]]:
        return await self._read(lambda db: [catalog.units(db, scope, key) for key in keys])

    async def select(
        self, series: Sequence[Series], start: int, end: int, period: int, in_detail: bool = False
    ) -> list[Columns]:
        window = chunks.Window(start, end, period, in_detail, self._now())

        def read(db: sqlite3.Connection) -> list[Columns]:
            db.execute("BEGIN")  # rows and chunks as of one moment: a seal moves points from one to the other
            try:
                return [chunks.read(db, catalog.find(db, one), window) for one in series]
            finally:
                db.execute("ROLLBACK")

        return await self._read(read)

    async def metrics(self, wanted: Listing) -> list[MetricKey]:
        return await self._read(lambda db: catalog.listed(db, wanted))

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
        except (sqlite3.Error, chunks.BadChunk) as error:
            raise SeriesError(f"cannot read {self.path}: {error}") from error

    # -- writer thread ------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        try:
            while True:
                batches, is_over = disk.take(self._queue, SEAL_EVERY_SECONDS)
                if batches:
                    self._tell(batches, self._write(batches))
                if is_over:
                    return
                if self._now() >= self._sealed_at + SEAL_EVERY_SECONDS:
                    self._seal()
                self._facts = Facts(
                    self._catalog.count,
                    self._written,
                    self._refused,
                    self._dropped,
                    disk.size(self._db),
                    self._limit,
                )
        finally:
            self._db.close()

    def _write(self, batches: list[Batch]) -> SeriesError | None:
        points = sum(len(data) for data, _ in batches)
        try:
            with self._transaction():
                for data, _ in batches:
                    chunks.insert(self._db, [(self._catalog.number(d.series, int(d.at)), d) for d in data])
        except sqlite3.Error as error:
            self._refused += points
            log.error("path=%s points=%d refused: %s", self.path, points, error)
            return SeriesError(f"cannot write {self.path}: {error}; free space, or mend the disk")
        self._written += points
        return None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._catalog.begin()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have ended it already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._catalog.forget()
            raise

    def _seal(self) -> None:
        """One sixtieth of the series each minute; few a transaction, so that appends wait shortly."""
        self._sealed_at = now = self._now()
        try:
            for numbers in chunks.due(self._db, now):
                with self._transaction():
                    for number in numbers:
                        if chunks.seal(self._db, number, now):
                            self._catalog.drop(number)
                if not self._queue.empty():
                    batches, is_over = disk.take(self._queue, SEAL_EVERY_SECONDS)
                    if batches:
                        self._tell(batches, self._write(batches))
                    if is_over:
                        self._queue.put(None)
                        return
            while self._limit and disk.size(self._db) > self._limit:
                with self._transaction():
                    dropped = chunks.drop_oldest(self._db)
                self._dropped += dropped
                if not dropped:
                    break
                log.warning("path=%s limit_bytes=%d dropped_chunks=%d", self.path, self._limit, dropped)
        except sqlite3.Error as error:
            log.error("path=%s cannot be sealed, tried again in a minute: %s", self.path, error)

    def _tell(self, batches: list[Batch], failure: SeriesError | None) -> None:
        def told() -> None:
            for _, done in batches:
                if not done.done():
                    if failure is None:
                        done.set_result(None)
                    else:
                        done.set_exception(failure)

        disk.tell(self._loop, told)


def _open(path: Path) -> sqlite3.Connection:
    try:
        return disk.open_file(path, catalog.SCHEMA + chunks.SCHEMA, SCHEMA_VERSION)
    except (sqlite3.Error, OSError) as error:
        raise SeriesError(f"cannot open the metrics in {path}: {error}") from error
    except disk.OtherSchema as error:
        raise SeriesError(str(error)) from error
