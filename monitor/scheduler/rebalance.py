"""Availability zone rebalancing: one task at a time from the fullest zone to the emptiest (ECS developer guide,
"Balancing an Amazon ECS service across Availability Zones").

Only for a settled service, never during a deployment. The task that goes is remembered in `Service.moving`; it counts
as one to be replaced, so that its replacement runs before it stops.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.model.event import Reason
from monitor.model.service import COMPLETED
from monitor.model.task import SERVICE_SCHEDULER_INITIATED, Task
from monitor.scheduler.backoff import FREE_ROUNDS
from monitor.scheduler.placement import AVAILABILITY_ZONE, Refusal
from monitor.scheduler.plan import Explain, Start
from monitor.scheduler.rolling import upper_bound

if TYPE_CHECKING:
    from monitor.scheduler.replicas import ReplicaLook

MOVED = Reason(SERVICE_SCHEDULER_INITIATED, "Task moved to another Availability Zone by rebalancing.")


def applies(look: ReplicaLook) -> bool:
    service = look.service
    strategy = service.placement_strategy
    first = strategy[0] if strategy else {"type": "spread", "field": f"attribute:{AVAILABILITY_ZONE}"}
    by_zone = first.get("type") == "spread" and first.get("field") == f"attribute:{AVAILABILITY_ZONE}"
    return (
        service.rebalances
        and by_zone
        and service.maximum_percent > 100
        and service.primary.rollout_state == COMPLETED
        and not service.primary.backoff_step
        and upper_bound(service.desired_count, service.maximum_percent) > service.desired_count
    )


def balance(look: ReplicaLook) -> None:
    if not applies(look) or not look.is_settled():
        return
    zones = _zones(look)
    if len(zones) < 2:
        return
    tasks = _by_zone(look)
    counts = {zone: len(tasks.get(zone, ())) for zone in zones}
    fullest = max(sorted(counts), key=lambda z: counts[z])
    emptiest = min(sorted(counts), key=lambda z: counts[z])
    if counts[fullest] - counts[emptiest] <= 1:
        return
    free = look.unprotected(tasks[fullest])
    if not free:
        return
    provider = free[0].capacity_provider
    spot = look.place(look.service.primary, provider, only=zones[emptiest])
    if isinstance(spot, Refusal):
        return
    victim = max(free, key=lambda t: (t.created_at, t.arn))
    look.add_start(look.service.primary, [Start(spot, victim.arn, provider)])
    look.started += 1
    look.service = replace(look.service, moving=victim.arn)
    shown = ", ".join(f"{counts[z]} in {z}" for z in sorted(counts))
    look.plan.verbs.append(
        Explain(
            look.service.arn,
            f"is not AZ balanced with {shown}. AZ Rebalancing in progress.",
            "SERVICE_REBALANCING_STARTED",
        )
    )


def _zones(look: ReplicaLook) -> dict[str, frozenset[str]]:
    """Zone → the instances there that take tasks."""
    found: dict[str, set[str]] = {}
    for instance in look.snapshot.state.capacity_of(look.service.cluster_arn):
        if instance.takes_tasks:
            found.setdefault(instance.attributes.get(AVAILABILITY_ZONE, ""), set()).add(instance.arn)
    return {zone: frozenset(arns) for zone, arns in found.items()}


def _by_zone(look: ReplicaLook) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for task in look.census.wanted:
        instance = look.snapshot.state.instances[task.instance_arn]
        found.setdefault(instance.attributes.get(AVAILABILITY_ZONE, ""), []).append(task)
    return found


def forget_moved(look: ReplicaLook) -> None:
    """The task to be moved has ended by itself, or its replacement cannot be started: nothing is moving any more."""
    moving = look.service.moving
    if not moving:
        return
    if look.service.primary.backoff_step > FREE_ROUNDS:
        look.plan.verbs.append(
            Explain(
                look.service.arn,
                "stopped AZ Rebalancing: a task that was started for it failed.",
                "SERVICE_REBALANCING_STOPPED",
            )
        )
        look.leaving -= {moving}
    elif any(t.arn == moving for t in look.census.wanted):
        return
    look.service = replace(look.service, moving="")


def moved(look: ReplicaLook) -> None:
    """The task has been ordered to stop: say so when the zones are even now."""
    look.service = replace(look.service, moving="")
    counts = Counter(dict.fromkeys(_zones(look), 0))
    for zone, tasks in _by_zone(look).items():
        counts[zone] += sum(1 for t in tasks if t.arn not in look.stopped)
    if max(counts.values()) - min(counts.values()) <= 1:
        shown = ", ".join(f"{count} in {zone}" for zone, count in sorted(counts.items()))
        look.plan.verbs.append(
            Explain(look.service.arn, f"is AZ balanced with {shown}.", "SERVICE_REBALANCING_COMPLETED")
        )
