"""Services, task sets, service deployments and revisions → wire (ECS API reference, "Service" and what it holds)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from monitor.api.ecs.tags import wire_tags
from monitor.api.ecs.views import counts, filled
from monitor.model import arn as arns
from monitor.model.capacity import Strategy
from monitor.model.rollout import ServiceDeployment, ServiceRevision, Share
from monitor.model.service import DAEMON, EXTERNAL, Deployment, Service
from monitor.model.state import State
from monitor.scheduler.rollout import share_counts
from monitor.scheduler.task_sets import computed_count


def wire_strategy(strategy: Strategy) -> list[dict[str, Any]]:
    return [{"capacityProvider": i.provider, "weight": i.weight, "base": i.base} for i in strategy]


def _capacity(launch_type: str, strategy: Strategy) -> dict[str, Any]:
    """A capacity provider strategy stands in the place of the launch type."""
    if strategy:
        return {"capacityProviderStrategy": wire_strategy(strategy)}
    return filled(launchType=launch_type)


def deployment_configuration(s: Service) -> dict[str, Any]:
    return {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        **s.config.get("deploymentConfiguration", {}),
        "minimumHealthyPercent": s.minimum_healthy_percent,
        "maximumPercent": s.maximum_percent,
        "strategy": s.rollout,
    }


def deployment(state: State, s: Service, d: Deployment) -> dict[str, Any]:
    running, pending = counts(t for t in state.live_tasks_of_service(s.arn) if t.deployment_id == d.id)
    return {
        "id": d.id,
        "status": d.status,
        "taskDefinition": d.definition_arn,
        "desiredCount": s.desired_count if d.status == "PRIMARY" else 0,
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": d.failed_tasks,
        "createdAt": d.created_at,
        "updatedAt": d.updated_at,
        **_capacity(d.launch_type or s.launch_type, d.strategy or s.strategy),
        **{k: s.config[k] for k in ("platformVersion", "networkConfiguration") if k in s.config},
        "rolloutState": d.rollout_state,
        "rolloutStateReason": d.rollout_reason,
    }


def service(state: State, s: Service, include: AbstractSet[str]) -> dict[str, Any]:
    running, pending = counts(state.live_tasks_of_service(s.arn))
    events = [
        {"id": e.id, "createdAt": e.at, "message": e.message}
        for e in reversed(list(state.events_of_service(s.arn)))
    ]
    has_sets, is_over = s.controller == EXTERNAL, s.status == "INACTIVE"
    body = {
        "loadBalancers": [],
        "serviceRegistries": [],
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
        "propagateTags": "NONE",
        **s.config,
        "availabilityZoneRebalancing": "ENABLED" if s.rebalances else "DISABLED",
        "deploymentController": {"type": s.controller},
        "serviceArn": s.arn,
        "serviceName": s.name,
        "clusterArn": s.cluster_arn,
        "status": s.status,
        "desiredCount": s.desired_count,
        "runningCount": running,
        "pendingCount": pending,
        **_capacity(s.launch_type, s.strategy),
        **filled(taskDefinition=s.definition_arn),
        "deploymentConfiguration": deployment_configuration(s),
        "deployments": [] if has_sets or is_over else [deployment(state, s, d) for d in s.deployments],
        "taskSets": [task_set(state, s, d) for d in s.deployments] if has_sets and not is_over else [],
        "events": events,
        "createdAt": s.created_at,
        "placementConstraints": [dict(c) for c in s.placement_constraints],
        "placementStrategy": [dict(p) for p in s.placement_strategy],
        "healthCheckGracePeriodSeconds": s.health_check_grace_seconds,
        "schedulingStrategy": s.scheduling,
        "createdBy": s.created_by,
    }
    if s.scheduling == DAEMON or has_sets:
        body["deploymentConfiguration"].pop("strategy", None)
    if s.primary.record_arn and not is_over:
        body["currentServiceDeployment"] = s.primary.record_arn
        body["currentServiceRevisions"] = [
            _revision_share(d.revision_arn, share_counts(state, s, d.revision_arn)) for d in s.deployments
        ]
    if "TAGS" in include:
        body["tags"] = wire_tags(s.tags)
    return body


def task_set(state: State, s: Service, d: Deployment, with_tags: bool = False) -> dict[str, Any]:
    running, pending = counts(t for t in state.live_tasks_of_service(s.arn) if t.deployment_id == d.id)
    scope, cluster_name = arns.scope_of(s.arn), arns.short(s.cluster_arn)
    return filled(
        id=d.id,
        taskSetArn=arns.task_set(scope, cluster_name, s.name, d.id),
        serviceArn=s.arn,
        clusterArn=s.cluster_arn,
        externalId=d.external_id,
        status=d.status,
        taskDefinition=d.definition_arn,
        computedDesiredCount=computed_count(s, d),
        pendingCount=pending,
        runningCount=running,
        createdAt=d.created_at,
        updatedAt=d.updated_at,
        scale={"value": d.scale, "unit": "PERCENT"},
        stabilityStatus="STEADY_STATE" if d.stable_at is not None else "STABILIZING",
        stabilityStatusAt=d.stable_at or d.updated_at,
        loadBalancers=[],
        serviceRegistries=[],
        tags=wire_tags(d.tags) if with_tags else None,
        **_capacity(d.launch_type, d.strategy),
    )


def _revision_share(arn: str, numbers: tuple[int, int, int]) -> dict[str, Any]:
    requested, running, pending = numbers
    return {
        "arn": arn,
        "requestedTaskCount": requested,
        "runningTaskCount": running,
        "pendingTaskCount": pending,
    }


def service_deployment_brief(d: ServiceDeployment) -> dict[str, Any]:
    return filled(
        serviceDeploymentArn=d.arn,
        serviceArn=d.service_arn,
        clusterArn=d.cluster_arn,
        startedAt=d.started_at,
        createdAt=d.created_at,
        finishedAt=d.finished_at,
        targetServiceRevisionArn=d.target.revision_arn,
        status=d.status,
        statusReason=d.reason,
    )


def service_deployment(state: State, d: ServiceDeployment) -> dict[str, Any]:
    """While it is under way its counts are those of the tasks now; at its end they were frozen."""
    s = state.services.get(d.service_arn)

    def share(part: Share) -> dict[str, Any]:
        live = share_counts(state, s, part.revision_arn) if s is not None else (0, 0, 0)
        return _revision_share(part.revision_arn, part.counts or live)

    body = service_deployment_brief(d)
    body.pop("targetServiceRevisionArn")
    body |= filled(
        updatedAt=d.updated_at,
        stoppedAt=d.stopped_at,
        sourceServiceRevisions=[share(part) for part in d.sources],
        targetServiceRevision=share(d.target),
        lifecycleStage=d.lifecycle_stage,
        deploymentConfiguration=dict(d.config),
        deploymentCircuitBreaker=_breaker(s, d),
        alarms=filled(
            status=d.alarm_status,
            alarmNames=list((d.config.get("alarms") or {}).get("alarmNames") or ()),
            triggeredAlarmNames=list(d.alarms_triggered),
        ),
    )
    if d.rollback is not None:
        body["rollback"] = {
            "reason": d.rollback.reason,
            "startedAt": d.rollback.started_at,
            "serviceRevisionArn": d.rollback.revision_arn,
        }
    waits = s is not None and s.primary.record_arn == d.arn and s.primary.hook_id
    if s is not None and waits:
        hook = next((h for h in s.hooks if s.primary.stage in h.stages), None)
        body["lifecycleHookDetails"] = [
            filled(
                hookId=s.primary.hook_id,
                targetType="PAUSE",
                status="AWAITING_ACTION",
                expiresAt=s.primary.stage_since + hook.timeout_minutes * 60.0 if hook else None,
                timeoutAction=hook.action if hook else None,
            )
        ]
    return body


def _breaker(s: Service | None, d: ServiceDeployment) -> dict[str, Any]:
    failures = d.breaker_failures
    own = next((x for x in s.deployments if x.id == d.deployment_id), None) if s is not None else None
    if own is not None and not d.is_final and d.breaker_status != "DISABLED":
        failures = own.breaker_failures
    return {"status": d.breaker_status, "failureCount": failures, "threshold": d.breaker_threshold}


def service_revision(state: State, r: ServiceRevision) -> dict[str, Any]:
    """`containerImages`: the digest is that of the images its tasks have pulled."""
    digests: dict[str, str] = {}
    for t in state.live_tasks_of_service(r.service_arn):
        if t.definition_arn == r.definition_arn:
            digests |= {c.name: c.image_digest for c in t.containers if c.image_digest}
    return filled(
        serviceRevisionArn=r.arn,
        serviceArn=r.service_arn,
        clusterArn=r.cluster_arn,
        taskDefinition=r.definition_arn,
        containerImages=[
            filled(containerName=name, image=image, imageDigest=digest or digests.get(name, ""))
            for name, image, digest in r.images
        ],
        createdAt=r.created_at,
        guardDutyEnabled=False,
        loadBalancers=[],
        serviceRegistries=[],
        **r.config,
        **_capacity(r.launch_type, r.strategy),
    )
