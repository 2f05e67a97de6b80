"""PutMetricFilter, DescribeMetricFilters, DeleteMetricFilter, TestMetricFilter, and what they make of events as they
come in (CloudWatch Logs API reference; user guide, "Creating metrics from log events using filters")."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monitor.api.logs.asked import SERVICE, read_token, store_of, token, working
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model.arn import Scope
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.model.metric import MetricKey
from monitor.model.metric_filter import MetricFilter, Transformation
from monitor.model.state import Drop, Put, State
from monitor.rules import log_filter
from monitor.rules.statistics import of_values
from monitor.series.base import Datum, Series

MOST_OF_GROUP, MOST_LISTED, MOST_DIMENSIONS = 100, 50, 3
WHAT = "metric filter"


@operation(SERVICE, "PutMetricFilter")
def put_metric_filter(ctx: Context, params: Params) -> Outcome:
    """Events that come from now on are counted. A group that is not there is asked for first."""
    group, name, pattern = params["logGroupName"], params["filterName"], params["filterPattern"]
    log_filter.parse(pattern, WHAT)
    made = MetricFilter(
        ctx.scope.account,
        ctx.scope.region,
        group,
        name,
        pattern,
        ctx.now,
        tuple(_transformation(given) for given in params["metricTransformations"]),
    )
    own = of_group(ctx.state, ctx.scope, group)
    if len(own) >= MOST_OF_GROUP and made.key not in ctx.state.metric_filters:
        raise ClientFault(
            "LimitExceededException", f"A log group has at most {MOST_OF_GROUP} metric filters."
        )
    return Outcome(lambda _: {}, (Put(made),), check=_there_is(ctx, group))


def _there_is(ctx: Context, group: str) -> Any:
    """What is to be checked: it raises ResourceNotFoundException where there is no such group."""
    store = store_of(ctx)

    async def work() -> dict[str, Any]:
        await store.group(ctx.scope, group)
        return {}

    return working(work).work


def _transformation(given: Mapping[str, Any]) -> Transformation:
    value, dimensions = given["metricValue"], given.get("dimensions") or {}
    if not value.startswith("$"):
        try:
            is_number = math.isfinite(float(value))
        except ValueError:
            is_number = False
        if not is_number:
            raise invalid_parameter(
                f"Invalid metric transformation: metricValue {value[:64]!r} is no number."
            )
    if len(dimensions) > MOST_DIMENSIONS:
        raise invalid_parameter(f"A metric filter has at most {MOST_DIMENSIONS} dimensions.")
    default = given.get("defaultValue")
    if dimensions and default is not None:
        raise invalid_parameter(
            "Invalid metric transformation: dimensions and default value are mutually exclusive."
        )
    if given["metricNamespace"].startswith("AWS/"):
        raise invalid_parameter("Invalid metric transformation: the namespace AWS/ is reserved.")
    return Transformation(
        given["metricNamespace"],
        given["metricName"],
        value,
        default,
        given.get("unit") or "None",
        dict(dimensions),
    )


def of_group(state: State, scope: Scope, group: str) -> list[MetricFilter]:
    return [f for f in state.metric_filters.values() if f.group == group and f.scope == scope]


@operation(SERVICE, "DescribeMetricFilters")
def describe_metric_filters(ctx: Context, params: Params) -> Outcome:
    group, prefix = params.get("logGroupName"), params.get("filterNamePrefix") or ""
    metric, namespace = params.get("metricName"), params.get("metricNamespace")
    if bool(metric) != bool(namespace):
        raise invalid_parameter("metricName and metricNamespace go together.")
    found = {
        f.key: f
        for f in ctx.state.metric_filters.values()
        if f.scope == ctx.scope
        and group in (None, f.group)
        and f.name.startswith(prefix)
        and (not metric or any((t.metric, t.namespace) == (metric, namespace) for t in f.transformations))
    }
    last, limit = read_token(params, str), params.get("limit", MOST_LISTED)
    keys = [key for key in sorted(found) if not last or key > last[0]]
    body: dict[str, Any] = {"metricFilters": [_view(found[key]) for key in keys[:limit]]}
    if len(keys) > limit:
        body["nextToken"] = token(keys[limit - 1])
    return answer(body)


def _view(f: MetricFilter) -> dict[str, Any]:
    return {
        "filterName": f.name,
        "filterPattern": f.pattern,
        "creationTime": int(f.created_at * 1000),
        "logGroupName": f.group,
        "metricTransformations": [_shown(t) for t in f.transformations],
    }


def _shown(t: Transformation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "metricName": t.metric,
        "metricNamespace": t.namespace,
        "metricValue": t.value,
        "unit": t.unit,
    }
    if t.default is not None:
        shown["defaultValue"] = t.default
    return shown | ({"dimensions": dict(t.dimensions)} if t.dimensions else {})


@operation(SERVICE, "DeleteMetricFilter")
def delete_metric_filter(ctx: Context, params: Params) -> Outcome:
    for one in of_group(ctx.state, ctx.scope, params["logGroupName"]):
        if one.name == params["filterName"]:
            return Outcome(lambda _: {}, (Drop(one),))
    raise ClientFault("ResourceNotFoundException", "The specified metric filter does not exist.")


@operation(SERVICE, "TestMetricFilter")
def test_metric_filter(ctx: Context, params: Params) -> Outcome:  # noqa: ARG001 - an operation has both
    parsed = log_filter.parse(params["filterPattern"], WHAT)
    matches = [
        {"eventNumber": number, "eventMessage": message, "extractedValues": parsed.values(message)}
        for number, message in enumerate(params["logEventMessages"], 1)
        if parsed.matches(message)
    ]
    return answer({"matches": matches})


# -- what comes in -------------------------------------------------------------------------------------------


def data_of(
    filters: Sequence[MetricFilter], scope: Scope, events: Sequence[tuple[int, str]]
) -> Iterator[Datum]:
    """The points that the events, (milliseconds, message), count as."""
    for one in filters:
        parsed = log_filter.parse(one.pattern, WHAT)
        matching = [(at, message) for at, message in events if parsed.matches(message)]
        for t in one.transformations:
            for at, message in matching:
                value = parsed.extract(message, t.value)
                named = {name: parsed.dimension(message, field) for name, field in t.dimensions.items()}
                if value is not None and all(named.values()):
                    key = MetricKey.of(t.namespace, t.metric, [(n, str(v)[:255]) for n, v in named.items()])
                    yield Datum(Series(scope, key, t.unit), at / 1000, of_values([value]))
            if not matching and t.default is not None and events:
                key = MetricKey.of(t.namespace, t.metric, [])
                yield Datum(Series(scope, key, t.unit), events[-1][0] / 1000, of_values([t.default]))
