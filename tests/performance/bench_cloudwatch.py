"""`make bench-cloudwatch`: PutMetricData and GetMetricData over HTTP beside VictoriaMetrics' own API: same points.

One reading a minute of 100 series over a day, put by a thousand as both take them (CBOR, gzip; Prometheus' text), then
all of them asked for at one minute (two pages here, as CloudWatch answers at most 100,800 points; query_range there).
Time is until the last byte has come, requests being made before; what a client makes of it is its own, and shown for
boto3. Ours is on
disk when it answers, VictoriaMetrics' in memory. Each row is the median of some rounds. Exits 0 whatever comes out.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from tests.conformance.test_cloudwatch_metrics import client_of
from tests.conformance.test_ecs_api import Control, start, stop
from tests.performance.series_peers import Victoria, seal

SERIES, MINUTES, BATCH, ROUNDS = 100, 1440, 1000, 5
NOTHING = b"\xa0"  # an empty map in CBOR
PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")
Point = tuple[int, int, float]  # series, at, value


def points(begin: int) -> list[Point]:
    chance = random.Random(7)
    return [
        (n, begin + 60 * m, round(max(0.0, chance.gauss(10 + n % 80, 3)), 1))
        for m in range(MINUTES)
        for n in range(SERIES)
    ]


def batches(given: Sequence[Point]) -> Iterator[Sequence[Point]]:
    for first in range(0, len(given), BATCH):
        yield given[first : first + BATCH]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# -- ours ------------------------------------------------------------------------------------------------------


def dimensions(n: int) -> list[dict[str, str]]:
    return [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": f"service-{n}"}]


def put(client: Any, batch: Sequence[Point]) -> None:
    data = [
        {"MetricName": "CpuUtilized", "Dimensions": dimensions(n), "Timestamp": at, "Value": value}
        for n, at, value in batch
    ]
    client.put_metric_data(Namespace="Bench", MetricData=data)


def asked(begin: int) -> dict[str, Any]:
    queries = [
        {
            "Id": f"m{n}",
            "MetricStat": {
                "Metric": {"Namespace": "Bench", "MetricName": "CpuUtilized", "Dimensions": dimensions(n)},
                "Period": 60,
                "Stat": "Average",
            },
        }
        for n in range(SERIES)
    ]
    return {
        "MetricDataQueries": queries,
        "StartTime": begin,
        "EndTime": begin + 60 * MINUTES,
        "ScanBy": "TimestampAscending",
    }


def all_of(client: Any, **given: Any) -> list[Any]:
    return list(client.get_paginator("get_metric_data").paginate(**given))


@contextmanager
def heard(client: Any, *, answered: bool = True) -> Iterator[list[Any]]:
    """The requests that are signed meanwhile, and sent if they shall be answered."""
    sent: list[Any] = []

    def hear(request: Any, **_: object) -> AWSResponse | None:
        sent.append(request)
        return (
            None
            if answered
            else AWSResponse(request.url, 200, {}, HTTPResponse(BytesIO(NOTHING), preload_content=False))
        )

    client.meta.events.register_last("before-send", hear)
    yield sent
    client.meta.events.unregister("before-send", hear)


def replay(http: httpx.Client, sent: Sequence[Any]) -> int:
    """Bytes of the answers."""
    size = 0
    for request in sent:
        answer = http.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        answer.raise_for_status()
        size += len(answer.content)
    return size


@contextmanager
def running(state: Path) -> Iterator[Control]:
    control = start(state)
    try:
        yield control
    finally:
        stop(control)


def measure_ours(state: Path, given: Sequence[Point], begin: int, http: httpx.Client) -> dict[str, float]:
    with running(state) as control:
        client = client_of(control, PROTOCOLS[0])
        with heard(client, answered=False) as requests:
            for batch in batches(given):
                put(client, batch)
        client.close()
        out = {"ingest, points/s": len(given) / sum(seconds(partial(replay, http, [r])) for r in requests)}
    seal(state / "metrics.sqlite", int(time.time()))
    with running(state) as control:
        for name in PROTOCOLS:
            out |= reading(client_of(control, name), name, given, begin, http)
    return out


def reading(
    client: Any, name: str, given: Sequence[Point], begin: int, http: httpx.Client
) -> dict[str, float]:
    with heard(client) as sent:
        pages = all_of(client, **asked(begin))
    found = sum(len(r["Values"]) for page in pages for r in page["MetricDataResults"])
    assert found == len(given), found
    took = [seconds(partial(replay, http, sent)) for _ in range(ROUNDS)]
    whole = [seconds(partial(all_of, client, **asked(begin))) for _ in range(ROUNDS)]
    client.close()
    return {
        f"{name}: until the last byte, ms": statistics.median(took) * 1000,
        f"{name}: until boto3 has read it, ms": statistics.median(whole) * 1000,
        f"{name}: the answer, MB": replay(http, sent) / 1e6,
    }


# -- VictoriaMetrics -------------------------------------------------------------------------------------------


def measure_victoria(url: str, given: Sequence[Point], begin: int, http: httpx.Client) -> dict[str, float]:
    def text(batch: Sequence[Point]) -> bytes:
        lines = (
            f'cpu_utilized{{cluster="default",service="service-{n}"}} {value} {at * 1000}'
            for n, at, value in batch
        )
        return "\n".join(lines).encode()

    def push(body: bytes) -> None:
        http.post(f"{url}/api/v1/import/prometheus", content=body).raise_for_status()

    def read() -> bytes:
        query = {
            "query": "cpu_utilized",
            "start": begin,
            "end": begin + 60 * (MINUTES - 1),
            "step": 60,
            "nocache": 1,
        }
        answer = http.get(f"{url}/api/v1/query_range", params=query)
        answer.raise_for_status()
        return answer.content

    bodies = list(map(text, batches(given)))
    out = {"ingest, points/s": len(given) / sum(seconds(partial(push, body)) for body in bodies)}
    http.get(f"{url}/internal/force_flush")
    body = read()
    found = sum(len(one["values"]) for one in json.loads(body)["data"]["result"])
    assert found == len(given), found
    out["query_range: until the last byte, ms"] = (
        statistics.median(seconds(read) for _ in range(ROUNDS)) * 1000
    )
    out["query_range: the answer, MB"] = len(body) / 1e6
    return out


# -- both ------------------------------------------------------------------------------------------------------


async def beside(folder: Path, given: Sequence[Point], begin: int, http: httpx.Client) -> dict[str, float]:
    peer = Victoria(folder, time.time)
    await peer.start()
    found = await asyncio.to_thread(measure_victoria, peer.url, given, begin, http)
    await peer.stop()
    return found


def main() -> None:
    load = os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.release()}, load {load:.1f}")
    now = int(time.time())
    begin = now - now % 60 - 60 * MINUTES
    given = points(begin)
    with tempfile.TemporaryDirectory(prefix="bench-cloudwatch-") as folder:
        (state := Path(folder) / "ours").mkdir()
        (other := Path(folder) / "victoria").mkdir()
        with httpx.Client(trust_env=False, timeout=60) as http:
            ours = measure_ours(state, given, begin, http)
            theirs = asyncio.run(beside(other, given, begin, http))
    floor = theirs["query_range: until the last byte, ms"]
    for name, value in ours.items():
        ratio = f"  {value / floor:.2f} of query_range" if name.endswith("ms") else ""
        if name == "ingest, points/s":
            ratio = f"  {value / theirs[name]:.2f} of VictoriaMetrics"
        print(f"{name:50} {value:12,.1f}{ratio}")
    for name, value in theirs.items():
        print(f"VictoriaMetrics, {name:33} {value:12,.1f}")


if __name__ == "__main__":
    main()
