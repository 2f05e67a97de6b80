"""How a deployment goes: circuit breaker, alarms, rollback, and the record people look up (ECS developer guide,
"Deployment circuit breaker", "CloudWatch alarms"; ECS API reference, "ServiceDeployment"). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from monitor.model import arn as arns
from monitor.model import rollout as record_states
from monitor.model.alarm import ALARM, Alarm, alarm_arn
from monitor.model.rollout import Rollback, ServiceDeployment, Share
from monitor.model.service import (
    ACTIVE,
    BLUE_GREEN,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    CircuitBreaker,
    Deployment,
    Service,
)
from monitor.model.state import State
from monitor.model.task import ORDER, RUNNING
from monitor.scheduler import backoff
from monitor.scheduler.snapshot import Snapshot

LEAST_FAILURES, MOST_FAILURES = 3, 200  # bounds of BOUNDED_PERCENT
BREAKER_REASON = "ECS deployment circuit breaker: task failed to start."
ALARM_REASON = "ECS deployment failed: alarm detected."
STOPPED_REASON = "ECS deployment was stopped by a user."


def threshold(breaker: CircuitBreaker, desired: int) -> int:
    """Failed tasks at which the deployment fails."""
    if breaker.kind == "COUNT":
        return max(1, breaker.value)
    share = math.ceil(desired * breaker.value / 100)
    if breaker.kind == "UNBOUNDED_PERCENT":
        return max(1, share)
    return min(max(share, LEAST_FAILURES), MOST_FAILURES)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the newest deployment fails. `told` completes the service event, `origin` the rollback's reason."""

    reason: str
    told: str
    origin: str
    rollback: bool


def verdict(state: State, service: Service) -> Verdict | None:
    """Whether the newest deployment, which is under way, has failed."""
    primary, breaker = service.primary, service.circuit_breaker
    if primary.rollout_state != IN_PROGRESS:
        return None
    record = state.service_deployments.get(primary.record_arn)
    if record is not None and record.deployment_id == primary.id:
        if record.status == record_states.ROLLBACK_REQUESTED:
            return Verdict(STOPPED_REASON, "stopped by a user", "ECS deployment was stopped by a user", True)
        if record.status == record_states.STOP_REQUESTED:
            return Verdict(STOPPED_REASON, "stopped by a user", "", False)
    if breaker.enable and primary.breaker_failures >= threshold(breaker, service.desired_count):
        return Verdict(
            BREAKER_REASON, "tasks failed to start", "ECS deployment circuit breaker", breaker.rollback
        )
    if primary.alarms_watched and any(a.state == ALARM for a in alarms_of(state, service)):
        return Verdict(ALARM_REASON, "alarm detected", "ECS deployment alarm", service.alarms.rollback)
    return None


def alarms_of(state: State, service: Service) -> list[Alarm]:
    """The deployment alarms that exist; none when they are not enabled."""
    if not service.alarms.enable:
        return []
    scope = arns.scope_of(service.arn)
    found = (state.alarms.get(alarm_arn(scope.region, scope.account, name)) for name in service.alarms.names)
    return [alarm for alarm in found if alarm is not None]


def fail(service: Service, why: Verdict, now: float) -> Service:
    """The newest deployment FAILED: it launches nothing more, what runs stays."""
    failed = replace(
        service.primary, rollout_state=FAILED, rollout_reason=why.reason, owed=(), stage="", updated_at=now
    )
    return replace(service, deployments=(failed, *service.deployments[1:]), complaint="", moving="")


def roll_back(service: Service, why: Verdict, now: float) -> Service | None:
    """The newest completed deployment becomes the wanted one again. None: there is none to go back to, or it is the
    one that fails."""
    back = service.completed
    if back is None or back.id == service.primary.id:
        return None
    failed = fail(service, why, now).primary
    primary = replace(
        backoff.clear(back, now),
        status="PRIMARY",
        rollout_state=IN_PROGRESS,
        rollout_reason=f"{why.origin}: rolling back to deploymentId {back.id}.",
        breaker_failures=0,
        baking_since=None,
        # The alarm that ended the newer deployment is still in ALARM: it must not end the way back too.
        alarms_watched=False,
        record_arn=failed.record_arn,
        owed=(),
        stage="",
    )
    others = tuple(d for d in service.deployments[1:] if d.id != back.id)
    return replace(
        service,
        deployments=(primary, replace(failed, status="ACTIVE"), *others),
        definition_arn=back.definition_arn,
        complaint="",
        moving="",
    )


def bake_seconds(state: State, service: Service) -> float:
    """How long alarms are watched after all tasks run."""
    if service.rollout == BLUE_GREEN:
        return 0.0  # a stage of its own
    if service.bake_minutes is not None:
        return service.bake_minutes * 60.0
    if not service.primary.alarms_watched:
        return 0.0
    return max((a.window_seconds for a in alarms_of(state, service)), default=0.0)


def complete(service: Service, now: float) -> Service:
    primary = service.primary
    done = replace(
        primary,
        rollout_state=COMPLETED,
        rollout_reason=f"ECS deployment {primary.id} completed.",
        stage="",
        updated_at=now,
    )
    return replace(service, deployments=(done, *service.deployments[1:]), completed=done)


# -- records ----------------------------------------------------------------------------------------------


def records(
    snapshot: Snapshot, before: Service, after: Service, failed: Deployment | None
) -> Iterator[ServiceDeployment]:
    """The records that change by this look, in which `failed` was given up."""
    seen: set[str] = set()
    for deployment in (*after.deployments, *before.deployments):
        record = snapshot.state.service_deployments.get(deployment.record_arn)
        if record is None or record.is_final or record.arn in seen:
            continue
        seen.add(record.arn)
        changed = _stand(snapshot, record, after, failed)
        if changed != record:
            yield replace(changed, updated_at=snapshot.now)


def _stand(
    snapshot: Snapshot, record: ServiceDeployment, service: Service, failed: Deployment | None
) -> ServiceDeployment:
    primary = service.primary
    if failed is not None and failed.id == record.deployment_id:
        record = _monitors(record, service, failed)
    if service.status != ACTIVE:
        return _finished(snapshot, record, service, record_states.STOPPED, "The service was deleted.")
    if primary.record_arn != record.arn:
        return _finished(
            snapshot, record, service, record_states.STOPPED, "A newer deployment took its place."
        )
    is_rollback = primary.id != record.deployment_id
    if is_rollback and record.rollback is None:
        reason = failed.rollout_reason if failed is not None else primary.rollout_reason
        rollback = Rollback(reason, snapshot.now, primary.revision_arn)
        record = replace(record, status=record_states.ROLLBACK_IN_PROGRESS, rollback=rollback, reason=reason)
    if primary.rollout_state == COMPLETED:
        status = record_states.ROLLBACK_SUCCESSFUL if is_rollback else record_states.SUCCESSFUL
        return _finished(snapshot, record, service, status, primary.rollout_reason)
    if primary.rollout_state == FAILED:
        asked = is_rollback or record.status == record_states.ROLLBACK_REQUESTED
        status = record_states.ROLLBACK_FAILED if asked else record_states.STOPPED
        return _finished(snapshot, record, service, status, primary.rollout_reason)
    if record.status == record_states.PENDING:
        record = replace(record, status=record_states.IN_PROGRESS, started_at=snapshot.now)
    return replace(record, lifecycle_stage=primary.stage)


def _finished(
    snapshot: Snapshot, record: ServiceDeployment, service: Service, status: str, reason: str
) -> ServiceDeployment:
    """Its last state, with the counts of this moment."""
    own = next((d for d in service.deployments if d.id == record.deployment_id), None)
    if own is not None:
        record = _monitors(record, service, own)
    stopped = snapshot.now if status == record_states.STOPPED else record.stopped_at
    return replace(
        record,
        status=status,
        reason=reason,
        started_at=record.started_at or snapshot.now,
        finished_at=snapshot.now,
        stopped_at=stopped,
        target=_counted(snapshot.state, service, record.target),
        sources=tuple(_counted(snapshot.state, service, s) for s in record.sources),
        lifecycle_stage="",
    )


def _monitors(record: ServiceDeployment, service: Service, own: Deployment) -> ServiceDeployment:
    """What the circuit breaker and the alarms have seen at the end of the deployment `own`."""
    if service.circuit_breaker.enable and record.breaker_status != "TRIGGERED":
        tripped = own.rollout_state == FAILED and own.rollout_reason == BREAKER_REASON
        record = replace(
            record,
            breaker_status="TRIGGERED" if tripped else "MONITORING_COMPLETE",
            breaker_failures=own.breaker_failures,
            breaker_threshold=threshold(service.circuit_breaker, service.desired_count),
        )
    if service.alarms.enable and record.alarm_status != "TRIGGERED":
        alarmed = own.rollout_state == FAILED and own.rollout_reason == ALARM_REASON
        record = replace(record, alarm_status="TRIGGERED" if alarmed else "MONITORING_COMPLETE")
    return record


def _counted(state: State, service: Service, share: Share) -> Share:
    return replace(share, counts=share_counts(state, service, share.revision_arn))


def share_counts(state: State, service: Service, revision_arn: str) -> tuple[int, int, int]:
    """(requested, running, pending) of a revision's tasks now."""
    mine = {d.id for d in service.deployments if d.revision_arn == revision_arn}
    running = pending = 0
    for task in state.live_tasks_of_service(service.arn):
        if task.deployment_id in mine and not task.standby:
            running += task.last == RUNNING
            pending += ORDER[task.last] < ORDER[RUNNING]
    requested = service.desired_count if service.primary.revision_arn == revision_arn else 0
    return requested, running, pending
