"""The event log as it is on disk: what has left memory is still read here, page by page, beside the writer."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from monitor.model.event import Event
from monitor.store import codec
from monitor.store.base import Past, StoreError


def read_past(path: Path, wanted: Past) -> list[Event]:
    """To be called on a thread. At most `wanted.limit`. Raises StoreError.

    Events come in the order of their sequence numbers. Times may differ from it by what clocks do, so a span of time is
    looked for in all of the log: 100,000 events at most.
    """
    found: list[Event] = []
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
            for (body,) in db.execute(*_query(wanted)):
                event = codec.decode_event(body)
                if wanted.since <= event.at < wanted.until:
                    found.append(event)
                    if len(found) >= wanted.limit:
                        break
    except (sqlite3.Error, codec.CodecError) as error:
        raise StoreError(f"cannot read the events in {path}: {error}") from error
    return found


def _query(wanted: Past) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    if wanted.subject:
        parts.append("service = ?")
        values.append(wanted.subject)
    if wanted.about:
        parts.append("service >= ? AND service < ?")
        values += [wanted.about, wanted.about + "\U0010ffff"]
    if wanted.after:
        parts.append("seq < ?" if wanted.is_newest_first else "seq > ?")
        values.append(wanted.after)
    where = f"WHERE {' AND '.join(parts)} " if parts else ""
    order = "DESC" if wanted.is_newest_first else "ASC"
    return f"SELECT body FROM events {where}ORDER BY seq {order}", values
