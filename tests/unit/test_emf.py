"""Metrics in log lines: the embedded metric format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.model.arn import Scope
from monitor.rules.emf import EmfDatum, parse, read
from monitor.series.emf import data_of

AT = 1_790_000_000_000
SCOPE = Scope("000000000001", "us-east-1")


def line(directive: dict[str, Any] | None = None, **root: Any) -> str:
    meta = {
        "Namespace": "Shop",
        "Dimensions": [["Service"], ["Service", "Host"], []],
        "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}],
        **(directive or {}),
    }
    body = {"Service": "web", "Host": "a", "Latency": 12.5, "requestId": "x", **root}
    return json.dumps({"_aws": {"Timestamp": AT, "CloudWatchMetrics": [meta]}, **body})


def test_each_dimension_set_is_a_metric() -> None:
    assert parse(line()) == tuple(
        EmfDatum("Shop", "Latency", where, "Milliseconds", (12.5,), AT, 60)
        for where in ((("Service", "web"),), (("Host", "a"), ("Service", "web")), ())
    )


def test_many_values_and_high_resolution() -> None:
    metrics = [{"Name": "Latency", "StorageResolution": 1}]
    (found,) = parse(line({"Dimensions": [[]], "Metrics": metrics}, Latency=[1, 2, 2.5])) or ()
    assert (found.values, found.unit, found.resolution) == ((1.0, 2.0, 2.5), "None", 1)


def test_container_insights_events_have_it_at_the_root() -> None:
    text = json.dumps(
        {
            "CloudWatchMetrics": [
                {
                    "Namespace": "ECS/ContainerInsights",
                    "Dimensions": [["C"]],
                    "Metrics": [{"Name": "CpuUtilized"}],
                }
            ],
            "Timestamp": AT,
            "C": "default",
            "CpuUtilized": 3,
        }
    )
    (found,) = parse(text) or ()
    assert found.key.dimensions == (("C", "default"),)


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{}", '{"a": "CloudWatchMetrics"}', '{"CloudWatchMetrics" ', '["CloudWatchMetrics"]'],
)
def test_other_lines_are_no_emf(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("directive", "root", "reason", "left"),
    [
        ({"Namespace": "AWS/ECS"}, {}, "namespace", 0),
        ({"Namespace": ":x"}, {}, "namespace", 0),
        ({"Namespace": 3}, {}, "namespace", 0),
        ({"Dimensions": [["Gone"], []]}, {}, "dimensions", 1),
        ({"Dimensions": [["Service"]]}, {"Service": 7}, "dimensions", 0),
        ({"Dimensions": [["Service"]]}, {"Service": "x" * 1025}, "dimensions", 0),
        ({"Dimensions": [[f"d{n}" for n in range(31)]]}, {}, "dimensions", 0),
        ({"Metrics": [{"Name": "Gone"}]}, {}, "value", 0),
        ({"Dimensions": [[]]}, {"Latency": True}, "value", 0),
        ({"Dimensions": [[]]}, {"Latency": [1] * 101}, "value", 0),
        ({"Dimensions": [[]]}, {"Latency": 10**200}, "value", 0),
        ({"Metrics": [{"Name": "Latency", "Unit": "Apples"}]}, {}, "unit", 0),
        ({"Metrics": [{"Name": "Latency", "Unit": []}]}, {}, "unit", 0),
        ({"Metrics": [{"Name": "Latency", "StorageResolution": 5}]}, {}, "metric", 0),
        ({"Metrics": [{}]}, {}, "metric", 0),
        ({"Metrics": 5}, {}, "directive", 0),
        ({"Dimensions": [[]], "Metrics": [{"Name": "Latency"}] * 101}, {}, "too_many", 100),
    ],
)
def test_what_is_wrong_costs_that_part_only(
    directive: dict[str, Any], root: dict[str, Any], reason: str, left: int
) -> None:
    found = read(line(directive, **root))
    assert found is not None
    assert (set(found.refused), len(found.data)) == ({reason}, left)


def test_no_timestamp_no_metrics() -> None:
    found = read(line().replace(str(AT), '"soon"'))
    assert found is not None
    assert (found.data, found.refused) == ((), ("timestamp",))


def test_one_document_makes_a_bounded_number() -> None:
    names = [f"m{n}" for n in range(100)]
    many = {
        "_aws": {
            "Timestamp": AT,
            "CloudWatchMetrics": [
                {"Namespace": "N", "Dimensions": [["a"], ["b"]], "Metrics": [{"Name": n} for n in names]}
            ]
            * 100,
        },
        "a": "1",
        "b": "2",
        **dict.fromkeys(names, 1),
    }
    found = read(json.dumps(many))
    assert found is not None
    assert (len(found.data), found.refused) == (10_000, ("too_many",))


def test_points_of_the_store_within_the_times_of_put_metric_data() -> None:
    data, refused = data_of(SCOPE, [line(Latency=[4, 6]), "plain", line({"Namespace": ":"})], AT / 1000 + 5)
    assert len(data) == 3
    assert (data[0].at, data[0].series.unit, data[0].point.sample_count, data[0].point.total) == (
        AT / 1000,
        "Milliseconds",
        2,
        10,
    )
    assert refused == {"namespace": 1}
    assert data_of(SCOPE, [line()], AT / 1000 + 15 * 86400) == ([], {"timestamp": 3})
