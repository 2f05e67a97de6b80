"""`make bench-logs`: the embedded log store beside a plain file, same lines, same run.

The floor appends the same text to one file and syncs it, once for each batch or once for as many as are put together;
it reads that file line by line for a term. A batch is what the agent ships of a container in a second. Exits 0
whatever the figures are.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import random
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from monitor.clock import SystemClock
from monitor.logs.base import Group, LogEvent, Reading
from monitor.logs.embedded import EmbeddedLogs
from monitor.model.arn import Scope
from monitor.rules import log_filter
from tests.conformance.test_ecs_api import start, stop

HOME, GROUP = Scope("111122223333", "us-east-1"), "/bench"
LINES = 100  # of a batch
TOGETHER = 100  # batches under way at once
RARE, RARE_EVERY = "needle", 50_000
READS, TAILS, CALLS = 5, 100, 20
CONTAINERS = 1_000

Batch = list[tuple[int, str]]
Figures = dict[str, tuple[float, float | None]]  # what → (ours, the floor's)


def line(number: int, chance: random.Random) -> str:
    path = chance.choice(("/", "/cart", "/checkout", f"/item/{chance.randrange(100_000)}", "/healthz"))
    mark = f" {RARE}" if number % RARE_EVERY == RARE_EVERY - 1 else ""
    return (
        f"10.0.{chance.randrange(256)}.{chance.randrange(256)} GET {path} HTTP/1.1 {chance.choice((200, 304, 404))} "
        f"{chance.randrange(90_000)} bytes {chance.random() * 300:.3f} ms request={chance.getrandbits(64):016x}{mark}"
    )


def batches(count: int, chance: random.Random, at: int) -> list[Batch]:
    """Of `LINES` each, a second long."""
    step = 1000 // LINES
    return [[(at + k * step, line(n * LINES + k, chance)) for k in range(LINES)] for n in range(count)]


def text_of(batch: Batch) -> bytes:
    return "".join(f"{at} {message}\n" for at, message in batch).encode()


# -- writing -------------------------------------------------------------------------------------------------


async def put_all(logs: EmbeddedLogs, given: Sequence[Batch], streams: int, together: int) -> float:
    """Seconds until all are acknowledged; `together` of them under way at once, each of its own stream."""
    began = time.perf_counter()
    for first in range(0, len(given), together):
        part = given[first : first + together]
        names = (f"s{(first + n) % streams}" for n in range(len(part)))
        await asyncio.gather(*(logs.put(HOME, GROUP, name, b) for name, b in zip(names, part, strict=True)))
    return time.perf_counter() - began


def append_all(path: Path, given: Sequence[Batch], together: int) -> float:
    began = time.perf_counter()
    with path.open("ab", buffering=0) as file:
        for first in range(0, len(given), together):
            file.write(b"".join(map(text_of, given[first : first + together])))
            os.fdatasync(file.fileno())
    return time.perf_counter() - began


async def opened(path: Path, streams: int) -> EmbeddedLogs:
    logs = await EmbeddedLogs.open(path, SystemClock().now, 0)
    with contextlib.suppress(Exception):
        await logs.create_group(HOME, Group(GROUP, 0))
    await asyncio.gather(*(logs.create_stream(HOME, GROUP, f"s{n}", 0) for n in range(streams)))
    return logs


def size_of(path: Path) -> int:
    return sum(
        found.stat().st_size
        for found in path.parent.glob(f"{path.name}*")
        if found.name in (path.name, f"{path.name}-wal")
    )


async def ingest(folder: Path, lines: int) -> Figures:
    """One by one, many at once, and a second of a thousand containers."""
    found: Figures = {}
    chance, at = random.Random(7), int(time.time() * 1000) - 3_600_000
    for together, count, streams in ((1, 200, 1), (TOGETHER, lines // LINES, TOGETHER)):
        given = batches(count, chance, at)
        logs = await opened(folder / f"in-{together}", streams)
        took = await put_all(logs, given, streams, together)
        await logs.close()
        floor = append_all(folder / f"floor-{together}", given, together)
        total = count * LINES
        found[f"lines/s in, batches of {LINES}, {together} at once"] = (total / took, total / floor)
    given = batches(CONTAINERS, chance, at)
    logs = await opened(folder / "second", CONTAINERS)
    times = [await put_all(logs, given, CONTAINERS, CONTAINERS) for _ in range(READS)]
    await logs.close()
    floors = [append_all(folder / "floor-second", given, CONTAINERS) for _ in range(READS)]
    what = f"a second of {CONTAINERS:,} containers × {LINES} lines, ms"
    found[what] = (statistics.median(times) * 1000, statistics.median(floors) * 1000)
    return found


# -- reading -------------------------------------------------------------------------------------------------


async def paged(logs: EmbeddedLogs, reading: Reading) -> list[LogEvent]:
    found: list[LogEvent] = []
    while True:
        page = await logs.read(reading)
        found += [event for _, event in page.events]
        if page.is_last:
            return found
        reading = replace(reading, after=page.place)


def searched(path: Path, takes: Callable[[str], bool]) -> int:
    with path.open(encoding="utf-8") as file:
        return sum(takes(text) for text in file)


async def reads(folder: Path, lines: int) -> Figures:
    """Over `lines` lines of an hour, in `TOGETHER` streams; what the store holds was written in order of time."""
    found: Figures = {}
    chance, now = random.Random(8), int(time.time() * 1000)
    path, plain = folder / "read", folder / "read-floor"
    logs = await opened(path, TOGETHER)
    count = lines // LINES
    seconds = max(1, count // TOGETHER)
    raw, packed = 0, zlib.compressobj(6)
    deflated = 0
    for second in range(seconds):
        at = now - 3_600_000 + second * 3_600_000 // seconds
        given = [
            [(a, line(second * TOGETHER * LINES + n * LINES + k, chance)) for k, (a, _) in enumerate(b)]
            for n, b in enumerate([[(at + k, "") for k in range(LINES)]] * TOGETHER)
        ]
        await put_all(logs, given, TOGETHER, TOGETHER)
        append_all(plain, given, TOGETHER)
        text = b"".join(map(text_of, given))
        raw, deflated = raw + len(text), deflated + len(packed.compress(text))
    await logs.close()
    total = seconds * TOGETHER * LINES
    deflated += len(packed.flush())
    found["bytes a line on disk (floor: the text)"] = (size_of(path) / total, raw / total)
    found["bytes a line on disk (floor: the text, gzip -6)"] = (size_of(path) / total, deflated / total)

    began = time.perf_counter()
    logs = await EmbeddedLogs.open(path, SystemClock().now, 0)
    found["start, ms"] = ((time.perf_counter() - began) * 1000, None)
    takes = log_filter.parse(RARE).matches
    times, floors = [], []
    for _ in range(READS):
        began = time.perf_counter()
        hits = await paged(logs, Reading(HOME, GROUP, matches=takes))
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        assert searched(plain, takes) == len(hits) == total // RARE_EVERY
        floors.append(time.perf_counter() - began)
    what = f"a rare term in {total:,} lines, lines/s"
    found[what] = (total / statistics.median(times), total / statistics.median(floors))
    newest = Reading(HOME, GROUP, ["s7"], limit=100, is_backward=True)
    found["the newest 100 lines of a stream, ms"] = (await _median_ms(logs, newest), None)
    recent = Reading(HOME, GROUP, start=now - 3_600_000 + 3_600_000 * (seconds - 1) // seconds, limit=10_000)
    found["the newest 10,000 lines of the group, ms"] = (await _median_ms(logs, recent), None)
    nothing = Reading(HOME, GROUP, start=now + 1)
    found["a poll of `tail` that finds nothing new, ms"] = (await _median_ms(logs, nothing), None)
    found |= await tail(logs, plain)
    await logs.close()
    return found


async def _median_ms(logs: EmbeddedLogs, reading: Reading) -> float:
    times = []
    for _ in range(READS * 4):
        began = time.perf_counter()
        await logs.read(reading)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def tail(logs: EmbeddedLogs, plain: Path) -> Figures:
    """From the put of a line to a follower, and to a reader that asks again once it is acknowledged."""
    loop, chance = asyncio.get_running_loop(), random.Random(9)
    told, polled, floors = [], [], []
    for n in range(TAILS):
        heard: asyncio.Future[float] = loop.create_future()
        stop_following = logs.follow(lambda *_, heard=heard: heard.set_result(time.perf_counter()))
        at, message = int(time.time() * 1000), line(n, chance)
        began = time.perf_counter()
        await logs.put(HOME, GROUP, "s7", [(at, message)])
        told.append(await heard - began)
        stop_following()
        page = await logs.read(Reading(HOME, GROUP, start=at))
        polled.append(time.perf_counter() - began)
        assert page.events[-1][1].message == message
        floors.append(append_all(plain, [[(at, message)]], 1))
    found: Figures = {}
    for what, times in (("a follower", told), ("a reader", polled)):
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            ours, floor = (sorted(one)[int(share * (TAILS - 1))] * 1000 for one in (times, floors))
            found[f"a line put → {what} has it, {name} ms"] = (ours, floor)
    return found


# -- by the API ----------------------------------------------------------------------------------------------


def by_api(folder: Path) -> Figures:
    """boto3, signed, one call after the other, against the real control plane."""
    state = folder / "control"
    state.mkdir()
    control = start(state)
    try:
        client = control.client("logs")
        client.create_log_group(logGroupName=GROUP)
        client.create_log_stream(logGroupName=GROUP, logStreamName="s")
        chance, size = random.Random(10), 5_000
        messages = [line(n, chance) for n in range(size)]
        process = psutil.Process(control.process.pid)
        before = process.cpu_times()
        times, sent = [], 0
        for _ in range(CALLS):
            at = int(time.time() * 1000)
            events = [{"timestamp": at, "message": message} for message in messages]
            began = time.perf_counter()
            client.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=events)
            times.append(time.perf_counter() - began)
            sent += size
        after = process.cpu_times()
        client.close()
    finally:
        stop(control)
    cpu = after.user + after.system - before.user - before.system
    return {
        f"PutLogEvents of {size:,} lines by boto3, lines/s": (sent / sum(times), None),
        "CPU of the control plane for a line, µs": (cpu / sent * 1e6, None),
    }


def table(found: Figures) -> str:
    rows = ["| | ours | floor | ratio |", "|---|---|---|---|"]
    for what, (ours, floor) in found.items():
        beside = f"{floor:,.1f} | {ours / floor:.2f}" if floor else " | "
        rows.append(f"| {what} | {ours:,.1f} | {beside} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000, help="that are read; 1,000,000 by default")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.release()}, load {load:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-logs-") as name:
        folder = Path(name)
        found = asyncio.run(ingest(folder, chosen.lines // 2))
        found |= asyncio.run(reads(folder, chosen.lines))
        found |= by_api(folder)
    print(table(found))


if __name__ == "__main__":
    main()
