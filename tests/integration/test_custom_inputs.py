"""Metrics that programs send to the agent, from inside a container by OTLP and from the machine by StatsD, are in
CloudWatch."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from tests.conftest import Stack, free_port, running_stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

# A gauge in OTLP's JSON. What a shell in a container has: its metadata endpoint's address is the agent's.
SEND = """
now=$(date +%s)000000000
host=$(echo $ECS_CONTAINER_METADATA_URI_V4 | cut -d/ -f3 | cut -d: -f1)
body='{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"depth","unit":"{jobs}","gauge":{"dataPoints":[
{"timeUnixNano":"'$now'","asDouble":7.5,"attributes":[{"key":"queue","value":{"stringValue":"mail"}}]}]}}]}]}]}'
wget -q -O - --header 'Content-Type: application/json' --post-data "$body" http://$host:PORT/v1/metrics
exec sleep 1000
"""


@dataclass(frozen=True)
class Inputs:
    stack: Stack
    host: str  # the machine's address on Docker's default bridge
    statsd_port: int
    otlp_port: int


@pytest.fixture(scope="module")
def inputs(docker_url: str) -> Iterator[Inputs]:
    statsd, otlp = free_port(), free_port()
    settings = {
        "MOORWATCH_STATSD_PORT": f"{statsd}",
        "MOORWATCH_STATSD_WINDOW_SECONDS": "1",
        "MOORWATCH_OTLP_PORT": f"{otlp}",
        "MOORWATCH_CUSTOM_METRICS_HOST": "bridge",
    }
    client = docker.APIClient(base_url=docker_url, version="1.41")
    host = client.inspect_network("bridge")["IPAM"]["Config"][0]["Gateway"]
    client.close()
    with running_stack(docker_url, settings) as stack:
        yield Inputs(stack, host, statsd, otlp)


def point(inputs: Inputs, name: str, *statistics: str, **dimensions: str) -> dict[str, Any]:
    """The first of the metric, once there is one."""
    client = inputs.stack.client("cloudwatch")

    def look() -> Any:
        return client.get_metric_statistics(
            Namespace="CWAgent",
            MetricName=name,
            Dimensions=[{"Name": k, "Value": v} for k, v in dimensions.items()],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=list(statistics),
        )["Datapoints"]

    found: list[dict[str, Any]] = wait_until(look, f"{name} is in CloudWatch")
    client.close()
    return found[0]


def test_a_container_sends_by_otlp(inputs: Inputs, busybox_image: str) -> None:
    ecs = inputs.stack.client()
    script = SEND.replace("PORT", f"{inputs.otlp_port}")
    container = {"name": "app", "image": busybox_image, "memory": 16, "command": ["sh", "-c", script]}
    ecs.register_task_definition(family="sender", containerDefinitions=[{**container, "stopTimeout": 2}])
    ecs.run_task(taskDefinition="sender")
    told = point(inputs, "depth", "Average", "SampleCount", queue="mail")
    assert (told["Average"], told["SampleCount"], told["Unit"]) == (7.5, 1.0, "Count")
    ecs.close()


def test_statsd_s_counters_and_timers_come_by_the_window(inputs: Inputs) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        address = (inputs.host, inputs.statsd_port)
        sender.sendto(b"orders:2|c|@0.5|#shop:one\norders:1|c|#shop:one\npaid:10|ms|#shop:one", address)
    orders = point(inputs, "orders", "Sum", shop="one")
    assert (orders["Sum"], orders["Unit"]) == (5.0, "Count")
    assert point(inputs, "paid", "Maximum", shop="one")["Unit"] == "Milliseconds"
