"""The embedded metric store on a real file: what is acknowledged is there, rolled up and kept as CloudWatch does."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.rules.statistics import of_values
from monitor.series import chunks
from monitor.series.base import HIGH, Datum, Listing, Series, SeriesError
from monitor.series.embedded import EmbeddedStore

HOME = Scope("111122223333", "us-east-1")
NOON = 1_800_000_000 - 1_800_000_000 % 86_400
DAY = 86_400


def series(name: str = "Latency", unit: str = "None", **dimensions: str) -> Series:
    return Series(HOME, MetricKey("Shop", name, tuple(sorted(dimensions.items()))), unit)


def datum(at: float, *values: float, of: Series | None = None, step: int = 60) -> Datum:
    return Datum(of or series(), at, of_values(list(values), [1.0] * len(values)), step)


class Time:
    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(path: Path, now: Callable[[], float], limit_bytes: int = 0) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(path / "metrics.db", now, limit_bytes)
    try:
        yield store
    finally:
        await store.close()


async def sums(store: EmbeddedStore, start: int, end: int, period: int) -> dict[int, float]:
    (found,) = await store.select([series()], start, end, period)
    return dict(zip(found.at, found.total, strict=True))


def seal_all(path: Path, now: float) -> None:
    """As the writer does within an hour, a slice a minute."""
    db = sqlite3.connect(path / "metrics.db", isolation_level=None)
    for (number,) in db.execute("SELECT id FROM series").fetchall():
        chunks.seal(db, number, now)
    db.close()


async def test_points_of_a_minute_are_one_and_a_period_adds_minutes_up(tmp_path: Path) -> None:
    async with opened(tmp_path, Time()) as store:
        await store.append([datum(NOON + 1, 1, 2), datum(NOON + 59, 4), datum(NOON + 60, 8)])
        (found,) = await store.select([series()], NOON, NOON + 300, 60)
        assert list(found.points()) == [
            (NOON, of_values([1, 2, 4], [1, 1, 1])),
            (NOON + 60, of_values([8], [1])),
        ]
        assert await sums(store, NOON, NOON + 300, 300) == {NOON: 15}
        assert await sums(store, NOON + 60, NOON + 120, 60) == {NOON + 60: 8}


async def test_high_resolution_is_read_by_the_second_and_by_the_minute(tmp_path: Path) -> None:
    async with opened(tmp_path, Time()) as store:
        await store.append([datum(NOON + n, float(n), step=HIGH) for n in range(120)])
        assert len(await sums(store, NOON, NOON + 120, 1)) == 120
        assert len(await sums(store, NOON, NOON + 120, 10)) == 12
        assert await sums(store, NOON, NOON + 120, 60) == {
            NOON: sum(range(60)),
            NOON + 60: sum(range(60, 120)),
        }


async def test_a_sealed_hour_reads_as_before_and_a_late_point_joins_it(tmp_path: Path) -> None:
    time = Time()
    async with opened(tmp_path, time) as store:
        await store.append([datum(NOON + 60 * n, float(n), float(n + 1)) for n in range(120)])
        before = [(await store.select([series()], NOON, NOON + 7200, p, True))[0] for p in (60, 300, 3600)]
    time.now = NOON + 8000
    seal_all(tmp_path, time.now)
    async with opened(tmp_path, time) as store:
        after = [(await store.select([series()], NOON, NOON + 7200, p, True))[0] for p in (60, 300, 3600)]
        assert [list(c.points()) for c in after] == [list(c.points()) for c in before]
        await store.append([datum(NOON + 5, 1000)])
        assert (await sums(store, NOON, NOON + 60, 60)) == {NOON: 1001}
    seal_all(tmp_path, time.now + 7200)
    async with opened(tmp_path, time) as store:
        assert (await sums(store, NOON, NOON + 60, 60)) == {NOON: 1001}
        hourly = await sums(store, NOON, NOON + 7200, 3600)
        assert hourly[NOON] == 1000 + sum(2 * n + 1 for n in range(60))


async def test_what_is_too_old_goes_resolution_by_resolution(tmp_path: Path) -> None:
    time = Time()
    async with opened(tmp_path, time) as store:
        await store.append([datum(NOON + 60 * n, 1.0) for n in range(60)])
    for days, left in ((14, (60, 300, 3600)), (17, (300, 3600)), (70, (3600,)), (500, ())):
        time.now = NOON + days * DAY
        seal_all(tmp_path, time.now)
        async with opened(tmp_path, time) as store:
            found = [p for p in (60, 300, 3600) if await sums(store, NOON, NOON + 3600, p)]
            assert tuple(found) == left, days


async def test_metrics_are_listed_by_name_dimension_and_page(tmp_path: Path) -> None:
    async with opened(tmp_path, Time()) as store:
        many = [series(f"M{n:02}", Host=f"h{n % 3}") for n in range(30)]
        await store.append([datum(NOON, 1.0, of=s) for s in many])
        await store.append([datum(NOON - 20 * DAY, 1.0, of=series("Old"))])
        since = NOON - 14 * DAY
        names = [k.name for k in await store.metrics(Listing(HOME, since))]
        assert names == sorted(s.key.name for s in many)
        first = await store.metrics(Listing(HOME, since, limit=12))
        rest = await store.metrics(Listing(HOME, since, after=first[-1]))
        assert [k.name for k in (*first, *rest)] == names
        assert len(await store.metrics(Listing(HOME, since, dimensions=(("Host", "h1"),)))) == 10
        assert len(await store.metrics(Listing(HOME, since, dimensions=(("Host", None),)))) == 30
        assert await store.metrics(Listing(HOME, since, dimensions=(("Zone", None),))) == []
        assert await store.metrics(Listing(Scope("999999999999", "us-east-1"), since)) == []


async def test_units_are_series_of_their_own(tmp_path: Path) -> None:
    async with opened(tmp_path, Time()) as store:
        await store.append([datum(NOON, 1.0, of=series(unit=u)) for u in ("Seconds", "Milliseconds")])
        assert await store.units(HOME, [series().key]) == [["Milliseconds", "Seconds"]]
        assert len(await store.metrics(Listing(HOME, NOON))) == 1


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.unit.test_series_embedded import NOON, datum
from monitor.series.embedded import EmbeddedStore
async def main():
    store = await EmbeddedStore.open(Path(sys.argv[1]), lambda: float(NOON), 0)
    n = 0
    while True:
        await asyncio.gather(*(store.append([datum(NOON + 60 * ((n + i) % 60), 1.0)]) for i in range(7)))
        n += 7
        print(n, flush=True)
asyncio.run(main())
"""


async def test_a_kill_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = 0
    while acknowledged < 200:
        acknowledged = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    async with opened(tmp_path, Time()) as store:
        (found,) = await store.select([series()], NOON, NOON + 3600, 3600)
        assert acknowledged <= found.count[0] <= acknowledged + 7


FULL = """
import asyncio, resource, sys
from pathlib import Path
from tests.unit.test_series_embedded import NOON, datum, series
from monitor.series.base import SeriesError
from monitor.series.embedded import EmbeddedStore
async def main():
    store = await EmbeddedStore.open(Path(sys.argv[1]), lambda: float(NOON), 0)
    await store.append([datum(NOON, 1.0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    try:
        for n in range(100):
            await store.append([datum(NOON, 1.0, of=series(f"M{n}-{i}")) for i in range(500)])
    except SeriesError as error:
        print("refused:", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.append([datum(NOON, 2.0)])
    await store.close()
    print(store.facts().points_refused)
asyncio.run(main())
"""


async def test_a_full_disk_is_told_counted_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    ignored = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    done = subprocess.run(
        [sys.executable, "-c", ignored + FULL, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told, refused = done.stdout.splitlines()
    assert told.startswith(f"refused: cannot write {path}: ")
    assert "free space" in told
    assert int(refused) == 500
    async with opened(tmp_path, Time()) as store:
        assert await sums(store, NOON, NOON + 60, 60) == {NOON: 3}


async def test_the_oldest_go_when_the_store_reaches_its_bound(tmp_path: Path) -> None:
    time = Time()
    async with opened(tmp_path, time) as store:
        for n in range(40):
            await store.append(
                [datum(NOON + 60 * m, float(m * n), of=series(f"M{n:02}")) for m in range(600)]
            )
    time.now = NOON + 600 * 60 + 7200
    seal_all(tmp_path, time.now)
    async with opened(tmp_path, time, limit_bytes=40_000) as store:
        await store.append([datum(time.now, 1.0, of=series("New"))])
        await store.append([datum(time.now, 1.0, of=series("New"))])
    facts = store.facts()
    assert facts.chunks_dropped > 0
    assert facts.size_bytes <= 40_000


async def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, Time()):
        pass
    with sqlite3.connect(tmp_path / "metrics.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(SeriesError, match="schema 99"):
        await EmbeddedStore.open(tmp_path / "metrics.db", Time(), 0)


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, Time()):
        assert (tmp_path / "metrics.db").stat().st_mode & 0o777 == 0o600
