"""What reports do to a task: reasons, times, and a status that only goes forward."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model.event import Reason
from monitor.model.resources import Resources
from monitor.model.task import Container, Facts, Task
from monitor.scheduler.lifecycle import (
    REASON_LIMIT,
    ContainerReport,
    TaskReport,
    forget_unplaced,
    is_known_status,
    observe,
    observe_facts,
    observe_health,
    stop,
)

NOW = 1000.0


def made(*extra: Container, last: str = "PENDING") -> Task:
    containers = (Container("a1", "app", "image"), *extra)
    return Task("t", "c", "d", "i", NOW, containers, Resources(), "g", last=last)


SIDECAR = Container("a2", "side", "image", essential=False)


def said(name: str = "app", **members: object) -> ContainerReport:
    return ContainerReport(name, **members)  # type: ignore[arg-type]


def test_running_then_ended() -> None:
    binding = {"hostPort": 32768}
    report = TaskReport(
        "RUNNING",
        containers=(
            said(status="RUNNING", runtime_id="x", network_bindings=(binding,), image_digest="sha256:1"),
        ),
        pull_started_at=NOW + 1,
        pull_stopped_at=NOW + 2,
    )
    task = observe(made(), report, NOW + 3)
    assert (task.last, task.started_at) == ("RUNNING", NOW + 3)
    assert (task.pull_started_at, task.pull_stopped_at) == (NOW + 1, NOW + 2)
    c = task.containers[0]
    assert (c.last, c.runtime_id, c.network_bindings, c.image_digest) == (
        "RUNNING",
        "x",
        (binding,),
        "sha256:1",
    )
    task = observe(task, TaskReport(containers=(said(status="STOPPED", exit_code=3),)), NOW + 9)
    assert (task.last, task.desired, task.stop_code) == ("RUNNING", "STOPPED", "EssentialContainerExited")
    assert task.stopped_reason == "Essential container in task exited"
    assert (task.stopping_at, task.execution_stopped_at) == (NOW + 9, NOW + 9)
    task = observe(task, TaskReport("STOPPED", execution_stopped_at=NOW + 8), NOW + 10)
    assert (task.last, task.stopped_at, task.execution_stopped_at) == ("STOPPED", NOW + 10, NOW + 9)


def test_the_agents_own_time_of_the_end_is_kept() -> None:
    report = TaskReport(containers=(said(status="STOPPED", exit_code=0),), execution_stopped_at=NOW + 4)
    assert observe(made(last="RUNNING"), report, NOW + 9).execution_stopped_at == NOW + 4


def test_a_task_seen_only_at_its_end_did_run() -> None:
    report = TaskReport(
        "STOPPED", containers=(said(status="STOPPED", exit_code=0),), execution_stopped_at=NOW + 4
    )
    task = observe(made(), report, NOW + 9)
    assert (task.started_at, task.stop_code) == (NOW + 4, "EssentialContainerExited")


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (
            TaskReport("STOPPED", containers=(said(status="STOPPED", reason="CannotPull: no"),)),
            "CannotPull: no",
        ),
        (TaskReport("STOPPED", "ResourceInitializationError: x"), "ResourceInitializationError: x"),
        (TaskReport("STOPPED"), "Task failed to start"),
    ],
)
def test_a_task_that_never_ran_failed_to_start(report: TaskReport, reason: str) -> None:
    task = observe(made(), report, NOW + 1)
    assert (task.stop_code, task.stopped_reason) == ("TaskFailedToStart", reason)
    assert task.started_at is None
    assert all(c.last == "STOPPED" for c in task.containers)


def test_a_sidecar_that_fails_to_start_is_the_cause() -> None:
    report = TaskReport("STOPPED", containers=(said("side", status="STOPPED", reason="CannotStart"),))
    task = observe(made(SIDECAR), report, NOW)
    assert (task.stop_code, task.stopped_reason) == ("TaskFailedToStart", "CannotStart")


def test_a_sidecar_that_ends_stops_nothing() -> None:
    report = TaskReport(containers=(said("side", status="STOPPED", exit_code=0),))
    task = observe(made(SIDECAR, last="RUNNING"), report, NOW)
    assert (task.desired, task.containers[1].last) == ("RUNNING", "STOPPED")


def test_all_containers_of_a_running_task_ended_without_a_word() -> None:
    running = observe(made(), TaskReport("RUNNING"), NOW)
    task = observe(running, TaskReport("STOPPED"), NOW + 5)
    assert task.stop_code == "EssentialContainerExited"


@pytest.mark.parametrize(
    "late",
    [
        TaskReport("PENDING"),
        TaskReport("RUNNING", containers=(said(status="RUNNING"), said("unknown", status="STOPPED"))),
        TaskReport("NONSENSE", containers=(said(status="NONSENSE"),)),
        TaskReport(),
    ],
)
def test_late_and_odd_news_changes_nothing(late: TaskReport) -> None:
    ended = observe(made(), TaskReport("STOPPED", containers=(said(status="STOPPED", exit_code=1),)), NOW)
    assert observe(ended, late, NOW + 50) is ended


def test_the_first_reason_stays() -> None:
    task = stop(made(), Reason("UserInitiated", "x" * 5000), NOW)
    assert len(task.stopped_reason) == REASON_LIMIT
    assert stop(task, Reason("Other", "later"), NOW + 1) is task
    ended = observe(task, TaskReport("STOPPED", containers=(said(status="STOPPED", exit_code=137),)), NOW + 2)
    assert ended.stop_code == "UserInitiated"
    assert ended.containers[0].exit_code == 137


def test_an_exit_code_may_come_after_the_end() -> None:
    gone = observe(made(last="RUNNING"), TaskReport(containers=(said(status="STOPPED"),)), NOW)
    assert gone.desired == "STOPPED"
    known = observe(gone, TaskReport("STOPPED", containers=(said(status="STOPPED", exit_code=137),)), NOW + 1)
    assert known.containers[0].exit_code == 137
    assert observe(known, TaskReport(containers=(said(exit_code=0),)), NOW + 2) is known


def test_reasons_are_cut() -> None:
    task = observe(made(), TaskReport(containers=(said(status="STOPPED", reason="y" * 5000),)), NOW)
    assert len(task.containers[0].reason) == REASON_LIMIT


def test_health_of_what_still_runs() -> None:
    task = observe_health(made(SIDECAR, last="RUNNING"), {"app": "HEALTHY", "nobody": "UNHEALTHY"})
    assert (task.containers[0].health, task.containers[1].health) == ("HEALTHY", "UNKNOWN")
    assert observe_health(task, {"app": "HEALTHY"}) is task
    over = replace(task, containers=tuple(replace(c, last="STOPPED") for c in task.containers))
    assert observe_health(over, {"app": "UNHEALTHY"}) is over


def test_the_first_account_of_an_end_stays() -> None:
    first, second = Facts(oom_killed=True), Facts()
    task = observe_facts(made(), {"app": first})
    assert task.containers[0].facts == first
    assert observe_facts(task, {"app": second, "other": second}) is task


def test_closing_the_record_of_a_task_that_can_never_report() -> None:
    task = forget_unplaced(made(SIDECAR, last="RUNNING"), Reason("TerminationNotice", "gone"), NOW + 1)
    assert (task.last, task.desired, task.stop_code, task.stopped_at) == (
        "STOPPED",
        "STOPPED",
        "TerminationNotice",
        NOW + 1,
    )
    assert {c.last for c in task.containers} == {"STOPPED"}


def test_known_statuses() -> None:
    assert is_known_status("DEACTIVATING")
    assert not is_known_status("FLYING")
