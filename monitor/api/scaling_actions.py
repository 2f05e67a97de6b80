"""Scheduled actions and scaling activities of ECS services (Application Auto Scaling API reference)."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor.api.autoscaling import (
    DIMENSION,
    MOST_ACTIONS,
    SERVICE,
    listed,
    paged,
    target_of,
    targets_asked,
)
from monitor.api.ecs.views import filled
from monitor.api.operation import Context, Outcome, Params, operation
from monitor.model.errors import ClientFault
from monitor.model.scaling import ScalableTarget, ScalingActivity, ScheduledAction
from monitor.model.state import Drop, Put
from monitor.rules import schedule
from monitor.rules.scaling import validation


@operation(SERVICE, "PutScheduledAction")
def put_scheduled_action(ctx: Context, params: Params) -> Outcome:
    """Times that are not sent again with an update are removed."""
    target, name = target_of(ctx, params), params["ScheduledActionName"]
    known = ctx.state.scheduled_actions.get(f"{target.service_arn}/{name}")
    text = params.get("Schedule") or (known.schedule if known else "")
    schedule.parse(text)
    zone = params.get("Timezone") or ""
    if zone:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise validation(f"Timezone {zone[:64]!r} is not a time zone of the IANA database.") from error
    action = params.get("ScalableTargetAction") or {}
    low = action.get("MinCapacity", known.minimum if known else None)
    high = action.get("MaxCapacity", known.maximum if known else None)
    if (low is None and high is None) or min(v for v in (low, high) if v is not None) < 0:
        raise validation("ScalableTargetAction needs a MinCapacity or a MaxCapacity of at least 0.")
    if low is not None and high is not None and low > high:
        raise validation("MinCapacity must not be above MaxCapacity.")
    if known is None and len(ctx.state.scheduled_actions_of(target.service_arn)) >= MOST_ACTIONS:
        raise ClientFault(
            "LimitExceededException", f"A scalable target can have at most {MOST_ACTIONS} actions."
        )
    region, account = ctx.scope.region, ctx.scope.account
    made = ScheduledAction(
        arn=known.arn
        if known
        else f"arn:aws:autoscaling:{region}:{account}:scheduledAction:{ctx.ids.uuid()}:resource/ecs/"
        f"{target.resource_id}:scheduledActionName/{name}",
        service_arn=target.service_arn,
        name=name,
        schedule=text,
        created_at=known.created_at if known else ctx.now,
        timezone=zone,
        starts_at=params.get("StartTime"),
        ends_at=params.get("EndTime"),
        minimum=low,
        maximum=high,
        fired_at=ctx.now,
    )
    return Outcome(lambda _: {}, (Put(made),))


@operation(SERVICE, "DeleteScheduledAction")
def delete_scheduled_action(ctx: Context, params: Params) -> Outcome:
    target = target_of(ctx, params)
    found = ctx.state.scheduled_actions.get(f"{target.service_arn}/{params['ScheduledActionName']}")
    if found is None:
        raise ClientFault(
            "ObjectNotFoundException", f"No scheduled action found: {params['ScheduledActionName']}"
        )
    return Outcome(lambda _: {}, (Drop(found),))


@operation(SERVICE, "DescribeScheduledActions")
def describe_scheduled_actions(ctx: Context, params: Params) -> Outcome:
    names = params.get("ScheduledActionNames")
    found = {
        a.key: (a, t)
        for t in targets_asked(ctx, params)
        for a in ctx.state.scheduled_actions_of(t.service_arn)
        if not names or a.name in names
    }
    chunk, token = paged(list(found), params, 50)
    return listed("ScheduledActions", [_action_view(*found[k]) for k in chunk], token)


def _action_view(a: ScheduledAction, t: ScalableTarget) -> dict[str, Any]:
    return filled(
        ScheduledActionName=a.name,
        ScheduledActionARN=a.arn,
        ServiceNamespace="ecs",
        Schedule=a.schedule,
        Timezone=a.timezone,
        ResourceId=t.resource_id,
        ScalableDimension=DIMENSION,
        StartTime=a.starts_at,
        EndTime=a.ends_at,
        ScalableTargetAction=filled(MinCapacity=a.minimum, MaxCapacity=a.maximum),
        CreationTime=a.created_at,
    )


# -- activities --------------------------------------------------------------------------------------------


@operation(SERVICE, "DescribeScalingActivities")
def describe_scaling_activities(ctx: Context, params: Params) -> Outcome:
    """Newest first. What was not done is listed only when it is asked for."""
    with_all = bool(params.get("IncludeNotScaledActivities"))
    found = {
        a.id: (a, t)
        for t in targets_asked(ctx, params)
        for a in reversed(ctx.state.scaling_activities_of(t.service_arn))
        if with_all or not a.not_scaled
    }
    chunk, token = paged(list(found), params, 50)
    return listed("ScalingActivities", [_activity_view(*found[k]) for k in chunk], token)


def _activity_view(a: ScalingActivity, t: ScalableTarget) -> dict[str, Any]:
    return filled(
        ActivityId=a.id,
        ServiceNamespace="ecs",
        ResourceId=t.resource_id,
        ScalableDimension=DIMENSION,
        Description=a.description,
        Cause=a.cause,
        StartTime=a.started_at,
        EndTime=a.ended_at,
        StatusCode=a.status,
        StatusMessage=a.message,
        NotScaledReasons=[dict(r) for r in a.not_scaled] or None,
    )
