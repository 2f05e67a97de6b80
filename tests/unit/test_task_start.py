"""The stages of a task's start."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from monitor.model.resources import Resources
from monitor.model.task import RUNNING, STOPPED, Container, Task
from monitor.task_start import Stage, start_of


def task(check: bool = False, **more: Any) -> Task:
    container = Container("c", "app", "i", last=RUNNING, has_health_check=check)
    made = Task(
        "t", "cl", "d:1", "in", 100.0, (container,), Resources(1, 1), "g", last=RUNNING, started_at=109.0
    )
    return replace(made, **more)


def test_each_stage_has_its_own_times() -> None:
    found = start_of(task(True, pull_started_at=101.0, pull_stopped_at=105.0), 120.0)
    assert found.stages == (
        Stage("order", 100.0, 101.0),
        Stage("pull", 101.0, 105.0),
        Stage("create and start", 105.0, 109.0),
        Stage("health check", 109.0, 120.0),
    )
    assert (found.begin, found.end, found.failure) == (100.0, 120.0, "")


def test_an_image_that_is_there_is_not_pulled() -> None:
    found = start_of(task(), 120.0)
    assert found.stages == (Stage("create and start", 100.0, 109.0),)
    assert found.end == 109.0


def test_two_clocks_that_differ_never_make_time_run_backwards() -> None:
    found = start_of(task(pull_started_at=99.0, pull_stopped_at=110.5), 120.0)
    assert found.stages == (
        Stage("order", 100.0, 100.0),
        Stage("pull", 100.0, 110.5),
        Stage("create and start", 110.5, 110.5),
    )
    assert found.end == 110.5


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan, 1e300, -1e300])
def test_an_agent_may_say_any_time(odd: float) -> None:
    up = start_of(task(pull_started_at=odd, pull_stopped_at=odd), 120.0)
    down = start_of(task(last=STOPPED, started_at=None, execution_stopped_at=odd, pull_started_at=odd), 120.0)
    for found in (up, down):
        times = [found.begin, *(t for s in found.stages for t in (s.begin, s.end)), found.end]
        assert times == sorted(times)
        assert all(100.0 <= t <= 120.0 for t in times)


def test_the_stage_it_ended_in_is_the_last() -> None:
    ended = {
        "last": STOPPED,
        "started_at": None,
        "stop_code": "TaskFailedToStart",
        "stopped_reason": "no image",
    }
    pulling = start_of(task(pull_started_at=101.0, stopped_at=104.0, **ended), 120.0)
    assert [(s.name, s.end) for s in pulling.stages] == [("order", 101.0), ("pull", 104.0)]
    assert pulling.failure == "TaskFailedToStart: no image"
    creating = start_of(task(pull_started_at=101.0, pull_stopped_at=102.0, stopped_at=104.0, **ended), 120.0)
    assert creating.stages[-1] == Stage("create and start", 102.0, 104.0)
    unhealthy = start_of(
        task(True, last=STOPPED, stop_code="ServiceSchedulerInitiated", execution_stopped_at=112.0), 120.0
    )
    assert unhealthy.stages[-1] == Stage("health check", 109.0, 112.0)
    assert unhealthy.failure == "", "somebody wanted it stopped"
