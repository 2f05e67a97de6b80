"""A task's start as stages with real times: what a trace shows of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitor.model import task as tasks
from monitor.model.task import STOPPED, Task

# Ends that somebody ordered are no failures of the start.
_ORDERED = (tasks.USER_INITIATED, tasks.SERVICE_SCHEDULER_INITIATED)


@dataclass(frozen=True, slots=True)
class Stage:
    """Times are seconds since the epoch; `end` is never before `begin`."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Start:
    """`failure` is "" when the task came up, or was stopped by an order before it did."""

    begin: float
    end: float
    stages: tuple[Stage, ...]
    failure: str = ""


def start_of(task: Task, now: float) -> Start:
    """The start of a task that has just come up (RUNNING, and HEALTHY where it has a health check) or ended.

    Stages: order (created, so placed, until its agent began to pull), pull, create and start (until RUNNING), health
    check. An image that is there already is not pulled: then "create and start" follows its creation. The agent's
    clock tells when it pulled, the control plane's the rest, so no time is let go before the one ahead of it.
    """
    latest = max(task.created_at, now)  # an agent can say anything: no time of its lies in the future
    ended = min(_end(task, now), latest)
    stages: list[Stage] = []
    at = task.created_at
    for name, mark in _marks(task, ended):
        stages.append(Stage(name, at, min(max(at, mark), latest)))
        at = stages[-1].end
    return Start(task.created_at, max(at, ended), tuple(stages), _failure(task))


def _marks(task: Task, ended: float) -> Iterator[tuple[str, float]]:
    """Each stage and its end; one in which the task ended is the last."""
    if task.pull_started_at is not None:
        yield "order", task.pull_started_at
        yield "pull", ended if task.pull_stopped_at is None else task.pull_stopped_at
        if task.pull_stopped_at is None:
            return
    if task.started_at is None:
        yield "create and start", ended
        return
    yield "create and start", task.started_at
    if task.has_health_check:
        yield "health check", ended


def _end(task: Task, now: float) -> float:
    if task.last == STOPPED:
        known = (task.execution_stopped_at, task.stopping_at, task.stopped_at)
        return next((t for t in known if t is not None), now)
    if task.has_health_check or task.started_at is None:
        return now
    return task.started_at


def _failure(task: Task) -> str:
    if task.last != STOPPED or task.stop_code in _ORDERED:
        return ""
    return f"{task.stop_code}: {task.stopped_reason}"
