"""Census: a service's tasks, sorted by what the scheduler can count on.

A task belongs to exactly one of: `standbys`, `lost_standbys`, `lost`, or `live` (which is `wanted` and `stopping`).
Tasks that were given up on an instance that is still lost, and those on one that was deregistered, belong to none:
nobody can say whether they run, and nothing may wait for their end.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from monitor.model.service import Service
from monitor.model.task import RUNNING, UNHEALTHY, Task
from monitor.scheduler.plan import Plan
from monitor.scheduler.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Census:
    standbys: list[Task]  # wanted ones, on instances that can be heard
    lost_standbys: list[Task]
    lost: list[Task]  # meant to run, on an instance that is lost
    live: list[Task]
    wanted: list[Task]
    stopping: list[Task]
    bad: list[Task]  # those of `wanted` that are unhealthy beyond their grace period
    leaving: list[
        Task
    ]  # those of `wanted` that are to be replaced elsewhere: their instance is DRAINING, or moving

    @property
    def leaving_arns(self) -> frozenset[str]:
        return frozenset(t.arn for t in self.leaving)

    @property
    def bad_arns(self) -> frozenset[str]:
        return frozenset(t.arn for t in self.bad)

    def holding(self, stopped: Set[str]) -> set[str]:
        """Deployments that still have tasks; of what is `stopped` in this look only tasks that ran are waited for."""
        held = {t.deployment_id for t in self.live}
        return held | {t.deployment_id for t in (*self.lost, *self.standbys) if t.arn not in stopped}


def take(snapshot: Snapshot, service: Service, plan: Plan) -> Census:
    """`plan` is told when a grace period ends."""
    census = Census([], [], [], [], [], [], [], [])
    for task in snapshot.state.live_tasks_of_service(service.arn):
        instance = snapshot.state.instances.get(task.instance_arn)
        if instance is not None and instance.status == "INACTIVE":
            continue
        is_lost = instance is None or instance.is_lost(snapshot.now)
        is_wanted = task.desired == RUNNING
        if task.standby:
            if is_wanted:
                (census.lost_standbys if is_lost else census.standbys).append(task)
        elif is_lost:
            if is_wanted:
                census.lost.append(task)
        else:
            census.live.append(task)
            (census.wanted if is_wanted else census.stopping).append(task)
            is_draining = instance is not None and instance.status == "DRAINING"
            if is_wanted and (is_draining or task.arn == service.moving):
                census.leaving.append(task)
    census.bad.extend(t for t in census.wanted if _is_unhealthy(t, service, snapshot.now, plan))
    return census


def _is_unhealthy(task: Task, service: Service, now: float, plan: Plan) -> bool:
    if task.last != RUNNING or task.health != UNHEALTHY:
        return False
    grace_ends = (task.started_at or 0.0) + service.health_check_grace_seconds
    if grace_ends > now:
        plan.look_again(grace_ends)
        return False
    return True
