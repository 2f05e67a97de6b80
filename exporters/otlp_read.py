"""Metrics of an OTLP/HTTP request (OpenTelemetry protocol specification 1.x, "OTLP/HTTP"), protobuf or JSON.

The generated classes are imported at the first request: an agent that takes none does not pay for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MOST_POINTS, MOST_BUCKETS = 20_000, 1000
GAUGE, SUM, HISTOGRAM = "gauge", "sum", "histogram"
_RESOURCE = ("service.name", "service.namespace", "service.instance.id")


class BadOtlp(ValueError):
    """The body is not what its type says, or is too large; the message says which."""


@dataclass(frozen=True, slots=True)
class Point:
    """`start`, `at`: nanoseconds since the epoch, 0 for not said. Of a histogram `value` is the sum, `bounds` has one
    more than `counts`, and its outer ones are infinite where nothing is known of them."""

    labels: tuple[tuple[str, str], ...]
    start: int
    at: int
    value: float
    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class OtlpMetric:
    name: str
    unit: str
    kind: str
    is_delta: bool
    is_monotonic: bool
    points: tuple[Point, ...]


def read(body: bytes, content_type: str) -> tuple[list[OtlpMetric], int]:
    """(metrics, points of kinds that are not read: summaries). Raises BadOtlp."""
    request = _parsed(body, content_type)
    found: list[OtlpMetric] = []
    unread = total = 0
    for resource in request.resource_metrics:
        known = [(a.key, _text(a.value)) for a in resource.resource.attributes if a.key in _RESOURCE]
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind) if kind else None
                if data is None or kind == "summary":
                    unread += 0 if data is None else len(data.data_points)
                    continue
                total += len(data.data_points)
                if total > MOST_POINTS:
                    raise BadOtlp(f"more than {MOST_POINTS} data points in one request")
                read_as = {"gauge": _number, "sum": _number, "histogram": _histogram}.get(kind, _exponential)
                points = tuple(
                    _labeled(read_as(point), point, known)
                    for point in data.data_points
                    if not point.flags & 1
                )
                found.append(
                    OtlpMetric(
                        metric.name,
                        metric.unit,
                        kind if kind in (GAUGE, SUM) else HISTOGRAM,
                        kind == GAUGE or data.aggregation_temporality == 1,
                        kind != SUM or data.is_monotonic,
                        points,
                    )
                )
    return found, unread


def answer(content_type: str, rejected: int) -> bytes:
    """ExportMetricsServiceResponse."""
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

    response = metrics_service_pb2.ExportMetricsServiceResponse()
    if rejected:
        response.partial_success.rejected_data_points = rejected
        response.partial_success.error_message = "some data points cannot be CloudWatch metrics"
    if content_type == PROTOBUF:
        return bytes(response.SerializeToString())
    from google.protobuf import json_format

    return str(json_format.MessageToJson(response, indent=None)).encode()


def _parsed(body: bytes, content_type: str) -> Any:
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

    request = metrics_service_pb2.ExportMetricsServiceRequest()
    if content_type == JSON and not body.lstrip().startswith(b"{"):
        raise BadOtlp("the body is no JSON object")
    try:
        if content_type == PROTOBUF:
            request.ParseFromString(body)
        else:
            json_format.Parse(body, request, ignore_unknown_fields=True, max_recursion_depth=32)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadOtlp(f"the body is no ExportMetricsServiceRequest: {str(error)[:200]}") from error
    return request


def _labeled(point: Point, raw: Any, known: list[tuple[str, str]]) -> Point:
    labels = dict(known)
    labels.update((a.key, _text(a.value)) for a in raw.attributes)
    return Point(
        tuple(sorted(labels.items())),
        point.start,
        point.at,
        point.value,
        point.bounds,
        point.counts,
        point.low,
        point.high,
    )


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind)) if kind in ("string_value", "int_value", "double_value") else ""


def _number(point: Any) -> Point:
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    return Point((), point.start_time_unix_nano, point.time_unix_nano, float(value))


def _histogram(point: Any) -> Point:
    counts = tuple(map(float, point.bucket_counts))
    bounds = tuple(point.explicit_bounds)
    if not counts:  # only the sum and the count are told
        counts, bounds = (float(point.count),), ()
    is_good = len(counts) == len(bounds) + 1 <= MOST_BUCKETS and all(a < b for a, b in pairwise(bounds))
    edges = (-math.inf, *bounds, math.inf)
    return _distribution(point, edges if is_good else (), counts if is_good else ())


def _exponential(point: Any) -> Point:
    """Buckets of equal ratio on both sides of zero."""
    pairs = list(_buckets(point))
    if len(pairs) > MOST_BUCKETS:
        return _distribution(point, (), ())
    edges: list[float] = []
    counts: list[float] = []
    for low, high, count in pairs:
        if edges and edges[-1] < low:
            edges.append(low)
            counts.append(0.0)
        elif not edges:
            edges.append(low)
        edges.append(high)
        counts.append(count)
    return _distribution(point, tuple(edges), tuple(counts))


def _buckets(point: Any) -> Iterator[tuple[float, float, float]]:
    if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > MOST_BUCKETS:
        yield from [(0.0, 0.0, 0.0)] * (MOST_BUCKETS + 1)
        return
    negative = list(_side(point.negative, point.scale))
    yield from ((-high, -low, count) for low, high, count in reversed(negative))
    if point.zero_count:
        yield (0.0, 0.0, float(point.zero_count))
    yield from _side(point.positive, point.scale)


def _side(buckets: Any, scale: int) -> Iterator[tuple[float, float, float]]:
    for n, count in enumerate(buckets.bucket_counts):
        if count:
            low, high = (_power(buckets.offset + n + k, scale) for k in (0, 1))
            yield low, high, float(count)


def _power(index: int, scale: int) -> float:
    """2 ** (index / 2**scale), within what a float holds."""
    exponent = math.ldexp(index, -max(-64, min(64, scale)))
    return math.pow(2.0, max(-360.0, min(360.0, exponent)))


def _distribution(point: Any, edges: tuple[float, ...], counts: tuple[float, ...]) -> Point:
    return Point(
        (),
        point.start_time_unix_nano,
        point.time_unix_nano,
        point.sum,
        edges,
        counts,
        point.min if point.HasField("min") else None,
        point.max if point.HasField("max") else None,
    )
