"""boto3 and the AWS CLI put, list and get metrics, in each protocol that clients speak."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_ecs_api import Control, start, stop


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("cloudwatch"))
    yield running
    stop(running)


def client_of(control: Control, protocol: str) -> Any:
    """A client of CloudWatch that speaks this protocol."""
    session = botocore.session.Session()
    # Older clients know no CBOR: their model names another protocol.
    model = session.get_component("data_loader").load_service_model("cloudwatch", "service-2")
    model["metadata"] |= {"protocol": protocol, "protocols": [protocol]}
    return session.create_client(
        "cloudwatch",
        endpoint_url=control.endpoint,
        region_name="us-east-1",
        aws_access_key_id=control.key.access_key_id,
        aws_secret_access_key=control.key.secret_access_key,
    )


@pytest.fixture(scope="module", params=["smithy-rpc-v2-cbor", "json", "query"])
def cloudwatch(control: Control, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of its own namespace, so that protocols do not see each other's points."""
    client = client_of(control, request.param)
    client.space = f"Shop/{request.param}"
    yield client
    client.close()


def minute() -> float:
    """The beginning of the minute before the last: whole, and not about to end."""
    now = time.time()
    return now - now % 60 - 120


SET = {"SampleCount": 4, "Sum": 8, "Minimum": 1, "Maximum": 3}


def test_a_metric_is_put_listed_and_read(cloudwatch: Any) -> None:
    at, who = minute(), [{"Name": "Host", "Value": "a"}]
    cloudwatch.put_metric_data(
        Namespace=cloudwatch.space,
        MetricData=[
            {
                "MetricName": "Latency",
                "Dimensions": who,
                "Timestamp": at,
                "Values": [1.0, 3.0],
                "Counts": [1.0, 2.0],
            },
            {"MetricName": "Latency", "Dimensions": who, "Timestamp": at + 30, "Value": 5.0},
            {
                "MetricName": "Errors",
                "Timestamp": at,
                "StatisticValues": {"SampleCount": 4, "Sum": 8, "Minimum": 1, "Maximum": 3},
            },
        ],
    )
    listed = cloudwatch.list_metrics(Namespace=cloudwatch.space)["Metrics"]
    assert [(m["MetricName"], m.get("Dimensions", [])) for m in listed] == [("Errors", []), ("Latency", who)]
    found = cloudwatch.get_metric_statistics(
        Namespace=cloudwatch.space,
        MetricName="Latency",
        Dimensions=who,
        StartTime=at,
        EndTime=at + 60,
        Period=60,
        Statistics=["SampleCount", "Sum", "Minimum", "Maximum", "Average"],
    )
    (point,) = found["Datapoints"]
    assert (point["SampleCount"], point["Sum"], point["Minimum"], point["Maximum"]) == (4, 12, 1, 5)
    assert (point["Average"], point["Unit"], point["Timestamp"].timestamp()) == (3, "None", at)
    (point,) = cloudwatch.get_metric_statistics(
        Namespace=cloudwatch.space,
        MetricName="Latency",
        Dimensions=who,
        StartTime=at,
        EndTime=at + 60,
        Period=60,
        ExtendedStatistics=["p50"],
    )["Datapoints"]
    assert point["ExtendedStatistics"] == {"p50": 3}


def test_metric_math_and_search(cloudwatch: Any) -> None:
    at = minute()
    for host, value in (("x", 10.0), ("y", 30.0)):
        cloudwatch.put_metric_data(
            Namespace=f"{cloudwatch.space}/math",
            MetricData=[
                {
                    "MetricName": "Load",
                    "Dimensions": [{"Name": "Host", "Value": host}],
                    "Timestamp": at,
                    "Value": value,
                }
            ],
        )

    def load(query_id: str, host: str) -> dict[str, Any]:
        metric = {
            "Namespace": f"{cloudwatch.space}/math",
            "MetricName": "Load",
            "Dimensions": [{"Name": "Host", "Value": host}],
        }
        return {
            "Id": query_id,
            "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"},
            "ReturnData": False,
        }

    search = f"SEARCH('{{\"{cloudwatch.space}/math\",Host}} Load', 'Sum', 60)"
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            load("a", "x"),
            load("b", "y"),
            {"Id": "share", "Expression": "100 * a / (a + b)", "Label": "share"},
            {"Id": "all", "Expression": f"SUM({search})"},
            {"Id": "each", "Expression": search},
        ],
        StartTime=at,
        EndTime=at + 60,
    )
    values = [(r["Id"], r["Label"], r["Values"], r["StatusCode"]) for r in answer["MetricDataResults"]]
    assert values == [
        ("share", "share", [25.0], "Complete"),
        ("all", "all", [40.0], "Complete"),
        ("each", "x", [10.0], "Complete"),
        ("each", "y", [30.0], "Complete"),
    ]
    assert all(t.timestamp() == at for r in answer["MetricDataResults"] for t in r["Timestamps"])


def test_a_reply_comes_in_pages(cloudwatch: Any) -> None:
    at = minute() - 600
    cloudwatch.put_metric_data(
        Namespace=f"{cloudwatch.space}/pages",
        MetricData=[{"MetricName": "N", "Timestamp": at + 60 * n, "Value": float(n)} for n in range(10)],
    )
    metric = {"Namespace": f"{cloudwatch.space}/pages", "MetricName": "N"}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[{"Id": "n", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}],
        StartTime=at,
        EndTime=at + 600,
        ScanBy="TimestampAscending",
        MaxDatapoints=4,
    )
    found = [(r["StatusCode"], r["Values"]) for page in pages for r in page["MetricDataResults"]]
    assert found == [("PartialData", [0, 1, 2, 3]), ("PartialData", [4, 5, 6, 7]), ("Complete", [8, 9])]


BAD: list[tuple[dict[str, Any], str, str]] = [
    (
        {"Value": 1.0, "Values": [1.0]},
        "InvalidParameterCombination",
        "MetricData.member.1.Values are mutually exclusive and you have specified both.",
    ),
    (
        {"Values": [1.0], "Counts": [1.0, 2.0]},
        "InvalidParameterValue",
        "MetricData.member.1.Counts must be of the same size.",
    ),
    (
        {"Value": float("nan")},
        "InvalidParameterValue",
        "The value NaN for parameter MetricData.1.member.Value is",
    ),
    ({"Value": 2.0**361}, "InvalidParameterValue", "for parameter MetricData.member.1.Value is invalid."),
    ({}, "MissingParameter", "MetricData.member.1.Value"),
    (
        {"Value": 1.0, "Timestamp": 1_000_000_000},
        "InvalidParameterValue",
        "no more than two weeks in the past",
    ),
    ({"Value": 1.0, "StorageResolution": 7}, "InvalidParameterValue", "StorageResolution"),
    ({"Value": 1.0, "Unit": "Parsecs"}, "ValidationError", "enum value set"),
]


@pytest.mark.parametrize(("entry", "code", "text"), BAD, ids=[f"{n}-{b[1]}" for n, b in enumerate(BAD)])
def test_a_bad_datum_is_refused_in_aws_s_words(
    cloudwatch: Any, entry: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(ClientError) as caught:
        cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "M", **entry}])
    assert caught.value.response["Error"]["Code"] == code
    assert text in caught.value.response["Error"]["Message"]


def test_what_is_not_there_yet_says_so(cloudwatch: Any) -> None:
    with pytest.raises(ClientError, match="DescribeAnomalyDetectors is not implemented by Moorwatch"):
        cloudwatch.describe_anomaly_detectors()


def test_points_outlive_a_kill(tmp_path: Path) -> None:
    control = start(tmp_path)
    client = control.client("cloudwatch")
    at = minute()
    client.put_metric_data(Namespace="K", MetricData=[{"MetricName": "N", "Timestamp": at, "Value": 7.0}])
    control.process.kill()
    control.process.wait()
    again = start(tmp_path)
    try:
        other = again.client("cloudwatch")
        found = other.get_metric_statistics(
            Namespace="K", MetricName="N", StartTime=at, EndTime=at + 60, Period=60, Statistics=["Sum"]
        )
        assert [p["Sum"] for p in found["Datapoints"]] == [7.0]
        other.close()
    finally:
        stop(again)
        client.close()
