"""Container instances as users see them: describe, list, deregister (ECS API reference)."""

from __future__ import annotations

from dataclasses import replace

from monitor.api.ecs import views
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
from monitor.model.errors import invalid_parameter
from monitor.model.state import Put
from monitor.scheduler import query


@operation("ecs", "DescribeContainerInstances")
def describe_container_instances(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(params.get("cluster"))
    include = frozenset(params.get("include") or ())
    found, failures = [], []
    for name in bounded(params["containerInstances"], "Container Instances", 100):
        arn = ctx.instance_arn(cluster, name)
        instance = ctx.state.instances.get(arn)
        if instance is None or instance.cluster_arn != cluster.arn:
            failures.append(missing(arn))
        else:
            found.append(views.container_instance(ctx.state, instance, include))
    return answer({"containerInstances": found, "failures": failures})


@operation("ecs", "ListContainerInstances")
def list_container_instances(ctx: Context, params: Params) -> Outcome:
    """Without `status`: all but INACTIVE ones."""
    cluster = ctx.cluster(params.get("cluster"))
    wish = query.parse(params["filter"]) if params.get("filter") else None
    status = params.get("status")
    wanted = [
        i.arn
        for i in ctx.state.instances_of(cluster.arn)
        if (i.status == status if status else i.status != "INACTIVE")
        and (wish is None or wish.matches(ctx.state, i))
    ]
    chunk, token = page(wanted, params)
    return answer(with_token({"containerInstanceArns": chunk}, token))


@operation("ecs", "UpdateContainerInstancesState")
def update_container_instances_state(ctx: Context, params: Params) -> Outcome:
    """DRAINING: nothing new is placed, and services move off; ACTIVE takes it back."""
    cluster = ctx.cluster(params.get("cluster"))
    status = params["status"]
    if status not in ("ACTIVE", "DRAINING"):
        raise invalid_parameter("Container instance status should be one of [ACTIVE, DRAINING]")
    changed, failures = [], []
    for name in bounded(params["containerInstances"], "Container Instances", 10):
        arn = ctx.instance_arn(cluster, name)
        instance = ctx.state.instances.get(arn)
        if instance is None or instance.cluster_arn != cluster.arn:
            failures.append(missing(arn))
        elif instance.status == "INACTIVE":
            failures.append({"arn": arn, "reason": "INACTIVE"})
        else:
            changed.append(replace(instance, status=status, version=instance.version + 1))
    return Outcome(
        lambda s: {
            "containerInstances": [views.container_instance(s, i, frozenset()) for i in changed],
            "failures": failures,
        },
        tuple(Put(i) for i in changed),
    )


@operation("ecs", "DeregisterContainerInstance")
def deregister_container_instance(ctx: Context, params: Params) -> Outcome:
    """With tasks on it only by force; service tasks are then replaced elsewhere."""
    cluster = ctx.cluster(params.get("cluster"))
    instance = ctx.instance(cluster, params["containerInstance"])
    busy = any(t.is_wanted for t in ctx.state.live_tasks_on(instance.arn))
    if busy and not params.get("force"):
        raise invalid_parameter("Found running tasks on the instance.")
    gone = replace(
        instance,
        status="INACTIVE",
        agent_connected=False,
        version=instance.version + 1,
        inactive_at=ctx.now,
        lost_at=ctx.now,
    )
    return Outcome(
        lambda s: {"containerInstance": views.container_instance(s, gone, frozenset())},
        (Put(gone),),
    )
