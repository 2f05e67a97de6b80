"""The event bus with time moved by hand: schedules fire once a minute, rules match in the commit, runs of tasks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.clock import FixedClock, SeededIds
from monitor.control.bus import Bus, Router
from monitor.model.arn import Scope
from monitor.model.delivery import Delivery
from monitor.model.event import CUSTOM, Event
from monitor.model.rule import DISABLED, Rule, Target, arn
from monitor.model.state import Drop, Log, Put
from monitor.rules.retry import LONGEST_SECONDS, next_due, wait_seconds
from monitor.store.sqlite import SqliteStore

SCOPE = Scope("123456789012", "eu-west-1")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:oncall"
START = 1_800_000_000.0  # a whole hour


@dataclass
class Bench:
    store: SqliteStore
    clock: FixedClock
    bus: Bus

    def deliveries(self) -> list[Delivery]:
        return list(self.store.state.deliveries.values())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    clock, ids = FixedClock(START), SeededIds()
    store = await SqliteStore.open(tmp_path / "state.sqlite")
    router = Router(store.state, lambda _, changes: changes, clock, ids)
    store.announce = router
    yield Bench(store, clock, Bus(store, router, clock, ids))
    await store.close()


def rule(**given: object) -> Rule:
    targets = (Target("1", TOPIC, {"Id": "1", "Arn": TOPIC}),)
    return Rule(arn(SCOPE, "rule", "r"), "r", START, targets=targets, fired_at=START, **given)  # type: ignore[arg-type]


def event(source: str, name: str = "x") -> Event:
    subject = arn(SCOPE, "event-bus", "default")
    return Event(name, START, CUSTOM, "", "m", detail_type="t", detail="{}", source=source, subject=subject)


async def test_a_schedule_fires_once_in_its_minutes(bench: Bench) -> None:
    bench.store.commit([Put(rule(schedule="rate(2 minutes)"))])
    counts = []
    for second in range(0, 400, 20):
        bench.clock.at = START + second
        bench.bus.look()
        counts.append(len(bench.deliveries()))
    assert counts == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 2
    body = json.loads(bench.deliveries()[0].payload)
    assert (body["detail-type"], body["source"], body["time"]) == (
        "Scheduled Event",
        "aws.events",
        "2027-01-15T08:02:00Z",
    )


async def test_minutes_in_which_nobody_looked_are_not_made_up_for(bench: Bench) -> None:
    bench.store.commit([Put(rule(schedule="cron(* * * * ? *)"))])
    bench.clock.at = START + 3600
    bench.bus.look()
    bench.bus.look()
    assert len(bench.deliveries()) == 1


async def test_a_rule_matches_within_the_commit_of_the_event(bench: Bench) -> None:
    await bench.store.commit([Put(rule(pattern='{"source": ["shop"]}'))])
    version = bench.store.state.version
    bench.store.commit([Log(event("shop")), Log(event("other", "y"))])
    assert bench.store.state.version == version + 1
    (delivery,) = bench.deliveries()
    assert (delivery.target, json.loads(delivery.payload)["id"]) == (TOPIC, "x")
    assert (delivery.most_retries, delivery.most_age_seconds) == (185, 86_400.0)


async def test_changed_rules_count_from_the_next_event_on(bench: Bench) -> None:
    made = rule(pattern='{"detail-type": ["t"]}')
    bench.store.commit([Put(made)])
    bench.store.commit([Log(event("a"))])
    bench.store.commit([Put(rule(pattern='{"detail-type": ["t"]}', state=DISABLED))])
    bench.store.commit([Log(event("b"))])
    bench.store.commit([Put(made)])
    bench.store.commit([Log(event("c"))])
    bench.store.commit([Drop(made)])
    bench.store.commit([Log(event("d"))])
    assert [json.loads(d.payload)["source"] for d in bench.deliveries()] == ["a", "c"]


def test_retries_wait_longer_each_time_and_end() -> None:
    waits = [wait_seconds("id", n) for n in range(1, 30)]
    assert 0.5 <= waits[0] <= 1.0
    assert all(LONGEST_SECONDS / 2 <= wait <= LONGEST_SECONDS for wait in waits[10:])
    assert waits == [wait_seconds("id", n) for n in range(1, 30)]
    assert wait_seconds("other", 3) != waits[2]
    failed = Delivery("id", TOPIC, "", START, START, attempts=3, most_retries=3, most_age_seconds=60.0)
    assert next_due(failed, START) == pytest.approx(START + waits[2])
    assert next_due(failed, START + 59.9) is None  # too old by then
    assert next_due(Delivery("id", TOPIC, "", START, START, attempts=4, most_retries=3), START) is None
