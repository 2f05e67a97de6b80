"""The event log on disk: what has left memory, by subject, time and direction."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.model.event import ALARM_CHANGE, CUSTOM, Event
from monitor.model.state import EVENTS_IN_MEMORY, Log
from monitor.store.base import Past, StoreError
from monitor.store.past import read_past
from monitor.store.sqlite import SqliteStore

ALARM = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:busy"
OTHER = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:calm"
BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/default"


def _event(number: int) -> Event:
    subject, kind = ((ALARM, ALARM_CHANGE), (OTHER, ALARM_CHANGE), (BUS, CUSTOM))[number % 3]
    return Event(f"{number}", float(number), kind, "", f"event {number}", subject=subject)


async def _told(store: SqliteStore, wanted: Past) -> list[str]:
    return [event.id for event in await store.past(wanted)]


async def test_events_are_found_by_what_they_are_about(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.sqlite")
    store.commit([Log(_event(n)) for n in range(9)])
    assert await _told(store, Past(subject=ALARM)) == ["0", "3", "6"]
    assert await _told(store, Past(subject=ALARM, is_newest_first=True, limit=2)) == ["6", "3"]
    assert await _told(store, Past(about="arn:aws:cloudwatch:")) == ["0", "1", "3", "4", "6", "7"]
    assert await _told(store, Past(since=2.0, until=5.0)) == ["2", "3", "4"]
    assert await _told(store, Past(subject=OTHER, after=2)) == ["4", "7"]  # sequence numbers start at 1
    assert await _told(store, Past(after=3, is_newest_first=True)) == ["1", "0"]
    await store.close()


async def test_what_has_left_memory_is_still_read(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.sqlite")
    store.commit([Log(_event(n)) for n in range(EVENTS_IN_MEMORY + 2)])
    assert store.state.events[0].id == "2"
    assert await _told(store, Past(limit=2)) == ["0", "1"]
    await store.close()


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the events"):
        read_past(tmp_path / "none.sqlite", Past())
