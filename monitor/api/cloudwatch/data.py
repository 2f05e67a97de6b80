"""GetMetricData (CloudWatch API reference): metrics and metric math, in pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.api.cloudwatch.asked import SERVICE, key_of, read_token, store_of, token, validation
from monitor.api.operation import Context, Outcome, Params, awaited, operation
from monitor.rules import label, period, statistics
from monitor.series.query import Asked, BadQuery, Query, Result, answers

MOST_QUERIES, MOST_DATAPOINTS = 500, 100_800
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


@operation(SERVICE, "GetMetricData")
def get_metric_data(ctx: Context, params: Params) -> Outcome:
    store = store_of(ctx)
    start, end = params["StartTime"], params["EndTime"]
    if start > end:
        raise validation("The parameter EndTime must be greater than StartTime.")
    if start == end:
        raise validation("The parameter StartTime must not equal parameter EndTime.")
    zone = (params.get("LabelOptions") or {}).get("Timezone", "+0000")
    try:
        label.parse_timezone(zone)
    except label.BadLabel as error:
        raise validation(f"{error}.") from error
    queries = queries_of(params["MetricDataQueries"])
    most = params.get("MaxDatapoints", MOST_DATAPOINTS)
    if not 1 <= most <= MOST_DATAPOINTS:
        raise validation(f"MaxDatapoints must be from 1 to {MOST_DATAPOINTS}: it is {most}.")
    first, seen = read_token(params, (int, int)) or (0, 0)
    descends = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    asked = Asked(ctx.scope, start, end, ctx.now, zone)

    async def work() -> dict[str, Any]:
        try:
            found = await answers(store, queries, asked, first)
        except BadQuery as error:
            raise validation(error.text) from error
        return await asyncio.to_thread(_page, found, first, seen, most, descends)

    return awaited(work)


def queries_of(given: Sequence[Mapping[str, Any]], most: int = MOST_QUERIES) -> list[Query]:
    """MetricDataQueries, also those of an alarm. Raises ValidationError."""
    if not 1 <= len(given) <= most:
        raise validation(
            f"The collection MetricDataQueries must have a size from 1 to {most}: it has {len(given)}."
        )
    found = [_query(entry, f"MetricDataQueries.member.{n}") for n, entry in enumerate(given, 1)]
    ids = [q.id for q in found]
    if repeated := next((i for i in ids if ids.count(i) > 1), ""):
        raise validation(f"The values for parameter id in MetricDataQueries are not unique: {repeated}.")
    return found


def _query(entry: Mapping[str, Any], where: str) -> Query:
    query_id, stat, text = entry["Id"], entry.get("MetricStat"), entry.get("Expression")
    if not _ID.fullmatch(query_id):
        raise validation(
            f"The value {query_id[:64]} for parameter {where}.Id is not matching the expected pattern "
            "^[a-z][a-zA-Z0-9_]*$."
        )
    if (stat is None) == (text is None):
        which = (
            "are mutually exclusive and you have specified both"
            if stat
            else "are both missing: one is needed"
        )
        raise validation(f"The parameters {where}.MetricStat and {where}.Expression {which}.")
    shared = {"label": entry.get("Label"), "is_returned": entry.get("ReturnData", True)}
    if text is not None:
        return Query(query_id, _period(entry.get("Period"), where), expression=text, **shared)
    assert stat is not None
    try:
        statistics.parse(stat["Stat"], f"{where}.MetricStat.Stat")
    except statistics.BadStatistic as error:
        raise validation(str(error)) from error
    key = key_of(stat["Metric"], f"{where}.MetricStat.Metric.Dimensions")
    if not key.namespace or not key.name:
        missing = "MetricName" if key.namespace else "Namespace"
        raise validation(f"The parameter {where}.MetricStat.Metric.{missing} is required.")
    seconds = _period(stat["Period"], f"{where}.MetricStat")
    return Query(query_id, seconds, key, stat["Stat"], stat.get("Unit"), **shared)


def _period(seconds: int | None, where: str) -> int | None:
    if seconds is not None and not period.is_period(seconds):
        raise validation(
            f"Period must be 1, 5, 10, 20, 30, or a multiple of 60: {where}.Period is {seconds}."
        )
    return seconds


def _page(
    found: Sequence[Sequence[Result]], first: int, seen: int, most: int, descends: bool
) -> dict[str, Any]:
    """From query number `first` on, the points after the first `seen` of its results, at most `most` of them all."""
    shown: list[dict[str, Any]] = []
    taken = 0
    for number, results in enumerate(found):
        before, skipped = 0, seen if number == first else 0
        for result in results:
            count = len(result.points)
            skip = min(count, max(0, skipped - before))
            take = min(count - skip, most - taken)
            if take < count - skip and not take:
                return _body(shown, token(number, before + skip))
            points = result.points[::-1] if descends else result.points
            part = points[skip : skip + take]
            before, taken = before + count, taken + take
            if skipped >= before > 0:
                continue  # shown on a page before
            is_whole = skip + take == count
            shown.append(_view(result, part, is_whole))
            if not is_whole:
                return _body(shown, token(number, before - count + skip + take))
    return _body(shown)


def _body(shown: list[dict[str, Any]], following: str = "") -> dict[str, Any]:
    return {"MetricDataResults": shown, "Messages": []} | ({"NextToken": following} if following else {})


def _view(result: Result, points: Sequence[tuple[float, float]], is_whole: bool) -> dict[str, Any]:
    view: dict[str, Any] = {
        "Id": result.id,
        "Label": result.label,
        "Timestamps": [at for at, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete" if is_whole else "PartialData",
    }
    if result.messages:
        view["Messages"] = [{"Code": code, "Value": text} for code, text in result.messages]
    return view
