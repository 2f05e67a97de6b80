"""Scale-in protection of tasks (ECS API reference, UpdateTaskProtection)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.api.ecs.views import filled
from monitor.api.operation import Context, Outcome, Params, answer, bounded, missing, operation
from monitor.model.cluster import Cluster
from monitor.model.errors import invalid_parameter
from monitor.model.state import Put
from monitor.model.task import RUNNING, Task

DEFAULT_MINUTES, MOST_MINUTES = 120, 2880


def _find(ctx: Context, cluster: Cluster, name: str) -> Task | dict[str, str]:
    """The task, or why it can have no protection."""
    arn = ctx.task_arn(cluster, name)
    task = ctx.state.tasks.get(arn)
    if task is None or task.cluster_arn != cluster.arn or task.standby:
        return missing(arn)
    if not task.service_arn or task.desired != RUNNING:
        what = "is not part of a service" if not task.service_arn else "is stopping"
        return {"arn": arn, "reason": "TASK_NOT_VALID", "detail": f"The task {what}: it cannot be protected."}
    return task


def _view(task: Task, now: float) -> dict[str, Any]:
    is_on = task.is_protected(now)
    return filled(
        taskArn=task.arn,
        protectionEnabled=is_on,
        expirationDate=task.protected_until if is_on else None,
    )


@operation("ecs", "UpdateTaskProtection")
def update_task_protection(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params["cluster"])
    minutes = params.get("expiresInMinutes", DEFAULT_MINUTES)
    if not 1 <= minutes <= MOST_MINUTES:
        raise invalid_parameter(f"expiresInMinutes must be between 1 and {MOST_MINUTES}, got {minutes}.")
    until = ctx.now + minutes * 60.0 if params["protectionEnabled"] else None
    changed, failures = [], []
    for name in bounded(params["tasks"], "Tasks", 10):
        found = _find(ctx, cluster, name)
        if isinstance(found, Task):
            changed.append(replace(found, protected_until=until))
        else:
            failures.append(found)
    body = {"protectedTasks": [_view(t, ctx.now) for t in changed], "failures": failures}
    return Outcome(lambda _: body, tuple(Put(t) for t in changed))


@operation("ecs", "GetTaskProtection")
def get_task_protection(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params["cluster"])
    shown, failures = [], []
    for name in bounded(params.get("tasks"), "Tasks", 100):
        found = _find(ctx, cluster, name)
        if isinstance(found, Task):
            shown.append(_view(found, ctx.now))
        else:
            failures.append(found)
    return answer({"protectedTasks": shown, "failures": failures})
