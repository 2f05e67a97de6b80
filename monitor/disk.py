"""SQLite files beside the state: opened for their owner alone, read by threads, their size in use.

A store of its own has its writer; what all of them have in common is here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

log = logging.getLogger("moorwatch.disk")

T = TypeVar("T")
_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"


class OtherSchema(Exception):
    """The file was written by another version; the message says which."""


def open_file(path: Path, schema: str, version: str) -> sqlite3.Connection:
    """Open or create it (mode 0600), each commit on disk. Raises sqlite3.Error, OSError, OtherSchema."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)  # also a file that was there already
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(_META + schema)
    db.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('schema', ?)", (version,))
    (found,) = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if found != version:
        db.close()
        raise OtherSchema(
            f"{path} was written with schema {found}, this version reads {version}: "
            "move it away, or run the version that wrote it"
        )
    return db


def size(db: sqlite3.Connection) -> int:
    """Bytes in use: pages that hold nothing are used again."""
    (pages,), (free,), (length,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * length)


def take(waiting: queue.SimpleQueue[T | None], seconds: float) -> tuple[list[T], bool]:
    """All that is queued for a writer; the first of it is waited for that long. True: None was queued, which is the end
    of it all."""
    items: list[T] = []
    try:
        item = waiting.get(timeout=seconds)
        while item is not None:
            items.append(item)
            item = waiting.get_nowait()
    except queue.Empty:
        return items, False
    return items, True


def tell(loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> None:
    """From a writer's thread, those who wait on the loop."""
    try:
        loop.call_soon_threadsafe(told)
    except RuntimeError:
        log.debug("the loop is closed: nobody is left to tell")


class Readers:
    """Threads that read, each with a connection of its own. Made on a running loop."""

    def __init__(self, path: Path, count: int, name: str) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._local = threading.local()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Raises sqlite3.Error, and what the work does."""

        def run() -> T:
            db = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = sqlite3.connect(self._path, isolation_level=None, timeout=5)
                db.execute("PRAGMA query_only = ON")
            return work(db)

        return await self._loop.run_in_executor(self._pool, run)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)
