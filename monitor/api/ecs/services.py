"""Services: create, update, describe, list, delete (ECS API reference)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.ecs import service_rules as rules
from monitor.api.ecs import service_views as views
from monitor.api.ecs.deployments import new_deployment, outdated
from monitor.api.ecs.tags import read_tags, warm_standby
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
from monitor.model.cluster import Cluster
from monitor.model.errors import ClientFault, invalid_parameter, service_not_found
from monitor.model.rollout import FINAL, STOP_REQUESTED, ServiceDeployment
from monitor.model.service import ACTIVE, DAEMON, DRAINING, EXTERNAL, INACTIVE, Service
from monitor.model.state import Change, Put

# Kept and echoed as they were given.
_KEPT = (
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "deploymentConfiguration",
    "networkConfiguration",
    "platformVersion",
    "deploymentController",
)
# A change of any of these starts a deployment (ECS developer guide, "Updating a service").
_DEPLOYS = ("networkConfiguration", "platformVersion")


def _config(params: Params) -> dict[str, Any]:
    return {key: params[key] for key in _KEPT if params.get(key) is not None}


@operation("ecs", "CreateService")
def create_service(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params.get("cluster"))
    name = arns.check_name(params["serviceName"], "Service name")
    arn = arns.service(ctx.scope, cluster.name, name)
    existing = ctx.state.services.get(arn)
    if existing is not None and existing.status == DRAINING:
        raise invalid_parameter("Unable to Start a service that is still Draining.")
    service, changes = _made(ctx, cluster, name, params)
    if existing is not None and existing.status == ACTIVE:
        if not _asks_the_same(existing, service):
            raise invalid_parameter("Creation of service was not idempotent.")
        changes = ()
    return Outcome(lambda s: {"service": views.service(s, s.services[arn], frozenset(("TAGS",)))}, changes)


def _made(ctx: Context, cluster: Cluster, name: str, params: Params) -> tuple[Service, tuple[Change, ...]]:
    """The service as asked for, and all that is to be stored with it."""
    rules.refuse_unserved(params)
    kind = rules.controller(params)
    how = rules.scheduling(params, kind)
    definition = None
    if kind != EXTERNAL or params.get("taskDefinition"):
        if not params.get("taskDefinition"):
            raise invalid_parameter("TaskDefinition cannot be empty.")
        definition = ctx.active_definition(params["taskDefinition"])
    rules.network(params, definition)
    low, high = rules.percents(params, how, 0 if how == DAEMON else 100, 100 if how == DAEMON else 200)
    constraints, strategy = rules.placement(params)
    launch, capacity = rules.capacity(ctx, cluster, params)
    if how == DAEMON and (launch == "FARGATE" or any(i.provider.startswith("FARGATE") for i in capacity)):
        raise invalid_parameter("The DAEMON scheduling strategy is not supported on FARGATE.")
    tags = read_tags(params.get("tags"))
    configuration = params.get("deploymentConfiguration") or {}
    rollout = rules.rollout(configuration, kind, how)
    by_default = how != DAEMON and kind != EXTERNAL and high > 100
    service = Service(
        arn=arns.service(ctx.scope, cluster.name, name),
        name=name,
        cluster_arn=cluster.arn,
        desired_count=0 if how == DAEMON else rules.count(params.get("desiredCount")),
        definition_arn=definition.arn if definition is not None else "",
        created_at=ctx.now,
        deployments=(),
        launch_type=launch,
        strategy=capacity,
        minimum_healthy_percent=low,
        maximum_percent=high,
        health_check_grace_seconds=rules.grace(params.get("healthCheckGracePeriodSeconds")),
        config=_config(params),
        tags=tags,
        created_by=ctx.caller_arn,
        warm_standby=warm_standby(tags),
        placement_constraints=constraints,
        placement_strategy=strategy,
        scheduling=how,
        controller=kind,
        circuit_breaker=rules.circuit_breaker(configuration),
        alarms=rules.alarms(ctx, configuration),
        rollout=rollout,
        bake_minutes=rules.bake_minutes(configuration, rollout),
        hooks=rules.hooks(configuration, rollout),
        rebalances=rules.rebalances(params, high, how, by_default),
    )
    if kind == EXTERNAL:
        return service, (Put(service),)
    deployment, revision, record = new_deployment(ctx, service)
    service = replace(service, deployments=(deployment,))
    return service, (Put(revision), Put(record), Put(service))


def _asks_the_same(existing: Service, asked: Service) -> bool:
    """Whether a second CreateService asks for what there is: an SDK's retry must not become an error."""
    members = (
        "definition_arn",
        "launch_type",
        "strategy",
        "minimum_healthy_percent",
        "maximum_percent",
        "health_check_grace_seconds",
        "placement_constraints",
        "placement_strategy",
        "scheduling",
        "controller",
        "config",
        "tags",
    )
    same_count = existing.scheduling == DAEMON or existing.desired_count == asked.desired_count
    return same_count and all(getattr(existing, m) == getattr(asked, m) for m in members)


def find_service(ctx: Context, cluster: Cluster, text: str) -> Service:
    """Raises ServiceNotFoundException."""
    service = ctx.state.services.get(ctx.service_arn(cluster, text))
    if service is None or service.cluster_arn != cluster.arn:
        raise service_not_found()
    return service


def active_service(ctx: Context, cluster: Cluster, text: str) -> Service:
    """Raises ServiceNotFoundException, ServiceNotActiveException."""
    service = find_service(ctx, cluster, text)
    if service.status != ACTIVE:
        raise ClientFault("ServiceNotActiveException", "Service was not ACTIVE.")
    return service


@operation("ecs", "UpdateService")
def update_service(ctx: Context, params: Params) -> Outcome:
    """A new task definition, network or platform, or forceNewDeployment, starts a deployment; the rest takes effect
    in place."""
    cluster = ctx.cluster(params.get("cluster"))
    service = active_service(ctx, cluster, params["service"])
    updated = _updated(ctx, cluster, service, params)
    changes: tuple[Change, ...] = ()
    deploys = updated.definition_arn != service.definition_arn or any(
        updated.config.get(m) != service.config.get(m) for m in _DEPLOYS
    )
    if service.controller != EXTERNAL and (deploys or params.get("forceNewDeployment")):
        deployment, revision, record = new_deployment(ctx, updated)
        older = tuple(
            replace(d, status="ACTIVE", updated_at=ctx.now, owed=(), stage="") for d in service.deployments
        )
        updated = replace(updated, deployments=(deployment, *older), complaint="", moving="")
        changes = (*outdated(ctx, service), Put(revision), Put(record), *_superseded(ctx, service))
    arn = service.arn
    return Outcome(
        lambda s: {"service": views.service(s, s.services[arn], frozenset(("TAGS",)))},
        (*changes, Put(updated)),
    )


def _superseded(ctx: Context, service: Service) -> tuple[Change, ...]:
    record = ctx.state.service_deployments.get(service.primary.record_arn)
    if record is None or record.status in FINAL:
        return ()
    stopped: ServiceDeployment = replace(record, status=STOP_REQUESTED, updated_at=ctx.now)
    return (Put(stopped),)


def _updated(ctx: Context, cluster: Cluster, service: Service, params: Params) -> Service:
    """The service with what the request changes in place."""
    rules.refuse_unserved(params)
    how, kind = service.scheduling, service.controller
    if params.get("deploymentController") and rules.controller(params) != kind:
        raise invalid_parameter("The deployment controller of a service cannot be changed.")
    if how == DAEMON and params.get("placementStrategy"):
        raise invalid_parameter("placementStrategy cannot be used with the DAEMON scheduling strategy.")
    low, high = rules.percents(params, how, service.minimum_healthy_percent, service.maximum_percent)
    constraints, strategy = rules.placement(params, service.placement_constraints, service.placement_strategy)
    config = {**service.config, **_config(params)}
    configuration: Mapping[str, Any] = service.config.get("deploymentConfiguration", {})
    if params.get("deploymentConfiguration"):
        configuration = {**configuration, **params["deploymentConfiguration"]}
        config["deploymentConfiguration"] = configuration
    rollout = rules.rollout(configuration, kind, how)
    definition_arn = service.definition_arn
    if params.get("taskDefinition"):
        if kind == EXTERNAL:
            raise invalid_parameter("The task definition of an EXTERNAL service is changed by task sets.")
        definition_arn = ctx.active_definition(params["taskDefinition"]).arn
    rules.network(params, ctx.state.definitions.get(definition_arn), config.get("networkConfiguration"))
    updated = replace(
        service,
        minimum_healthy_percent=low,
        maximum_percent=high,
        config=config,
        placement_constraints=constraints,
        placement_strategy=strategy,
        circuit_breaker=rules.circuit_breaker(configuration),
        alarms=rules.alarms(ctx, configuration),
        rollout=rollout,
        bake_minutes=rules.bake_minutes(configuration, rollout),
        hooks=rules.hooks(configuration, rollout),
        rebalances=rules.rebalances(params, high, how, service.rebalances),
        definition_arn=definition_arn,
    )
    if params.get("capacityProviderStrategy") is not None:
        updated = replace(updated, **_recapacity(ctx, cluster, service, params))
    if params.get("desiredCount") is not None and how != DAEMON:
        updated = replace(updated, desired_count=rules.count(params["desiredCount"]))
    if params.get("healthCheckGracePeriodSeconds") is not None:
        updated = replace(
            updated, health_check_grace_seconds=rules.grace(params["healthCheckGracePeriodSeconds"])
        )
    return updated


def _recapacity(ctx: Context, cluster: Cluster, service: Service, params: Params) -> dict[str, Any]:
    """An empty strategy goes back to the launch type the service was made with."""
    if not params["capacityProviderStrategy"]:
        if not service.launch_type:
            raise invalid_parameter(
                "No launch type to fall back to for empty capacity provider strategy. Your service was not created "
                "with a launch type."
            )
        return {"strategy": ()}
    _, strategy = rules.capacity(ctx, cluster, params)
    return {"strategy": strategy}


@operation("ecs", "DescribeServices")
def describe_services(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params.get("cluster"))
    include = frozenset(params.get("include") or ())
    found, failures = [], []
    for name in bounded(params["services"], "Services", 10):
        arn = ctx.service_arn(cluster, name)
        service = ctx.state.services.get(arn)
        if service is None or service.cluster_arn != cluster.arn:
            failures.append(missing(arn))
        else:
            found.append(views.service(ctx.state, service, include))
    return answer({"services": found, "failures": failures})


@operation("ecs", "ListServices")
def list_services(ctx: Context, params: Params) -> Outcome:
    """ACTIVE ones; 10 a page unless asked otherwise."""
    cluster = ctx.cluster(params.get("cluster"))
    launch, strategy = params.get("launchType"), params.get("schedulingStrategy")
    managed = params.get("resourceManagementType") or "CUSTOMER"
    wanted = [
        s.arn
        for s in ctx.state.services_of(cluster.arn)
        if s.status == ACTIVE
        and launch in (None, s.launch_type)
        and strategy in (None, s.scheduling)
        and managed == "CUSTOMER"
    ]
    chunk, token = page(wanted, params, default=10)
    return answer(with_token({"serviceArns": chunk}, token))


@operation("ecs", "DeleteService")
def delete_service(ctx: Context, params: Params) -> Outcome:
    """ACTIVE → DRAINING; the scheduler stops the tasks and makes it INACTIVE."""
    cluster = ctx.cluster(params.get("cluster"))
    service = find_service(ctx, cluster, params["service"])
    if service.status == INACTIVE:
        raise service_not_found()
    scaled = service.desired_count > 0 and service.scheduling != DAEMON
    if (scaled or (service.controller == EXTERNAL and service.deployments)) and not params.get("force"):
        what = "while it is scaled above 0" if scaled else "while it has task sets"
        raise invalid_parameter(f"The service cannot be stopped {what}.")
    gone = replace(service, status=DRAINING, desired_count=0) if service.status == ACTIVE else service
    arn = service.arn
    return Outcome(lambda s: {"service": views.service(s, s.services[arn], frozenset())}, (Put(gone),))
