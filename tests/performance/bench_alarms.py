"""How long 5,000 alarms take to be looked at, beside the floor: reading their metrics alone.

make bench-alarms
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from monitor.clock import FixedClock, SystemIds
from monitor.control.evaluate import Evaluator
from monitor.model.alarm import METRIC, Alarm, alarm_arn
from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.model.state import Put
from monitor.rules.alarm import configured
from monitor.rules.statistics import of_values
from monitor.series.base import Datum, Series
from monitor.series.embedded import EmbeddedStore
from monitor.store.sqlite import SqliteStore

SCOPE = Scope("123456789012", "eu-west-1")
ALARMS, MINUTES, ROUNDS = 5_000, 10, 5
START = 1_800_000_000.0


def key(number: int) -> MetricKey:
    return MetricKey.of("AWS/ECS", "CPUUtilization", [("ClusterName", "c"), ("ServiceName", f"s{number}")])


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = FixedClock(START)
        store = await SqliteStore.open(Path(folder) / "state.sqlite")
        series = await EmbeddedStore.open(Path(folder) / "metrics.sqlite", clock.now, 0)
        for minute in range(MINUTES):
            at = START + 60 * minute
            await series.append(
                [Datum(Series(SCOPE, key(n), "Percent"), at, of_values([50.0])) for n in range(ALARMS)]
            )
        clock.at = START + 60 * MINUTES + 7
        made = [
            Alarm(
                alarm_arn(SCOPE.region, SCOPE.account, f"a{n}"),
                f"a{n}",
                kind=METRIC,
                namespace="AWS/ECS",
                metric="CPUUtilization",
                dimensions=key(n).dimensions,
                statistic="Average",
                period=60,
                evaluation_periods=3,
                threshold=80.0,
                comparison="GreaterThanThreshold",
            )
            for n in range(ALARMS)
        ]
        await store.commit([Put(configured(None, a, clock.now())) for a in made])

        async def nothing(_: float) -> None:
            return

        evaluator = Evaluator(store, series, clock, SystemIds(), nothing)
        first = await timed(lambda: evaluator.look(clock.now()))
        asked = [Series(SCOPE, key(n), "Percent") for n in range(ALARMS)]
        looks, floors = [], []
        for _ in range(ROUNDS):
            clock.advance(60)
            looks.append(await timed(lambda: evaluator.look(clock.now())))
            end = int(clock.now()) // 60 * 60
            floors.append(await timed(partial(series.select, asked, end - 300, end, 60)))
        look, floor = min(looks), min(floors)
        print(f"{ALARMS} alarms, first look (every state changes): {first:.2f} s")
        print(f"{ALARMS} alarms, each minute after: {look:.2f} s, reading alone {floor:.2f} s")
        print(f"ratio to reading: {look / floor:.2f}")
        await store.close()
        await series.close()


if __name__ == "__main__":
    asyncio.run(main())
