"""Log groups: making, listing, retention, tags (CloudWatch Logs API reference)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from monitor.api.logs.asked import (
    SERVICE,
    check_group_name,
    from_identifier,
    group_arn,
    read_token,
    store_of,
    token,
    working,
)
from monitor.api.logs.metric_filters import of_group
from monitor.api.operation import Context, Outcome, Params, operation
from monitor.logs.base import Group
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.model.state import Drop

RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
MOST_TAGS, MOST_LISTED, READ_AT_ONCE = 50, 50, 500


@operation(SERVICE, "CreateLogGroup")
def create_log_group(ctx: Context, params: Params) -> Outcome:
    store, name = store_of(ctx), check_group_name(params["logGroupName"])
    tags = dict(params.get("tags") or {})
    _check_tags(tags)
    group = Group(name, int(ctx.now * 1000), 0, tags, params.get("logGroupClass") or "STANDARD")

    async def work() -> dict[str, Any]:
        await store.create_group(ctx.scope, group)
        return {}

    return working(work)


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise invalid_parameter(f"A log group has at most {MOST_TAGS} tags.")


@operation(SERVICE, "DeleteLogGroup")
def delete_log_group(ctx: Context, params: Params) -> Outcome:
    """With its metric filters."""
    store, name = store_of(ctx), params["logGroupName"]

    async def work() -> dict[str, Any]:
        await store.delete_group(ctx.scope, name)
        return {}

    filters = tuple(Drop(f) for f in of_group(ctx.state, ctx.scope, name))
    return replace(working(work), changes=filters)


@operation(SERVICE, "DescribeLogGroups")
def describe_log_groups(ctx: Context, params: Params) -> Outcome:
    """By name, 50 a page. A pattern finds names that contain it, without regard to case."""
    store = store_of(ctx)
    prefix, pattern = params.get("logGroupNamePrefix") or "", params.get("logGroupNamePattern") or ""
    if prefix and pattern:
        raise invalid_parameter(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
    wanted = [from_identifier(ctx, text) for text in params.get("logGroupIdentifiers") or ()]
    limit = params.get("limit", MOST_LISTED)
    kind = params.get("logGroupClass")
    last = read_token(params, str)

    def is_meant(group: Group) -> bool:
        return (
            pattern.lower() in group.name.lower()
            and kind in (None, group.kind)
            and (not wanted or group.name in wanted)
        )

    async def work() -> dict[str, Any]:
        found: list[Group] = []
        after = last[0] if last else ""
        while len(found) <= limit:
            groups = await store.groups(ctx.scope, prefix, after, READ_AT_ONCE)
            found += [group for group in groups if is_meant(group)]
            if len(groups) < READ_AT_ONCE:
                break
            after = groups[-1].name
        body: dict[str, Any] = {"logGroups": [_view(ctx, group) for group in found[:limit]]}
        if len(found) > limit:
            body["nextToken"] = token(found[limit - 1].name)
        return body

    return working(work)


def _view(ctx: Context, group: Group) -> dict[str, Any]:
    arn = group_arn(ctx.scope, group.name)
    shown: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": len(of_group(ctx.state, ctx.scope, group.name)),
        "arn": f"{arn}:*",
        "storedBytes": max(0, group.stored_bytes),
        "logGroupClass": group.kind,
        "logGroupArn": arn,
        "deletionProtectionEnabled": False,
    }
    return shown | ({"retentionInDays": group.retention_days} if group.retention_days else {})


def _change(ctx: Context, name: str, change: Callable[[Group], Group]) -> Outcome:
    store = store_of(ctx)

    async def work() -> dict[str, Any]:
        await store.change_group(ctx.scope, name, change)
        return {}

    return working(work)


@operation(SERVICE, "PutRetentionPolicy")
def put_retention_policy(ctx: Context, params: Params) -> Outcome:
    days = params["retentionInDays"]
    if days not in RETENTION_DAYS:
        raise invalid_parameter(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member "
            f"must satisfy enum value set: [{', '.join(map(str, RETENTION_DAYS))}]"
        )
    return _change(ctx, params["logGroupName"], lambda group: replace(group, retention_days=days))


@operation(SERVICE, "DeleteRetentionPolicy")
def delete_retention_policy(ctx: Context, params: Params) -> Outcome:
    return _change(ctx, params["logGroupName"], lambda group: replace(group, retention_days=0))


# -- tags ----------------------------------------------------------------------------------------------------


def _tagging(ctx: Context, name: str, tags: dict[str, str]) -> Outcome:
    def change(group: Group) -> Group:
        whole = {**group.tags, **tags}
        if len(whole) > MOST_TAGS:
            raise ClientFault("InvalidParameterException", f"A log group has at most {MOST_TAGS} tags.")
        return replace(group, tags=whole)

    _check_tags(tags)
    return _change(ctx, name, change)


def _untagging(ctx: Context, name: str, keys: list[str]) -> Outcome:
    gone = set(keys)
    return _change(
        ctx, name, lambda group: replace(group, tags={k: v for k, v in group.tags.items() if k not in gone})
    )


def _tags(ctx: Context, name: str) -> Outcome:
    store = store_of(ctx)

    async def work() -> dict[str, Any]:
        return {"tags": dict((await store.group(ctx.scope, name)).tags)}

    return working(work)


@operation(SERVICE, "TagResource")
def tag_resource(ctx: Context, params: Params) -> Outcome:
    return _tagging(ctx, from_identifier(ctx, params["resourceArn"]), dict(params["tags"]))


@operation(SERVICE, "UntagResource")
def untag_resource(ctx: Context, params: Params) -> Outcome:
    return _untagging(ctx, from_identifier(ctx, params["resourceArn"]), list(params["tagKeys"]))


@operation(SERVICE, "ListTagsForResource")
def list_tags_for_resource(ctx: Context, params: Params) -> Outcome:
    return _tags(ctx, from_identifier(ctx, params["resourceArn"]))


@operation(SERVICE, "TagLogGroup")
def tag_log_group(ctx: Context, params: Params) -> Outcome:
    return _tagging(ctx, params["logGroupName"], dict(params["tags"]))


@operation(SERVICE, "UntagLogGroup")
def untag_log_group(ctx: Context, params: Params) -> Outcome:
    return _untagging(ctx, params["logGroupName"], list(params["tags"]))


@operation(SERVICE, "ListTagsLogGroup")
def list_tags_log_group(ctx: Context, params: Params) -> Outcome:
    return _tags(ctx, params["logGroupName"])
