"""StartQuery, GetQueryResults, StopQuery, DescribeQueries (CloudWatch Logs API reference): Logs Insights."""

from __future__ import annotations

from typing import Any

from monitor.api.logs.asked import SERVICE, from_identifier, store_of, working
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.logs.queries import Queries, Query, TooManyQueries, duration_ms
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.rules import insights

MOST_GROUPS, MOST_ROWS, MOST_TEXT = 50, 10_000, 10_000


def _queries(ctx: Context) -> Queries:
    if ctx.queries is None:
        raise ClientFault("ServiceUnavailableException", "There is no log store.", 500)
    return ctx.queries


@operation(SERVICE, "StartQuery")
def start_query(ctx: Context, params: Params) -> Outcome:
    """Times are seconds since the epoch."""
    if params.get("queryLanguage", "CWLI") != "CWLI":
        raise invalid_parameter("queryLanguage: CWLI is the one there is.")
    given = [m for m in ("logGroupName", "logGroupNames", "logGroupIdentifiers") if params.get(m)]
    if len(given) != 1:
        raise invalid_parameter(
            "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers is needed."
        )
    value = params[given[0]]
    groups = tuple(from_identifier(ctx, text) for text in ([value] if given[0] == "logGroupName" else value))
    if len(groups) > MOST_GROUPS:
        raise invalid_parameter(f"A query has at most {MOST_GROUPS} log groups: these are {len(groups)}.")
    start, end, text = params["startTime"], params["endTime"], params["queryString"]
    if start > end:
        raise ClientFault(
            "MalformedQueryException", "Query's end date and time is before its start date and time."
        )
    if len(text) > MOST_TEXT:
        raise invalid_parameter(f"queryString has at most {MOST_TEXT} characters.")
    insights.parse(text)
    limit = params.get("limit", MOST_ROWS)
    query = Query(ctx.ids.uuid(), ctx.scope, text, groups, start, end, limit, ctx.now)
    store, queries = store_of(ctx), _queries(ctx)

    async def work() -> dict[str, Any]:
        for group in groups:
            await store.group(ctx.scope, group)
        try:
            queries.start(query)
        except TooManyQueries as error:
            raise ClientFault(
                "LimitExceededException", "Account maximum query concurrency limit reached."
            ) from error
        return {"queryId": query.id}

    return working(work)


def _found(ctx: Context, params: Params) -> Query:
    query = _queries(ctx).get(ctx.scope, params["queryId"])
    if query is None:
        raise ClientFault(
            "ResourceNotFoundException",
            f"Query {params['queryId'][:64]} does not exist: results are kept for an hour, and not over a restart.",
        )
    return query


@operation(SERVICE, "GetQueryResults")
def get_query_results(ctx: Context, params: Params) -> Outcome:
    query = _found(ctx, params)
    rows = [[{"field": name, "value": value} for name, value in row.items()] for row in query.rows]
    return answer(
        {
            "queryLanguage": "CWLI",
            "results": rows,
            "statistics": {
                "recordsMatched": float(query.counts.matched),
                "recordsScanned": float(query.counts.scanned),
                "bytesScanned": float(query.counts.bytes),
                "logGroupsScanned": float(len(query.groups)),
            },
            "status": query.status,
        }
    )


@operation(SERVICE, "StopQuery")
def stop_query(ctx: Context, params: Params) -> Outcome:
    query = _found(ctx, params)
    if not _queries(ctx).stop(query):
        raise invalid_parameter("This query is not currently running.")
    return answer({"success": True})


@operation(SERVICE, "DescribeQueries")
def describe_queries(ctx: Context, params: Params) -> Outcome:
    """Newest first."""
    group, status = params.get("logGroupName"), params.get("status")
    found = [
        q for q in _queries(ctx).all(ctx.scope) if group in (None, *q.groups) and status in (None, q.status)
    ]
    shown = [
        {
            "queryLanguage": "CWLI",
            "queryId": q.id,
            "queryString": q.text,
            "status": q.status,
            "createTime": int(q.created_at * 1000),
            "logGroupName": q.groups[0],
            "queryDuration": duration_ms(q, ctx.now),
            "bytesScanned": float(q.counts.bytes),
        }
        for q in found[: params.get("maxResults", 1000)]
    ]
    return answer({"queries": shown})
