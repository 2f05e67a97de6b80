"""The task's status lattice: what an observation does to a task.

Status never goes back, and a second delivery of any report changes nothing: the agent may repeat itself,
and its news may be old (agent protocol, SubmitTaskStateChange). Why a task stopped is made here: the agent
reports causes on containers, stopCode and stoppedReason are the control plane's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.model.event import Reason
from monitor.model.task import (
    ESSENTIAL_CONTAINER_EXITED,
    ORDER,
    RUNNING,
    STOPPED,
    TASK_FAILED_TO_START,
    Container,
    Facts,
    Task,
)

REASON_LIMIT = 1024  # agents cut reasons to this
CONTAINER_ORDER = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}


@dataclass(frozen=True, slots=True)
class ContainerReport:
    name: str
    status: str = ""
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    network_bindings: tuple[Mapping[str, Any], ...] = ()
    image_digest: str = ""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One SubmitTaskStateChange. Times are the agent's own; a report can be late."""

    status: str = ""
    reason: str = ""
    containers: tuple[ContainerReport, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def observe(task: Task, report: TaskReport, now: float) -> Task:
    """The task after the report; the same object when the report says nothing new."""
    containers = tuple(_merge(c, report.containers) for c in task.containers)
    new = replace(
        task,
        containers=containers,
        pull_started_at=task.pull_started_at or report.pull_started_at,
        pull_stopped_at=task.pull_stopped_at or report.pull_stopped_at,
        execution_stopped_at=task.execution_stopped_at or report.execution_stopped_at,
    )
    ended = [c for c in containers if c.essential and c.last == STOPPED]
    if ended and new.desired == RUNNING:
        new = stop(new, _reason_of(new, ended[0], report), now)
    if report.status in ORDER and ORDER[report.status] > ORDER[new.last]:
        new = _advance(new, report, now)
    if new == task:
        return task
    if new.desired != RUNNING and ended and new.execution_stopped_at is None:
        new = replace(new, execution_stopped_at=now)
    return new


def stop(task: Task, reason: Reason, now: float) -> Task:
    """Want the task stopped. The first reason stays: a later one explains less."""
    if task.desired == STOPPED:
        return task
    return replace(
        task,
        desired=STOPPED,
        stop_code=reason.stop_code,
        stopped_reason=reason.text[:REASON_LIMIT],
        stopping_at=now,
    )


def observe_health(task: Task, health: Mapping[str, str]) -> Task:
    """Container name → HEALTHY, UNHEALTHY or UNKNOWN."""
    containers = tuple(
        replace(c, health=health[c.name]) if c.last != STOPPED and c.name in health else c
        for c in task.containers
    )
    if containers == task.containers:
        return task
    return replace(task, containers=containers)


def observe_facts(task: Task, facts: Mapping[str, Facts]) -> Task:
    """What our agent knows of a container's end. The first account stays."""
    containers = tuple(
        replace(c, facts=facts[c.name]) if c.facts is None and c.name in facts else c for c in task.containers
    )
    return task if containers == task.containers else replace(task, containers=containers)


def forget_unplaced(task: Task, reason: Reason, now: float) -> Task:
    """The task's instance is gone for good and can never report: close the record."""
    stopped = stop(task, reason, now)
    return replace(
        stopped,
        last=STOPPED,
        stopped_at=now,
        containers=tuple(replace(c, last=STOPPED) for c in stopped.containers),
    )


def _merge(container: Container, reports: tuple[ContainerReport, ...]) -> Container:
    for report in reports:
        if report.name != container.name:
            continue
        forward = CONTAINER_ORDER.get(report.status, -1) > CONTAINER_ORDER.get(container.last, 0)
        container = replace(
            container,
            last=report.status if forward else container.last,
            runtime_id=container.runtime_id or report.runtime_id,
            exit_code=report.exit_code if container.exit_code is None else container.exit_code,
            reason=container.reason or report.reason[:REASON_LIMIT],
            network_bindings=container.network_bindings or report.network_bindings,
            image_digest=container.image_digest or report.image_digest,
        )
    return container


def _reason_of(task: Task, container: Container, report: TaskReport) -> Reason:
    never_ran = container.exit_code is None and container.reason != "" and task.last != RUNNING
    if never_ran:
        return Reason(TASK_FAILED_TO_START, container.reason or report.reason or "Task failed to start")
    return Reason(ESSENTIAL_CONTAINER_EXITED, "Essential container in task exited")


def _advance(task: Task, report: TaskReport, now: float) -> Task:
    status = report.status
    task = replace(task, last=status)
    if ORDER[status] >= ORDER[RUNNING] and task.started_at is None and _did_run(task, status):
        task = replace(task, started_at=min(now, report.execution_stopped_at or now))
    if status != STOPPED:
        return task
    if task.desired != STOPPED:
        task = stop(task, _why_all_ended(task, report), now)
    return replace(
        task,
        stopped_at=now,
        containers=tuple(replace(c, last=STOPPED) for c in task.containers),
    )


def _did_run(task: Task, status: str) -> bool:
    if status == RUNNING:
        return True
    return any(c.exit_code is not None for c in task.containers)


def _why_all_ended(task: Task, report: TaskReport) -> Reason:
    failed = next((c.reason for c in task.containers if c.reason), "")
    if task.started_at is None:
        return Reason(TASK_FAILED_TO_START, report.reason or failed or "Task failed to start")
    return Reason(ESSENTIAL_CONTAINER_EXITED, report.reason or "Essential container in task exited")


def is_known_status(text: str) -> bool:
    return text in ORDER
