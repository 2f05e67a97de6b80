"""Capacity providers (ECS API reference, CreateCapacityProvider, PutClusterCapacityProviders).

A provider's machines are those the operator marks with its name (monitor/model/capacity.py): nothing here adds or
removes machines, so managed scaling is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from monitor.api.ecs import views
from monitor.api.ecs.tags import read_tags, wire_tags
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
from monitor.model.capacity import BUILT_IN, CapacityProvider, Strategy
from monitor.model.errors import ClientFault, client_exception, invalid_parameter
from monitor.model.service import INACTIVE
from monitor.model.state import Put
from monitor.scheduler.capacity import MOST_ITEMS, check_strategy_items

_SCALING = {
    "status": "DISABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10_000,
    "instanceWarmupPeriod": 300,
}


def _group(given: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """autoScalingGroupProvider with its defaults."""
    scaling = {
        **_SCALING,
        **((known or {}).get("managedScaling") or {}),
        **(given.get("managedScaling") or {}),
    }
    if scaling["status"] == "ENABLED":
        raise client_exception(
            "managedScaling ENABLED is not available here: a machine is added by starting an agent on it. Use DISABLED."
        )
    if not 1 <= scaling["targetCapacity"] <= 100:
        raise invalid_parameter("targetCapacity must be between 1 and 100.")
    base = {
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "ENABLED",
        **(known or {}),
        **given,
    }
    return {**base, "managedScaling": scaling}


def _view(provider: CapacityProvider, with_tags: bool = False) -> dict[str, Any]:
    kind = provider.name if provider.name in BUILT_IN else "EC2_AUTOSCALING"
    return views.filled(
        capacityProviderArn=provider.arn,
        name=provider.name,
        status=provider.status,
        type=kind,
        autoScalingGroupProvider=dict(provider.config) if provider.config else None,
        updateStatus="DELETE_COMPLETE" if provider.status == "INACTIVE" else None,
        tags=wire_tags(provider.tags) if with_tags else [],
    )


def _built_in(ctx: Context, name: str) -> CapacityProvider:
    arn = arns.capacity_provider(ctx.scope, name)
    return ctx.state.capacity_providers.get(arn) or CapacityProvider(arn, name, 0.0)


def find_provider(ctx: Context, text: str) -> CapacityProvider | None:
    """By name or ARN; the built-in ones are always there."""
    name = arns.short(text) if arns.is_arn(text) else text
    if name in BUILT_IN:
        return _built_in(ctx, name)
    return ctx.state.capacity_providers.get(arns.capacity_provider(ctx.scope, name))


def _active(ctx: Context, text: str) -> CapacityProvider:
    found = find_provider(ctx, text)
    if found is None or found.status != "ACTIVE":
        raise invalid_parameter(f"The specified capacity provider '{text[:255]}' was not found.")
    return found


@operation("ecs", "CreateCapacityProvider")
def create_capacity_provider(ctx: Context, params: Params) -> Outcome:
    name = arns.check_name(params["name"], "Capacity provider name")
    if name.lower().startswith(("aws", "ecs", "fargate")):
        raise invalid_parameter(
            f"Capacity provider names that start with aws, ecs or fargate are reserved: {name!r}."
        )
    if params.get("managedInstancesProvider"):
        raise ClientFault(
            "UnsupportedFeatureException",
            "managedInstancesProvider is not available: there are no managed machines.",
        )
    if not params.get("autoScalingGroupProvider"):
        raise invalid_parameter("autoScalingGroupProvider cannot be empty.")
    known = find_provider(ctx, name)
    if known is not None and known.status == "ACTIVE":
        raise invalid_parameter(f"A capacity provider of the name {name!r} is there already.")
    provider = CapacityProvider(
        arn=arns.capacity_provider(ctx.scope, name),
        name=name,
        created_at=ctx.now,
        config=_group(params["autoScalingGroupProvider"]),
        tags=read_tags(params.get("tags")),
    )
    return Outcome(lambda _: {"capacityProvider": _view(provider, with_tags=True)}, (Put(provider),))


@operation("ecs", "UpdateCapacityProvider")
def update_capacity_provider(ctx: Context, params: Params) -> Outcome:
    provider = _active(ctx, params["name"])
    if provider.name in BUILT_IN:
        raise invalid_parameter(f"{provider.name} cannot be changed.")
    updated = replace(provider, config=_group(params.get("autoScalingGroupProvider") or {}, provider.config))
    return Outcome(lambda _: {"capacityProvider": _view(updated)}, (Put(updated),))


@operation("ecs", "DeleteCapacityProvider")
def delete_capacity_provider(ctx: Context, params: Params) -> Outcome:
    """Refused while a cluster names it."""
    provider = _active(ctx, params["capacityProvider"])
    if provider.name in BUILT_IN:
        raise invalid_parameter(f"{provider.name} cannot be deleted.")
    for cluster in ctx.state.clusters.values():
        mine = cluster.status == "ACTIVE" and arns.scope_of(cluster.arn) == ctx.scope
        if mine and provider.name in cluster.config.get("capacityProviders", ()):
            raise client_exception(
                f"The capacity provider {provider.name} is associated with the cluster {cluster.name}: take it out "
                "first (put-cluster-capacity-providers)."
            )
    gone = replace(provider, status="INACTIVE", inactive_at=ctx.now)
    return Outcome(lambda _: {"capacityProvider": _view(gone)}, (Put(gone),))


@operation("ecs", "DescribeCapacityProviders")
def describe_capacity_providers(ctx: Context, params: Params) -> Outcome:
    """Ten a page; without names the built-in ones and all that are ACTIVE."""
    with_tags = "TAGS" in (params.get("include") or ())
    if params.get("capacityProviders"):
        found, failures = [], []
        for name in bounded(params["capacityProviders"], "Capacity providers", 100):
            provider = find_provider(ctx, name)
            if provider is None:
                failures.append(missing(name))
            else:
                found.append(_view(provider, with_tags))
        return answer({"capacityProviders": found, "failures": failures})
    own = [
        p
        for p in ctx.state.capacity_providers.values()
        if p.status == "ACTIVE" and arns.scope_of(p.arn) == ctx.scope and p.name not in BUILT_IN
    ]
    every = {p.arn: p for p in [*(_built_in(ctx, name) for name in BUILT_IN), *own]}
    chunk, token = page(list(every), params, default=10, most=10)
    shown = [_view(every[arn], with_tags) for arn in chunk]
    return answer(with_token({"capacityProviders": shown, "failures": []}, token))


def associated(
    ctx: Context, names: Sequence[str], default: Sequence[Mapping[str, Any]]
) -> tuple[list[str], Strategy]:
    """Checked providers and default strategy of a cluster. Raises InvalidParameterException."""
    if len(names) > MOST_ITEMS:
        raise invalid_parameter(f"A cluster can have at most {MOST_ITEMS} capacity providers.")
    known = [_active(ctx, name).name for name in names]
    if len(set(known)) < len(known):
        raise invalid_parameter("A capacity provider is named twice.")
    strategy = check_strategy_items(default)
    for item in strategy:
        if item.provider not in known:
            raise invalid_parameter(
                f"The default strategy names '{item.provider}', which is not among the cluster's capacity providers."
            )
    return known, strategy


@operation("ecs", "PutClusterCapacityProviders")
def put_cluster_capacity_providers(ctx: Context, params: Params) -> Outcome:
    """Replaces the whole list and the default strategy. A provider that services use cannot be taken out."""
    cluster = ctx.cluster(params["cluster"])
    names, strategy = associated(ctx, params["capacityProviders"], params["defaultCapacityProviderStrategy"])
    for service in ctx.state.services_of(cluster.arn):
        used = {i.provider for i in service.strategy}
        if service.status != INACTIVE and used - set(names):
            raise ClientFault(
                "ResourceInUseException",
                f"The capacity provider {min(used - set(names))} is used by the service {service.name}.",
            )
    config = {
        **cluster.config,
        "capacityProviders": names,
        "defaultCapacityProviderStrategy": [
            {"capacityProvider": i.provider, "weight": i.weight, "base": i.base} for i in strategy
        ],
    }
    changed = replace(cluster, config=config)
    arn = cluster.arn
    return Outcome(
        lambda s: {"cluster": views.cluster(s, s.clusters[arn], views.EVERYTHING)},
        (Put(changed),),
    )
