"""The metric stores that bench_series compares, behind one face: append a minute, read a day, say what they take."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import httpx
import psutil

from monitor.series import chunks
from monitor.series.base import Datum, Series
from monitor.series.embedded import EmbeddedStore
from monitor.series.prometheus import PrometheusStore
from tests.conftest import free_port


class Peer(Protocol):
    async def start(self) -> None:
        """Until it answers."""

    async def append(self, data: Sequence[Datum]) -> None: ...

    async def read(self, series: Sequence[Series], start: int, end: int) -> int:
        """How many points of a minute there are; all four numbers of each are brought here."""

    async def settle(self, now: int) -> None:
        """Do now what the store does with old points in time: seal, merge, checkpoint."""

    async def stop(self) -> None: ...

    def resident(self) -> int:
        """Bytes: of the process that holds the store."""


class Embedded:
    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._path, self._now = folder / "metrics.db", now

    async def start(self) -> None:
        self._store = await EmbeddedStore.open(self._path, self._now, 0)

    async def append(self, data: Sequence[Datum]) -> None:
        await self._store.append(data)

    async def read(self, series: Sequence[Series], start: int, end: int) -> int:
        return sum(map(len, await self._store.select(series, start, end, 60)))

    async def settle(self, now: int) -> None:
        """As the writer does in the course of an hour."""
        await self._store.close()
        seal(self._path, now)
        await self.start()

    async def stop(self) -> None:
        await self._store.close()

    def resident(self) -> int:
        return int(psutil.Process().memory_info().rss)


def seal(path: Path, now: int) -> None:
    """What the writer does in the course of an hour, to a file that nobody has open."""
    db = sqlite3.connect(path, isolation_level=None)
    numbers = [n for (n,) in db.execute("SELECT id FROM series")]
    for at in range(0, len(numbers), chunks.A_TRANSACTION):
        db.execute("BEGIN IMMEDIATE")
        for number in numbers[at : at + chunks.A_TRANSACTION]:
            chunks.seal(db, number, now)
        db.execute("COMMIT")
    db.execute("VACUUM")  # the file has pages to use again, which are no cost of a point
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


class Duck:
    """One table of columns, no index: blocks carry their least and greatest values. A commit syncs its log."""

    def __init__(self, folder: Path, _: Callable[[], float]) -> None:
        self._path = folder / "metrics.duckdb"
        self._numbers: dict[Series, int] = {}

    async def start(self) -> None:
        import duckdb

        self._db = duckdb.connect(str(self._path))
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS points "
            '(series INTEGER, "at" INTEGER, count DOUBLE, total DOUBLE, low DOUBLE, high DOUBLE)'
        )

    async def append(self, data: Sequence[Datum]) -> None:
        await asyncio.to_thread(self._append, data)

    def _append(self, data: Sequence[Datum]) -> None:
        import numpy

        numbers = self._numbers
        batch = {
            "series": numpy.array(
                [numbers.setdefault(d.series, len(numbers)) for d in data], dtype=numpy.int32
            ),
            "at": numpy.array([int(d.at) for d in data], dtype=numpy.int32),
            "count": numpy.array([d.point.sample_count for d in data]),
            "total": numpy.array([d.point.total for d in data]),
            "low": numpy.array([d.point.minimum for d in data]),
            "high": numpy.array([d.point.maximum for d in data]),
        }
        self._db.register("batch", batch)
        self._db.execute('INSERT INTO points SELECT series, "at", count, total, low, high FROM batch')

    async def read(self, series: Sequence[Series], start: int, end: int) -> int:
        return await asyncio.to_thread(self._read, [self._numbers[s] for s in series], start, end)

    def _read(self, numbers: list[int], start: int, end: int) -> int:
        query = (
            'SELECT series, "at", sum(count), sum(total), min(low), max(high) FROM points '
            f'WHERE series IN ({",".join(map(str, numbers))}) AND "at" >= {start} AND "at" < {end} '
            "GROUP BY ALL ORDER BY ALL"
        )
        return len(self._db.execute(query).fetchnumpy()["series"])

    async def settle(self, now: int) -> None:
        self._db.execute("CHECKPOINT")

    async def stop(self) -> None:
        self._db.close()

    def resident(self) -> int:
        return int(psutil.Process().memory_info().rss)


class Victoria:
    """Through our PrometheusStore, whose four samples a point these are."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder, self._now = folder, now

    async def start(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            "victoria-metrics",
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={self._folder / 'data'}",
            "-retentionPeriod=455d",
            "-dedup.minScrapeInterval=1ms",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self._answers():
            await asyncio.sleep(0.005)
        self._store = await PrometheusStore.open(self.url, self._now)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).is_success
        except httpx.HTTPError:
            if self._process.poll() is not None:
                raise
            return False

    async def append(self, data: Sequence[Datum]) -> None:
        await self._store.append(data)

    async def read(self, series: Sequence[Series], start: int, end: int) -> int:
        return sum(map(len, await self._store.select(series, start, end, 60)))

    async def settle(self, now: int) -> None:
        for path in ("internal/force_flush", "internal/force_merge"):
            httpx.get(f"{self.url}/{path}", trust_env=False, timeout=120)
        size, deadline = -1, time.monotonic() + 20
        while size != (size := size_of(self._folder)) and time.monotonic() < deadline:
            await asyncio.sleep(2)  # merging goes on in the background

    async def stop(self) -> None:
        await self._store.close()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 60)

    def resident(self) -> int:
        return int(psutil.Process(self._process.pid).memory_info().rss)


PEERS: dict[str, Callable[[Path, Callable[[], float]], Peer]] = {
    "embedded": Embedded,
    "duckdb": Duck,
    "victoria-metrics": Victoria,
}


def size_of(folder: Path) -> int:
    """Bytes on disk; a file that goes while it is counted counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
