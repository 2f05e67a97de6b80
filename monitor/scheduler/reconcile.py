"""reconcile: look at everything, say what to do.

Level-triggered: it compares what should run with what does, so a lost event costs time, never correctness.
The same snapshot gives the same plan, and a plan once applied leaves nothing more to plan (fixpoint).
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.event import Reason
from monitor.model.service import ACTIVE, DAEMON, DRAINING, ECS, EXTERNAL, INACTIVE, REPLICA, Service
from monitor.model.task import RUNNING, STOPPED, TERMINATION_NOTICE, Task
from monitor.scheduler.daemon import DaemonLook
from monitor.scheduler.placement import Placer
from monitor.scheduler.plan import CloseTask, Forget, Plan, RetireDefinition, SettleTask
from monitor.scheduler.quiet import Glance
from monitor.scheduler.replicas import ReplicaLook
from monitor.scheduler.snapshot import Snapshot
from monitor.scheduler.task_sets import TaskSetLook


def reconcile(snapshot: Snapshot) -> Plan:
    plan = Plan()
    placer = Placer(snapshot.state)
    ended = _ended_by_service(snapshot, plan, _close_orphans(snapshot, plan))
    glance = Glance(snapshot)
    for service in _in_order(snapshot):
        if service.arn not in ended and glance.is_quiet(service, plan):
            continue
        look = _LOOKS[service.controller, service.scheduling]
        look(snapshot, plan, placer, service, ended.get(service.arn, [])).run()
    _look_at_instances(snapshot, plan)
    _retire_definitions(snapshot, plan)
    _forget_old(snapshot, plan)
    return plan


_LOOKS: dict[tuple[str, str], type[ReplicaLook] | type[DaemonLook] | type[TaskSetLook]] = {
    (ECS, REPLICA): ReplicaLook,
    (ECS, DAEMON): DaemonLook,
    (EXTERNAL, REPLICA): TaskSetLook,
}


def _in_order(snapshot: Snapshot) -> list[Service]:
    """Daemons first: on a new instance they start before replicas take its room."""
    living = [s for s in snapshot.state.services.values() if s.status in (ACTIVE, DRAINING)]
    return sorted(living, key=lambda s: s.scheduling != DAEMON)


def _ended_by_service(snapshot: Snapshot, plan: Plan, orphans: Iterable[Task]) -> dict[str, list[Task]]:
    """Tasks whose end has not been counted yet; those of no living service are settled here."""
    ended: dict[str, list[Task]] = {}
    for task in [*snapshot.state.unsettled.values(), *orphans]:
        service = snapshot.state.services.get(task.service_arn)
        if service is not None and service.status in (ACTIVE, DRAINING):
            ended.setdefault(task.service_arn, []).append(task)
        else:
            plan.verbs.append(SettleTask(task.arn))
    return ended


def _close_orphans(snapshot: Snapshot, plan: Plan) -> list[Task]:
    """Tasks on an instance that was deregistered by force cannot report any more. Returns those that were meant to
    run: their end is news."""
    reason = Reason(TERMINATION_NOTICE, "Container instance was deregistered while the task was on it.")
    orphans: list[Task] = []
    for instance in snapshot.state.instances.values():
        if instance.status != "INACTIVE":
            continue
        for task in snapshot.state.live_tasks_on(instance.arn):
            plan.verbs.append(CloseTask(task.arn, reason))
            if task.desired == RUNNING:
                orphans.append(task)
    return orphans


def _look_at_instances(snapshot: Snapshot, plan: Plan) -> None:
    for instance in snapshot.state.instances.values():
        if instance.lost_at is not None and instance.lost_at > snapshot.now:
            plan.look_again(instance.lost_at)


def _retire_definitions(snapshot: Snapshot, plan: Plan) -> None:
    state = snapshot.state
    if not state.deleting:
        return
    used = {s.definition_arn for s in state.services.values() if s.status != INACTIVE}
    used |= {d.definition_arn for s in state.services.values() for d in s.deployments if s.status != INACTIVE}
    used |= {s.completed.definition_arn for s in state.services.values() if s.completed is not None}
    used |= {t.definition_arn for i in state.instances for t in state.live_tasks_on(i)}
    for arn in state.deleting:
        if arn not in used:
            plan.verbs.append(RetireDefinition(arn))


def _forget_old(snapshot: Snapshot, plan: Plan) -> None:
    """Drop stopped tasks by age, oldest first: work for those due, not for all that are kept."""
    state, due = snapshot.state, snapshot.now - snapshot.task_retention_seconds
    for arn in state.stopped:
        task = state.tasks.get(arn)
        if task is None:
            continue
        if task.last != STOPPED or (task.stopped_at or 0.0) > due:
            break
        plan.verbs.append(Forget(task))
    gone = snapshot.now - snapshot.inactive_retention_seconds
    retired: list[Service | Cluster | ContainerInstance] = [
        *state.services.values(),
        *state.clusters.values(),
    ]
    retired += state.instances.values()
    for entity in retired:
        if entity.inactive_at is not None and entity.inactive_at <= gone:
            plan.verbs.append(Forget(entity))
