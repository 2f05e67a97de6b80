"""ListMetrics and GetMetricStatistics (CloudWatch API reference)."""

from __future__ import annotations

import math
from typing import Any

from monitor.api.cloudwatch.asked import (
    SERVICE,
    bad_combination,
    bad_value,
    dimensions_view,
    key_of,
    read_token,
    store_of,
    token,
)
from monitor.api.operation import Context, Outcome, Params, answer, awaited, operation
from monitor.model.metric import MetricKey
from monitor.rules import period as periods
from monitor.rules import statistics
from monitor.rules.statistics import Statistic
from monitor.series.base import LISTED_SECONDS, Listing, Series

LISTED, MOST_FILTERS, MOST_DATAPOINTS = 500, 10, 1440
RECENT = {"PT3H": 3 * 3600}


@operation(SERVICE, "ListMetrics")
def list_metrics(ctx: Context, params: Params) -> Outcome:
    """In the order of namespace, name, dimensions."""
    store = store_of(ctx)
    owner = params.get("OwningAccount")
    if owner and owner != ctx.scope.account:
        return answer({"Metrics": []})
    filters = params.get("Dimensions") or []
    if len(filters) > MOST_FILTERS:
        raise bad_value(f"The parameter Dimensions has at most {MOST_FILTERS} members.")
    last = read_token(params, (str, str, list))
    listing = Listing(
        ctx.scope,
        ctx.now - RECENT.get(params.get("RecentlyActive", ""), LISTED_SECONDS),
        params.get("Namespace") or "",
        params.get("MetricName") or "",
        tuple((d["Name"], d.get("Value")) for d in filters),
        _last_key(last) if last else None,
        LISTED + 1,
    )

    async def work() -> dict[str, Any]:
        found = await store.metrics(listing)
        shown = found[:LISTED]
        body: dict[str, Any] = {"Metrics": [_metric(key) for key in shown]}
        if params.get("IncludeLinkedAccounts"):
            body["OwningAccounts"] = [ctx.scope.account] * len(shown)
        if len(found) > LISTED:
            body["NextToken"] = token(shown[-1].namespace, shown[-1].name, shown[-1].dimensions)  # type: ignore[arg-type]
        return body

    return awaited(work)


def _last_key(parts: list[Any]) -> MetricKey:
    namespace, name, pairs = parts
    whole = [p for p in pairs if isinstance(p, list) and len(p) == 2 and all(isinstance(s, str) for s in p)]
    return MetricKey.of(namespace, name, [(n, v) for n, v in whole])


def _metric(key: MetricKey) -> dict[str, Any]:
    return {"Namespace": key.namespace, "MetricName": key.name, "Dimensions": dimensions_view(key)}


@operation(SERVICE, "GetMetricStatistics")
def get_metric_statistics(ctx: Context, params: Params) -> Outcome:
    """Each unit's points are points of their own; they come in no order that a caller may rely on."""
    store = store_of(ctx)
    plain, extended = params.get("Statistics") or [], params.get("ExtendedStatistics") or []
    if not plain and not extended:
        raise bad_combination("Must specify either Statistics or ExtendedStatistics")
    wanted = [_statistic(s, f"ExtendedStatistics.member.{n}") for n, s in enumerate(extended, 1)]
    if plain_names := [s.text for s in wanted if not s.needs_values]:
        raise bad_value(f"The value {plain_names[0]} for parameter ExtendedStatistics is invalid.")
    start, end, seconds = params["StartTime"], params["EndTime"], params["Period"]
    if start >= end:
        raise bad_value("The parameter StartTime must be less than the parameter EndTime.")
    if not periods.is_period(seconds):
        raise bad_value(
            f"The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60: {seconds} is not."
        )
    points = math.ceil((end - start) / seconds)
    if points > MOST_DATAPOINTS:
        raise bad_combination(
            f"You have requested up to {points} datapoints, which exceeds the limit of {MOST_DATAPOINTS}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    key = key_of(params)
    first, last = periods.align(start, end, seconds, ctx.now)
    is_kept = periods.usable_period(seconds, first, ctx.now) == seconds
    basic = [statistics.parse(s) for s in plain]

    async def work() -> dict[str, Any]:
        units = [params["Unit"]] if params.get("Unit") else (await store.units(ctx.scope, [key]))[0]
        series = [Series(ctx.scope, key, unit) for unit in units] if is_kept else []
        found = await store.select(series, first, last, seconds, bool(wanted)) if series else []
        shown = []
        for unit, columns in zip(units, found, strict=False):
            for at, point in columns.points():
                told: dict[str, Any] = {"Timestamp": float(at), "Unit": unit}
                told |= {s.text: s.of(point) for s in basic}
                if percentiles := {s.text: v for s in wanted if (v := s.of(point)) is not None}:
                    told["ExtendedStatistics"] = percentiles
                if basic or percentiles:
                    shown.append(told)
        return {"Label": params["MetricName"], "Datapoints": shown}

    return awaited(work)


def _statistic(text: str, where: str) -> Statistic:
    try:
        return statistics.parse(text, where)
    except statistics.BadStatistic as error:
        raise bad_value(str(error)) from error
