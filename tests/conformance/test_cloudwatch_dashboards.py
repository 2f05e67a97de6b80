"""boto3 keeps dashboards and has metrics drawn, in each protocol that clients speak."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from tests.conformance.test_cloudwatch_metrics import client_of, minute
from tests.conformance.test_ecs_api import Control, start, stop

BODY = json.dumps(
    {
        "widgets": [
            {
                "type": "metric",
                "x": 0,
                "y": 0,
                "width": 12,
                "height": 6,
                "properties": {
                    "metrics": [["AWS/ECS", "CPUUtilization"]],
                    "region": "us-east-1",
                    "title": "é",
                },
            }
        ]
    }
)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("dashboards"))
    yield running
    stop(running)


@pytest.fixture(scope="module", params=["smithy-rpc-v2-cbor", "json", "query"])
def cloudwatch(control: Control, request: pytest.FixtureRequest) -> Iterator[Any]:
    client = client_of(control, request.param)
    client.word = request.param.split("-")[0]
    yield client
    client.close()


def refused(call: Any, **arguments: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_dashboard_is_put_listed_read_and_deleted(cloudwatch: Any) -> None:
    names = [f"{cloudwatch.word}-b", f"{cloudwatch.word}-a"]
    for name in names:
        assert (
            cloudwatch.put_dashboard(DashboardName=name, DashboardBody=BODY)["DashboardValidationMessages"]
            == []
        )
    (first, second) = cloudwatch.list_dashboards(DashboardNamePrefix=f"{cloudwatch.word}-")[
        "DashboardEntries"
    ]
    assert [first["DashboardName"], second["DashboardName"]] == sorted(names)
    assert first["Size"] == len(BODY.encode())
    assert abs(first["LastModified"].timestamp() - time.time()) < 3600
    got = cloudwatch.get_dashboard(DashboardName=names[0])
    assert (got["DashboardName"], got["DashboardBody"]) == (names[0], BODY)
    assert got["DashboardArn"] == f"arn:aws:cloudwatch::000000000001:dashboard/{names[0]}"
    code, text, status = refused(cloudwatch.delete_dashboards, DashboardNames=[names[0], "gone"])
    assert (code, text, status) == ("ResourceNotFound", "Dashboard gone does not exist", 404)
    cloudwatch.get_dashboard(DashboardName=names[0])  # none was deleted
    cloudwatch.delete_dashboards(DashboardNames=names)
    assert refused(cloudwatch.get_dashboard, DashboardName=names[0])[0] == "ResourceNotFound"


def test_a_bad_body_is_refused_with_its_places(cloudwatch: Any) -> None:
    body = json.dumps({"widgets": [{"type": "text", "properties": {}}]})
    code, text, status = refused(cloudwatch.put_dashboard, DashboardName="x", DashboardBody=body)
    assert (code, status) == ("InvalidParameterInput", 400)
    assert text.startswith("The dashboard body is invalid, there are 1 validation errors:\n[\n  {\n")
    assert '"dataPath": "/widgets/0/properties"' in text
    code, text, _ = refused(cloudwatch.put_dashboard, DashboardName="a b", DashboardBody=BODY)
    assert code == "InvalidParameterValue"
    assert text.startswith("The value for field DashboardName contains invalid characters. ")


def picture(cloudwatch: Any, **widget: Any) -> Image.Image:
    answer = cloudwatch.get_metric_widget_image(MetricWidget=json.dumps(widget))
    image = Image.open(io.BytesIO(answer["MetricWidgetImage"]))
    assert image.format == "PNG"
    return image.convert("RGB")


def red(image: Image.Image) -> int:
    """How many pixels are red, be it at the blurred edge of a letter."""
    found = image.getcolors(image.width * image.height) or []
    return sum(count for count, (r, g, b) in found if r > 180 and g < 120 and b < 120)


def test_a_metric_is_drawn_as_a_line(cloudwatch: Any) -> None:
    space, at = f"Drawn/{cloudwatch.word}", minute()
    cloudwatch.put_metric_data(
        Namespace=space,
        MetricData=[
            {"MetricName": "Load", "Timestamp": at - 60 * n, "Value": float(n % 9), "Unit": "Percent"}
            for n in range(60)
        ],
    )
    row = [space, "Load", {"color": "#ff0000", "stat": "Sum"}]
    drawn = {"metrics": [row], "period": 60, "start": "-PT1H", "width": 500, "height": 200, "title": "Load"}
    image = picture(cloudwatch, **drawn)
    assert image.size == (500, 200)
    assert red(image) > 200
    assert image.getpixel((499, 0)) == (255, 255, 255)
    nothing = picture(cloudwatch, **{**drawn, "metrics": [[space, "Other", {"color": "#ff0000"}]]})
    assert red(nothing) < red(image) / 2  # but for the legend


def test_bad_widgets_are_refused_by_name(cloudwatch: Any) -> None:
    for widget, word in (
        ({"metrics": [["A", "b"]], "view": "gauge"}, "/view"),
        ({"metrics": [["A", "b"]], "width": 5000}, "/width"),
        ({}, "'metrics'"),
        ({"metrics": [[{"expression": "1 +"}]]}, "row1"),
        ({"metrics": [["A", "b"]] * 100, "period": 1, "start": "-PT3H"}, "datapoints"),
    ):
        code, text, status = refused(cloudwatch.get_metric_widget_image, MetricWidget=json.dumps(widget))
        assert (code, status) == ("ValidationError", 400)
        assert word in text


def test_every_view_is_drawn(control: Control) -> None:
    client = client_of(control, "smithy-rpc-v2-cbor")
    at = minute()
    client.put_metric_data(
        Namespace="Views",
        MetricData=[{"MetricName": "N", "Timestamp": at - 60 * n, "Value": n + 1.0} for n in range(3)],
    )
    row = ["Views", "N", {"color": "#ff0000"}]
    for view in ("singleValue", "bar", "pie"):
        image = picture(client, metrics=[row], view=view, period=60, width=300, height=200)
        assert red(image) > 20, view
    assert picture(client, metrics=[row], width=1, height=1).size == (1, 1)
    client.close()
