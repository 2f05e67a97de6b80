"""Which spans are sent on, under what names, in what calls."""

from __future__ import annotations

import itertools

from monitor.rules.forward import called, calls, entries, steps

NOW = 1_790_000_100.0  # 35 s into a minute
MINUTE = 1_790_000_040


def test_names() -> None:
    assert called("AWS/ECS") == "Moorwatch/ECS"
    assert called("ECS/ContainerInsights", "Mine") == "Mine/ContainerInsights"


def test_spans_follow_each_other_without_gaps() -> None:
    end = int((NOW - 120) // 60) * 60
    assert list(steps(None, NOW)) == [(end - 900, end)]
    assert list(steps(end, NOW)) == []
    spans = list(steps(end - 3600, NOW))
    assert (spans[0][0], spans[-1][1], len(spans)) == (end - 3600, end, 4)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    oldest = next(steps(0.0, NOW))[0]
    assert NOW - 13 * 86_400 - 60 < oldest <= NOW - 13 * 86_400


def test_datapoints_become_entries_oldest_first() -> None:
    values = {"SampleCount": 2.0, "Sum": 6.0, "Minimum": 1.0, "Maximum": 5.0}
    points = [{"Timestamp": at, "Unit": "Percent", **values} for at in (120.0, 60.0)]
    found = entries({"MetricName": "CPU"}, points)
    assert [e["Timestamp"] for e in found] == [60.0, 120.0]
    assert (found[0]["StatisticValues"], found[0]["Unit"], found[0]["Dimensions"]) == (values, "Percent", [])


def test_calls_keep_to_the_limits() -> None:
    small = [{"MetricName": "m"}] * 2500
    assert [len(call) for call in calls(small)] == [1000, 1000, 500]
    large = [{"MetricName": "m" * 100_000}] * 9
    assert [len(call) for call in calls(large)] == [4, 4, 1]
    assert list(calls([])) == []
