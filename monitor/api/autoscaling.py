"""Application Auto Scaling for ECS services: targets, policies, scheduled actions, activities (its API reference)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from monitor.api.ecs.views import filled
from monitor.api.operation import Context, Outcome, Params, answer, operation, page
from monitor.model import arn as arns
from monitor.model.alarm import Alarm, alarm_arn
from monitor.model.errors import ClientFault
from monitor.model.scaling import ScalableTarget, ScalingPolicy
from monitor.model.service import ACTIVE, Service
from monitor.model.state import Change, Drop, Put, State
from monitor.rules.scaling import check_steps, clamp, validation

SERVICE = "application-autoscaling"
DIMENSION = "ecs:service:DesiredCount"
PREDEFINED = {
    "ECSServiceAverageCPUUtilization": "CPUUtilization",
    "ECSServiceAverageMemoryUtilization": "MemoryUtilization",
}
MOST_POLICIES, MOST_ACTIONS, MOST_TAGS = 50, 200, 50
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


def _service(ctx: Context, params: Params) -> Service:
    """The service that ResourceId names. Raises ValidationException."""
    dimension = params.get("ScalableDimension") or DIMENSION
    parts = str(params.get("ResourceId") or "").split("/")
    if (
        params.get("ServiceNamespace") != "ecs"
        or dimension != DIMENSION
        or len(parts) != 3
        or parts[0] != "service"
    ):
        raise validation("Unsupported service namespace, resource type or scalable dimension")
    service = ctx.state.services.get(arns.service(ctx.scope, parts[1], parts[2]))
    if service is None or service.status != ACTIVE:
        raise validation(f"ECS service doesn't exist: {params['ResourceId']}")
    return service


def target_of(ctx: Context, params: Params) -> ScalableTarget:
    """Raises ObjectNotFoundException."""
    parts = str(params.get("ResourceId") or "").split("/")
    arn = arns.service(ctx.scope, parts[1], parts[2]) if len(parts) == 3 else ""
    found = ctx.state.scalable_targets.get(arn)
    if found is None or params.get("ServiceNamespace") != "ecs":
        raise ClientFault(
            "ObjectNotFoundException",
            f"No scalable target found for service namespace: {params.get('ServiceNamespace')}, resource ID: "
            f"{params.get('ResourceId')}, scalable dimension: {params.get('ScalableDimension') or DIMENSION}",
        )
    return found


def paged(items: Sequence[str], params: Params, default: int) -> tuple[list[str], str | None]:
    asked = {"maxResults": params.get("MaxResults", default), "nextToken": params.get("NextToken")}
    return page(items, {k: v for k, v in asked.items() if v is not None}, default, default)


def listed(name: str, shown: list[dict[str, Any]], token: str | None) -> Outcome:
    return answer(filled(**{name: shown}, NextToken=token))


def targets_asked(ctx: Context, params: Params) -> list[ScalableTarget]:
    """Targets of the caller's account and region, of one resource if it is named."""
    if params.get("ServiceNamespace") != "ecs":
        raise validation("Unsupported service namespace, resource type or scalable dimension")
    wanted = params.get("ResourceId")
    return [
        t
        for t in ctx.state.scalable_targets.values()
        if arns.scope_of(t.service_arn) == ctx.scope and wanted in (None, t.resource_id)
    ]


# -- targets -----------------------------------------------------------------------------------------------


@operation(SERVICE, "RegisterScalableTarget")
def register_scalable_target(ctx: Context, params: Params) -> Outcome:
    """New, or an update; the service's count is brought into the range at once."""
    service = _service(ctx, params)
    known = ctx.state.scalable_targets.get(service.arn)
    low, high = params.get("MinCapacity"), params.get("MaxCapacity")
    if known is None and (low is None or high is None):
        raise validation("MinCapacity and MaxCapacity are required for a new scalable target.")
    low = known.minimum if low is None and known else low
    high = known.maximum if high is None and known else high
    if low is None or high is None or not 0 <= low <= high:
        raise validation(f"MinCapacity must be between 0 and MaxCapacity, got {low} and {high}.")
    suspended = {**(known.suspended if known else {}), **(params.get("SuspendedState") or {})}
    digest = hashlib.sha256(service.arn.encode()).hexdigest()[:40]
    region, account = ctx.scope.region, ctx.scope.account
    target = ScalableTarget(
        arn=f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/{digest}",
        service_arn=service.arn,
        resource_id=params["ResourceId"],
        minimum=low,
        maximum=high,
        created_at=known.created_at if known else ctx.now,
        suspended=suspended,
        tags=_tags(params.get("Tags")) if known is None else known.tags,
        role_arn=params.get("RoleARN")
        or f"arn:aws:iam::{account}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
    )
    changes: list[Change] = [Put(target)]
    count = clamp(service.desired_count, low, high)
    if count != service.desired_count:
        changes.append(Put(replace(service, desired_count=count)))
    return Outcome(lambda _: {"ScalableTargetARN": target.arn}, tuple(changes))


def belongings(state: State, target: ScalableTarget) -> list[Change]:
    """Dropping a target drops what it has."""
    found: list[Change] = [Drop(target)]
    for policy in state.scaling_policies_of(target.service_arn):
        found += [Drop(policy), *(Drop(a) for a in alarms_of(state, policy))]
    found += [Drop(a) for a in state.scheduled_actions_of(target.service_arn)]
    return found


@operation(SERVICE, "DeregisterScalableTarget")
def deregister_scalable_target(ctx: Context, params: Params) -> Outcome:
    return Outcome(lambda _: {}, tuple(belongings(ctx.state, target_of(ctx, params))))


@operation(SERVICE, "DescribeScalableTargets")
def describe_scalable_targets(ctx: Context, params: Params) -> Outcome:
    wanted = params.get("ResourceIds")
    found = {
        t.key: t
        for t in targets_asked(ctx, {**params, "ResourceId": None})
        if not wanted or t.resource_id in wanted
    }
    chunk, token = paged(list(found), params, 50)
    return listed("ScalableTargets", [_target_view(found[k]) for k in chunk], token)


def _target_view(t: ScalableTarget) -> dict[str, Any]:
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": t.resource_id,
        "ScalableDimension": DIMENSION,
        "MinCapacity": t.minimum,
        "MaxCapacity": t.maximum,
        "RoleARN": t.role_arn,
        "CreationTime": t.created_at,
        "SuspendedState": {name: bool(t.suspended.get(name)) for name in _SUSPENDED},
        "ScalableTargetARN": t.arn,
    }


# -- policies ----------------------------------------------------------------------------------------------


def alarm_names(policy: ScalingPolicy, resource_id: str) -> tuple[str, str]:
    """The names of a target tracking policy's two alarms: (high, low)."""
    high, low = (uuid.uuid5(uuid.NAMESPACE_URL, f"{policy.arn}/{end}") for end in ("high", "low"))
    return f"TargetTracking-{resource_id}-AlarmHigh-{high}", f"TargetTracking-{resource_id}-AlarmLow-{low}"


def alarms_of(state: State, policy: ScalingPolicy) -> list[Alarm]:
    target = state.scalable_targets.get(policy.service_arn)
    if target is None or policy.kind != "TargetTrackingScaling":
        return []
    scope = arns.scope_of(policy.service_arn)
    found = (
        state.alarms.get(alarm_arn(scope.region, scope.account, n))
        for n in alarm_names(policy, target.resource_id)
    )
    return [alarm for alarm in found if alarm is not None]


def _tracking(config: Mapping[str, Any]) -> dict[str, Any]:
    predefined = (config.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    custom = config.get("CustomizedMetricSpecification") or {}
    if bool(predefined) == bool(custom):
        raise validation("Give one of PredefinedMetricSpecification and CustomizedMetricSpecification.")
    if predefined and predefined not in PREDEFINED:
        raise validation(f"PredefinedMetricType should be one of {list(PREDEFINED)}.")
    if custom and (custom.get("Metrics") or not custom.get("MetricName") or not custom.get("Namespace")):
        raise validation(
            "A customized metric needs MetricName and Namespace; metric math (Metrics) is not available."
        )
    for name in ("ScaleOutCooldown", "ScaleInCooldown"):
        if (config.get(name) or 0) < 0:
            raise validation(f"{name} must not be negative.")
    return {**config, "DisableScaleIn": bool(config.get("DisableScaleIn"))}


@operation(SERVICE, "PutScalingPolicy")
def put_scaling_policy(ctx: Context, params: Params) -> Outcome:
    target = target_of(ctx, params)
    kind, name = params.get("PolicyType") or "StepScaling", params["PolicyName"]
    member = {
        "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
        "StepScaling": "StepScalingPolicyConfiguration",
    }.get(kind)
    if member is None:
        raise validation(f"PolicyType {kind} is not available: use TargetTrackingScaling or StepScaling.")
    config = params.get(member)
    if not config:
        raise validation(f"{member} cannot be empty for the policy type {kind}.")
    known = ctx.state.scaling_policies.get(f"{target.service_arn}/{name}")
    if known is None and len(ctx.state.scaling_policies_of(target.service_arn)) >= MOST_POLICIES:
        raise ClientFault(
            "LimitExceededException", f"A scalable target can have at most {MOST_POLICIES} policies."
        )
    if kind == "StepScaling":
        check_steps(config)
    else:
        config = _tracking(config)
    region, account = ctx.scope.region, ctx.scope.account
    policy = ScalingPolicy(
        arn=known.arn
        if known
        else f"arn:aws:autoscaling:{region}:{account}:scalingPolicy:{ctx.ids.uuid()}:resource/ecs/"
        f"{target.resource_id}:policyName/{name}",
        service_arn=target.service_arn,
        name=name,
        kind=kind,
        created_at=known.created_at if known else ctx.now,
        config=config,
        memory=known.memory if known else {},
    )
    alarms = (
        []
        if kind == "StepScaling"
        else [
            Alarm(alarm_arn(region, account, n), n, changed_at=ctx.now)
            for n in alarm_names(policy, target.resource_id)
        ]
    )
    fresh = [Put(a) for a in alarms if a.arn not in ctx.state.alarms]
    shown = [{"AlarmName": a.name, "AlarmARN": a.arn} for a in alarms]
    return Outcome(lambda _: {"PolicyARN": policy.arn, "Alarms": shown}, (Put(policy), *fresh))


def _policy(ctx: Context, params: Params) -> ScalingPolicy:
    target = target_of(ctx, params)
    found = ctx.state.scaling_policies.get(f"{target.service_arn}/{params['PolicyName']}")
    if found is None:
        raise ClientFault("ObjectNotFoundException", f"No scaling policy found: {params['PolicyName']}")
    return found


@operation(SERVICE, "DeleteScalingPolicy")
def delete_scaling_policy(ctx: Context, params: Params) -> Outcome:
    policy = _policy(ctx, params)
    return Outcome(lambda _: {}, (Drop(policy), *(Drop(a) for a in alarms_of(ctx.state, policy))))


@operation(SERVICE, "DescribeScalingPolicies")
def describe_scaling_policies(ctx: Context, params: Params) -> Outcome:
    names = params.get("PolicyNames")
    found = {
        p.key: (p, t)
        for t in targets_asked(ctx, params)
        for p in ctx.state.scaling_policies_of(t.service_arn)
        if not names or p.name in names
    }
    chunk, token = paged(list(found), params, 10)
    return listed("ScalingPolicies", [_policy_view(ctx.state, *found[k]) for k in chunk], token)


def _policy_view(state: State, p: ScalingPolicy, t: ScalableTarget) -> dict[str, Any]:
    return {
        "PolicyARN": p.arn,
        "PolicyName": p.name,
        "ServiceNamespace": "ecs",
        "ResourceId": t.resource_id,
        "ScalableDimension": DIMENSION,
        "PolicyType": p.kind,
        f"{p.kind}PolicyConfiguration": dict(p.config),
        "Alarms": [{"AlarmName": a.name, "AlarmARN": a.arn} for a in alarms_of(state, p)],
        "CreationTime": p.created_at,
    }


# -- tags ------------------------------------------------------------------------------------------------


def _tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    found = dict(tags or {})
    if len(found) > MOST_TAGS:
        raise ClientFault("TooManyTagsException", f"A scalable target can have at most {MOST_TAGS} tags.")
    if any(not 1 <= len(k) <= 128 or len(v) > 256 or k.lower().startswith("aws:") for k, v in found.items()):
        raise validation("Tag keys have 1 to 128 characters and do not start with aws:, values at most 256.")
    return found


def _tagged(ctx: Context, params: Params) -> ScalableTarget:
    for target in ctx.state.scalable_targets.values():
        if target.arn == params["ResourceARN"] and arns.scope_of(target.service_arn) == ctx.scope:
            return target
    raise ClientFault("ResourceNotFoundException", "The specified scalable target was not found.")


@operation(SERVICE, "TagResource")
def tag_resource(ctx: Context, params: Params) -> Outcome:
    target = _tagged(ctx, params)
    return Outcome(lambda _: {}, (Put(replace(target, tags=_tags({**target.tags, **params["Tags"]}))),))


@operation(SERVICE, "UntagResource")
def untag_resource(ctx: Context, params: Params) -> Outcome:
    target = _tagged(ctx, params)
    left = {k: v for k, v in target.tags.items() if k not in params["TagKeys"]}
    return Outcome(lambda _: {}, (Put(replace(target, tags=left)),))


@operation(SERVICE, "ListTagsForResource")
def list_tags_for_resource(ctx: Context, params: Params) -> Outcome:
    return answer({"Tags": dict(_tagged(ctx, params).tags)})


@operation(SERVICE, "GetPredictiveScalingForecast")
def get_predictive_scaling_forecast(_: Context, __: Params) -> Outcome:
    raise validation("Predictive scaling is not available: there is no forecast. Use target tracking.")
