"""Metrics that come by StatsD and OTLP are in the metric store, and ECS's own go on to another CloudWatch."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from monitor.agent import inputs
from monitor.agent.custom import Sender
from monitor.config import Settings
from monitor.rules.custom import Measured
from monitor.wire.client import EcsClient
from tests.conformance.test_cloudwatch_metrics import minute
from tests.conformance.test_ecs_api import Control, start, stop
from tests.conftest import free_port


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("custom"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("elsewhere"))
    yield running
    stop(running)


def points(
    control: Control, namespace: str, name: str, since: float, **dimensions: str
) -> list[dict[str, Any]]:
    client = control.client("cloudwatch")
    found = client.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
        StartTime=since,
        EndTime=time.time() + 120,
        Period=60,
        Statistics=["SampleCount", "Sum", "Minimum", "Maximum"],
    )["Datapoints"]
    client.close()
    return sorted(found, key=lambda point: point["Timestamp"])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


class Minutes:
    """A clock that a test moves on by whole minutes."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() - 180 + self.ahead


async def no_bridge() -> str:
    return ""


async def test_statsd_and_otlp_reach_the_store(control: Control) -> None:
    began, counted, clock = time.time() - 300, dict[tuple[str, str], int](), Minutes()

    def count(origin: str, result: str, n: int) -> None:
        counted[origin, result] = counted.get((origin, result), 0) + n

    client = EcsClient(control.endpoint, control.key, "us-east-1")
    ports = {"statsd_port": free_port(), "otlp_port": free_port()}
    settings = Settings(control.state, **ports)
    assert (
        await inputs.loops(replace(settings, custom_metrics_host="bridge"), no_bridge, client, clock, count)
        == []
    )
    running = [
        asyncio.create_task(loop) for loop in await inputs.loops(settings, no_bridge, client, clock, count)
    ]
    gauge = {"asDouble": 4.5, "timeUnixNano": str(int((time.time() - 60) * 1e9))}
    queue = {"name": "queue", "unit": "{job}", "gauge": {"dataPoints": [gauge]}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [queue]}]}]}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"http://127.0.0.1:{settings.otlp_port}/v1/metrics", json=body)
        assert (answer.status_code, answer.json()) == (200, {})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", settings.statsd_port))
        udp.send(b"shop.took:10:30|ms|#env:prod\nshop.hits:2|c\nnonsense")

        def has_come() -> bool:
            """The next minute's first sample ends the one before."""
            clock.ahead += 60 if clock.ahead < 120 else 0
            udp.send(b"tick:1|c")
            return counted.get(("statsd", "sent"), 0) >= 2

        await until(has_come)
    await until(lambda: counted.get(("otlp", "sent"), 0) == 1)
    for loop in running:
        loop.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await client.close()
    assert counted["statsd", "line"] == 1
    (took,) = points(control, "CWAgent", "shop.took", began, env="prod")
    assert (took["SampleCount"], took["Sum"], took["Maximum"], took["Unit"]) == (2, 40, 30, "Milliseconds")
    (hits,) = points(control, "CWAgent", "shop.hits", began)
    assert (hits["Sum"], hits["Unit"]) == (2, "Count")
    (queued,) = points(control, "CWAgent", "queue", began)
    assert (queued["Sum"], queued["Unit"]) == (4.5, "Count")


async def test_one_bad_entry_costs_no_other(control: Control) -> None:
    counted: dict[str, int] = {}
    client = EcsClient(control.endpoint, control.key, "us-east-1")
    sender = Sender(
        client, "Mixed", lambda _, result, n: counted.update({result: counted.get(result, 0) + n})
    )
    now = time.time() - 60
    good = [Measured(f"m{n}", (), "None", now, ((1.0, 1.0),)) for n in range(7)]
    sender.put("statsd", [*good, Measured("old", (), "None", now - 30 * 86_400, ((1.0, 1.0),))], 60)
    running = asyncio.create_task(sender.run())
    await until(lambda: sum(counted.values()) >= 8)
    running.cancel()
    await client.close()
    assert counted == {"sent": 7, "refused": 1}


def pushed(source: Control, target: Control, *more: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORWATCH_", "AWS_"))}
    environ = {
        **kept,
        "MOORWATCH_STATE": str(source.state),
        "MOORWATCH_PORT": source.endpoint.rpartition(":")[2],
        "AWS_ACCESS_KEY_ID": target.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": target.key.secret_access_key,
    }
    program = [sys.executable, "-c", "from monitor.cli.main import main; main()"]
    command = [*program, "push", "cloudwatch", "--once", "--region", "us-east-1", *more]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_push_sends_each_minute_once(control: Control, elsewhere: Control) -> None:
    client, at = control.client("cloudwatch"), minute() - 240
    who = [{"Name": "ClusterName", "Value": "default"}]
    values = {"SampleCount": 3.0, "Sum": 9.0, "Minimum": 1.0, "Maximum": 5.0}
    for when in (at, at + 60):
        client.put_metric_data(
            Namespace="ECS/ContainerInsights",
            MetricData=[
                {"MetricName": "TaskCount", "Dimensions": who, "Timestamp": when, "Unit": "Count"}
                | {"StatisticValues": values}
            ],
        )
    client.close()
    for _ in range(2):  # the second time nothing is left to send
        ran = pushed(control, elsewhere, "--endpoint-url", elsewhere.endpoint)
        assert ran.returncode == 0, ran.stderr
    found = points(elsewhere, "Moorwatch/ContainerInsights", "TaskCount", at, ClusterName="default")
    assert [(p["Timestamp"].timestamp(), p["Unit"]) for p in found] == [(at, "Count"), (at + 60, "Count")]
    assert all({name: p[name] for name in values} == values for p in found)
    kept = json.loads((control.state / "push-cloudwatch.json").read_text())
    assert min(kept.values()) >= at + 120


def test_push_refuses_to_send_to_itself(control: Control) -> None:
    ran = pushed(control, control, "--endpoint-url", control.endpoint)
    assert (ran.returncode, "Moorwatch's own" in ran.stderr) == (1, True)
