"""What the agent must remember over a kill: who it is, which tasks it was given, which are over.

Everything else is read back from Docker by labels. One thread owns the file; writes return when they would
survive the end of the process (a power cut ends the containers too, so the disk is not waited for).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    arn TEXT PRIMARY KEY, payload TEXT NOT NULL, launched INTEGER NOT NULL DEFAULT 0, ended_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS restarts (
    arn TEXT NOT NULL, container TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (arn, container)
) WITHOUT ROWID;
"""


class LocalStateError(Exception):
    """The agent's own file cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task this agent was given. `launched`: some container of it was started. `ended_at`: its end was
    acknowledged by the control plane. `restarts`: by restart policies, for each container."""

    arn: str
    payload: Mapping[str, Any]
    launched: bool = False
    ended_at: float | None = None
    restarts: Mapping[str, int] = field(default_factory=dict)


class LocalState:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "local-state")
        self._db: sqlite3.Connection | None = None

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def job() -> T:
            try:
                return function(self._open())
            except (sqlite3.Error, OSError) as error:
                raise LocalStateError(
                    f"cannot use {self._path}: {error}; mend or move the file away"
                ) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=5)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        return self._db

    async def get(self, name: str) -> str:
        def read(db: sqlite3.Connection) -> str:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            return row[0] if row else ""

        return await self._run(read)

    async def _write(self, sql: str, *values: object) -> None:
        def write(db: sqlite3.Connection) -> None:
            db.execute(sql, values)

        await self._run(write)

    async def set(self, name: str, value: str) -> None:
        await self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    async def assignments(self) -> list[Assignment]:
        def read(db: sqlite3.Connection) -> list[Assignment]:
            counts: dict[str, dict[str, int]] = {}
            for arn, name, count in db.execute("SELECT arn, container, count FROM restarts"):
                counts.setdefault(arn, {})[name] = count
            rows = db.execute("SELECT arn, payload, launched, ended_at FROM tasks")
            return [
                Assignment(arn, json.loads(body), bool(on), end, counts.get(arn, {}))
                for arn, body, on, end in rows
            ]

        return await self._run(read)

    async def assign(self, arn: str, payload: Mapping[str, Any]) -> None:
        """Remember the newest order for the task; what is known of its progress stays."""
        await self._write(
            "INSERT INTO tasks (arn, payload) VALUES (?, ?) "
            "ON CONFLICT (arn) DO UPDATE SET payload = excluded.payload",
            arn,
            json.dumps(payload),
        )

    async def launched(self, arn: str) -> None:
        await self._write("UPDATE tasks SET launched = 1 WHERE arn = ?", arn)

    async def restarted(self, arn: str, container: str, count: int) -> None:
        await self._write("INSERT OR REPLACE INTO restarts VALUES (?, ?, ?)", arn, container, count)

    async def ended(self, arn: str, at: float) -> None:
        await self._write("UPDATE tasks SET ended_at = ? WHERE arn = ?", at, arn)

    async def forget(self, arn: str) -> None:
        await self._write("DELETE FROM restarts WHERE arn = ?", arn)
        await self._write("DELETE FROM tasks WHERE arn = ?", arn)

    async def close(self) -> None:
        def finish() -> None:
            if self._db is not None:
                self._db.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, finish)
        self._thread.shutdown(wait=False)
