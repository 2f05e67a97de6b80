"""The loop of alarms over real stores, with time moved by hand: verdicts, composites, actions, history."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from monitor.clock import FixedClock, SystemIds
from monitor.control.evaluate import Evaluator
from monitor.model.alarm import ALARM, COMPOSITE, INSUFFICIENT_DATA, METRIC, OK, Alarm, MetricQuery, alarm_arn
from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.model.state import Put
from monitor.rules.alarm import configured
from monitor.rules.statistics import of_values
from monitor.series.base import Datum, Series
from monitor.series.embedded import EmbeddedStore
from monitor.store.base import Past
from monitor.store.sqlite import SqliteStore

SCOPE = Scope("123456789012", "eu-west-1")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:oncall"
KEY = MetricKey.of("Shop", "Queue", [])
START = 1_800_000_000.0  # a whole minute


@dataclass
class Bench:
    store: SqliteStore
    series: EmbeddedStore
    clock: FixedClock
    evaluator: Evaluator

    async def put(self, *values: float, at: float = 0.0, unit: str = "None", step: int = 60) -> None:
        await self.series.append([Datum(Series(SCOPE, KEY, unit), START + at, of_values(values), step)])

    def alarm(self, name: str) -> Alarm:
        return self.store.state.alarms[arn(name)]

    def add(self, wanted: Alarm) -> None:
        known = self.store.state.alarms.get(wanted.arn)
        self.store.commit([Put(configured(known, wanted, self.clock.now()))])

    async def look(self, at: float) -> None:
        self.clock.at = START + at
        await self.evaluator.look(self.clock.now())

    def states(self) -> dict[str, str]:
        return {a.name: a.state for a in self.store.state.alarms.values()}


def arn(name: str) -> str:
    return alarm_arn(SCOPE.region, SCOPE.account, name)


def metric_alarm(name: str = "long", **given: object) -> Alarm:
    wanted = Alarm(
        arn(name),
        name,
        kind=METRIC,
        namespace=KEY.namespace,
        metric=KEY.name,
        statistic="Average",
        period=60,
        evaluation_periods=1,
        threshold=10.0,
        comparison="GreaterThanThreshold",
        alarm_actions=(TOPIC,),
    )
    return replace(wanted, **given)  # type: ignore[arg-type]


def composite_alarm(name: str, rule: str, **given: object) -> Alarm:
    wanted = Alarm(arn(name), name, kind=COMPOSITE, rule=rule, threshold=None, alarm_actions=(TOPIC,))
    return replace(wanted, **given)  # type: ignore[arg-type]


async def at_once(_: float) -> None:
    return


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    clock = FixedClock(START)
    store = await SqliteStore.open(tmp_path / "state.sqlite")
    series = await EmbeddedStore.open(tmp_path / "metrics.sqlite", clock.now, 2**30)
    yield Bench(store, series, clock, Evaluator(store, series, clock, SystemIds(), at_once))
    await store.close()
    await series.close()


async def test_an_alarm_goes_to_alarm_tells_its_topic_and_comes_back(bench: Bench) -> None:
    bench.add(metric_alarm())
    assert bench.states() == {"long": INSUFFICIENT_DATA}
    await bench.put(12.0, 14.0)
    await bench.look(67)
    alarm = bench.alarm("long")
    assert alarm.state == ALARM
    assert alarm.reason == (
        "Threshold Crossed: 1 datapoint [13.0 (15/01/27 08:00:00)] was greater than the threshold (10.0)."
    )
    (delivery,) = bench.store.state.deliveries.values()
    message = json.loads(delivery.payload)
    assert (delivery.target, delivery.origin, message["NewStateValue"]) == (TOPIC, alarm.arn, ALARM)
    assert message["OldStateValue"] == INSUFFICIENT_DATA
    await bench.put(3.0, at=60)
    await bench.look(127)
    assert bench.states() == {"long": OK}
    assert len(bench.store.state.deliveries) == 1  # OK has no actions
    told = await bench.store.past(Past(subject=alarm.arn))
    assert [(e.name, e.message) for e in told] == [
        ("StateUpdate", "alarm long: Alarm updated from INSUFFICIENT_DATA to ALARM"),
        ("StateUpdate", "alarm long: Alarm updated from ALARM to OK"),
    ]
    assert json.loads(told[0].detail)["previousState"]["value"] == INSUFFICIENT_DATA


async def test_nothing_is_written_while_nothing_changes(bench: Bench) -> None:
    bench.add(metric_alarm())
    await bench.put(12.0)
    await bench.look(67)
    version = bench.store.state.version
    await bench.look(127)
    await bench.look(187)
    assert bench.store.state.version == version


async def test_a_window_slides_by_the_minute(bench: Bench) -> None:
    bench.add(metric_alarm(period=300, statistic="Sum"))
    for minute in range(8):
        await bench.put(2.0 if minute > 1 else 0.5, at=60.0 * minute)
    await bench.look(7 * 60 + 7)  # minutes 2 to 6
    assert bench.alarm("long").state == OK
    assert json.loads(bench.alarm("long").reason_data)["recentDatapoints"][-1] == 10.0


async def test_a_percentile_knows_its_samples(bench: Bench) -> None:
    bench.add(
        metric_alarm(
            statistic="", extended_statistic="p90", evaluate_low_sample="ignore", treat_missing_data="missing"
        )
    )
    await bench.put(*[50.0] * 99)
    await bench.look(67)
    assert bench.alarm("long").state == INSUFFICIENT_DATA  # 100 samples are needed
    await bench.put(50.0)
    await bench.look(127)
    assert bench.alarm("long").state == ALARM


async def test_high_resolution_is_looked_at_each_ten_seconds(bench: Bench) -> None:
    bench.add(metric_alarm(period=10))
    await bench.put(12.0, at=1, step=1)
    await bench.look(17)
    assert bench.alarm("long").state == ALARM
    await bench.put(1.0, at=11, step=1)
    await bench.look(27)
    assert bench.alarm("long").state == OK


async def test_metric_math_is_watched(bench: Bench) -> None:
    queries = (
        MetricQuery("q", returns=False, period=60, namespace="Shop", metric="Queue", stat="Sum"),
        MetricQuery("twice", expression="q * 2"),
    )
    plain = metric_alarm(queries=queries, namespace="", metric="", statistic="", period=0)
    bench.add(plain)
    bench.add(replace(plain, arn=arn("bad"), name="bad", queries=(replace(queries[1], expression="q * "),)))
    await bench.put(6.0)
    await bench.look(67)
    assert bench.states() == {"long": ALARM, "bad": INSUFFICIENT_DATA}
    assert bench.alarm("bad").evaluation_state == "EVALUATION_ERROR"


async def test_an_alarm_that_is_put_anew_is_judged_with_the_next_tick(bench: Bench) -> None:
    bench.add(metric_alarm())
    await bench.put(12.0)
    await bench.look(67)
    bench.add(metric_alarm(threshold=20.0))
    assert bench.alarm("long").state == ALARM
    await bench.look(77)
    assert bench.alarm("long").state == OK


async def test_composites_follow_their_children_in_order(bench: Bench) -> None:
    bench.add(metric_alarm("child"))
    bench.add(composite_alarm("grandparent", "ALARM(parent)"))
    bench.add(composite_alarm("parent", "ALARM(child) OR ALARM(other)"))
    bench.evaluator.look_at_composites()
    assert (bench.alarm("parent").state, bench.alarm("grandparent").state) == (OK, OK)
    await bench.put(12.0)
    await bench.look(67)
    assert bench.states() == {"child": ALARM, "parent": ALARM, "grandparent": ALARM}
    assert {d.origin for d in bench.store.state.deliveries.values()} == {
        arn("child"),
        arn("parent"),
        arn("grandparent"),
    }
    assert bench.alarm("parent").reason.startswith(f"{arn('child')} transitioned to ALARM at ")


async def test_a_suppressor_holds_the_actions_back(bench: Bench) -> None:
    bench.add(metric_alarm("child", alarm_actions=()))
    bench.add(Alarm(arn("deploying"), "deploying", state=ALARM))
    bench.add(
        composite_alarm(
            "quiet", "ALARM(child)", suppressor="deploying", suppressor_wait=20, suppressor_extension=30
        )
    )
    bench.store.commit([Put(replace(bench.alarm("deploying"), state=ALARM))])
    bench.evaluator.look_at_composites()
    await bench.put(12.0)
    await bench.look(67)
    assert bench.alarm("quiet").state == ALARM
    assert bench.alarm("quiet").suppression.by == "Alarm"
    assert not bench.store.state.deliveries
    bench.store.commit([Put(replace(bench.alarm("deploying"), state=OK))])
    bench.evaluator.look_at_composites()
    assert bench.alarm("quiet").suppression.by == "ExtensionPeriod"
    bench.clock.at = START + 67 + 31
    bench.evaluator.look_at_composites()
    assert [d.origin for d in bench.store.state.deliveries.values()] == [arn("quiet")]
    assert bench.alarm("quiet").suppression.by == ""
