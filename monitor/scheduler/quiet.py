"""Quiet: which services a look can pass over, because it is plain at a glance that they need nothing.

Most services of a large installation are whole most of the time. The counts the state keeps (State.calm_of) tell so
without touching a task; a full look at such a service would find nothing to do (property-tested).
"""

from __future__ import annotations

from monitor.model.cluster import ContainerInstance
from monitor.model.service import ACTIVE, COMPLETED, DAEMON, ECS, Service
from monitor.scheduler.look import STEADY_AGAIN_SECONDS
from monitor.scheduler.placement import AVAILABILITY_ZONE
from monitor.scheduler.plan import Plan
from monitor.scheduler.snapshot import Snapshot


class Glance:
    """One look's view of what is plain; made once for all services."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._state, self._now = snapshot.state, snapshot.now
        self._troubled = {
            task.service_arn
            for instance in snapshot.state.instances.values()
            if instance.status != ACTIVE or instance.lost_at is not None or not instance.agent_connected
            for task in snapshot.state.live_tasks_on(instance.arn)
        }
        self._zones: dict[str, int] = {}
        self._takers: dict[str, int] = {}

    def is_quiet(self, service: Service, plan: Plan) -> bool:
        """`plan` is told when the service is to be looked at again all the same."""
        if not self._is_whole(service) or service.arn in self._troubled:
            return False
        if service.rebalances and not self._is_balanced(service):
            return False
        plan.look_again((service.steady_at or 0.0) + STEADY_AGAIN_SECONDS)
        return True

    def _is_whole(self, service: Service) -> bool:
        steady_at = service.steady_at
        if (
            steady_at is None
            or self._now - steady_at >= STEADY_AGAIN_SECONDS
            or len(service.deployments) != 1
        ):
            return False
        if service.status != ACTIVE or service.controller != ECS:
            return False
        if service.scheduling == DAEMON and not self._covers(service):
            return False
        deployment = service.deployments[0]
        unsettled = (
            deployment.rollout_state != COMPLETED
            or deployment.failed_tasks
            or deployment.backoff_step
            or deployment.owed
            or service.complaint
            or service.moving
            or service.warm_standby
        )
        if unsettled:
            return False
        desired, state = service.desired_count, self._state
        return state.live_count_of(service.arn) == desired == state.calm_of(service.arn).get(deployment.id, 0)

    def _covers(self, service: Service) -> bool:
        """Whether a daemon that may run anywhere has as many tasks as there are instances that take tasks."""
        takers = self._takers.get(service.cluster_arn)
        if takers is None:
            found = self._state.capacity_of(service.cluster_arn)
            takers = self._takers[service.cluster_arn] = sum(1 for i in found if i.takes_tasks)
        return not service.placement_constraints and takers == service.desired_count

    def _is_balanced(self, service: Service) -> bool:
        """Whether zones play no part: there is one at most, or the tasks are spread over as many as they can be."""
        zones = self._zones.get(service.cluster_arn)
        if zones is None:
            takers = (i for i in self._state.capacity_of(service.cluster_arn) if i.takes_tasks)
            zones = self._zones[service.cluster_arn] = len({_zone(i) for i in takers})
        if zones < 2:
            return True
        counts: dict[str, int] = {}
        for arn, count in self._state.spread_of(service.cluster_arn, f"service:{service.name}").items():
            zone = _zone(self._state.instances[arn])
            counts[zone] = counts.get(zone, 0) + count
        least = min(counts.values(), default=0) if len(counts) >= zones else 0
        return max(counts.values(), default=0) - least <= 1


def _zone(instance: ContainerInstance) -> str:
    return instance.attributes.get(AVAILABILITY_ZONE, "")
