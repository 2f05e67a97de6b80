"""StatsD and OTLP: what is read, what it is added up to, and what is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from exporters.otlp_read import JSON, PROTOBUF, BadOtlp, read
from monitor.agent.custom import Sender
from monitor.agent.otlp_in import OtlpIn
from monitor.agent.otlp_points import Points
from monitor.agent.statsd import StatsD
from monitor.clock import FixedClock
from monitor.rules.custom import Measured, entries, within
from monitor.rules.statsd import MOST_SERIES, Window, parse
from monitor.wire.client import EcsClient
from monitor.wire.signing import Key

NOW = 1_790_000_040.0


def window(*lines: str) -> tuple[dict[tuple[str, Any], Any], dict[str, int]]:
    made = Window()
    made.datagram("\n".join(lines).encode())
    return {(m.name, m.labels): (m.unit, m.values) for m in made.close(NOW)}, made.refused


def test_counters_gauges_timers_and_sets() -> None:
    found, refused = window(
        "hits:1|c",
        "hits:3|c|@0.5",
        "load:7|g",
        "load:-2|g",
        "load:+1.5|g",
        "took:10:20:20|ms",
        "took:30|ms|@0.1",
        "who:ann|s",
        "who:bob|s",
        "who:ann|s",
        "size:5|h|#env:prod,canary|c:abc|T1656581400",
    )
    assert found == {
        ("hits", ()): ("Count", ((7.0, 1.0),)),
        ("load", ()): ("None", ((6.5, 1.0),)),
        ("took", ()): ("Milliseconds", ((10.0, 1.0), (20.0, 2.0), (30.0, 10.0))),
        ("who", ()): ("Count", ((2.0, 1.0),)),
        ("size", (("canary", "true"), ("env", "prod"))): ("None", ((5.0, 1.0),)),
    }
    assert refused == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x", "line"),
        ("x:1", "line"),
        ("_e{1,1}:a|b", "line"),
        ("x" * 9000 + ":1|c", "line"),
        (":1|c", "name"),
        (":x:1|c", "name"),
        ("x" * 256 + ":1|c", "name"),
        ("x:1|z", "kind"),
        ("x:one|c", "value"),
        ("x:nan|c", "value"),
        ("x:1e999|c", "value"),
        ("x:1_0|c", "value"),
        ("x:|c", "value"),
        ("x:1|c|@0", "value"),
        ("x:1|c|@2", "value"),
        ("x:1|c|#ä:1", "tags"),
        ("x:1|c|#" + ",".join(f"t{n}:1" for n in range(31)), "tags"),
    ],
)
def test_what_is_no_sample(line: str, reason: str) -> None:
    assert parse(line) == reason
    assert window(line) == ({}, {reason: 1})


def test_noise_is_read_without_an_error() -> None:
    noise = random.Random(5)
    made = Window()
    for _ in range(500):
        made.datagram(bytes(noise.choice(b"ab:1|c#@,.-\n\xff") for _ in range(60)))
    assert sum(made.refused.values()) > 500


def test_a_window_is_bounded() -> None:
    made = Window()
    for n in range(MOST_SERIES + 5):
        made.datagram(f"m{n}:1|c".encode())
    for n in range(5000):
        made.datagram(f"m0:{n}|ms|#a:b".encode())  # a series too many
    assert made.refused == {"series": 5005}
    made.close(NOW)
    made.refused.clear()
    for n in range(5000):
        made.datagram(f"t:{n}.123|ms".encode())
    (found,) = made.close(NOW)
    assert len(found.values) <= 3000
    assert sum(count for _, count in found.values) == 5000


def test_a_gauge_is_remembered_but_told_only_when_set() -> None:
    made = Window()
    made.datagram(b"g:5|g")
    assert [m.values for m in made.close(NOW)] == [((5.0, 1.0),)]
    assert made.close(NOW) == []
    made.datagram(b"g:+1|g")
    assert [m.values for m in made.close(NOW)] == [((6.0, 1.0),)]


def test_many_values_are_several_entries() -> None:
    values = tuple((float(n), 1.0) for n in range(400))
    made = entries(Measured("m", (("a", "b"),), "None", NOW, values), 60)
    assert [len(e["Values"]) for e in made] == [150, 150, 100]
    assert made[0]["Dimensions"] == [{"Name": "a", "Value": "b"}]


def test_values_of_a_histogram_keep_its_sum() -> None:
    values = within([0.0, 10.0, 20.0, 40.0], [2.0, 5.0, 3.0], 160.0)
    assert sum(count for _, count in values) == 10
    assert sum(value * count for value, count in values) == pytest.approx(160.0)
    assert all(
        low <= value <= high for (value, _), low, high in zip(values, (0, 10, 20), (10, 20, 40), strict=True)
    )


# -- OTLP ------------------------------------------------------------------------------------------------------


def request(*metrics: dict[str, Any]) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps(
        {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": list(metrics)}]}]}
    ).encode()


def point(value: float, at: float = NOW, start: float = 0, **more: Any) -> dict[str, Any]:
    nano = {"timeUnixNano": str(int(at * 1e9)), "startTimeUnixNano": str(int(start * 1e9))}
    return {"asDouble": value, **nano, **more}


def cumulative(value: float, start: float = NOW - 500) -> dict[str, Any]:
    data = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point(value, start=start)]}
    return {"name": "hits", "unit": "{hit}", "sum": data}


def measured(points: Points, *metrics: dict[str, Any]) -> list[Measured]:
    found, _ = read(request(*metrics), JSON)
    return [m for metric in found for m in points.measured(metric, NOW)]


def test_a_gauge_and_its_dimensions() -> None:
    attributes = [{"key": "n", "value": {"intValue": "3"}}, {"key": "list", "value": {"arrayValue": {}}}]
    data = {"dataPoints": [point(5.5, attributes=attributes)]}
    (found,) = measured(Points(NOW, lambda _: None), {"name": "load", "unit": "By", "gauge": data})
    assert found == Measured("load", (("n", "3"), ("service.name", "shop")), "Bytes", NOW, ((5.5, 1.0),))


def test_a_cumulative_sum_tells_what_was_added() -> None:
    points = Points(NOW, lambda _: None)
    assert measured(points, cumulative(10)) == []  # what was before is not known
    assert [m.values for m in measured(points, cumulative(14))] == [((4.0, 1.0),)]
    assert [m.values for m in measured(points, cumulative(3, NOW - 5))] == [((3.0, 1.0),)]  # it began anew
    born = Points(NOW - 1000, lambda _: None)
    assert [m.values for m in measured(born, cumulative(10))] == [((10.0, 1.0),)]  # all of it since we listen


def test_a_histogram_becomes_values() -> None:
    histogram = {
        "aggregationTemporality": 1,
        "dataPoints": [
            {"timeUnixNano": str(int(NOW * 1e9)), "count": "4", "sum": 100.0, "min": 2.0, "max": 60.0}
            | {"bucketCounts": ["1", "2", "1"], "explicitBounds": [10.0, 50.0]}
        ],
    }
    (found,) = measured(Points(NOW, lambda _: None), {"name": "took", "unit": "ms", "histogram": histogram})
    assert sum(count for _, count in found.values) == 4
    assert sum(value * count for value, count in found.values) == pytest.approx(100.0)
    assert 2 <= found.values[0][0] <= found.values[-1][0] <= 60


def test_an_exponential_histogram_becomes_values() -> None:
    data = {
        "aggregationTemporality": 1,
        "dataPoints": [
            {"count": "6", "sum": 12.0, "scale": 0, "zeroCount": "1"}
            | {"positive": {"offset": 0, "bucketCounts": ["2", "3"]}}
        ],
    }
    metric = {"name": "took", "exponentialHistogram": data}
    (found,) = measured(Points(NOW, lambda _: None), metric)
    assert sum(count for _, count in found.values) == 6
    assert sum(value * count for value, count in found.values) == pytest.approx(12.0)
    assert found.at == NOW


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resourceMetrics": 5}', b"[" * 5000, b"\xff\xfe"])
def test_bad_json_is_told(body: bytes) -> None:
    with pytest.raises(BadOtlp):
        read(body, JSON)


def test_bad_protobuf_and_too_many_points_are_told() -> None:
    with pytest.raises(BadOtlp):
        read(b"\xff\xff\xff", PROTOBUF)
    many = ExportMetricsServiceRequest()
    metric = many.resource_metrics.add().scope_metrics.add().metrics.add()
    for _ in range(20_001):
        metric.gauge.data_points.add()
    with pytest.raises(BadOtlp, match="20000"):
        read(many.SerializeToString(), PROTOBUF)


class Counted(dict[tuple[str, str], int]):
    def __call__(self, origin: str, result: str, count: int) -> None:
        self[origin, result] = self.get((origin, result), 0) + count


async def test_the_endpoint_takes_both_forms_and_tells_what_it_refused() -> None:
    counted = Counted()
    client = EcsClient("http://127.0.0.1:9", Key("a", "b"), "us-east-1")
    sender = Sender(client, "CWAgent", counted)
    app = OtlpIn(sender, FixedClock(NOW), counted).app()
    nan = {"name": "bad", "gauge": {"dataPoints": [{"asDouble": "NaN"}]}}
    good = {"name": "good", "gauge": {"dataPoints": [point(1.0)]}}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agent") as http:
        answer = await http.post("/v1/metrics", content=request(good, nan), headers={"Content-Type": JSON})
        assert answer.json()["partialSuccess"]["rejectedDataPoints"] == "1"
        message = ExportMetricsServiceRequest()
        metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="proto")
        metric.gauge.data_points.add(as_int=3, time_unix_nano=int(NOW * 1e9))
        sent = await http.post(
            "/v1/metrics", content=message.SerializeToString(), headers={"Content-Type": PROTOBUF}
        )
        assert (sent.status_code, ExportMetricsServiceResponse.FromString(sent.content)) == (
            200,
            ExportMetricsServiceResponse(),
        )
        for body, headers, status in (
            (b"{", {"Content-Type": JSON}, 400),
            (b"x", {"Content-Type": "text/plain"}, 415),
            (b"x", {"Content-Type": JSON, "Content-Encoding": "gzip"}, 400),
            (b" " * (4 * 1024 * 1024 + 1), {"Content-Type": JSON}, 400),
        ):
            assert (await http.post("/v1/metrics", content=body, headers=headers)).status_code == status
    assert sender.waiting == 2
    assert counted[("otlp", "value")] == 1
    await client.close()


async def test_a_window_of_statsd_goes_to_the_sender() -> None:
    counted, clock = Counted(), FixedClock(NOW)
    client = EcsClient("http://127.0.0.1:9", Key("a", "b"), "us-east-1")
    sender = Sender(client, "CWAgent", counted)
    statsd = StatsD(sender, clock, 60, counted)
    statsd.take(b"hits:1|c\nnonsense")
    clock.advance(60)
    statsd.take(b"hits:1|c")  # of the next window
    assert (sender.waiting, counted) == (1, {("statsd", "line"): 1})
    await client.close()
