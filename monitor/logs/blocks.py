"""Blocks: events of one stream, packed together; how they are written, merged, read in order and dropped.

A put makes a block. Small ones are merged, sixteen of a size into one, in the writer's own transaction: a stream of a
line a second has no row for each line. No block spans more than an hour, so that a reader knows where to begin.

Inside a block times, numbers and messages stand in columns, numbers as steps: that compresses to a third of the text
of access logs, a sixth less than event by event, and a filter runs over the messages before anything else is made of
them. What is shorter than 256 bytes is left as it is.
"""

from __future__ import annotations

import sqlite3
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from itertools import accumulate, groupby, islice
from math import inf
from operator import sub

import msgspec

from monitor.logs.base import LogEvent, Place

HOUR_MS = 3_600_000
OVERHEAD = 26  # bytes that CloudWatch counts for an event beside its message
MERGED = 16
LEVELS = (4 * 1024, 64 * 1024)  # bytes; blocks below the first are merged, and then those below the second
# The indexes have all that a reader asks before it opens a block.
SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, stream INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    events INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS blocks_of_group ON blocks (grp, low, high, stream, bytes);
CREATE INDEX IF NOT EXISTS blocks_of_stream ON blocks (stream, low, high, bytes);
CREATE INDEX IF NOT EXISTS blocks_backward ON blocks (stream, high, low, bytes);
"""
_PLAIN, _DEFLATED = b"\x00", b"\x01"
_WORTH_DEFLATING = 256
_BRIEFLY, _TO_STAY = 1, 3  # how hard to compress what is merged soon, and the rest
LAST_SEQ = 10**19  # after any
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[list[int], list[int], list[int], list[str]])

Row = tuple[int, int, int, str]  # of a LogEvent


def pack(rows: Sequence[Row], level: int = _TO_STAY) -> bytes:
    at, seq, ingested, messages = zip(*rows, strict=True)
    raw = _ENCODER.encode((_steps(at), _steps(seq), _steps(ingested), messages))
    return _PLAIN + raw if len(raw) < _WORTH_DEFLATING else _DEFLATED + zlib.compress(raw, level)


def _steps(numbers: Sequence[int]) -> list[int]:
    return [numbers[0], *map(sub, numbers[1:], numbers)]


@dataclass(frozen=True, slots=True)
class Columns:
    at: Sequence[int]
    seq: Sequence[int]
    ingested: Sequence[int]
    messages: Sequence[str]

    def rows(self) -> Iterator[Row]:
        return zip(self.at, self.seq, self.ingested, self.messages, strict=True)

    def events(self, search: Search, *, is_backward: bool = False) -> Iterator[LogEvent]:
        """Those that are looked for, made one by one as they are asked for."""
        place, messages, matches = self._place, self.messages, search.matches
        all_of_them = range(len(messages))
        numbers = range(
            bisect_left(all_of_them, search.low, key=place), bisect_left(all_of_them, search.high, key=place)
        )
        for n in reversed(numbers) if is_backward else numbers:
            if matches is None or matches(messages[n]):
                yield LogEvent(self.at[n], self.seq[n], self.ingested[n], messages[n])

    def _place(self, number: int) -> Place:
        return self.at[number], self.seq[number]


def unpack(body: bytes) -> Columns:
    raw = body[1:]
    *numbers, messages = _DECODER.decode(zlib.decompress(raw) if body[:1] == _DEFLATED else raw)
    at, seq, ingested = (list(accumulate(steps)) for steps in numbers)
    return Columns(at, seq, ingested, messages)


def size(messages: Sequence[str]) -> int:
    return len("".join(messages).encode("utf-8", "surrogatepass")) + OVERHEAD * len(messages)


def insert(db: sqlite3.Connection, group: int, stream: int, rows: Sequence[Row]) -> tuple[int, int]:
    """`rows` ascending. Returns how many blocks they became, and their size in bytes."""
    count = total = 0
    for hour in _hours(rows):
        length = size([message for _, _, _, message in hour])
        count, total = count + 1, total + length
        body = pack(hour, _BRIEFLY if length < LEVELS[-1] else _TO_STAY)
        _write(db, (group, stream, hour[0][0], hour[-1][0], len(hour), length, body))
    return count, total


def _hours(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    if rows[0][0] // HOUR_MS == rows[-1][0] // HOUR_MS:
        return (rows,)
    return (list(part) for _, part in groupby(rows, lambda row: row[0] // HOUR_MS))


def _write(db: sqlite3.Connection, row: tuple[int, int, int, int, int, int, bytes]) -> None:
    db.execute(
        "INSERT INTO blocks (grp, stream, low, high, events, bytes, body) VALUES (?, ?, ?, ?, ?, ?, ?)", row
    )


def merge(db: sqlite3.Connection, stream: int, below: int) -> None:
    """Make one block of the stream's newest ones that are smaller than `below`."""
    query = (
        "SELECT id, grp, low, bytes, body FROM blocks WHERE stream = ? AND bytes < ? ORDER BY id DESC LIMIT ?"
    )
    found = db.execute(query, (stream, below, 2 * MERGED)).fetchall()
    hours: dict[int, list[tuple[int, int, int, bytes]]] = {}
    for number, group, low, length, body in found:
        hours.setdefault(low // HOUR_MS, []).append((number, group, length, body))
    for blocks in hours.values():
        if len(blocks) < 2:
            continue
        rows = sorted(row for _, _, _, body in blocks for row in unpack(body).rows())
        db.executemany("DELETE FROM blocks WHERE id = ?", [(number,) for number, _, _, _ in blocks])
        length = sum(length for _, _, length, _ in blocks)
        _write(db, (blocks[0][1], stream, rows[0][0], rows[-1][0], len(rows), length, pack(rows)))


# -- reading -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Search:
    """What a page looks for: events of [low, high) that `matches` takes. Once it has opened blocks with so much text it
    ends, and `stopped_at` says where the next one goes on: all on this side of it is told.

    Blocks that reach over from the page before are opened once more. They count for nothing as long as they are less
    than what is new: else pages over many streams would get shorter and shorter.
    """

    low: Place
    high: Place
    matches: Callable[[str], bool] | None
    budget_bytes: int
    stopped_at: Place | None = None


def forward(
    db: sqlite3.Connection, where: tuple[str, int], wanted: Callable[[int], bool], search: Search
) -> Iterator[tuple[int, LogEvent]]:
    """(stream, event), ascending. `where`: the column (grp or stream) and its value; `wanted`: which streams."""
    column, value = where
    begin, end = search.low[0], search.high[0]
    query = (
        f"SELECT id, stream, low, high, bytes FROM blocks WHERE {column} = ? AND low >= ? AND low <= ? "
        "ORDER BY low"
    )
    pending: list[tuple[LogEvent, int, Iterator[LogEvent]]] = []  # the next event of each block that is open
    again = new = 0  # bytes of blocks that began before `begin`, and of the others
    newest = begin
    for number, stream, low, high, length in db.execute(query, (value, begin - HOUR_MS, end)):
        while pending and pending[0][0].at < low:
            yield pending[0][1], _next(pending)
        if high < begin or not wanted(stream):
            continue
        if new >= max(search.budget_bytes, again) and low > newest:
            search.stopped_at = (low - 1, LAST_SEQ)
            return
        if low < begin:
            again += length
        else:
            new, newest = new + length, low
        events = unpack(_body(db, number)).events(search)
        for event in islice(events, 1):
            heappush(pending, (event, stream, events))
    while pending:
        yield pending[0][1], _next(pending)


def _next(pending: list[tuple[LogEvent, int, Iterator[LogEvent]]]) -> LogEvent:
    event, stream, events = pending[0]
    for following in islice(events, 1):
        heapreplace(pending, (following, stream, events))
        return event
    heappop(pending)
    return event


def backward(db: sqlite3.Connection, stream: int, search: Search) -> Iterator[tuple[int, LogEvent]]:
    """As `forward`, of one stream, descending."""
    begin, end = search.low[0], search.high[0]
    query = "SELECT id, low, high, bytes FROM blocks WHERE stream = ? AND high >= ? AND high < ? ORDER BY high DESC"
    pending: list[tuple[int, int, LogEvent, Iterator[LogEvent]]] = []  # by the negative place
    again = new = 0
    oldest = end

    def following() -> LogEvent:
        _, _, event, events = heappop(pending)
        push(events)
        return event

    def push(events: Iterator[LogEvent]) -> None:
        for event in islice(events, 1):
            heappush(pending, (-event.at, -event.seq, event, events))

    for number, low, high, length in db.execute(query, (stream, begin, end + HOUR_MS)):
        while pending and -pending[0][0] > high:
            yield stream, following()
        if low > end:
            continue
        if new >= max(search.budget_bytes, again) and high < oldest:
            search.stopped_at = (high + 1, 0)
            return
        if high > end:
            again += length
        else:
            new, oldest = new + length, high
        push(unpack(_body(db, number)).events(search, is_backward=True))
    while pending:
        yield stream, following()


def _body(db: sqlite3.Connection, number: int) -> bytes:
    (body,) = db.execute("SELECT body FROM blocks WHERE id = ?", (number,)).fetchone()
    return bytes(body)


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
