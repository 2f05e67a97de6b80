"""Classes of stops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model import task as tasks
from monitor.model.resources import Resources
from monitor.model.stop import CLASSES, failed_pulls, repository, stop_class
from monitor.model.task import Container, Facts, Task

APP = Container(arn="c", name="app", image="host:5000/team/app:1.2@sha256:ab")
TASK = Task("t", "cluster", "d", "i", 0.0, (APP,), Resources(0, 0), "g")


def ended(code: str, told: str = "", **container: object) -> Task:
    app = replace(APP, **container)  # type: ignore[arg-type]
    return replace(TASK, stop_code=code, stopped_reason=told, containers=(app,))


@pytest.mark.parametrize(
    ("task", "meant"),
    [
        (ended(tasks.ESSENTIAL_CONTAINER_EXITED, exit_code=0), "Exited"),
        (ended(tasks.ESSENTIAL_CONTAINER_EXITED, exit_code=3), "Failed"),
        (ended(tasks.ESSENTIAL_CONTAINER_EXITED, exit_code=137), "Killed"),
        (ended(tasks.ESSENTIAL_CONTAINER_EXITED, exit_code=137, facts=Facts(oom_killed=True)), "OutOfMemory"),
        (ended(tasks.ESSENTIAL_CONTAINER_EXITED, exit_code=137, reason="OutOfMemoryError: x"), "OutOfMemory"),
        (ended(tasks.TASK_FAILED_TO_START, reason="CannotPullContainerError: no"), "ImagePull"),
        (ended(tasks.TASK_FAILED_TO_START, reason="CannotStartContainerError: no"), "NotStarted"),
        (ended(tasks.SERVICE_SCHEDULER_INITIATED, "Task failed container health checks"), "Unhealthy"),
        (ended(tasks.SERVICE_SCHEDULER_INITIATED, "Scaling activity initiated by (deployment d)"), "Scaling"),
        (ended(tasks.SERVICE_SCHEDULER_INITIATED, "Task moved off its container instance"), "Moved"),
        (ended(tasks.USER_INITIATED, "Task stopped by user"), "User"),
        (ended(tasks.INFRASTRUCTURE_HEALTH), "InstanceLost"),
        (ended(tasks.TERMINATION_NOTICE), "InstanceLost"),
    ],
)
def test_class(task: Task, meant: str) -> None:
    assert stop_class(task) == meant
    assert meant in CLASSES


def test_a_sidecar_that_is_not_essential_decides_nothing() -> None:
    sidecar = replace(APP, name="side", essential=False, exit_code=3)
    task = replace(
        ended(tasks.ESSENTIAL_CONTAINER_EXITED, exit_code=0), containers=(replace(APP, exit_code=0), sidecar)
    )
    assert stop_class(task) == "Exited"


def test_pulls_that_failed_are_named_without_tag_and_digest() -> None:
    assert failed_pulls(
        ended(tasks.TASK_FAILED_TO_START, container_reason := "CannotPullContainerError: no")
    ) == ["host:5000/team/app"], container_reason
    assert failed_pulls(ended(tasks.TASK_FAILED_TO_START, "other")) == []


@pytest.mark.parametrize(
    ("image", "meant"),
    [
        ("busybox", "busybox"),
        ("busybox:1", "busybox"),
        ("h:5/a", "h:5/a"),
        ("h:5/a:1@sha256:x", "h:5/a"),
        ("", ""),
    ],
)
def test_repository(image: str, meant: str) -> None:
    assert repository(image) == meant
