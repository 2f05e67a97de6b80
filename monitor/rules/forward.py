"""Our metrics on their way to another CloudWatch: what they are called there, and in what calls they go. Pure.

AWS keeps the namespaces AWS/… to itself, so that ours go under a prefix: AWS/ECS becomes Moorwatch/ECS.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NAMESPACES = ("AWS/ECS", "ECS/ContainerInsights")
PREFIX = "Moorwatch"
MOST_OF_CALL, MOST_BYTES = 1000, 500_000
MINUTE, STEP, LATE, OLDEST = 60, 15 * 60, 120, 13 * 86_400
FIRST = 15 * 60  # seconds before the first run that it begins with

Entry = dict[str, Any]


def called(namespace: str, prefix: str = PREFIX) -> str:
    return f"{prefix}/{namespace.rpartition('/')[2]}"


def steps(until: float | None, now: float) -> Iterator[tuple[int, int]]:
    """The spans [from, to) yet to be sent, oldest first. `until`: the end of what has been sent, None at the first run.
    The minutes that may still change, and those too old for PutMetricData, are in none."""
    end = int((now - LATE) // MINUTE) * MINUTE
    begin = end - FIRST if until is None else max(int(until), int(now - OLDEST) // MINUTE * MINUTE)
    while begin < end:
        to = min(end, begin + STEP)
        yield begin, to
        begin = to


def entries(metric: Mapping[str, Any], datapoints: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """A metric of ListMetrics and its Datapoints of GetMetricStatistics as MetricData, oldest first."""
    return [
        {
            "MetricName": metric["MetricName"],
            "Dimensions": list(metric.get("Dimensions") or ()),
            "Timestamp": point["Timestamp"],
            "Unit": point.get("Unit", "None"),
            "StatisticValues": {name: point[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum")},
        }
        for point in sorted(datapoints, key=lambda point: float(point["Timestamp"]))
    ]


def calls(found: Iterable[Entry]) -> Iterator[list[Entry]]:
    """As many calls as CloudWatch's limits make of them."""
    call: list[Entry] = []
    size = 0
    for entry in found:
        bytes_of_it = len(json.dumps(entry))
        if call and (len(call) == MOST_OF_CALL or size + bytes_of_it > MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(entry)
        size += bytes_of_it
    if call:
        yield call
