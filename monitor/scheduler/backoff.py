"""Restart back-off: how long a deployment waits after its tasks fail, again and again.

ECS does not publish its steps, only the ceiling of 27 minutes. Ours: a failure is a task that ended by
itself before it had run for `healthy_after_seconds`; the first two failed rounds are replaced at once, from
the third on the wait doubles from 10 s up to 1,620 s. Tasks that were already running when a round began do
not lengthen it again, so three tasks failing together count as one round. A task that outlives the threshold
ends the back-off.
"""

from __future__ import annotations

from dataclasses import replace

from monitor.model.service import Deployment
from monitor.model.task import ESSENTIAL_CONTAINER_EXITED, TASK_FAILED_TO_START, Task

FREE_ROUNDS = 2
FIRST_SECONDS = 10.0
CEILING_SECONDS = 1620.0


def delay(step: int) -> float:
    """Seconds to wait after the `step`-th failed round in a row (1 is the first)."""
    if step <= FREE_ROUNDS:
        return 0.0
    return min(FIRST_SECONDS * 2.0 ** min(step - FREE_ROUNDS - 1, 20), CEILING_SECONDS)


def is_failure(task: Task, healthy_after_seconds: float) -> bool:
    """Whether the ended task counts against its deployment."""
    if task.stop_code == TASK_FAILED_TO_START:
        return True
    if task.stop_code != ESSENTIAL_CONTAINER_EXITED:
        return False
    return lifetime(task) < healthy_after_seconds


def lifetime(task: Task) -> float:
    """Seconds it ran, by the earliest end that is known; 0 when it never did.

    The start is told by our clock and `execution_stopped_at` by the agent's: one that lies before the start says
    that the clocks differ, and counts for nothing.
    """
    started = task.started_at
    if started is None:
        return 0.0
    ends = (task.execution_stopped_at, task.stopping_at, task.stopped_at)
    return min((end - started for end in ends if end is not None and end >= started), default=0.0)


def count(deployment: Deployment, task: Task, now: float) -> Deployment:
    """The deployment after one failure."""
    deployment = add_failure(deployment, now)
    if task.created_at < deployment.step_at:
        return deployment
    step = deployment.backoff_step + 1
    return replace(deployment, backoff_step=step, step_at=now, retry_at=now + delay(step))


def add_failure(deployment: Deployment, now: float) -> Deployment:
    """One more failed task, for failedTasks and for the circuit breaker."""
    failed, breaker = deployment.failed_tasks + 1, deployment.breaker_failures + 1
    return replace(deployment, failed_tasks=failed, breaker_failures=breaker, updated_at=now)


def clear(deployment: Deployment, now: float) -> Deployment:
    return replace(deployment, failed_tasks=0, backoff_step=0, step_at=0.0, retry_at=0.0, updated_at=now)
