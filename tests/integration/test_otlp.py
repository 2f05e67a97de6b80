"""Telemetry by OTLP, from a real stack to a receiver in this process: both protocols, and nothing at all when off."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from tests.conftest import Stack, free_port, running_stack, wait_until
from tests.fakes.otlp import Point, Received, SeenSpan, grpc_receiver, http_receiver

pytestmark = [pytest.mark.docker, pytest.mark.slow]

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@dataclass(frozen=True)
class Told:
    """A stack that tells a receiver everything."""

    stack: Stack
    received: Received
    protocol: str


RECEIVERS: dict[str, Callable[[], AbstractContextManager[Received]]] = {
    "http/protobuf": http_receiver,
    "grpc": grpc_receiver,
}


@pytest.fixture(scope="module", params=list(RECEIVERS))
def told(request: pytest.FixtureRequest, docker_url: str) -> Iterator[Told]:
    with RECEIVERS[request.param]() as received:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": request.param,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=moor",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        with running_stack(docker_url, environ) as stack:
            yield Told(stack, received, request.param)


@pytest.fixture
def ecs(told: Told) -> Iterator[Any]:
    client = told.stack.client()
    try:
        yield client
    finally:
        client.close()


def register(ecs: Any, family: str, image: str, **more: Any) -> str:
    container = {
        "name": "app",
        "image": image,
        "memory": 32,
        "essential": True,
        "stopTimeout": 1,
        "command": ["sleep", "600"],
        **more,
    }
    found = ecs.register_task_definition(family=family, containerDefinitions=[container])
    return str(found["taskDefinition"]["taskDefinitionArn"])


def traced(ecs: Any, operation: str) -> None:
    """The client's next calls of the operation carry a W3C traceparent."""

    def add(request: Any, **_: Any) -> None:
        request.headers["traceparent"] = f"00-{TRACE}-{CALLER}-01"

    ecs.meta.events.register_first(f"before-sign.ecs.{operation}", add)


def starts(received: Received, service: str) -> list[SeenSpan]:
    return [s for s in received.named("task start") if s.attributes.get("aws.ecs.service.name") == service]


def test_a_slow_start_can_be_followed_from_the_request_to_the_container(
    told: Told, ecs: Any, busybox_image: str
) -> None:
    check = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 3}
    definition = register(ecs, "otlp-web", busybox_image, healthCheck=check)
    traced(ecs, "CreateService")
    answer = ecs.create_service(serviceName="otlp-web", taskDefinition=definition, desiredCount=1)

    start = wait_until(lambda: starts(told.received, "otlp-web"), "the task's start as a span")[0]
    request = wait_until(lambda: told.received.named("ECS.CreateService"), "the request as a span")[0]

    assert (request.trace_id, request.parent_id) == (TRACE, CALLER)
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["rpc.method"] == "ECS/CreateService"
    assert request.attributes["aws.request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert request.resource["service.name"] == "moorwatch-control"
    assert request.resource["deployment.environment.name"] == "test"
    assert (start.trace_id, start.parent_id) == (TRACE, request.span_id)

    parts = [s for s in told.received.spans if s.parent_id == start.span_id]
    # The image is there: nothing is pulled.
    assert [s.name for s in sorted(parts, key=lambda s: s.begin)] == ["create and start", "health check"]
    edges = [(s.begin, s.end) for s in sorted(parts, key=lambda s: s.begin)]
    assert edges[0][0] == start.begin
    assert edges[-1][1] == start.end
    assert all(one[1] == other[0] for one, other in itertools.pairwise(edges))
    assert request.begin <= start.begin
    assert start.events == ("placed", "RUNNING", "HEALTHY")

    found = ecs.describe_tasks(tasks=[start.attributes["aws.ecs.task.arn"]])["tasks"][0]
    assert edges[0][1] / 1e9 == pytest.approx(found["startedAt"].timestamp(), abs=0.002)
    assert start.attributes["container.id"] == [found["containers"][0]["runtimeId"]]

    look = next(s for s in told.received.named("reconcile") if (s.trace_id, s.span_id) in start.links)
    assert look.trace_id == TRACE
    assert look.attributes["moorwatch.tasks.started"] == 1
    assert told.received.headers[-1]["x-tenant"] == "moor"


def test_a_replacement_is_linked_to_the_request_but_no_part_of_it(
    told: Told, ecs: Any, busybox_image: str
) -> None:
    definition = register(ecs, "otlp-again", busybox_image)
    ecs.create_service(serviceName="otlp-again", taskDefinition=definition, desiredCount=1)
    first = wait_until(lambda: starts(told.received, "otlp-again"), "the first start")[0]
    ecs.stop_task(task=first.attributes["aws.ecs.task.arn"])
    wait_until(lambda: len(starts(told.received, "otlp-again")) == 2, "the second start")
    second = starts(told.received, "otlp-again")[1]
    assert second.trace_id != first.trace_id
    assert second.attributes["moorwatch.replaces"] == first.attributes["aws.ecs.task.arn"]
    assert (first.trace_id, first.parent_id) in second.links


def test_a_task_that_fails_to_start_is_an_error(told: Told, ecs: Any) -> None:
    definition = register(ecs, "otlp-missing", "moorwatch/no-such-image:1")
    ran = ecs.run_task(taskDefinition=definition)["tasks"][0]["taskArn"]

    def found() -> SeenSpan | None:
        spans = told.received.named("task start")
        return next((s for s in spans if s.attributes["aws.ecs.task.arn"] == ran), None)

    start = wait_until(found, "the failed start")
    assert start.status == 2
    assert start.attributes["error.type"] == "TaskFailedToStart"
    request = next(s for s in told.received.spans if s.span_id == start.parent_id)
    assert request.name == "ECS.RunTask"
    parts = [s for s in told.received.spans if s.parent_id == start.span_id]
    assert {s.name for s in parts} == {"order", "pull"}
    pull = next(s for s in parts if s.name == "pull")
    assert pull.attributes["container.image.name"] == ["moorwatch/no-such-image:1"]
    now = ecs.describe_tasks(tasks=[ran])["tasks"][0]
    assert pull.begin / 1e9 == pytest.approx(now["pullStartedAt"].timestamp(), abs=0.002)


def test_a_refused_request_tells_its_code(told: Told, ecs: Any) -> None:
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.list_services(cluster="otlp-nowhere")
    request = wait_until(lambda: told.received.named("ECS.ListServices"), "the refused request")[-1]
    assert request.attributes["http.response.status_code"] == 400
    assert request.attributes["error.type"] == "ClusterNotFoundException"
    assert request.status == 0


def test_containers_are_measured_with_their_names(told: Told, ecs: Any, busybox_image: str) -> None:
    definition = register(ecs, "otlp-metered", busybox_image)
    task = ecs.run_task(taskDefinition=definition, launchType="EC2")["tasks"][0]

    def mine(metric: str) -> list[Any]:
        return [
            p
            for p in list(told.received.points)
            if p.metric == metric and p.resource.get("aws.ecs.task.arn") == task["taskArn"]
        ]

    memory = wait_until(lambda: mine("container.memory.usage"), "the container's memory")[0]
    now = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]
    resource = memory.resource
    assert resource["container.id"] == now["containers"][0]["runtimeId"]
    assert resource["container.image.name"] == busybox_image.partition(":")[0]
    assert resource["container.image.tags"] == [busybox_image.partition(":")[2]]
    assert resource["aws.ecs.cluster.arn"] == task["clusterArn"]
    assert resource["aws.ecs.container.arn"] == now["containers"][0]["containerArn"]
    assert (resource["aws.ecs.task.family"], resource["aws.ecs.task.revision"]) == ("otlp-metered", "1")
    assert resource["aws.ecs.launchtype"] == "ec2"
    assert resource["deployment.environment.name"] == "test"
    assert not [key for key in resource if key.startswith("cloud.")]
    assert (memory.unit, memory.kind, memory.is_monotonic) == ("By", "sum", False)
    assert memory.value > 0

    cpu = wait_until(lambda: mine("container.cpu.time"), "its CPU time")[0]
    assert (cpu.unit, cpu.is_monotonic) == ("s", True)
    assert 0 < cpu.start <= cpu.at
    assert cpu.start / 1e9 == pytest.approx(now["startedAt"].timestamp(), abs=5)
    ways = {p.attributes["network.io.direction"] for p in mine("container.network.io")}
    assert ways == {"receive", "transmit"}
    counted = [p for p in told.received.points if p.metric == "ecs.container.starts"]
    assert any(p.attributes["container"] == "app" and p.value >= 1 for p in counted)


def test_a_collector_that_is_down_costs_nothing_but_spans(docker_url: str) -> None:
    nowhere = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    with running_stack(docker_url, nowhere) as stack:
        ecs = stack.client()
        try:
            for name, what in (("control", "spans"), ("agent", "metrics")):
                said = f"does not take our {what}"
                wait_until(lambda n=name, s=said: s in stack.log(n, 400), f"{name} says it")  # type: ignore[misc]
            for _ in range(20):
                assert ecs.list_clusters()["clusterArns"]
            for name in ("control", "agent"):
                assert stack.log(name, 400).count("the collector does not take") == 1
                assert "Traceback" not in stack.log(name, 400)
        finally:
            ecs.close()


def test_the_exporter_alone_tells_of_any_container(docker_url: str, busybox_image: str) -> None:
    """`python -m exporters` on a Docker host without Moorwatch; the last round leaves at its end."""
    client = docker.DockerClient(base_url=docker_url)
    container = client.containers.run(busybox_image, ["sleep", "600"], detach=True)
    try:
        with http_receiver() as received:
            environ = {
                **os.environ,
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{received.endpoint}/v1/metrics",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
                "OTEL_METRIC_EXPORT_INTERVAL": "200",
                "OTEL_SERVICE_NAME": "edge",
            }
            argv = [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0", "--docker-host", docker_url]
            process = subprocess.Popen(argv, env=environ, stderr=subprocess.DEVNULL)
            try:

                def found() -> list[Point]:
                    points = list(received.points)
                    return [p for p in points if p.resource.get("container.id") == container.id]

                resource = wait_until(found, "the container's points")[0].resource
                assert resource["container.name"] == container.name
                assert not [key for key in resource if key.startswith("aws.")]
                own = [p for p in list(received.points) if p.metric == "ecs.exporter.containers"]
                assert own[0].resource["service.name"] == "edge"
                assert not received.spans
            finally:
                process.terminate()
                assert process.wait(30) == 0
    finally:
        container.remove(force=True)
        client.close()


@pytest.mark.parametrize("module", ["monitor.control.server", "monitor.agent.main", "exporters.__main__"])
def test_who_does_not_ask_pays_nothing(module: str) -> None:
    """Not even an import, of the modules nor of what they do when started."""
    code = (
        f"import sys, {module}\n"
        "from exporters import otlp, otlp_traces\n"
        "from monitor.__main__ import _tracing\n"
        "from monitor.clock import SystemClock\n"
        "from monitor.tracing import OFF\n"
        "assert otlp.start(None, {}, 'x') is None\n"
        "assert _tracing(SystemClock()) is OFF\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'grpc', 'google')])\n"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
