"""Services: create, update, describe, list, delete (ECS API reference)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.ecs import views
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
from monitor.model.service import ACTIVE, DRAINING, INACTIVE, Deployment, Service
from monitor.model.state import Put
from monitor.scheduler.placement import check_constraints, check_strategy

LAUNCH_TYPES = ("EC2", "EXTERNAL")
# Kept and echoed; they change nothing here yet and nothing on a machine of one's own depends on them.
_KEPT = (
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "availabilityZoneRebalancing",
    "deploymentConfiguration",
    "platformVersion",
)
_UNSERVED = {
    "loadBalancers": "there is no load balancer to register tasks with",
    "serviceRegistries": "there is no Cloud Map",
    "capacityProviderStrategy": "capacity providers are not implemented yet; use launchType",
    "serviceConnectConfiguration": "Service Connect is not available",
    "volumeConfigurations": "EBS volumes are not available",
    "vpcLatticeConfigurations": "VPC Lattice is not available",
    "networkConfiguration": "it belongs to networkMode awsvpc, which these machines do not have",
}


def _refuse_unserved(params: Params) -> None:
    for member, why in _UNSERVED.items():
        value = params.get(member)
        if value and not (member == "serviceConnectConfiguration" and not value.get("enabled")):
            raise invalid_parameter(f"{member} cannot be used here: {why}.")
    controller = (params.get("deploymentController") or {}).get("type", "ECS")
    if controller != "ECS":
        raise invalid_parameter(f"deploymentController {controller} is not implemented yet; use ECS.")
    if params.get("schedulingStrategy", "REPLICA") != "REPLICA":
        raise invalid_parameter("schedulingStrategy DAEMON is not implemented yet; use REPLICA.")
    configuration = params.get("deploymentConfiguration") or {}
    if (configuration.get("deploymentCircuitBreaker") or {}).get("enable"):
        raise invalid_parameter(
            "deploymentCircuitBreaker is not implemented yet: set enable to false. Failing tasks are throttled."
        )
    if (configuration.get("alarms") or {}).get("enable"):
        raise invalid_parameter("Deployment alarms are not implemented yet; set enable to false.")
    if configuration.get("strategy", "ROLLING") != "ROLLING":
        raise invalid_parameter(
            f"Deployment strategy {configuration['strategy']} is not implemented yet; use ROLLING."
        )


def _percents(params: Params, minimum: int, maximum: int) -> tuple[int, int]:
    configuration = params.get("deploymentConfiguration") or {}
    low = configuration.get("minimumHealthyPercent", minimum)
    high = configuration.get("maximumPercent", maximum)
    if not 0 <= low <= 100:
        raise invalid_parameter(f"minimumHealthyPercent must be between 0 and 100, got {low}.")
    if high < 100:
        raise invalid_parameter(f"maximumPercent must be at least 100 for a REPLICA service, got {high}.")
    if low == 100 and high == 100:
        raise invalid_parameter(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments. Raise "
            "maximumPercent or lower minimumHealthyPercent."
        )
    return low, high


def _count(value: int | None) -> int:
    if value is None:
        raise invalid_parameter("Should have desired count when the scheduling strategy is REPLICA.")
    if value < 0:
        raise invalid_parameter("desiredCount cannot be a negative number.")
    if value > 5000:
        raise invalid_parameter(f"desiredCount can be at most 5000, got {value}.")
    return value


def _launch_type(params: Params) -> str:
    launch = params.get("launchType") or "EC2"
    if launch not in LAUNCH_TYPES:
        raise invalid_parameter(f"launchType {launch} has no capacity here: use EC2 or EXTERNAL.")
    return str(launch)


Rules = tuple[Mapping[str, str], ...]


def _placement(params: Params, constraints: Rules = (), strategy: Rules = ()) -> tuple[Rules, Rules]:
    """Placement constraints and strategy: those of the request, else the ones there are. An empty list clears."""
    if params.get("placementConstraints") is not None:
        constraints = tuple(params["placementConstraints"])
    if params.get("placementStrategy") is not None:
        strategy = tuple(params["placementStrategy"])
    check_constraints(constraints)
    check_strategy(strategy)
    return constraints, strategy


def new_deployment(ctx: Context, definition_arn: str) -> Deployment:
    deployment_id = f"ecs-svc/{ctx.ids.digits()}"
    return Deployment(
        id=deployment_id,
        definition_arn=definition_arn,
        created_at=ctx.now,
        updated_at=ctx.now,
        rollout_reason=f"ECS deployment {deployment_id} in progress.",
    )


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
    _refuse_unserved(params)
    if not params.get("taskDefinition"):
        raise invalid_parameter("TaskDefinition cannot be empty.")
    definition = ctx.active_definition(params["taskDefinition"])
    low, high = _percents(params, 100, 200)
    constraints, strategy = _placement(params)
    tags = read_tags(params.get("tags"))
    service = Service(
        arn=arn,
        name=name,
        cluster_arn=cluster.arn,
        desired_count=_count(params.get("desiredCount")),
        definition_arn=definition.arn,
        created_at=ctx.now,
        deployments=(new_deployment(ctx, definition.arn),),
        launch_type=_launch_type(params),
        minimum_healthy_percent=low,
        maximum_percent=high,
        health_check_grace_seconds=params.get("healthCheckGracePeriodSeconds") or 0,
        config=_config(params),
        tags=tags,
        created_by=ctx.caller_arn,
        warm_standby=warm_standby(tags),
        placement_constraints=constraints,
        placement_strategy=strategy,
    )
    changes: tuple[Put, ...] = (Put(service),)
    if existing is not None and existing.status == ACTIVE:
        if not _asks_the_same(existing, service):
            raise invalid_parameter("Creation of service was not idempotent.")
        changes = ()
    return Outcome(lambda s: {"service": views.service(s, s.services[arn], frozenset(("TAGS",)))}, changes)


def _asks_the_same(existing: Service, asked: Service) -> bool:
    """Whether a second CreateService asks for what there is: an SDK's retry must not become an error."""
    members = (
        "desired_count",
        "definition_arn",
        "launch_type",
        "minimum_healthy_percent",
        "maximum_percent",
        "health_check_grace_seconds",
        "placement_constraints",
        "placement_strategy",
        "config",
        "tags",
    )
    return all(getattr(existing, m) == getattr(asked, m) for m in members)


def _find(ctx: Context, cluster: Cluster, text: str) -> Service:
    service = ctx.state.services.get(ctx.service_arn(cluster, text))
    if service is None or service.cluster_arn != cluster.arn:
        raise service_not_found()
    return service


@operation("ecs", "UpdateService")
def update_service(ctx: Context, params: Params) -> Outcome:
    """A new task definition or forceNewDeployment starts a deployment; the rest takes effect in place."""
    cluster = ctx.cluster(params.get("cluster"))
    service = _find(ctx, cluster, params["service"])
    if service.status != ACTIVE:
        raise ClientFault("ServiceNotActiveException", "Service was not ACTIVE.")
    _refuse_unserved(params)
    low, high = _percents(params, service.minimum_healthy_percent, service.maximum_percent)
    constraints, strategy = _placement(params, service.placement_constraints, service.placement_strategy)
    config = {**service.config, **_config(params)}
    if params.get("deploymentConfiguration"):
        old = service.config.get("deploymentConfiguration", {})
        config["deploymentConfiguration"] = {**old, **params["deploymentConfiguration"]}
    updated = replace(
        service,
        minimum_healthy_percent=low,
        maximum_percent=high,
        config=config,
        placement_constraints=constraints,
        placement_strategy=strategy,
    )
    if params.get("desiredCount") is not None:
        updated = replace(updated, desired_count=_count(params["desiredCount"]))
    if params.get("healthCheckGracePeriodSeconds") is not None:
        updated = replace(updated, health_check_grace_seconds=params["healthCheckGracePeriodSeconds"])
    definition_arn = service.definition_arn
    if params.get("taskDefinition"):
        definition_arn = ctx.active_definition(params["taskDefinition"]).arn
    if definition_arn != service.definition_arn or params.get("forceNewDeployment"):
        older = tuple(replace(d, status="ACTIVE", updated_at=ctx.now, owed=()) for d in service.deployments)
        updated = replace(
            updated,
            definition_arn=definition_arn,
            deployments=(new_deployment(ctx, definition_arn), *older),
            complaint="",
        )
    arn = service.arn
    return Outcome(
        lambda s: {"service": views.service(s, s.services[arn], frozenset(("TAGS",)))}, (Put(updated),)
    )


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
    wanted = [
        s.arn
        for s in ctx.state.services_of(cluster.arn)
        if s.status == ACTIVE and launch in (None, s.launch_type) and strategy in (None, "REPLICA")
    ]
    chunk, token = page(wanted, params, default=10)
    return answer(with_token({"serviceArns": chunk}, token))


@operation("ecs", "DeleteService")
def delete_service(ctx: Context, params: Params) -> Outcome:
    """ACTIVE → DRAINING; the scheduler stops the tasks and makes it INACTIVE."""
    cluster = ctx.cluster(params.get("cluster"))
    service = _find(ctx, cluster, params["service"])
    if service.status == INACTIVE:
        raise service_not_found()
    if service.desired_count > 0 and not params.get("force"):
        raise invalid_parameter("The service cannot be stopped while it is scaled above 0.")
    gone = replace(service, status=DRAINING, desired_count=0) if service.status == ACTIVE else service
    arn = service.arn
    return Outcome(lambda s: {"service": views.service(s, s.services[arn], frozenset())}, (Put(gone),))
