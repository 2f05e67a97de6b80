"""Task sets of the EXTERNAL deployment controller (ECS API reference, CreateTaskSet and what follows)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.ecs import service_rules as rules
from monitor.api.ecs import service_views as views
from monitor.api.ecs.services import active_service, find_service
from monitor.api.ecs.tags import read_tags
from monitor.api.operation import Context, Outcome, Params, answer, missing, operation
from monitor.model import arn as arns
from monitor.model.cluster import Cluster
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.model.service import DRAINING, EXTERNAL, Deployment, Service
from monitor.model.state import Put

MOST_SETS = 5  # of a service that are not draining (ECS service quotas)


def _external(ctx: Context, params: Params) -> tuple[Cluster, Service]:
    cluster = ctx.cluster(params["cluster"])
    service = active_service(ctx, cluster, params["service"])
    if service.controller != EXTERNAL:
        raise invalid_parameter("Task sets belong to services of the deployment controller EXTERNAL.")
    return cluster, service


def _scale(given: Mapping[str, Any] | None, default: float) -> float:
    if not given:
        return default
    value = float(given.get("value", default))
    if (given.get("unit") or "PERCENT") != "PERCENT" or not 0 <= value <= 100:
        raise invalid_parameter("scale must have the unit PERCENT and a value between 0 and 100.")
    return value


def _find(ctx: Context, cluster: Cluster, service: Service, text: str) -> Deployment:
    """By id, or by ARN. Raises TaskSetNotFoundException."""
    for task_set in service.deployments:
        arn = arns.task_set(ctx.scope, cluster.name, service.name, task_set.id)
        if text in (task_set.id, arn, arns.short(task_set.id)):
            return task_set
    raise ClientFault("TaskSetNotFoundException", "The specified task set was not found.")


def _put(service: Service, task_set: Deployment) -> Service:
    kept = tuple(task_set if d.id == task_set.id else d for d in service.deployments)
    return replace(service, deployments=kept)


def _outcome(service: Service, task_set: Deployment) -> Outcome:
    arn, set_id = service.arn, task_set.id
    return Outcome(
        lambda s: {
            "taskSet": views.task_set(s, s.services[arn], _of(s.services[arn], set_id), with_tags=True)
        },
        (Put(service),),
    )


def _of(service: Service, set_id: str) -> Deployment:
    return next(d for d in service.deployments if d.id == set_id)


@operation("ecs", "CreateTaskSet")
def create_task_set(ctx: Context, params: Params) -> Outcome:
    cluster, service = _external(ctx, params)
    rules.refuse_unserved(params)
    definition = ctx.active_definition(params["taskDefinition"])
    rules.network(params, definition)
    launch, strategy = rules.capacity(ctx, cluster, params)
    if sum(1 for d in service.deployments if d.status != DRAINING) >= MOST_SETS:
        raise ClientFault("LimitExceededException", f"A service can have at most {MOST_SETS} task sets.")
    task_set = Deployment(
        id=f"ecs-svc/{ctx.ids.digits()}",
        definition_arn=definition.arn,
        created_at=ctx.now,
        updated_at=ctx.now,
        status="ACTIVE",
        launch_type=launch,
        strategy=strategy,
        scale=_scale(params.get("scale"), 100.0),
        external_id=params.get("externalId") or "",
        tags=read_tags(params.get("tags")),
    )
    return _outcome(replace(service, deployments=(*service.deployments, task_set)), task_set)


@operation("ecs", "UpdateTaskSet")
def update_task_set(ctx: Context, params: Params) -> Outcome:
    cluster, service = _external(ctx, params)
    task_set = _find(ctx, cluster, service, params["taskSet"])
    scaled = replace(
        task_set, scale=_scale(params["scale"], task_set.scale), updated_at=ctx.now, stable_at=None
    )
    return _outcome(_put(service, scaled), scaled)


@operation("ecs", "DeleteTaskSet")
def delete_task_set(ctx: Context, params: Params) -> Outcome:
    """DRAINING until its tasks have stopped; scaled above 0 only by force."""
    cluster, service = _external(ctx, params)
    task_set = _find(ctx, cluster, service, params["taskSet"])
    if task_set.scale > 0 and service.desired_count > 0 and not params.get("force"):
        raise invalid_parameter(
            "The task set cannot be deleted while it is scaled above 0: scale it, or use force."
        )
    gone = replace(task_set, status=DRAINING, updated_at=ctx.now, stable_at=None)
    return _outcome(_put(service, gone), gone)


@operation("ecs", "DescribeTaskSets")
def describe_task_sets(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params["cluster"])
    service = find_service(ctx, cluster, params["service"])
    with_tags = "TAGS" in (params.get("include") or ())
    sets = service.deployments if service.controller == EXTERNAL else ()
    names = params.get("taskSets")
    found, failures = [], []
    if not names:
        found = list(sets)
    for name in names or ():
        matches = [
            d for d in sets if name in (d.id, arns.task_set(ctx.scope, cluster.name, service.name, d.id))
        ]
        found.extend(matches)
        if not matches:
            failures.append(missing(name))
    shown = [views.task_set(ctx.state, service, d, with_tags) for d in found]
    return answer({"taskSets": shown, "failures": failures})


@operation("ecs", "UpdateServicePrimaryTaskSet")
def update_service_primary_task_set(ctx: Context, params: Params) -> Outcome:
    cluster, service = _external(ctx, params)
    chosen = _find(ctx, cluster, service, params["primaryTaskSet"])
    if chosen.status == DRAINING:
        raise invalid_parameter("A task set that is DRAINING cannot become PRIMARY.")
    primary = replace(chosen, status="PRIMARY", updated_at=ctx.now)
    others = tuple(
        replace(d, status="ACTIVE") if d.status == "PRIMARY" else d
        for d in service.deployments
        if d.id != chosen.id
    )
    changed = replace(
        service,
        deployments=(primary, *others),
        definition_arn=primary.definition_arn,
        launch_type=primary.launch_type,
    )
    return _outcome(changed, primary)
