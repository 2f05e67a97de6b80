"""The loop of service auto scaling: metric values → rules → a new desired count, an activity, an event.

What a policy must remember is in its `memory`, when an action last fired in `fired_at`: a restart changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from monitor.api.autoscaling import PREDEFINED, alarm_names, belongings
from monitor.clock import Clock, Ids
from monitor.control.recent import NAMESPACE, service_dimensions
from monitor.model import arn as arns
from monitor.model.alarm import ALARM, alarm_arn
from monitor.model.event import SCALING_ACTIVITY, Event
from monitor.model.scaling import ScalableTarget, ScalingActivity, ScalingPolicy, ScheduledAction
from monitor.model.service import ACTIVE, EXTERNAL, IN_PROGRESS, Service
from monitor.model.state import Change, Drop, Log, Put
from monitor.rules import schedule
from monitor.rules.scaling import LOW_POINTS, Wish, clamp, cooled, largest, step_to, track
from monitor.scheduler.plan import service_event
from monitor.store.base import Store

log = logging.getLogger("moorwatch.scaling")

EVERY_SECONDS = 10.0
ACTIVITIES_KEPT, ACTIVITY_SECONDS = 200, 42 * 86400.0
LATE_MINUTES = 60  # scheduled actions that were missed by more, while we were away, are let go


class MetricSource(Protocol):
    def minutes(
        self, namespace: str, metric: str, dimensions: Mapping[str, str], until: float, count: int
    ) -> list[float | None]: ...


class Scaling:
    def __init__(self, store: Store, metrics: MetricSource, clock: Clock, ids: Ids) -> None:
        self._store, self._metrics, self._clock, self._ids = store, metrics, clock, ids

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.look()

    def look(self) -> None:
        """Every target once. One that cannot be judged does not stop the others."""
        for target in list(self._store.state.scalable_targets.values()):
            try:
                changes = self.judge(target)
            except Exception:
                log.exception("service=%s cannot be scaled", target.service_arn)
                continue
            if changes:
                # Not awaited: a failed write ends the process (store.failed).
                self._store.commit(changes)

    def judge(self, target: ScalableTarget) -> list[Change]:
        state, now = self._store.state, self._clock.now()
        service = state.services.get(target.service_arn)
        if service is None or service.status != ACTIVE:
            return belongings(state, target)
        changes: list[Change] = []
        target, service = self._scheduled(target, service, now, changes)
        self._dynamic(target, service, now, changes)
        return changes

    # -- scheduled actions --------------------------------------------------------------------------

    def _scheduled(
        self, target: ScalableTarget, service: Service, now: float, changes: list[Change]
    ) -> tuple[ScalableTarget, Service]:
        if target.suspended.get("ScheduledScalingSuspended"):
            return target, service
        for action in self._store.state.scheduled_actions_of(target.service_arn):
            if not _is_due(action, now):
                continue
            changes.append(Put(replace(action, fired_at=now)))
            low = target.minimum if action.minimum is None else action.minimum
            high = target.maximum if action.maximum is None else action.maximum
            target = replace(target, minimum=low, maximum=max(low, high))
            changes.append(Put(target))
            count = clamp(service.desired_count, target.minimum, target.maximum)
            cause = f"scheduled action name {action.name} was triggered"
            service = self._scale(service, count, cause, now, changes)
        return target, service

    # -- policies -----------------------------------------------------------------------------------

    def _dynamic(self, target: ScalableTarget, service: Service, now: float, changes: list[Change]) -> None:
        state, current = self._store.state, service.desired_count
        policies = state.scaling_policies_of(target.service_arn)
        wishes: dict[str, Wish] = {}
        for policy in policies:
            wish = self._wish(policy, service, target, now, changes)
            if wish.capacity is not None:
                wishes[policy.name] = wish
        scalers_in = sum(
            1 for p in policies if p.kind != "StepScaling" and not p.config.get("DisableScaleIn")
        )
        chosen = largest(wishes.values(), current, min(scalers_in, len(policies)))
        if chosen is None or chosen.capacity is None:
            return
        policy = next(p for p in policies if wishes.get(p.name) is chosen)
        wanted = clamp(chosen.capacity, target.minimum, target.maximum)
        is_out = wanted > current
        suspended = target.suspended.get(
            "DynamicScalingOutSuspended" if is_out else "DynamicScalingInSuspended"
        )
        deploying = service.primary.rollout_state == IN_PROGRESS and service.controller != EXTERNAL
        if wanted == current or suspended or (not is_out and deploying):
            return
        allowed = cooled(policy.memory, policy.config, wanted, current, now)
        if allowed is None:
            return
        memory = {"at": now, "kind": "out" if is_out else "in", "to": allowed}
        changes.append(Put(replace(policy, memory=memory)))
        cause = f"monitor alarm {chosen.cause} in state ALARM triggered policy {policy.name}"
        self._scale(service, allowed, cause, now, changes)

    def _wish(
        self,
        policy: ScalingPolicy,
        service: Service,
        target: ScalableTarget,
        now: float,
        changes: list[Change],
    ) -> Wish:
        if policy.kind == "StepScaling":
            return self._step(policy, service)
        wish = track(policy.config, self._values(policy, service, now), service.desired_count)
        high, low = alarm_names(policy, target.resource_id)
        scope = arns.scope_of(service.arn)
        for name, value in ((high, wish.high), (low, wish.low)):
            alarm = self._store.state.alarms.get(alarm_arn(scope.region, scope.account, name))
            if alarm is not None and alarm.state != value:
                changes.append(Put(replace(alarm, state=value, changed_at=now)))
        return replace(wish, cause=high if wish.cause == "AlarmHigh" else low)

    def _values(self, policy: ScalingPolicy, service: Service, now: float) -> list[float | None]:
        predefined = (policy.config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
        if predefined:
            dimensions = service_dimensions(service.arn)
            return self._metrics.minutes(NAMESPACE, PREDEFINED[predefined], dimensions, now, LOW_POINTS)
        custom: Mapping[str, Any] = policy.config["CustomizedMetricSpecification"]
        given = {d["Name"]: d["Value"] for d in custom.get("Dimensions") or ()}
        return self._metrics.minutes(custom["Namespace"], custom["MetricName"], given, now, LOW_POINTS)

    def _step(self, policy: ScalingPolicy, service: Service) -> Wish:
        """An alarm in ALARM that names the policy lets it act, again and again while it lasts."""
        for alarm in self._store.state.alarms.values():
            if alarm.state != ALARM or policy.arn not in alarm.scaling_policies:
                continue
            if alarm.value is not None and alarm.threshold is not None:
                wanted = step_to(policy.config, service.desired_count, alarm.value, alarm.threshold)
                return Wish(wanted, alarm.name)
        return Wish()

    # -- doing --------------------------------------------------------------------------------------

    def _scale(self, service: Service, count: int, cause: str, now: float, changes: list[Change]) -> Service:
        """As UpdateService with nothing but desiredCount would: no deployment."""
        if count == service.desired_count:
            return service
        scaled = replace(service, desired_count=count)
        activity = ScalingActivity(
            id=self._ids.uuid(),
            service_arn=service.arn,
            started_at=now,
            ended_at=now,
            description=f"Setting desired count to {count}.",
            cause=cause,
            status="Successful",
            message=f"Successfully set desired count to {count}. Change successfully fulfilled by ecs.",
        )
        told = service_event(
            service,
            f"updated desired count to {count}.",
            self._ids.uuid(),
            now,
            "SERVICE_DESIRED_COUNT_UPDATED",
        )
        event = Event(
            id=self._ids.uuid(),
            at=now,
            kind=SCALING_ACTIVITY,
            cluster_arn=service.cluster_arn,
            service_arn=service.arn,
            message=f"desired count of {service.name}: {service.desired_count} → {count}, because {cause}",
        )
        changes += [Put(scaled), Put(activity), Log(told), Log(event), *self._old(service.arn, now)]
        return scaled

    def _old(self, service_arn: str, now: float) -> list[Change]:
        """Activities beyond six weeks, or beyond what is kept of a service; oldest first."""
        found = self._store.state.scaling_activities_of(service_arn)
        surplus = max(0, len(found) + 1 - ACTIVITIES_KEPT)
        return [Drop(a) for n, a in enumerate(found) if n < surplus or a.started_at < now - ACTIVITY_SECONDS]


def _is_due(action: ScheduledAction, now: float) -> bool:
    """Whether one of the minutes since it was last looked at is one of its own."""
    parsed = schedule.parse(action.schedule)
    zone = ZoneInfo(action.timezone or "UTC")
    begin = max(action.fired_at or action.created_at, now - LATE_MINUTES * 60)
    if action.starts_at is not None and begin < action.starts_at <= now:
        return True  # it runs once at its start, whatever the recurrence
    started = (
        datetime.fromtimestamp(action.starts_at or action.created_at, UTC)
        .astimezone(zone)
        .replace(tzinfo=None)
    )
    for minute in range(int(begin // 60) + 1, int(now // 60) + 1):
        at = minute * 60.0
        if (action.starts_at is not None and at < action.starts_at) or (
            action.ends_at is not None and at > action.ends_at
        ):
            continue
        local = datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)
        if parsed.is_due(local, started):
            return True
    return False
