"""Service deployments and revisions: make, list, describe, stop, continue (ECS API reference).

The records are made here with each deployment; the scheduler moves them on (monitor/scheduler/rollout.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.ecs import service_views as views
from monitor.api.operation import (
    Context,
    Outcome,
    Params,
    answer,
    bounded,
    missing,
    operation,
    page,
    with_token,
)
from monitor.model import arn as arns
from monitor.model.alarm import ALARM
from monitor.model.errors import ClientFault, invalid_parameter, service_not_found
from monitor.model.rollout import (
    FINAL,
    IN_PROGRESS,
    PENDING,
    ROLLBACK_REQUESTED,
    STOP_REQUESTED,
    ServiceDeployment,
    ServiceRevision,
    Share,
)
from monitor.model.service import BLUE_GREEN, Deployment, Service
from monitor.model.state import Drop, Put
from monitor.scheduler.rollout import alarms_of, threshold

HISTORY_SECONDS = 90 * 86400.0  # ECS keeps ninety days
RECORDS_A_SERVICE = 1000


def new_deployment(ctx: Context, service: Service) -> tuple[Deployment, ServiceRevision, ServiceDeployment]:
    """The deployment of the service as it is now asked for, with its revision and record."""
    cluster = arns.short(service.cluster_arn)
    deployment_id = f"ecs-svc/{ctx.ids.digits()}"
    definition = ctx.state.definitions[service.definition_arn]
    revision = ServiceRevision(
        arn=arns.service_revision(ctx.scope, cluster, service.name, ctx.ids.digits()),
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        definition_arn=service.definition_arn,
        created_at=ctx.now,
        launch_type=service.launch_type,
        strategy=service.strategy,
        images=tuple((c.name, c.image, "") for c in definition.containers),
        config={
            k: service.config[k] for k in ("networkConfiguration", "platformVersion") if k in service.config
        },
    )
    breaker = service.circuit_breaker
    record = ServiceDeployment(
        arn=arns.service_deployment(ctx.scope, cluster, service.name, ctx.ids.hex()[:21]),
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        deployment_id=deployment_id,
        target=Share(revision.arn),
        sources=tuple(Share(d.revision_arn) for d in service.deployments if d.revision_arn),
        created_at=ctx.now,
        updated_at=ctx.now,
        config=views.deployment_configuration(service),
        breaker_status="MONITORING" if breaker.enable else "DISABLED",
        breaker_threshold=threshold(breaker, service.desired_count) if breaker.enable else 0,
        alarm_status="MONITORING" if service.alarms.enable else "DISABLED",
    )
    alarmed = any(a.state == ALARM for a in alarms_of(ctx.state, service))
    deployment = Deployment(
        id=deployment_id,
        definition_arn=service.definition_arn,
        created_at=ctx.now,
        updated_at=ctx.now,
        rollout_reason=f"ECS deployment {deployment_id} in progress.",
        revision_arn=revision.arn,
        record_arn=record.arn,
        alarms_watched=not alarmed,
        stage=_first_stage(service),
        stage_since=ctx.now,
    )
    return deployment, revision, record


def _first_stage(service: Service) -> str:
    completed = service.completed
    if service.rollout != BLUE_GREEN or completed is None:
        return ""  # without a deployment that worked there is nothing to keep beside the new one
    if all(d.id != completed.id for d in service.deployments):
        return ""
    return "RECONCILE_SERVICE" if len(service.deployments) > 1 else "PRE_SCALE_UP"


def outdated(ctx: Context, service: Service) -> tuple[Drop, ...]:
    """Records beyond ninety days, or beyond a thousand; oldest first, so the work is for those that go."""
    drops: list[Drop] = []
    records = ctx.state.service_deployments_of(service.arn)
    used = {d.revision_arn for d in service.deployments}
    if service.completed is not None:
        used.add(service.completed.revision_arn)
    for position, record in enumerate(records):
        is_old = record.created_at < ctx.now - HISTORY_SECONDS or len(records) - position > RECORDS_A_SERVICE
        if not is_old:
            break
        if record.status not in FINAL:
            continue
        drops.append(Drop(record))
        revision = ctx.state.revisions.get(record.target.revision_arn)
        if revision is not None and revision.arn not in used:
            drops.append(Drop(revision))
    return tuple(drops)


@operation("ecs", "ListServiceDeployments")
def list_service_deployments(ctx: Context, params: Params) -> Outcome:
    """Newest first, 20 a page."""
    cluster = ctx.cluster(params.get("cluster"))
    arn = ctx.service_arn(cluster, params["service"])
    if arn not in ctx.state.services:
        raise service_not_found()
    statuses = frozenset(params.get("status") or ())
    created = params.get("createdAt") or {}
    after, before = _time(created, "after", float("-inf")), _time(created, "before", float("inf"))
    oldest = ctx.now - HISTORY_SECONDS
    wanted = {
        d.arn: d
        for d in reversed(ctx.state.service_deployments_of(arn))
        if (not statuses or d.status in statuses) and max(after, oldest) <= d.created_at <= before
    }
    chunk, token = page(list(wanted), params, default=20)
    body = {"serviceDeployments": [views.service_deployment_brief(wanted[a]) for a in chunk]}
    return answer(with_token(body, token))


def _time(bounds: Mapping[str, Any], name: str, default: float) -> float:
    value = bounds.get(name)
    return default if value is None else float(value)


@operation("ecs", "DescribeServiceDeployments")
def describe_service_deployments(ctx: Context, params: Params) -> Outcome:
    found, failures = [], []
    for arn in bounded(params["serviceDeploymentArns"], "Service deployment ARNs", 20):
        record = ctx.state.service_deployments.get(arn)
        if record is None or arns.parse(arn).scope != ctx.scope:
            failures.append(missing(arn))
        else:
            found.append(views.service_deployment(ctx.state, record))
    return answer({"serviceDeployments": found, "failures": failures})


@operation("ecs", "DescribeServiceRevisions")
def describe_service_revisions(ctx: Context, params: Params) -> Outcome:
    found, failures = [], []
    for arn in bounded(params["serviceRevisionArns"], "Service revision ARNs", 20):
        revision = ctx.state.revisions.get(arn)
        if revision is None or arns.parse(arn).scope != ctx.scope:
            failures.append(missing(arn))
        else:
            found.append(views.service_revision(ctx.state, revision))
    return answer({"serviceRevisions": found, "failures": failures})


def _record(ctx: Context, arn: str) -> ServiceDeployment:
    """Raises ServiceDeploymentNotFoundException."""
    record = ctx.state.service_deployments.get(arn)
    if record is None or arns.parse(arn).scope != ctx.scope:
        raise ClientFault("ServiceDeploymentNotFoundException", "The service deployment was not found.")
    return record


@operation("ecs", "StopServiceDeployment")
def stop_service_deployment(ctx: Context, params: Params) -> Outcome:
    """ROLLBACK goes back to the newest completed deployment; ABORT leaves things as they are."""
    record = _record(ctx, params["serviceDeploymentArn"])
    kind = params.get("stopType") or "ROLLBACK"
    if kind not in ("ROLLBACK", "ABORT"):
        raise invalid_parameter("stopType should be one of [ABORT, ROLLBACK].")
    if record.status not in (PENDING, IN_PROGRESS):
        raise ClientFault(
            "ConflictException",
            f"The service deployment cannot be stopped: its status is {record.status}.",
        )
    asked = ROLLBACK_REQUESTED if kind == "ROLLBACK" else STOP_REQUESTED
    stopped = replace(record, status=asked, updated_at=ctx.now)
    return Outcome(lambda _: {"serviceDeploymentArn": record.arn}, (Put(stopped),))


@operation("ecs", "ContinueServiceDeployment")
def continue_service_deployment(ctx: Context, params: Params) -> Outcome:
    """A person's answer to a PAUSE hook: go on, or go back."""
    record = _record(ctx, params["serviceDeploymentArn"])
    service = ctx.state.services.get(record.service_arn)
    waits = service is not None and service.primary.record_arn == record.arn and service.primary.hook_id != ""
    if service is None or not waits or service.primary.hook_id != params["hookId"]:
        raise invalid_parameter("The service deployment does not wait at the hook that hookId names.")
    if (params.get("action") or "CONTINUE") == "ROLLBACK":
        back = replace(record, status=ROLLBACK_REQUESTED, updated_at=ctx.now)
        return Outcome(lambda _: {"serviceDeploymentArn": record.arn}, (Put(back),))
    primary = service.primary
    passed = replace(primary, hooks_passed=(*primary.hooks_passed, primary.stage), hook_id="")
    going = replace(service, deployments=(passed, *service.deployments[1:]))
    return Outcome(lambda _: {"serviceDeploymentArn": record.arn}, (Put(going),))
