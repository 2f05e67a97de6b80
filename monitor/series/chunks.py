"""Points on disk: rows while their hour is young, then chunks by resolution, until they are too old.

A chunk holds the points of one series and resolution over a fixed span of time. Sealing merges rows of ended hours into
the chunks of every resolution, so a point that comes late, up to two weeks, lands where it belongs in all of them.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.model.metric import StatisticSet
from monitor.series.base import RETENTION, Datum
from monitor.series.columns import BadChunk, Columns, bucketed, merged, of_points, pack, unpack

SCHEMA = """
CREATE TABLE IF NOT EXISTS recent (
    series INTEGER NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, step INTEGER NOT NULL,
    count REAL NOT NULL, total REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, pairs BLOB,
    PRIMARY KEY (series, at, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunks (
    series INTEGER NOT NULL, resolution INTEGER NOT NULL, start INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (series, resolution, start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunks_by_age ON chunks (start);
"""
# Resolution → seconds of a chunk: some hundred points each.
SPANS: Mapping[int, int] = {1: 600, 60: 6 * 3600, 300: 2 * 86400, 3600: 30 * 86400}
HOUR = 3600
LATE_SECONDS = 300  # an hour is sealed that long after its end
SLICES = 60  # a slice of the series is sealed each minute
A_TRANSACTION = 50
DROPPED_AT_ONCE = 1000

Row = tuple[int, float, float, float, float, bytes | None]  # at, count, total, low, high, pairs

__all__ = ["SCHEMA", "BadChunk", "Window", "drop_oldest", "due", "insert", "read", "seal"]


@dataclass(frozen=True, slots=True)
class Window:
    """What is read: [start, end) by `period`; see SeriesStore.select."""

    start: int
    end: int
    period: int
    in_detail: bool
    now: float

    @property
    def resolution(self) -> int:
        """The coarsest chunks that give the period; percentiles need the finest that are still kept."""
        fitting = [r for r in RETENTION if self.period % r == 0]
        if self.in_detail or self.period < 60:
            kept = [r for r in fitting if self.start >= self.now - RETENTION[r]]
            kept = [r for r in kept if r > 1] or kept if self.period >= 60 else kept
            return min(kept, default=max(fitting))
        return max(fitting)


def insert(db: sqlite3.Connection, points: Sequence[tuple[int, Datum]]) -> None:
    """`points`: with their series' numbers. Rows of one series and time are told apart by a number that only grows."""
    found = db.execute("SELECT value FROM meta WHERE name='seq'").fetchone()
    seq = int(found[0]) if found else 0
    rows = []
    for number, d in points:
        seq += 1
        at = int(d.at) - int(d.at) % d.step
        p = d.point
        rows.append((number, at, seq, d.step, p.sample_count, p.total, p.minimum, p.maximum, _pairs(p)))
    db.executemany("INSERT INTO recent VALUES (?,?,?,?,?,?,?,?,?)", rows)
    db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('seq', ?)", (str(seq),))


def _pairs(point: StatisticSet) -> bytes | None:
    if point.values is None or len(point.values) < 2:
        return None
    return array("d", (n for pair in point.values for n in pair)).tobytes()


def _set(count: float, total: float, low: float, high: float, pairs: bytes | None) -> StatisticSet:
    if pairs is not None:
        numbers = array("d")
        numbers.frombytes(pairs)
        return StatisticSet(count, total, low, high, tuple(zip(numbers[::2], numbers[1::2], strict=True)))
    return StatisticSet(count, total, low, high, ((low, count),) if low == high or count == 1 else None)


def read(db: sqlite3.Connection, number: int | None, window: Window) -> Columns:
    """Raises BadChunk."""
    if number is None:
        return Columns()
    found = Columns()
    resolution = window.resolution
    query = "SELECT body FROM chunks WHERE series=? AND resolution=? AND start>? AND start<? ORDER BY start"
    for (body,) in db.execute(query, (number, resolution, window.start - SPANS[resolution], window.end)):
        found.extend(unpack(body).between(window.start, window.end))
    query = (
        "SELECT at, count, total, low, high, pairs FROM recent WHERE series=? AND at>=? AND at<? ORDER BY at"
    )
    rows = db.execute(query, (number, window.start, window.end)).fetchall()
    return bucketed(merged(found, _fresh(rows, min(window.period, resolution))), window.period)


def _fresh(rows: Sequence[Row], step: int) -> Columns:
    """Rows in order of time as points of `step` seconds."""
    at = [row[0] - row[0] % step for row in rows]
    if len(set(at)) < len(at) or not all(row[1] for row in rows):
        return of_points(((row[0], _set(*row[1:])) for row in rows), step)
    if not rows:
        return Columns()
    # One row a point, as published metrics come: nothing to merge.
    numbers = tuple(zip(*rows, strict=True))[1:-1]
    known = ((when, _set(*row[1:]).values) for when, row in zip(at, rows, strict=True) if row[-1] is not None)
    details = {when: values for when, values in known if values is not None}
    count, total, low, high = (array("d", column) for column in numbers)
    return Columns(array("q", at), count, total, low, high, details)


# -- sealing -----------------------------------------------------------------------------------------------


def due(db: sqlite3.Connection, now: float) -> Iterator[list[int]]:
    """The series of this minute's slice that have an ended hour unsealed, or chunks too old; some at a time."""
    hour = _ended(now)
    query = "SELECT id FROM series WHERE id % ? = ? AND sealed_at < ?"
    minute = int(now // 60) % SLICES
    # Slices that were missed (the process was away) come first come, first served with the others.
    found = [n for (n,) in db.execute(query, (SLICES, minute, hour))]
    found += [
        n for (n,) in db.execute("SELECT id FROM series WHERE sealed_at < ? LIMIT 1000", (hour - HOUR,))
    ]
    numbers = list(dict.fromkeys(found))
    for at in range(0, len(numbers), A_TRANSACTION):
        yield numbers[at : at + A_TRANSACTION]


def _ended(now: float) -> int:
    """Hours before this one are over."""
    late = int(now - LATE_SECONDS)
    return late - late % HOUR


def seal(db: sqlite3.Connection, number: int, now: float) -> bool:
    """Move the rows of ended hours into chunks, delete what is too old. True: nothing of the series is left."""
    hour = _ended(now)
    query = "SELECT at, step, count, total, low, high, pairs FROM recent WHERE series=? AND at<?"
    rows = [(at, step, _set(*rest)) for at, step, *rest in db.execute(query, (number, hour))]
    for resolution in RETENTION:
        oldest = int(now - RETENTION[resolution])
        points = [(at, p) for at, step, p in rows if step <= resolution and at >= oldest]
        if resolution > 1 or any(step == 1 for _, step, _ in rows):
            _into_chunks(db, number, resolution, of_points(points, resolution))
        expired = (number, resolution, oldest - SPANS[resolution])
        db.execute("DELETE FROM chunks WHERE series=? AND resolution=? AND start<=?", expired)
    db.execute("DELETE FROM recent WHERE series=? AND at<?", (number, hour))
    db.execute("UPDATE series SET sealed_at=? WHERE id=?", (hour, number))
    left = "SELECT EXISTS (SELECT 1 FROM chunks WHERE series=?1) OR EXISTS (SELECT 1 FROM recent WHERE series=?1)"
    return not db.execute(left, (number,)).fetchone()[0]


def _into_chunks(db: sqlite3.Connection, number: int, resolution: int, points: Columns) -> None:
    span = SPANS[resolution]
    for start in _starts(points.at, span):
        fresh = points.between(start, start + span)
        where = (number, resolution, start)
        there = db.execute(
            "SELECT body FROM chunks WHERE series=? AND resolution=? AND start=?", where
        ).fetchone()
        both = merged(unpack(there[0]), fresh) if there is not None else fresh
        db.execute("INSERT OR REPLACE INTO chunks VALUES (?,?,?,?)", (*where, pack(both)))


def _starts(at: Iterable[int], span: int) -> list[int]:
    return sorted({a - a % span for a in at})


def drop_oldest(db: sqlite3.Connection) -> int:
    """Delete the oldest chunks; how many."""
    query = (
        "DELETE FROM chunks WHERE (series, resolution, start) IN "
        "(SELECT series, resolution, start FROM chunks ORDER BY start LIMIT ?)"
    )
    return db.execute(query, (DROPPED_AT_ONCE,)).rowcount
