"""Groups, streams and sources of batches, as rows: what the log store does on a connection."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

from monitor.logs import blocks
from monitor.logs.base import Group, LogEvent, NoGroup, NoStream, Page, Place, Reading, Resend
from monitor.model.arn import Scope

DAY_MS = 86_400_000
FIRST, LAST = (-(2**62), 0), (2**62, 0)  # places beyond any event, which SQLite takes
SCHEMA = """
CREATE TABLE IF NOT EXISTS groups (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    retention INTEGER NOT NULL, tags TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL, UNIQUE (scope, name)
);
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
    first INTEGER, last INTEGER, ingested INTEGER, UNIQUE (grp, name)
);
CREATE TABLE IF NOT EXISTS sources (
    stream INTEGER NOT NULL, source TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (stream, source)
) WITHOUT ROWID;
"""
GROUP = "name, created, retention, tags, kind, bytes"


def scope_key(scope: Scope) -> str:
    return f"{scope.account}/{scope.region}"


def as_group(row: tuple[Any, ...]) -> Group:
    name, created, retention, tags, kind, length = row
    return Group(name, created, retention, json.loads(tags), kind, length)


def group_of(db: sqlite3.Connection, scope: Scope, name: str) -> Group:
    query = f"SELECT {GROUP} FROM groups WHERE scope = ? AND name = ?"
    found = db.execute(query, (scope_key(scope), name)).fetchone()
    if found is None:
        raise NoGroup(name)
    return as_group(found)


def group_number(db: sqlite3.Connection, scope: Scope, name: str) -> int:
    found = db.execute(
        "SELECT id FROM groups WHERE scope = ? AND name = ?", (scope_key(scope), name)
    ).fetchone()
    if found is None:
        raise NoGroup(name)
    return int(found[0])


def stream_number(db: sqlite3.Connection, scope: Scope, group: str, name: str) -> tuple[int, int]:
    grp = group_number(db, scope, group)
    found = db.execute("SELECT id FROM streams WHERE grp = ? AND name = ?", (grp, name)).fetchone()
    if found is None:
        raise NoStream(name)
    return grp, int(found[0])


def is_new(db: sqlite3.Connection, stream: int, resend: Resend) -> bool:
    """Whether the batch was not stored before; from now on it was."""
    query = "SELECT number FROM sources WHERE stream = ? AND source = ?"
    found = db.execute(query, (stream, resend.source)).fetchone()
    if found is not None and found[0] >= resend.number:
        return False
    row = (stream, resend.source, resend.number)
    db.execute("INSERT OR REPLACE INTO sources (stream, source, number) VALUES (?, ?, ?)", row)
    return True


def page(db: sqlite3.Connection, reading: Reading, now: float) -> Page:
    number = group_number(db, reading.scope, reading.group)
    group = group_of(db, reading.scope, reading.group)
    if group.retention_days:  # what is due to be dropped is gone
        oldest = int(now * 1000) - group.retention_days * DAY_MS
        reading = replace(reading, start=max(reading.start, oldest))
    names = dict(db.execute("SELECT id, name FROM streams WHERE grp = ?", (number,)).fetchall())
    wanted = _wanted(names, reading)
    low, high = (reading.start, 0), (reading.end, 0)
    if reading.after is not None and reading.is_backward:
        high = min(high, reading.after)
    elif reading.after is not None:
        low = max(low, (reading.after[0], reading.after[1] + 1))
    low, high = (min(max(place, FIRST), LAST) for place in (low, high))
    search = blocks.Search(low, high, reading.matches, reading.budget_bytes)
    if reading.is_backward:
        found = blocks.backward(db, next(iter(wanted)), search)
    elif len(wanted) == 1:
        found = blocks.forward(db, ("stream", next(iter(wanted))), wanted.__contains__, search)
    else:
        found = blocks.forward(db, ("grp", number), wanted.__contains__, search)
    events: list[tuple[str, LogEvent]] = []
    place: Place | None = reading.after
    for stream, event in found:
        if len(events) >= reading.limit:
            return Page(events, place, False)
        place = (event.at, event.seq)
        events.append((names[stream], event))
    return Page(events, search.stopped_at or place, search.stopped_at is None)


def _wanted(names: dict[int, str], reading: Reading) -> set[int]:
    """Raises NoStream."""
    if reading.streams is not None:
        numbers = {name: number for number, name in names.items()}
        missing = [name for name in reading.streams if name not in numbers]
        if missing:
            raise NoStream(missing[0])
        return {numbers[name] for name in reading.streams}
    return {number for number, name in names.items() if name.startswith(reading.prefix)}
