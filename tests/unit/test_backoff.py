"""Back-off arithmetic, the rolling percentages, and how long a task ran."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model.resources import Resources
from monitor.model.service import Deployment
from monitor.model.task import Task
from monitor.scheduler import backoff, rolling

NOW = 1000.0


def task(code: str = "EssentialContainerExited", **times: float | None) -> Task:
    made = Task("t", "c", "d", "i", times.pop("created_at", NOW) or NOW, (), Resources(), "g", stop_code=code)
    return replace(made, **times)  # type: ignore[arg-type]


def test_the_ladder() -> None:
    steps = [backoff.delay(n) for n in range(13)]
    assert steps == [0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 1280, 1620, 1620]
    assert backoff.delay(10_000) == 1620


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ({"started_at": None, "stopped_at": 50.0}, 0.0),
        ({"started_at": 10.0}, 0.0),
        ({"started_at": 10.0, "execution_stopped_at": 15.0, "stopping_at": 16.0, "stopped_at": 30.0}, 5.0),
        ({"started_at": 10.0, "stopping_at": 16.0}, 6.0),
        ({"started_at": 10.0, "stopped_at": 30.0}, 20.0),
        # the agent's clock is behind, or ahead
        ({"started_at": 100.0, "execution_stopped_at": 60.0, "stopping_at": 130.0}, 30.0),
        ({"started_at": 100.0, "execution_stopped_at": 900.0, "stopping_at": 101.0}, 1.0),
    ],
)
def test_lifetime(times: dict[str, float | None], seconds: float) -> None:
    assert backoff.lifetime(task(**times)) == seconds


def test_what_counts_as_a_failure() -> None:
    quick = {"started_at": 10.0, "execution_stopped_at": 12.0}
    assert backoff.is_failure(task("TaskFailedToStart"), 10)
    assert backoff.is_failure(task(**quick), 10)
    assert not backoff.is_failure(task(started_at=10.0, execution_stopped_at=20.0), 10)
    for code in (
        "UserInitiated",
        "ServiceSchedulerInitiated",
        "InfrastructureHealth",
        "TerminationNotice",
        "",
    ):
        assert not backoff.is_failure(task(code, **quick), 10)


def test_tasks_of_one_round_are_one_step() -> None:
    d = Deployment("id", "definition", 0.0, 0.0)
    d = backoff.count(d, task(created_at=NOW - 5), NOW)
    assert (d.failed_tasks, d.backoff_step, d.step_at, d.retry_at) == (1, 1, NOW, NOW)
    d = backoff.count(d, task(created_at=NOW - 1), NOW + 1)
    assert (d.failed_tasks, d.backoff_step) == (2, 1)
    d = backoff.count(d, task(created_at=NOW), NOW + 2)
    d = backoff.count(d, task(created_at=NOW + 2), NOW + 3)
    assert (d.failed_tasks, d.backoff_step, d.retry_at) == (4, 3, NOW + 13)
    d = backoff.clear(d, NOW + 30)
    assert (d.failed_tasks, d.backoff_step, d.retry_at, d.updated_at) == (0, 0, 0.0, NOW + 30)


@pytest.mark.parametrize(
    ("desired", "low", "high", "lower", "upper"),
    [
        (4, 50, 100, 2, 4),
        (4, 100, 200, 4, 8),
        (1, 100, 150, 1, 1),
        (3, 50, 150, 2, 4),
        (10, 0, 100, 0, 10),
        (0, 100, 200, 0, 0),
    ],
)
def test_percentages(desired: int, low: int, high: int, lower: int, upper: int) -> None:
    assert rolling.lower_bound(desired, low) == lower
    assert rolling.upper_bound(desired, high) == upper


def test_bounds_are_never_negative() -> None:
    assert rolling.startable(3, 4, 2) == 2
    assert rolling.startable(3, 4, 9) == 0
    assert rolling.startable(-1, 4, 0) == 0
    assert rolling.stoppable(4, 2) == 2
    assert rolling.stoppable(1, 2) == 0
