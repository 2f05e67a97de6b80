"""The embedded log store: order, pages, merging, exactly once, retention, bounds, a kill at any moment, a full disk."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.clock import FixedClock
from monitor.logs.base import Exists, Group, LogEvent, LogsError, NoGroup, NoStream, Reading, Resend
from monitor.logs.embedded import EmbeddedLogs
from monitor.model.arn import Scope

SCOPE = Scope("123456789012", "eu-west-1")
NOW = 1_800_000_000_000  # ms
G = "/shop/web"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW / 1000)


@pytest.fixture
async def logs(tmp_path: Path, clock: FixedClock) -> AsyncIterator[EmbeddedLogs]:
    store = await EmbeddedLogs.open(tmp_path / "logs.sqlite", clock.now, 0)
    await store.create_group(SCOPE, Group(G, NOW))
    for name in ("a", "b"):
        await store.create_stream(SCOPE, G, name, NOW)
    yield store
    await store.close()


async def whole(logs: EmbeddedLogs, reading: Reading, most_pages: int = 10_000) -> list[tuple[str, str]]:
    """(stream, message) over all pages."""
    found: list[tuple[str, str]] = []
    for _ in range(most_pages):
        page = await logs.read(reading)
        found += [(stream, event.message) for stream, event in page.events]
        if page.is_last:
            return found
        reading = replace(reading, after=page.place)
    raise AssertionError("reading does not come to an end")


def blocks_in(logs: EmbeddedLogs) -> int:
    with sqlite3.connect(logs.path) as db:
        return int(db.execute("SELECT count(*) FROM blocks").fetchone()[0])


async def test_streams_are_interleaved_by_time(logs: EmbeddedLogs) -> None:
    await logs.put(SCOPE, G, "a", [(NOW, "1"), (NOW + 2, "3"), (NOW + 9, "5")])
    await logs.put(SCOPE, G, "b", [(NOW + 1, "2"), (NOW + 3, "4")])
    assert await whole(logs, Reading(SCOPE, G)) == [
        ("a", "1"),
        ("b", "2"),
        ("a", "3"),
        ("b", "4"),
        ("a", "5"),
    ]
    assert await whole(logs, Reading(SCOPE, G, ["b"])) == [("b", "2"), ("b", "4")]
    assert await whole(logs, Reading(SCOPE, G, start=NOW + 2, end=NOW + 9)) == [("a", "3"), ("b", "4")]
    assert await whole(logs, Reading(SCOPE, G, prefix="a", matches=lambda m: m != "3")) == [
        ("a", "1"),
        ("a", "5"),
    ]
    back = Reading(SCOPE, G, ["a"], is_backward=True, limit=2)
    assert await whole(logs, back) == [("a", "5"), ("a", "3"), ("a", "1")]


async def test_any_order_of_puts_and_any_pages_tell_every_event_once(logs: EmbeddedLogs) -> None:
    chance = random.Random(7)
    put: list[tuple[int, str, str]] = []
    for n in range(300):
        stream = chance.choice("ab")
        times = sorted(NOW + chance.randrange(0, 5 * 3_600_000, 500) for _ in range(chance.randint(1, 9)))
        batch = [(at, f"{n}/{k} " + "x" * chance.choice((0, 10, 700))) for k, at in enumerate(times)]
        await logs.put(SCOPE, G, stream, batch)
        put += [(at, stream, text) for at, text in batch]
    assert blocks_in(logs) < 100  # merged: a block for each put would be more than 300
    for limit, budget in ((10_000, 10**9), (7, 10**9), (50, 3000)):
        reading = Reading(SCOPE, G, limit=limit, budget_bytes=budget)
        found = await whole(logs, reading)
        assert sorted(found) == sorted((stream, text) for _, stream, text in put)
        at = {text: at for at, _, text in put}
        assert [at[text] for _, text in found] == sorted(at.values())
    own = [text for _, stream, text in sorted(put, key=lambda p: p[0]) if stream == "a"]
    back = await whole(logs, Reading(SCOPE, G, ["a"], is_backward=True, limit=11, budget_bytes=5000))
    assert sorted(text for _, text in back) == sorted(own)
    assert [at[text] for _, text in back] == sorted((at[text] for text in own), reverse=True)


async def pages(logs: EmbeddedLogs, reading: Reading) -> list[list[str]]:
    """The messages of each page."""
    found: list[list[str]] = []
    while True:
        page = await logs.read(reading)
        found.append([event.message for _, event in page.events])
        if page.is_last:
            return found
        assert page.place not in (None, reading.after)
        reading = replace(reading, after=page.place)


async def test_pages_over_many_streams_do_not_get_shorter(logs: EmbeddedLogs) -> None:
    """Each of 40 streams has one block from start to end: every page has to open what reaches over from before."""
    for n in range(40):
        await logs.create_stream(SCOPE, G, f"s{n:02}", NOW)
        await logs.put(
            SCOPE, G, f"s{n:02}", [(NOW + n + 100 * k, f"{n:02}/{k}" + "x" * 90) for k in range(40)]
        )
    found = await pages(logs, Reading(SCOPE, G, budget_bytes=10_000))
    assert sum(map(len, found)) == 40 * 40
    assert (
        len(found) <= 7
    )  # 2 streams a page would make it twenty and more, and each would open all before it


async def test_a_filter_that_takes_nothing_goes_on_from_page_to_page(logs: EmbeddedLogs) -> None:
    for n in range(30):
        await logs.put(SCOPE, G, "a", [(NOW + n * 1000, "x" * 5000)])
    await logs.put(SCOPE, G, "a", [(NOW + 30_000, "here")])
    found = await pages(logs, Reading(SCOPE, G, matches=lambda m: m == "here", budget_bytes=9000))
    assert found[-1] == ["here"]
    assert len(found) > 5
    assert not any(found[:-1])


async def test_blocks_of_one_moment_are_one_page(logs: EmbeddedLogs) -> None:
    """A reader who gets no event takes that for the end."""
    for n in range(10):
        await logs.put(SCOPE, G, "a", [(NOW, f"{n}" + "x" * 5000), (NOW + 1 + n, "y")])
    for is_backward in (False, True):
        reading = Reading(SCOPE, G, ["a"], budget_bytes=6000, is_backward=is_backward)
        found = await pages(logs, reading)
        assert all(found)
        assert sum(map(len, found)) == 20


async def test_places_that_no_event_can_have_are_no_error(logs: EmbeddedLogs) -> None:
    await logs.put(SCOPE, G, "a", [(NOW, "x")])
    far = 10**20
    everything = Reading(SCOPE, G, start=-far, end=far)
    assert await whole(logs, everything) == [("a", "x")]
    assert await whole(logs, replace(everything, after=(far, far))) == []
    back = replace(everything, streams=["a"], is_backward=True)
    assert await whole(logs, replace(back, after=(far, far))) == [("a", "x")]
    assert await whole(logs, replace(back, after=(-far, 0))) == []


async def test_a_batch_that_is_sent_again_counts_once(logs: EmbeddedLogs) -> None:
    for number, text in ((1, "one"), (1, "one"), (2, "two"), (1, "one"), (2, "two")):
        await logs.put(SCOPE, G, "a", [(NOW, text)], Resend("agent", number))
    await logs.put(SCOPE, G, "a", [(NOW + 1, "other")], Resend("other", 1))
    await logs.put(SCOPE, G, "b", [(NOW + 2, "stream")], Resend("agent", 1))
    assert [m for _, m in await whole(logs, Reading(SCOPE, G))] == ["one", "two", "other", "stream"]


async def test_groups_and_streams_are_told_and_go_with_all_that_is_theirs(logs: EmbeddedLogs) -> None:
    with pytest.raises(Exists):
        await logs.create_group(SCOPE, Group(G, NOW))
    with pytest.raises(Exists):
        await logs.create_stream(SCOPE, G, "a", NOW)
    with pytest.raises(NoGroup):
        await logs.put(SCOPE, "none", "a", [(NOW, "x")])
    with pytest.raises(NoStream):
        await logs.put(SCOPE, G, "none", [(NOW, "x")])
    await logs.put(SCOPE, G, "a", [(NOW - 5, "x"), (NOW, "yy")])
    assert (await logs.group(SCOPE, G)).stored_bytes == 3 + 2 * 26
    (a, b) = await logs.streams(SCOPE, G)
    assert (a.first, a.last, a.ingested, b.first) == (NOW - 5, NOW, NOW, None)
    assert not await logs.groups(Scope("000000000001", "eu-west-1"))
    await logs.delete_stream(SCOPE, G, "a")
    assert (await logs.group(SCOPE, G)).stored_bytes == 0
    await logs.delete_group(SCOPE, G)
    assert not await logs.groups(SCOPE)
    assert blocks_in(logs) == 0


async def test_followers_hear_what_is_durable_once(logs: EmbeddedLogs) -> None:
    heard: list[tuple[str, str, list[str]]] = []

    def hear(_: Scope, group: str, stream: str, events: object) -> None:
        assert isinstance(events, list)
        heard.append((group, stream, [e.message for e in events if isinstance(e, LogEvent)]))

    stop = logs.follow(hear)
    await logs.put(SCOPE, G, "a", [(NOW, "x")], Resend("agent", 1))
    await logs.put(SCOPE, G, "a", [(NOW, "x")], Resend("agent", 1))
    stop()
    await logs.put(SCOPE, G, "a", [(NOW, "y")])
    assert heard == [(G, "a", ["x"])]


async def test_what_a_group_no_longer_keeps_is_hidden_and_dropped(tmp_path: Path, clock: FixedClock) -> None:
    logs = await EmbeddedLogs.open(tmp_path / "logs.sqlite", clock.now, 0)
    await logs.create_group(SCOPE, Group(G, NOW, retention_days=1))
    await logs.create_stream(SCOPE, G, "a", NOW)
    await logs.put(SCOPE, G, "a", [(NOW, "old")])
    clock.advance(86_400 + 10)
    assert await whole(logs, Reading(SCOPE, G)) == []
    await logs.put(SCOPE, G, "a", [(NOW + 86_400_000, "new")])  # tidied beside
    clock.advance(60)
    await logs.put(SCOPE, G, "a", [(NOW + 86_400_001, "newer")])
    await logs.close()
    assert blocks_in(logs) == 2 or blocks_in(logs) == 1


async def test_the_oldest_goes_when_it_is_too_much(tmp_path: Path, clock: FixedClock) -> None:
    limit = 400_000
    logs = await EmbeddedLogs.open(tmp_path / "logs.sqlite", clock.now, limit)
    await logs.create_group(SCOPE, Group(G, NOW))
    await logs.create_stream(SCOPE, G, "a", NOW)
    noise = random.Random(1)
    for n in range(1200):
        await logs.put(SCOPE, G, "a", [(NOW + n, f"{n} {noise.randbytes(500).hex()}")])
    clock.advance(31)
    await logs.put(SCOPE, G, "a", [(NOW + 5000, "last")])
    await logs.close()
    facts = logs.facts()
    assert facts.events_dropped > 0
    assert facts.size_bytes <= limit + 200_000
    again = await EmbeddedLogs.open(tmp_path / "logs.sqlite", clock.now, limit)
    left = [m for _, m in await whole(again, Reading(SCOPE, G))]
    assert left[-1] == "last"
    numbers = [int(m.split()[0]) for m in left[:-1]]
    assert numbers == list(range(numbers[0], 1200))  # the oldest went, and no more than had to
    assert 0 < numbers[0] < 1000
    await again.close()


async def test_the_file_is_for_its_owner_alone(logs: EmbeddedLogs) -> None:
    assert logs.path.stat().st_mode & 0o777 == 0o600


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from monitor.clock import SystemClock
    from monitor.logs.base import Group, Resend
    from monitor.logs.embedded import EmbeddedLogs
    from monitor.model.arn import Scope
    SCOPE = Scope("123456789012", "eu-west-1")
    async def main():
        logs = await EmbeddedLogs.open(Path(sys.argv[1]), SystemClock().now, 0)
        first = int(sys.argv[2])
        if not first:
            await logs.create_group(SCOPE, Group("g", 1))
            await logs.create_stream(SCOPE, "g", "s", 1)
        for n in range(first, 10**9):
            batch = [(n * 10 + k, f"{n}/{k}") for k in range(3)]
            await logs.put(SCOPE, "g", "s", batch, Resend("w", n + 1))
            print(n, flush=True)
    asyncio.run(main())
    """
)


async def test_a_kill_loses_no_acknowledged_event_and_doubles_none(tmp_path: Path, clock: FixedClock) -> None:
    path, acknowledged = tmp_path / "logs.sqlite", -1
    for kill_after in (40, 25):
        # Sent again from the last one acknowledged, as after a lost answer.
        command = [sys.executable, "-c", WRITER, str(path), str(max(0, acknowledged))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(kill_after):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.wait()
        process.stdout.close()
    logs = await EmbeddedLogs.open(path, clock.now, 0)
    found = [m for _, m in await whole(logs, Reading(SCOPE, "g"))]
    await logs.close()
    expected = [f"{n}/{k}" for n in range(acknowledged + 1) for k in range(3)]
    assert found[: len(expected)] == expected
    assert len(found) == len(set(found))
    assert len(found) % 3 == 0  # a batch is whole or not there


FULL = textwrap.dedent(
    """
    import asyncio, resource, signal, sys
    from pathlib import Path
    from monitor.clock import SystemClock
    from monitor.logs.base import Group, LogsError, Reading
    from monitor.logs.embedded import EmbeddedLogs
    from monitor.model.arn import Scope
    SCOPE = Scope("123456789012", "eu-west-1")
    async def main():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        logs = await EmbeddedLogs.open(Path(sys.argv[1]), SystemClock().now, 0)
        await logs.create_group(SCOPE, Group("g", 1))
        await logs.create_stream(SCOPE, "g", "s", 1)
        await logs.put(SCOPE, "g", "s", [(1, "kept")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
        try:
            for n in range(2, 100):
                await logs.put(SCOPE, "g", "s", [(n, "x" * 100 + str(n * 31337 ** 3000 % 10**9000))])
        except LogsError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await logs.put(SCOPE, "g", "s", [(1000, "again")])
        page = await logs.read(Reading(SCOPE, "g"))
        print(page.events[0][1].message, page.events[-1][1].message, logs.facts().events_refused > 0)
        await logs.close()
    sys.set_int_max_str_digits(0)
    asyncio.run(main())
    """
)


async def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FULL, str(tmp_path / "logs.sqlite")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, problem = await process.communicate()
    lines = said.decode().splitlines()
    assert "free space, or mend the disk" in lines[0], problem.decode()
    assert lines[1] == "kept again True"


async def test_another_schema_is_refused(tmp_path: Path, clock: FixedClock) -> None:
    logs = await EmbeddedLogs.open(tmp_path / "logs.sqlite", clock.now, 0)
    await logs.close()
    with sqlite3.connect(tmp_path / "logs.sqlite") as db:
        db.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(LogsError, match="schema 99"):
        await EmbeddedLogs.open(tmp_path / "logs.sqlite", clock.now, 0)
