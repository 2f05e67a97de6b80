"""Clusters: create, describe, list, delete (ECS API reference)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.api.ecs import capacity, service_views, settings, views
from monitor.api.ecs.tags import read_tags
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
from monitor.model.errors import ClientFault, cluster_not_found, invalid_parameter
from monitor.model.service import INACTIVE
from monitor.model.state import Put

INSIGHTS = "containerInsights"


def _insights(value: str) -> dict[str, str]:
    return {"name": INSIGHTS, "value": value}


def _configured(params: Params) -> dict[str, Any]:
    """Settings, configuration and Service Connect defaults of a request, checked."""
    found: dict[str, Any] = {}
    for setting in params.get("settings") or ():
        name, value = setting.get("name"), setting.get("value") or ""
        allowed = settings.SETTINGS[INSIGHTS][0]
        if name != INSIGHTS or value not in allowed:
            raise invalid_parameter(f"A cluster's setting should be {INSIGHTS} with one of {list(allowed)}.")
        found["settings"] = [_insights(value)]
    if params.get("configuration"):
        found["configuration"] = params["configuration"]
    if params.get("serviceConnectDefaults"):
        raise ClientFault(
            "NamespaceNotFoundException",
            "serviceConnectDefaults name a Cloud Map namespace, and there are none here: leave them out.",
        )
    return found


@operation("ecs", "CreateCluster")
def create_cluster(ctx: Context, params: Params) -> Outcome:
    """Idempotent by name: a second call answers with the cluster there is."""
    name = arns.check_name(params.get("clusterName") or "default", "Cluster name")
    arn = arns.cluster(ctx.scope, name)
    existing = ctx.state.clusters.get(arn)
    if existing is not None and existing.status == "ACTIVE":
        return Outcome(lambda s: {"cluster": views.cluster(s, s.clusters[arn], views.EVERYTHING)})
    config = _configured(params)
    config.setdefault("settings", [_insights(settings.effective(ctx, INSIGHTS, ctx.caller_arn))])
    providers = params.get("capacityProviders") or ()
    names, strategy = capacity.associated(ctx, providers, params.get("defaultCapacityProviderStrategy") or ())
    if names:
        config["capacityProviders"] = names
    if strategy:
        config["defaultCapacityProviderStrategy"] = service_views.wire_strategy(strategy)
    cluster = Cluster(
        arn=arn, name=name, created_at=ctx.now, config=config, tags=read_tags(params.get("tags"))
    )
    return Outcome(
        lambda s: {"cluster": views.cluster(s, s.clusters[arn], views.EVERYTHING)},
        (Put(cluster),),
    )


@operation("ecs", "UpdateCluster")
def update_cluster(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params["cluster"])
    changed = replace(cluster, config={**cluster.config, **_configured(params)})
    arn = cluster.arn
    return Outcome(
        lambda s: {"cluster": views.cluster(s, s.clusters[arn], views.EVERYTHING)}, (Put(changed),)
    )


@operation("ecs", "UpdateClusterSettings")
def update_cluster_settings(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params["cluster"])
    changed = replace(cluster, config={**cluster.config, **_configured({"settings": params["settings"]})})
    arn = cluster.arn
    return Outcome(
        lambda s: {"cluster": views.cluster(s, s.clusters[arn], views.EVERYTHING)}, (Put(changed),)
    )


@operation("ecs", "DescribeClusters")
def describe_clusters(ctx: Context, params: Params) -> Outcome:
    names = params.get("clusters") or ["default"]
    include = frozenset(params.get("include") or ())
    found, failures = [], []
    for name in dict.fromkeys(ctx.cluster_arn(n) for n in bounded(names, "Clusters", 100)):
        cluster = ctx.state.clusters.get(name)
        if cluster is None:
            failures.append(missing(name))
        else:
            found.append(views.cluster(ctx.state, cluster, include))
    return answer({"clusters": found, "failures": failures})


@operation("ecs", "ListClusters")
def list_clusters(ctx: Context, params: Params) -> Outcome:
    active = [
        c.arn
        for c in ctx.state.clusters.values()
        if c.status == "ACTIVE" and arns.scope_of(c.arn) == ctx.scope
    ]
    chunk, token = page(active, params)
    return answer(with_token({"clusterArns": chunk}, token))


@operation("ecs", "DeleteCluster")
def delete_cluster(ctx: Context, params: Params) -> Outcome:
    arn = ctx.cluster_arn(params["cluster"])
    cluster = ctx.state.clusters.get(arn)
    if cluster is None:
        raise cluster_not_found()
    if any(s.status != INACTIVE for s in ctx.state.services_of(arn)):
        raise ClientFault(
            "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
        )
    if any(i.status != "INACTIVE" for i in ctx.state.instances_of(arn)):
        raise ClientFault(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if any(t.is_live for t in ctx.state.tasks_of(arn)):
        raise ClientFault(
            "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
        )
    gone = replace(cluster, status="INACTIVE", inactive_at=ctx.now)
    return Outcome(lambda s: {"cluster": views.cluster(s, s.clusters[arn], frozenset())}, (Put(gone),))
