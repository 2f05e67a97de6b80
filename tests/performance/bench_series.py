"""`make bench-series`: the embedded metric store beside DuckDB and VictoriaMetrics: same points, same run.

Alike for all: the points of a minute of every series are one append, which returns when the store has acknowledged them
(embedded: SQLite with synchronous FULL; DuckDB: one transaction, its log synced at the commit; VictoriaMetrics, which
offers nothing stricter: in memory, on disk within seconds); points are statistic sets of three readings; a read brings
four numbers of each minute of a day of 100 series. Each store has a process of its own, one after another. Exits 0
whatever the figures are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.rules.statistics import of_set
from monitor.series.base import Datum, Series
from tests.performance.series_peers import PEERS, Peer, size_of

DAY, HOME = 86_400, Scope("111122223333", "us-east-1")
READ_SERIES, READS = 100, 5
MONTH_SERIES, MONTH_DAYS = 10, 30
GROWTH = (1_000, 5_000, 20_000)
MINUTES = 10


def some(count: int) -> list[Series]:
    """As container insights has them: a cluster, a service, a task."""
    out = []
    for n in range(count):
        dimensions = {"ClusterName": "default", "ServiceName": f"service-{n % 97}", "TaskId": f"{n:032x}"}
        out.append(Series(HOME, MetricKey.of("ECS/ContainerInsights", "CpuUtilized", dimensions), "None"))
    return out


def minute(series: Sequence[Series], at: int, chance: random.Random) -> list[Datum]:
    """Three readings with one decimal about a level of the series' own."""
    data = []
    for n, one in enumerate(series):
        readings = [round(max(0.0, chance.gauss(10 + n % 80, 3)), 1) for _ in range(3)]
        data.append(Datum(one, at, of_set(3, sum(readings), min(readings), max(readings))))
    return data


async def fill(peer: Peer, series: Sequence[Series], start: int, minutes: int, together: int) -> float:
    """Seconds the appends took, of `together` minutes each."""
    chance, took = random.Random(7), 0.0
    for first in range(0, minutes, together):
        span = range(first, min(minutes, first + together))
        data = [d for m in span for d in minute(series, start + 60 * m, chance)]
        began = time.perf_counter()
        await peer.append(data)
        took += time.perf_counter() - began
    return took


async def read_times(peer: Peer, series: Sequence[Series], start: int, expected: int) -> list[float]:
    times = []
    for _ in range(READS):
        began = time.perf_counter()
        found = await peer.read(series, start, start + DAY)
        times.append(time.perf_counter() - began)
        assert found == expected, (found, expected)
    return times


async def measure(name: str, folder: Path) -> dict[str, float]:
    now = int(time.time())
    today = now - now % DAY
    out: dict[str, float] = {}

    def made(part: str) -> Peer:
        (folder / part).mkdir()
        return PEERS[name](folder / part, lambda: float(now))

    for count in GROWTH:
        peer, series = made(f"growth-{count}"), some(count)
        await peer.start()
        before = peer.resident()
        took = await fill(peer, series, now - now % 60 - MINUTES * 60, MINUTES, 1)
        out[f"ingest {count}"] = count * MINUTES / took
        out[f"more MiB {count}"] = (peer.resident() - before) / 2**20
        await peer.stop()
        shutil.rmtree(folder / f"growth-{count}")

    peer, series = made("day"), some(READ_SERIES)
    await peer.start()
    await fill(peer, series, today - DAY, 1440, 60)
    await peer.settle(now)
    times = await read_times(peer, series, today - DAY, READ_SERIES * 1440)
    out["read ms"] = statistics.median(times) * 1000
    out["first read ms"] = times[0] * 1000
    await peer.stop()
    out["bytes a point"] = size_of(folder / "day") / (READ_SERIES * 1440)

    peer, series = made("month"), some(MONTH_SERIES)
    await peer.start()
    await fill(peer, series, today - MONTH_DAYS * DAY, MONTH_DAYS * 1440, 360)
    await peer.settle(now)
    out["month MiB"] = size_of(folder / "month") / 2**20
    await peer.stop()
    began = time.perf_counter()
    await peer.start()
    out["start ms"] = (time.perf_counter() - began) * 1000
    await peer.read(series[:1], today - DAY, today)
    out["start and read ms"] = (time.perf_counter() - began) * 1000
    out["resident MiB"] = peer.resident() / 2**20
    await peer.stop()
    return out


def table(found: dict[str, dict[str, float]]) -> str:
    """A row a figure; each peer's with its ratio to ours."""
    names = list(found)
    rows = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for figure, ours in found[names[0]].items():
        cells = [f"{ours:,.1f}"]
        cells += [
            f"{found[n][figure]:,.1f} ({found[n][figure] / ours:.2f})" if ours else "" for n in names[1:]
        ]
        rows.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("peers", nargs="*", help=f"of {', '.join(PEERS)}; all by default")
    chosen = parser.parse_args()
    if chosen.one:
        with tempfile.TemporaryDirectory(prefix="bench-series-") as folder:
            print(json.dumps(asyncio.run(measure(chosen.one, Path(folder)))))
        return
    load = os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.release()}, load {load:.1f}")
    found: dict[str, dict[str, float]] = {}
    for name in chosen.peers or PEERS:
        command = [sys.executable, "-m", "tests.performance.bench_series", "--one", name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: not measured: {done.stderr.strip().splitlines()[-1]}")
            continue
        found[name] = json.loads(done.stdout)
    if found:
        print(table(found))


if __name__ == "__main__":
    main()
