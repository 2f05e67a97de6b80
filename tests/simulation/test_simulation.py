"""A thousand cluster-hours with faults, each run; and that the simulation finds bugs that are planted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from monitor.api.ecs import agents
from monitor.model.state import Change
from monitor.model.task import Task
from monitor.scheduler import replicas
from monitor.scheduler.lifecycle import TaskReport
from tests.simulation.__main__ import read, shown
from tests.simulation.actions import Action, draw, failure_of, shrink, simulate
from tests.simulation.hours import Found
from tests.simulation.store import SimStore
from tests.simulation.world import Control, Simulation

HOURS = 1000.0
PLANTED_SEEDS, PLANTED_HOURS = 8, 2.0


@pytest.fixture(autouse=True)
def quiet() -> Any:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_a_thousand_hours_with_faults(histories: Iterator[Found]) -> None:
    found = list(histories)
    failures = [f.scenario for f in found if f.scenario]
    assert not failures, "\n\n".join(failures[:3])
    hours = sum(f.hours for f in found)
    print(f"{hours:.0f} simulated cluster-hours")
    assert hours >= HOURS


def test_the_same_seed_is_the_same_history() -> None:
    actions = draw(5, 1.0)
    assert simulate(actions, 5) == simulate(actions, 5)


# -- planted bugs ------------------------------------------------------------------------------------------


class _Hasty(SimStore):
    """Says that all is durable when it is not."""

    def commit(self, changes: Sequence[Change]) -> Awaitable[None]:
        done = super().commit(changes)
        for subscriber in self._subscribers:
            subscriber(changes)
        return done

    def flushed(self) -> Awaitable[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class _Forgetful(SimStore):
    """Loses a write now and then, and says nothing."""

    count = 0

    def _write(self, count: int) -> None:
        self.count += 1
        if self.count % 3 == 0:
            for changes, _ in self._queue[:count]:
                changes.clear()
        super()._write(count)


class _HastyControl(Control):
    store_class = _Hasty


class _ForgetfulControl(Control):
    store_class = _Forgetful


class _HastySimulation(Simulation):
    control_class = _HastyControl


class _ForgetfulSimulation(Simulation):
    control_class = _ForgetfulControl


def found(make: type[Simulation] = Simulation) -> str:
    """The first failure among the seeds."""
    for seed in range(PLANTED_SEEDS):
        if failure := failure_of(draw(seed, PLANTED_HOURS), seed, make):
            return failure
    return ""


def test_an_order_before_its_write_is_found() -> None:
    assert "before it was durable" in found(_HastySimulation)


def test_a_lost_write_is_found() -> None:
    assert found(_ForgetfulSimulation)


def test_too_many_tasks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "upper_bound", lambda desired, _: desired * 10)
    assert found().startswith("AssertionError")


def test_too_few_tasks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "lower_bound", lambda *_: 0)
    assert found().startswith("AssertionError")


def test_a_status_that_goes_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = agents.observe

    def believing(task: Task, report: TaskReport, now: float) -> Task:
        return replace(real(task, report, now), last=report.status or task.last)

    monkeypatch.setattr(agents, "observe", believing)
    assert "SubmitTaskStateChange" in found()


def test_a_failure_is_shortened_and_can_be_read_back() -> None:
    class Fragile(Simulation):
        def kill_control(self) -> None:
            super().kill_control()
            if self.is_slow:
                self.fail(AssertionError("killed while the store was slow"))

    actions: list[Action] = [
        (40.0, "crash", 1),
        (50.0, "slow_store", 59),
        (60.0, "scale", 3),
        (70.0, "kill_control", 1),
    ]
    assert failure_of(actions, 1, Fragile)
    shortest = shrink(actions, 1, Fragile)
    assert [name for _, name, _ in shortest] == ["slow_store", "kill_control"]
    assert read(shown(shortest, 1, "why: because")) == (1, shortest)
