"""Which series there are, by number: on disk, with the ones in use in memory.

Numbers are given by the writer's thread alone. `last_at` is written when it has moved by ten minutes, so that a series
in use costs no write a minute.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.series.base import Listing, Series

SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL, unit TEXT NOT NULL,
    last_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS series_by_key ON series (scope, namespace, name, dimensions, unit);
"""
CACHED = 100_000
_SLACK_SECONDS = 600
_PAGE = 2000

Row = tuple[str, str, str, str, str]


def row_of(series: Series) -> Row:
    return (*key_row(series.scope, series.key), series.unit)


def key_row(scope: Scope, key: MetricKey) -> tuple[str, str, str, str]:
    """(scope, namespace, name, dimensions): the text of dimensions sorts and compares as they do."""
    text = json.dumps(key.dimensions, separators=(",", ":"), ensure_ascii=False)
    return f"{scope.account}/{scope.region}", key.namespace, key.name, text


def _key(namespace: str, name: str, dimensions: str) -> MetricKey:
    return MetricKey(namespace, name, tuple((n, v) for n, v in json.loads(dimensions)))


class Catalog:
    """For the writer's thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # By the series itself: its row has to be written out as text, which costs more than all else of a point.
        self._known: OrderedDict[Series, tuple[int, int]] = OrderedDict()
        self._fresh: list[Series] = []  # known since the transaction's begin
        self.count = int(db.execute("SELECT count(*) FROM series").fetchone()[0])

    def number(self, series: Series, at: int) -> int:
        known = self._known.get(series)
        if known is None:
            row = row_of(series)
            found = self._db.execute(
                "SELECT id, last_at FROM series WHERE scope=? AND namespace=? AND name=? AND dimensions=? AND unit=?",
                row,
            ).fetchone()
            known = found if found is not None else self._insert(row, at)
            self._remember(series, known)
        number, last_at = known
        if at > last_at + _SLACK_SECONDS:
            self._db.execute("UPDATE series SET last_at=? WHERE id=?", (at, number))
            self._remember(series, (number, at))
        return number

    def _insert(self, row: Row, at: int) -> tuple[int, int]:
        insert = "INSERT INTO series (scope, namespace, name, dimensions, unit, last_at) VALUES (?,?,?,?,?,?)"
        number = self._db.execute(insert, (*row, at)).lastrowid
        self.count += 1
        return int(number or 0), at

    def _remember(self, series: Series, known: tuple[int, int]) -> None:
        self._known[series] = known
        self._known.move_to_end(series)
        self._fresh.append(series)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)

    def begin(self) -> None:
        self._fresh.clear()

    def forget(self) -> None:
        """What the transaction told us is undone with it."""
        for series in self._fresh:
            self._known.pop(series, None)
        self._fresh.clear()
        self.count = int(self._db.execute("SELECT count(*) FROM series").fetchone()[0])

    def drop(self, number: int) -> None:
        self._db.execute("DELETE FROM series WHERE id=?", (number,))
        for series in [s for s, known in self._known.items() if known[0] == number]:
            del self._known[series]
        self.count -= 1


# -- for readers -------------------------------------------------------------------------------------------


def find(db: sqlite3.Connection, series: Series) -> int | None:
    found = db.execute(
        "SELECT id FROM series WHERE scope=? AND namespace=? AND name=? AND dimensions=? AND unit=?",
        row_of(series),
    ).fetchone()
    return None if found is None else int(found[0])


def units(db: sqlite3.Connection, scope: Scope, key: MetricKey) -> list[str]:
    query = "SELECT unit FROM series WHERE scope=? AND namespace=? AND name=? AND dimensions=? ORDER BY unit"
    return [unit for (unit,) in db.execute(query, key_row(scope, key))]


def listed(db: sqlite3.Connection, wanted: Listing) -> list[MetricKey]:
    """Reads on in pages until `limit` fit."""
    out: list[MetricKey] = []
    after = key_row(wanted.scope, wanted.after) if wanted.after else None
    while len(out) < wanted.limit:
        rows = _page(db, wanted, after)
        for scope, namespace, name, dimensions, last_at in rows:
            after = (scope, namespace, name, dimensions)
            key = _key(namespace, name, dimensions)
            if last_at + _SLACK_SECONDS >= wanted.since and _has(key, wanted.dimensions):
                out.append(key)
                if len(out) == wanted.limit:
                    break
        if len(rows) < _PAGE:
            break
    return out


def _page(
    db: sqlite3.Connection, wanted: Listing, after: tuple[str, str, str, str] | None
) -> list[tuple[str, str, str, str, int]]:
    where, values = ["scope = ?"], [f"{wanted.scope.account}/{wanted.scope.region}"]
    if wanted.namespace:
        where.append("namespace = ?")
        values.append(wanted.namespace)
    if wanted.name:
        where.append("name = ?")
        values.append(wanted.name)
    if after is not None:
        where.append("(scope, namespace, name, dimensions) > (?, ?, ?, ?)")
        values += after
    query = (
        f"SELECT scope, namespace, name, dimensions, max(last_at) FROM series WHERE {' AND '.join(where)} "
        f"GROUP BY scope, namespace, name, dimensions ORDER BY scope, namespace, name, dimensions LIMIT {_PAGE}"
    )
    return db.execute(query, values).fetchall()


def _has(key: MetricKey, wanted: tuple[tuple[str, str | None], ...]) -> bool:
    mine = dict(key.dimensions)
    return all(name in mine and value in (None, mine[name]) for name, value in wanted)
