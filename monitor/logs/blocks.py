"""Blocks: events of one stream, packed together; how they are written, merged, read in order and dropped.

A put makes a block. Small ones are merged, sixteen of a size into one, in the writer's own transaction: a stream of a
line a second has no row for each line. No block spans more than an hour, so that a reader knows where to begin. Text
compresses to a fifth and less; what is shorter than 256 bytes is left as it is.
"""

from __future__ import annotations

import sqlite3
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import groupby
from math import inf

import msgspec

from monitor.logs.base import LogEvent, Place

HOUR_MS = 3_600_000
OVERHEAD = 26  # bytes that CloudWatch counts for an event beside its message
MERGED = 16
LEVELS = (4 * 1024, 64 * 1024)  # bytes; blocks below the first are merged, and then those below the second
SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, stream INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    events INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS blocks_of_group ON blocks (grp, low);
CREATE INDEX IF NOT EXISTS blocks_of_stream ON blocks (stream, low);
CREATE INDEX IF NOT EXISTS blocks_backward ON blocks (stream, high);
"""
_PLAIN, _DEFLATED = b"\x00", b"\x01"
_WORTH_DEFLATING = 256
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[LogEvent])


def pack(events: Sequence[LogEvent]) -> bytes:
    raw = _ENCODER.encode(events)
    return _PLAIN + raw if len(raw) < _WORTH_DEFLATING else _DEFLATED + zlib.compress(raw, 3)


def unpack(body: bytes) -> list[LogEvent]:
    raw = body[1:]
    return _DECODER.decode(zlib.decompress(raw) if body[:1] == _DEFLATED else raw)


def size(events: Iterable[LogEvent]) -> int:
    return sum(len(e.message.encode("utf-8", "surrogatepass")) + OVERHEAD for e in events)


def insert(db: sqlite3.Connection, group: int, stream: int, events: Sequence[LogEvent]) -> tuple[int, int]:
    """`events` ascending. Returns how many blocks they became, and their size in bytes."""
    count = total = 0
    for _, part in groupby(events, lambda e: e.at // HOUR_MS):
        hour = list(part)
        total += (length := size(hour))
        count += 1
        row = (group, stream, hour[0].at, hour[-1].at, len(hour), length, pack(hour))
        db.execute(
            "INSERT INTO blocks (grp, stream, low, high, events, bytes, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    return count, total


def merge(db: sqlite3.Connection, stream: int, below: int) -> None:
    """Make one block of the stream's newest ones that are smaller than `below`."""
    query = "SELECT id, grp, low, body FROM blocks WHERE stream = ? AND bytes < ? ORDER BY id DESC LIMIT ?"
    found = db.execute(query, (stream, below, 2 * MERGED)).fetchall()
    hours: dict[int, list[tuple[int, int, bytes]]] = {}
    for number, group, low, body in found:
        hours.setdefault(low // HOUR_MS, []).append((number, group, body))
    for blocks in hours.values():
        if len(blocks) < 2:
            continue
        events = sorted(event for _, _, body in blocks for event in unpack(body))
        db.executemany("DELETE FROM blocks WHERE id = ?", [(number,) for number, _, _ in blocks])
        insert(db, blocks[0][1], stream, events)


# -- reading -------------------------------------------------------------------------------------------------


class Budget:
    """Bytes of text that a page may open."""

    def __init__(self, bytes_left: int) -> None:
        self.left = bytes_left


def forward(
    db: sqlite3.Connection,
    where: tuple[str, int],
    wanted: Callable[[int], bool],
    start: int,
    end: int,
    after: Place | None,
    budget: Budget,
) -> Iterator[tuple[int, LogEvent] | None]:
    """(stream, event) of [start, end), ascending; None once the budget is used up. `where`: the column (grp or stream)
    and its value; `wanted`: which streams."""
    column, value = where
    begin = max(start, after[0]) if after else start
    query = (
        f"SELECT id, stream, low, high, bytes FROM blocks WHERE {column} = ? AND low >= ? AND low < ? "
        "ORDER BY low"
    )
    open_events: list[tuple[LogEvent, int]] = []
    has_moved = False  # a page that tells no event must not end, or the next would begin where this one did
    for number, stream, low, high, length in db.execute(query, (value, begin - HOUR_MS, end)):
        while open_events and open_events[0][0].at < low:
            event, of = heappop(open_events)
            has_moved = True
            yield of, event
        if high < begin or not wanted(stream):
            continue
        if budget.left <= 0 and has_moved:
            yield None
            return
        budget.left -= length
        for event in _inside(_body(db, number), start, end, after):
            heappush(open_events, (event, stream))
    while open_events:
        event, of = heappop(open_events)
        yield of, event


def backward(
    db: sqlite3.Connection, stream: int, start: int, end: int, before: Place | None, budget: Budget
) -> Iterator[tuple[int, LogEvent] | None]:
    """As `forward`, of one stream, descending."""
    finish = min(end, before[0] + 1) if before else end
    query = "SELECT id, low, high, bytes FROM blocks WHERE stream = ? AND high >= ? AND high < ? ORDER BY high DESC"
    open_events: list[tuple[int, int, LogEvent]] = []  # negative place first
    has_moved = False
    for number, low, high, length in db.execute(query, (stream, start, finish + HOUR_MS)):
        while open_events and -open_events[0][0] > high:
            has_moved = True
            yield stream, heappop(open_events)[2]
        if low >= finish:
            continue
        if budget.left <= 0 and has_moved:
            yield None
            return
        budget.left -= length
        events = unpack(_body(db, number))
        for event in events[bisect_left(events, start, key=_at) : bisect_left(events, finish, key=_at)]:
            if before is None or (event.at, event.seq) < before:
                heappush(open_events, (-event.at, -event.seq, event))
    while open_events:
        yield stream, heappop(open_events)[2]


def _at(event: LogEvent) -> int:
    return event.at


def _place(event: LogEvent) -> Place:
    return event.at, event.seq


def _body(db: sqlite3.Connection, number: int) -> bytes:
    (body,) = db.execute("SELECT body FROM blocks WHERE id = ?", (number,)).fetchone()
    return bytes(body)


def _inside(body: bytes, start: int, end: int, after: Place | None) -> list[LogEvent]:
    events = unpack(body)
    first = bisect_left(events, start, key=_at)
    if after is not None:
        first = max(first, bisect_right(events, after, key=_place))
    return events[first : bisect_left(events, end, key=_at)]


# -- dropping ------------------------------------------------------------------------------------------------


def drop(
    db: sqlite3.Connection, where: str, values: Sequence[int], most: int, enough: float = inf
) -> tuple[int, dict[int, int]]:
    """Drop the oldest blocks, at most so many, and none more once they took `enough` bytes on disk. Returns (events,
    group → bytes that are gone)."""
    query = f"SELECT id, grp, events, bytes, length(body) FROM blocks WHERE {where} ORDER BY id LIMIT ?"
    numbers: list[tuple[int]] = []
    gone: dict[int, int] = {}
    dropped, on_disk = 0, 0
    for number, group, events, length, stored in db.execute(query, (*values, most)):
        numbers.append((number,))
        gone[group] = gone.get(group, 0) + length
        dropped, on_disk = dropped + events, on_disk + stored
        if on_disk >= enough:
            break
    db.executemany("DELETE FROM blocks WHERE id = ?", numbers)
    return dropped, gone
