"""What every metric store must do, on each: the embedded one, VictoriaMetrics, Prometheus.

Times lie around the present, as a back-end refuses points far from it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.rules.statistics import of_set, of_values
from monitor.series.base import HIGH, Datum, Listing, Series, SeriesError, SeriesStore
from monitor.series.embedded import EmbeddedStore
from monitor.series.prometheus import PrometheusStore
from tests.conftest import SYSTEM_PATH, free_port, wait_until

DAY = 86_400
NOON = int(time.time()) - int(time.time()) % DAY - DAY  # a midnight, in fact: every period begins there
_accounts = count(1)


@dataclass
class Store:
    """`scope`: of this test alone, as one back-end serves them all. `is_lenient`: takes points of weeks ago."""

    series: SeriesStore
    scope: Scope
    reopened: Callable[[], Awaitable[SeriesStore]]
    settled: Callable[[], None]
    is_lenient: bool = True

    def of(self, name: str = "Latency", unit: str = "None", **dimensions: str) -> Series:
        return Series(self.scope, MetricKey.of("Shop", name, dimensions), unit)

    def datum(self, at: float, *values: float, of: Series | None = None, step: int = 60) -> Datum:
        return Datum(of or self.of(), at, of_values(list(values), [1.0] * len(values)), step)

    async def append(self, *data: Datum) -> None:
        await self.series.append(data)
        self.settled()

    async def sums(self, start: int, end: int, period: int, of: Series | None = None) -> dict[int, float]:
        (found,) = await self.series.select([of or self.of()], start, end, period)
        return dict(zip(found.at, found.total, strict=True))


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), SYSTEM_PATH)))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return found


@contextmanager
def running(command: list[str], url: str, log: Path) -> Iterator[str]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            return httpx.get(f"{url}/api/v1/query", params={"query": "1"}, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    try:
        wait_until(is_up, f"{command[0]} answers")
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("victoria"), free_port()
    command = [
        program("victoria-metrics", "victoria-metrics"),
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder / 'data'}",
        "-retentionPeriod=455d",
        "-dedup.minScrapeInterval=1ms",
        "-memory.allowedBytes=100MB",
    ]
    with running(command, f"http://127.0.0.1:{port}", folder / "log") as url:
        yield url


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "prometheus.yml").write_text("storage: {tsdb: {out_of_order_time_window: 14d}}\n")
    command = [
        program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]
    with running(command, f"http://127.0.0.1:{port}", folder / "log") as url:
        yield url


@pytest.fixture(params=["embedded", "victoria", "prometheus"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: list[SeriesStore] = []
    url = "" if request.param == "embedded" else str(request.getfixturevalue(request.param))

    async def reopened() -> SeriesStore:
        while opened:
            await opened.pop().close()
        if url:
            opened.append(await PrometheusStore.open(url, time.time))
        else:
            opened.append(await EmbeddedStore.open(tmp_path / "metrics.db", time.time, 0))
        return opened[-1]

    def settled() -> None:
        # VictoriaMetrics shows what it acknowledged within a second; on demand, at once.
        if request.param == "victoria":
            httpx.get(f"{url}/internal/force_flush", trust_env=False).raise_for_status()

    scope = Scope(f"{next(_accounts):012}", "us-east-1")
    yield Store(await reopened(), scope, reopened, settled, request.param != "prometheus")
    await opened.pop().close()


async def test_points_of_a_minute_are_one_and_a_period_adds_minutes_up(store: Store) -> None:
    await store.append(store.datum(NOON + 1, 1, 2), store.datum(NOON + 59, 4), store.datum(NOON + 60, 8))
    (found,) = await store.series.select([store.of()], NOON, NOON + 300, 60, True)
    assert list(found.points()) == [
        (NOON, of_values([1, 2, 4], [1, 1, 1])),
        (NOON + 60, of_values([8], [1])),
    ]
    (plain,) = await store.series.select([store.of()], NOON, NOON + 300, 60)
    assert [list(c) for c in (plain.count, plain.total, plain.low, plain.high)] == [
        [3, 1],
        [7, 8],
        [1, 8],
        [4, 8],
    ]
    assert await store.sums(NOON, NOON + 300, 300) == {NOON: 15}
    assert await store.sums(NOON + 60, NOON + 120, 60) == {NOON + 60: 8}
    assert await store.sums(NOON + 120, NOON + 180, 60) == {}


async def test_high_resolution_is_read_by_the_second_and_by_the_minute(store: Store) -> None:
    # As now: the embedded store keeps seconds for three hours.
    start = int(time.time()) // 60 * 60 - 600
    await store.append(*(store.datum(start + n, float(n), step=HIGH) for n in range(120)))
    assert len(await store.sums(start, start + 120, 1)) == 120
    assert len(await store.sums(start, start + 120, 10)) == 12
    assert await store.sums(start + 5, start + 7, 1) == {start + 5: 5, start + 6: 6}
    assert await store.sums(start, start + 120, 60) == {
        start: sum(range(60)),
        start + 60: sum(range(60, 120)),
    }


async def test_writes_of_one_minute_add_up_also_of_one_process_after_another(store: Store) -> None:
    for value in (1.0, 2.0, 4.0):
        await store.append(store.datum(NOON, value, value))
    store.series = await store.reopened()
    await store.append(store.datum(NOON, 8.0, 16.0))
    (found,) = await store.series.select([store.of()], NOON, NOON + 60, 60, True)
    expected = of_values([1, 2, 4, 8, 16], [2, 2, 2, 1, 1])
    assert list(found.points()) == [(NOON, expected)]


async def test_a_late_point_joins_its_minute_two_weeks_back(store: Store) -> None:
    weeks_ago = NOON - 12 * DAY
    await store.append(store.datum(NOON, 1.0))
    if not store.is_lenient:
        with pytest.raises(SeriesError, match="refused points"):
            await store.append(store.datum(weeks_ago - 30 * DAY, 2.0))
        weeks_ago = NOON - 3600
    await store.append(store.datum(weeks_ago, 2.0))
    await store.append(store.datum(weeks_ago, 3.0))
    assert await store.sums(weeks_ago, weeks_ago + 60, 60) == {weeks_ago: 5.0}
    assert await store.sums(NOON, NOON + 60, 60) == {NOON: 1.0}


async def test_points_are_where_they_were_put_and_nowhere_else(store: Store) -> None:
    """No back-end's look-back makes a point of one minute seen in the next."""
    for n in (0, 1, 4, 9):
        await store.append(store.datum(NOON + 60 * n, float(n + 1)))
    expected = {NOON + 60 * n: float(n + 1) for n in (0, 1, 4, 9)}
    assert await store.sums(NOON, NOON + 600, 60) == expected
    assert await store.sums(NOON, NOON + 600, 300) == {NOON: 8.0, NOON + 300: 10.0}


async def test_a_set_without_values_keeps_its_four_numbers(store: Store) -> None:
    await store.append(Datum(store.of(), NOON, of_set(10, 55.5, 0.25, 9.75)))
    (found,) = await store.series.select([store.of()], NOON, NOON + 60, 60, True)
    assert list(found.points()) == [(NOON, of_set(10, 55.5, 0.25, 9.75))]


async def test_many_series_and_a_day_in_one_select(store: Store) -> None:
    many = [store.of(f"M{n}", Host=f'a "b\\{n}" é') for n in range(30)]
    data = [store.datum(NOON + 60 * m, float(n), of=s) for m in range(90) for n, s in enumerate(many)]
    await store.append(*data)
    found = await store.series.select([*many, store.of("Nothing")], NOON, NOON + DAY, 60)
    assert [len(c) for c in found] == [90] * 30 + [0]
    assert [sum(c.total) for c in found[:-1]] == [90.0 * n for n in range(30)]


async def test_metrics_are_listed_by_name_dimension_and_page(store: Store) -> None:
    many = [store.of(f"M{n:02}", Host=f"h{n % 3}", **{"a.b-c_d": "é\n"}) for n in range(30)]
    now = int(time.time())
    await store.append(store.datum(now - 7200, 1.0, of=store.of("Older")))
    await store.append(*(store.datum(now, 1.0, of=s) for s in many))
    for since in (now - 3600, now - 14 * DAY):
        listed = [k for k in await store.series.metrics(Listing(store.scope, since)) if k.name != "Older"]
        assert listed == sorted(s.key for s in many)
    since = now - 3600
    names = [s.key.name for s in many]
    assert len(await store.series.metrics(Listing(store.scope, since - 7200))) == 31
    first = await store.series.metrics(Listing(store.scope, since, limit=12))
    rest = await store.series.metrics(Listing(store.scope, since, after=first[-1]))
    assert [k.name for k in (*first, *rest)] == names

    async def how_many(**wanted: Any) -> int:
        return len(await store.series.metrics(Listing(store.scope, since, **wanted)))

    assert await how_many(dimensions=(("Host", "h1"),)) == 10
    assert await how_many(dimensions=(("Host", None),)) == 30
    assert await how_many(dimensions=(("Zone", None),)) == 0
    assert await how_many(namespace="Shop", name="M07") == 1
    assert await store.series.metrics(Listing(Scope("999999999999", "us-east-1"), since)) == []


async def test_units_are_series_of_their_own(store: Store) -> None:
    await store.append(*(store.datum(NOON, 1.0, of=store.of(unit=u)) for u in ("Seconds", "Milliseconds")))
    assert await store.series.units(store.scope, [store.of().key]) == [["Milliseconds", "Seconds"]]
    assert await store.sums(NOON, NOON + 60, 60, of=store.of(unit="Seconds")) == {NOON: 1.0}


async def test_appends_at_once_are_all_kept(store: Store) -> None:
    await asyncio.gather(*(store.series.append([store.datum(NOON, 1.0)]) for _ in range(50)))
    store.settled()
    (found,) = await store.series.select([store.of()], NOON, NOON + 60, 60)
    assert list(found.count) == [50]
