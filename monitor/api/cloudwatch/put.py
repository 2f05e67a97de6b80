"""PutMetricData: what users' own programs measure (CloudWatch API reference, "PutMetricData")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.api.cloudwatch.asked import SERVICE, bad_combination, bad_value, key_of, store_of
from monitor.api.operation import Context, Outcome, Params, awaited, operation
from monitor.model.errors import ClientFault
from monitor.model.metric import StatisticSet
from monitor.rules.statistics import of_set, of_values
from monitor.series.base import HIGH, STANDARD, Datum, Series

MOST_DATA, MOST_VALUES, MOST_ENTITIES = 1000, 150, 2
LARGEST = 2.0**360
PAST_SECONDS, AHEAD_SECONDS = 14 * 86_400, 2 * 3600
RESERVED = "AWS/"


@operation(SERVICE, "PutMetricData")
def put_metric_data(ctx: Context, params: Params) -> Outcome:
    """Answered when the points are on disk."""
    store = store_of(ctx)
    entries = [("MetricData", params.get("MetricData") or [])]
    entities = params.get("EntityMetricData") or []
    if len(entities) > MOST_ENTITIES:
        raise bad_value(f"The parameter EntityMetricData has at most {MOST_ENTITIES} members.")
    for n, entity in enumerate(entities, 1):
        entries.append((f"EntityMetricData.member.{n}.MetricData", entity.get("MetricData") or []))
    total = sum(len(data) for _, data in entries)
    if not total:
        raise ClientFault("MissingParameter", "The parameter MetricData is required.")
    if total > MOST_DATA:
        raise bad_value(
            f"The collection MetricData must not have a size greater than {MOST_DATA}: there are {total}."
        )
    namespace = params["Namespace"]
    if namespace.startswith(RESERVED):
        raise bad_value(f"The value {RESERVED} for parameter Namespace is invalid.")
    data = [
        _datum(ctx, namespace, entry, f"{where}.member.{n}")
        for where, given in entries
        for n, entry in enumerate(given, 1)
    ]

    async def work() -> dict[str, Any]:
        await store.append(data)
        return {}

    return awaited(work)


def _datum(ctx: Context, namespace: str, entry: Mapping[str, Any], where: str) -> Datum:
    key = key_of({**entry, "Namespace": namespace}, f"{where}.Dimensions")
    at = entry.get("Timestamp")
    at = ctx.now if at is None else at
    if at < ctx.now - PAST_SECONDS:
        raise bad_value(
            f"The parameter {where}.Timestamp must specify a time no more than two weeks in the past."
        )
    if at > ctx.now + AHEAD_SECONDS:
        raise bad_value(
            f"The parameter {where}.Timestamp must specify a time no more than two hours in the future."
        )
    step = entry.get("StorageResolution", STANDARD)
    if step not in (HIGH, STANDARD):
        raise bad_value(
            f"The value {step} for parameter {where}.StorageResolution is invalid: it is 1 or 60."
        )
    return Datum(Series(ctx.scope, key, entry.get("Unit") or "None"), at, _point(entry, where), step)


def _point(entry: Mapping[str, Any], where: str) -> StatisticSet:
    given = [name for name in ("Value", "Values", "StatisticValues") if entry.get(name) is not None]
    if len(given) > 1:
        raise bad_combination(
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive and you have "
            "specified both."
        )
    if not given:
        raise ClientFault(
            "MissingParameter", f"At least one of the parameters must be specified: {where}.Value."
        )
    if given[0] == "Value":
        return of_values([_number(entry["Value"], f"{where}.Value")], [1.0])
    if given[0] == "Values":
        return _of_values(entry["Values"], entry.get("Counts"), where)
    known = entry["StatisticValues"]
    count, total, low, high = (
        _number(known[name], f"{where}.StatisticValues.{name}")
        for name in ("SampleCount", "Sum", "Minimum", "Maximum")
    )
    if count <= 0 or low > high:
        name = "SampleCount" if count <= 0 else "Minimum"
        raise bad_value(f"The value {known[name]} for parameter {where}.StatisticValues.{name} is invalid.")
    return of_set(count, total, low, high)


def _of_values(values: Sequence[float], counts: Sequence[float] | None, where: str) -> StatisticSet:
    if not 1 <= len(values) <= MOST_VALUES:
        raise bad_value(
            f"The collection {where}.Values must have 1 to {MOST_VALUES} members: it has {len(values)}."
        )
    if counts is not None and len(counts) != len(values):
        raise bad_value(f"The parameters {where}.Values and {where}.Counts must be of the same size.")
    numbers = [_number(v, f"{where}.Values.member.{n}") for n, v in enumerate(values, 1)]
    weights = [1.0] * len(numbers) if counts is None else list(counts)
    for n, weight in enumerate(weights, 1):
        if not 0 < weight <= LARGEST:
            raise bad_value(f"The value {weight} for parameter {where}.Counts.member.{n} is invalid.")
    return of_values(numbers, weights)


def _number(value: float, where: str) -> float:
    if not -LARGEST <= value <= LARGEST:
        raise bad_value(f"The value {value} for parameter {where} is invalid.")
    return float(value)
