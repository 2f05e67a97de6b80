"""What CreateService and UpdateService accept, as typed parts (ECS API reference, CreateService). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.api.operation import Context, Params
from monitor.model import arn as arns
from monitor.model.alarm import alarm_arn
from monitor.model.capacity import BUILT_IN, Strategy
from monitor.model.cluster import Cluster
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.model.service import (
    BLUE_GREEN,
    DAEMON,
    ECS,
    EXTERNAL,
    REPLICA,
    ROLLING,
    CircuitBreaker,
    DeploymentAlarms,
    PauseHook,
)
from monitor.model.task_definition import TaskDefinition
from monitor.scheduler.capacity import check_strategy_items
from monitor.scheduler.placement import check_constraints, check_strategy
from monitor.scheduler.stages import NO_HOOKS

LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")
MOST_TASKS = 5000  # of a service (ECS service quotas)
MOST_GRACE_SECONDS = 2_147_483_647
_UNSERVED = {
    "loadBalancers": "there is no load balancer to register tasks with",
    "serviceRegistries": "there is no Cloud Map",
    "serviceConnectConfiguration": "Service Connect is not available",
    "volumeConfigurations": "EBS volumes are not available",
    "vpcLatticeConfigurations": "VPC Lattice is not available",
    "gatewayConnectors": "there are no gateways",
}

Rules = tuple[Mapping[str, str], ...]


def unsupported(message: str) -> ClientFault:
    return ClientFault("UnsupportedFeatureException", message)


def refuse_unserved(params: Params) -> None:
    """Raises InvalidParameterException for what needs a part of AWS that these machines do not have."""
    for member, why in _UNSERVED.items():
        value = params.get(member)
        if value and not (member == "serviceConnectConfiguration" and not value.get("enabled")):
            raise invalid_parameter(f"{member} cannot be used here: {why}.")


def controller(params: Params) -> str:
    kind: str = (params.get("deploymentController") or {}).get("type", ECS)
    if kind not in (ECS, EXTERNAL):
        raise unsupported(f"deploymentController {kind} is not available here: use ECS or EXTERNAL.")
    return kind


def scheduling(params: Params, kind: str) -> str:
    strategy: str = params.get("schedulingStrategy") or REPLICA
    if strategy not in (REPLICA, DAEMON):
        raise invalid_parameter("schedulingStrategy should be one of [REPLICA, DAEMON].")
    if strategy == DAEMON and kind != ECS:
        raise invalid_parameter("The DAEMON scheduling strategy needs the deployment controller ECS.")
    if strategy == DAEMON and params.get("placementStrategy"):
        raise invalid_parameter("placementStrategy cannot be used with the DAEMON scheduling strategy.")
    return strategy


def percents(params: Params, strategy: str, minimum: int, maximum: int) -> tuple[int, int]:
    configuration = params.get("deploymentConfiguration") or {}
    low = configuration.get("minimumHealthyPercent", minimum)
    high = configuration.get("maximumPercent", maximum)
    if not 0 <= low <= 100:
        raise invalid_parameter(f"minimumHealthyPercent must be between 0 and 100, got {low}.")
    if strategy == DAEMON and high != 100:
        raise invalid_parameter(f"maximumPercent must be 100 for a DAEMON service, got {high}.")
    if high < 100:
        raise invalid_parameter(f"maximumPercent must be at least 100 for a REPLICA service, got {high}.")
    if low == 100 and high == 100:
        raise invalid_parameter(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments. Lower "
            "minimumHealthyPercent, or raise maximumPercent (of a REPLICA service)."
        )
    return low, high


def count(value: int | None) -> int:
    if value is None:
        raise invalid_parameter("Should have desired count when the scheduling strategy is REPLICA.")
    if value < 0:
        raise invalid_parameter("desiredCount cannot be a negative number.")
    if value > MOST_TASKS:
        raise invalid_parameter(f"desiredCount can be at most {MOST_TASKS}, got {value}.")
    return value


def grace(value: int | None) -> int:
    seconds = value or 0
    if not 0 <= seconds <= MOST_GRACE_SECONDS:
        raise invalid_parameter(f"healthCheckGracePeriodSeconds must be between 0 and {MOST_GRACE_SECONDS}.")
    return seconds


def capacity(ctx: Context, cluster: Cluster, params: Params) -> tuple[str, Strategy]:
    """(launch type, capacity provider strategy): one of them is empty (ECS API reference, "launchType")."""
    launch, wire = params.get("launchType") or "", params.get("capacityProviderStrategy")
    if launch and wire:
        raise invalid_parameter("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    if launch:
        if launch not in LAUNCH_TYPES:
            raise invalid_parameter(
                f"launchType {launch} has no capacity here: use EC2, FARGATE or EXTERNAL."
            )
        return launch, ()
    items = wire or cluster.config.get("defaultCapacityProviderStrategy") or ()
    if not items:
        return "EC2", ()
    strategy = check_strategy_items(items)
    known = cluster.config.get("capacityProviders") or ()
    for item in strategy:
        arn = arns.capacity_provider(ctx.scope, item.provider)
        found = ctx.state.capacity_providers.get(arn)
        exists = item.provider in BUILT_IN or (found is not None and found.status == "ACTIVE")
        if not exists or item.provider not in known:
            raise invalid_parameter(
                f"The specified capacity provider '{item.provider}' was not found, or is not associated with the "
                f"cluster {cluster.name}. Associate it by put-cluster-capacity-providers."
            )
    return "", strategy


def network(params: Params, definition: TaskDefinition | None, known: object = None) -> None:
    """networkConfiguration belongs to networkMode awsvpc, and must be there with it."""
    if definition is None:
        return
    given = params.get("networkConfiguration") or known
    if definition.network_mode == "awsvpc" and not given:
        raise invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if definition.network_mode != "awsvpc" and params.get("networkConfiguration"):
        raise invalid_parameter(
            f"Network Configuration is not valid for the given networkMode of this task definition "
            f"({definition.network_mode})."
        )


def placement(params: Params, constraints: Rules = (), strategy: Rules = ()) -> tuple[Rules, Rules]:
    """Placement constraints and strategy: those of the request, else the ones there are. An empty list clears."""
    if params.get("placementConstraints") is not None:
        constraints = tuple(params["placementConstraints"])
    if params.get("placementStrategy") is not None:
        strategy = tuple(params["placementStrategy"])
    check_constraints(constraints)
    check_strategy(strategy)
    return constraints, strategy


# -- deploymentConfiguration --------------------------------------------------------------------------


def circuit_breaker(configuration: Mapping[str, Any]) -> CircuitBreaker:
    given = configuration.get("deploymentCircuitBreaker") or {}
    limit = given.get("thresholdConfiguration") or {}
    kind, value = limit.get("type", "BOUNDED_PERCENT"), limit.get("value", 50)
    most = MOST_TASKS if kind == "COUNT" else 100
    if not 1 <= value <= most:
        raise invalid_parameter(f"thresholdConfiguration value must be between 1 and {most} for {kind}.")
    return CircuitBreaker(
        enable=bool(given.get("enable")),
        rollback=bool(given.get("rollback")),
        kind=kind,
        value=value,
        reset_on_healthy_task=given.get("resetOnHealthyTask") is not False,
    )


def alarms(ctx: Context, configuration: Mapping[str, Any]) -> DeploymentAlarms:
    given = configuration.get("alarms") or {}
    names = tuple(given.get("alarmNames") or ())
    if given.get("enable"):
        if not names:
            raise invalid_parameter("alarmNames cannot be empty when deployment alarms are enabled.")
        missing = [
            n for n in names if alarm_arn(ctx.scope.region, ctx.scope.account, n) not in ctx.state.alarms
        ]
        if missing:
            raise invalid_parameter(
                f"The alarms {missing} were not found. Create them before they are used here."
            )
    return DeploymentAlarms(names, bool(given.get("enable")), bool(given.get("rollback")))


def rollout(configuration: Mapping[str, Any], kind: str, how: str) -> str:
    """The deployment strategy. LINEAR and CANARY shift shares of traffic, which needs a load balancer."""
    strategy: str = configuration.get("strategy") or ROLLING
    if strategy in ("LINEAR", "CANARY"):
        raise unsupported(
            f"Deployment strategy {strategy} shifts traffic by weights, and there is no load balancer here. Use "
            "BLUE_GREEN or ROLLING."
        )
    if strategy != ROLLING and (kind != ECS or how != REPLICA):
        raise invalid_parameter(
            f"Deployment strategy {strategy} is for REPLICA services of the ECS controller."
        )
    if (configuration.get("earlySuccessCriteria") or {}).get("enable"):
        raise unsupported("earlySuccessCriteria is not available here: set enable to false.")
    return strategy


def bake_minutes(configuration: Mapping[str, Any], strategy: str) -> int | None:
    minutes: int | None = configuration.get("bakeTimeInMinutes")
    if minutes is not None and not 0 <= minutes <= 1440:
        raise invalid_parameter("bakeTimeInMinutes must be between 0 and 1440.")
    return 0 if minutes is None and strategy == BLUE_GREEN else minutes


def hooks(configuration: Mapping[str, Any], strategy: str) -> tuple[PauseHook, ...]:
    found = []
    for hook in configuration.get("lifecycleHooks") or ():
        if strategy != BLUE_GREEN:
            raise invalid_parameter("lifecycleHooks need the deployment strategy BLUE_GREEN.")
        if hook.get("targetType", "AWS_LAMBDA") != "PAUSE":
            raise unsupported("Lifecycle hooks call no Lambda function here: use targetType PAUSE.")
        stages = tuple(hook.get("lifecycleStages") or ())
        if not stages or any(s in NO_HOOKS for s in stages):
            raise invalid_parameter(
                f"lifecycleStages of a hook cannot be empty, nor any of {list(NO_HOOKS)}."
            )
        timeout = hook.get("timeoutConfiguration") or {}
        minutes = timeout.get("timeoutInMinutes", 1440)
        if not 1 <= minutes <= 20160:
            raise invalid_parameter("timeoutInMinutes of a PAUSE hook must be between 1 and 20160.")
        found.append(PauseHook(stages, minutes, timeout.get("action") or "ROLLBACK"))
    return tuple(found)


def rebalances(params: Params, high: int, how: str, default: bool) -> bool:
    wish = params.get("availabilityZoneRebalancing")
    if wish is None:
        return default
    if wish == "ENABLED" and (high == 100 or how == DAEMON):
        raise invalid_parameter(
            "availabilityZoneRebalancing needs a REPLICA service with a maximumPercent above 100."
        )
    return bool(wish == "ENABLED")
