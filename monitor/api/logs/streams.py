"""Log streams (CloudWatch Logs API reference)."""

from __future__ import annotations

from typing import Any

from monitor.api.logs.asked import (
    SERVICE,
    check_stream_name,
    group_arn,
    group_name,
    read_token,
    store_of,
    token,
    working,
)
from monitor.api.operation import Context, Outcome, Params, operation
from monitor.logs.base import Stream
from monitor.model.errors import invalid_parameter

MOST_LISTED = 50
BY_NAME, BY_TIME = "LogStreamName", "LastEventTime"


@operation(SERVICE, "CreateLogStream")
def create_log_stream(ctx: Context, params: Params) -> Outcome:
    store, name = store_of(ctx), check_stream_name(params["logStreamName"])

    async def work() -> dict[str, Any]:
        await store.create_stream(ctx.scope, params["logGroupName"], name, int(ctx.now * 1000))
        return {}

    return working(work, "stream")


@operation(SERVICE, "DeleteLogStream")
def delete_log_stream(ctx: Context, params: Params) -> Outcome:
    store = store_of(ctx)

    async def work() -> dict[str, Any]:
        await store.delete_stream(ctx.scope, params["logGroupName"], params["logStreamName"])
        return {}

    return working(work)


@operation(SERVICE, "DescribeLogStreams")
def describe_log_streams(ctx: Context, params: Params) -> Outcome:
    store, group = store_of(ctx), group_name(ctx, params)
    prefix, order = params.get("logStreamNamePrefix") or "", params.get("orderBy") or BY_NAME
    if prefix and order == BY_TIME:
        raise invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
    limit, is_falling = params.get("limit", MOST_LISTED), bool(params.get("descending"))
    last = read_token(params, int, str)

    def rank(stream: Stream) -> tuple[int, str]:
        return (stream.last or 0) if order == BY_TIME else 0, stream.name

    async def work() -> dict[str, Any]:
        found = sorted(await store.streams(ctx.scope, group, prefix), key=rank, reverse=is_falling)
        if last:
            seen = (last[0], last[1])
            found = [s for s in found if (rank(s) < seen if is_falling else rank(s) > seen)]
        body: dict[str, Any] = {"logStreams": [_view(ctx, group, s) for s in found[:limit]]}
        if len(found) > limit:
            body["nextToken"] = token(*rank(found[limit - 1]))
        return body

    return working(work)


def _view(ctx: Context, group: str, stream: Stream) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "arn": f"{group_arn(ctx.scope, group)}:log-stream:{stream.name}",
        "storedBytes": 0,  # CloudWatch tells no more of a stream either
    }
    known = {
        "firstEventTimestamp": stream.first,
        "lastEventTimestamp": stream.last,
        "lastIngestionTime": stream.ingested,
    }
    if stream.resend:  # an old member, for who numbers batches: where to go on
        shown["uploadSequenceToken"] = f"moorwatch/{stream.resend}"
    return shown | {name: at for name, at in known.items() if at is not None}
