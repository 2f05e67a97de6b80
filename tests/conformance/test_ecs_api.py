"""boto3 and raw requests against the real control plane process: what each operation answers, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import monitor.api.gateway  # noqa: F401  (registers the operations)
from monitor.api.operation import OPERATIONS
from monitor.wire import models
from monitor.wire.signing import Key, sign
from tests.conftest import free_port, wait_until

CONTAINER = {"name": "app", "image": "busybox", "memory": 16}


@dataclass(frozen=True)
class Control:
    endpoint: str
    key: Key
    process: subprocess.Popen[bytes]
    state: Path

    def client(
        self, service: str = "ecs", key: str = "", secret: str = "", region: str = "us-east-1", **more: Any
    ) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=key or self.key.access_key_id,
            aws_secret_access_key=secret or self.key.secret_access_key,
            **more,
        )

    def post(self, body: bytes, target: str, **headers: str) -> tuple[int, dict[str, Any]]:
        """A signed request with any body."""
        sent = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target, **headers}
        signed = sign(self.key, "POST", f"{self.endpoint}/", "us-east-1", body, sent)
        request = urllib.request.Request(f"{self.endpoint}/", body, signed)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def start(state: Path, **settings: str) -> Control:
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORWATCH_", "AWS_"))}
    environ = {**kept, "MOORWATCH_STATE": str(state), "MOORWATCH_PORT": str(port), **settings}
    with (state / "control.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "monitor", "control"], env=environ, stderr=log)
    endpoint = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{endpoint}/healthz", timeout=1):
                return True
        except OSError:
            assert process.poll() is None, (state / "control.log").read_text()
            return False

    wait_until(answers, "the control plane answers")
    found = json.loads((state / "credentials.json").read_text())
    return Control(endpoint, Key(found["access_key_id"], found["secret_access_key"]), process, state)


def stop(control: Control) -> None:
    control.process.terminate()
    assert control.process.wait(20) == 0


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("control"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def ecs(control: Control) -> Iterator[Any]:
    client = control.client()
    yield client
    client.close()


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def message(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Message"])


# -- who asks -----------------------------------------------------------------------------------------


def test_the_caller_is_the_key_s_account(control: Control) -> None:
    client = control.client("sts")
    assert client.get_caller_identity()["Account"] == "000000000001"
    client.close()


def test_a_wrong_secret_and_an_unknown_key_are_refused(control: Control) -> None:
    for key, secret, expected in (
        ("", "wrong", "InvalidSignatureException"),
        ("AKIAUNKNOWN", "wrong", "UnrecognizedClientException"),
    ):
        client = control.client(key=key, secret=secret)
        with pytest.raises(ClientError) as error:
            client.list_clusters()
        assert code(error) == expected
        client.close()


def test_an_unsigned_request_is_refused(control: Control) -> None:
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters"}
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(control.endpoint, b"{}", target), timeout=10)
    assert json.load(error.value)["__type"] == "MissingAuthenticationTokenException"
    error.value.close()


def test_regions_are_apart(control: Control, ecs: Any) -> None:
    elsewhere = control.client(region="eu-west-1")
    elsewhere.create_cluster(clusterName="far")
    assert [a for a in ecs.list_clusters()["clusterArns"] if a.endswith("/far")] == []
    assert elsewhere.list_clusters()["clusterArns"] == ["arn:aws:ecs:eu-west-1:000000000001:cluster/far"]
    elsewhere.close()


def test_without_authentication_the_key_is_the_account(tmp_path: Path) -> None:
    control = start(tmp_path, MOORWATCH_AUTH="none")
    try:
        one, two = (
            control.client(key="111111111111", secret="x"),
            control.client(key="222222222222", secret="x"),
        )
        one.create_cluster(clusterName="mine")
        assert [a.split(":")[4] for a in one.list_clusters()["clusterArns"]] == ["111111111111"]
        assert two.list_clusters()["clusterArns"] == []
        one.close()
        two.close()
    finally:
        stop(control)


def test_no_authentication_is_refused_beyond_loopback(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "MOORWATCH_STATE": str(tmp_path),
        "MOORWATCH_AUTH": "none",
        "MOORWATCH_HOST": "0.0.0.0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "control"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is refused on 0.0.0.0" in done.stderr


# -- bad input ----------------------------------------------------------------------------------------

ECS = "AmazonEC2ContainerServiceV20141113"


@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [
        (b"{", f"{ECS}.ListClusters", "SerializationException"),
        (b"[]", f"{ECS}.ListClusters", "SerializationException"),
        (b"\xff\xfe", f"{ECS}.ListClusters", "SerializationException"),
        (b'{"maxResults": "ten"}', f"{ECS}.ListClusters", "SerializationException"),
        (b"[" * 100_000, f"{ECS}.ListClusters", "SerializationException"),
        (b"{}", f"{ECS}.NoSuchOperation", "UnknownOperationException"),
        (b"{}", "Nothing.ListClusters", "UnknownOperationException"),
        (b"{}", f"{ECS}.CreateService", "InvalidParameterException"),
    ],
)
def test_what_cannot_be_read_is_a_modelled_error(
    control: Control, body: bytes, target: str, expected: str
) -> None:
    status, answer = control.post(body, target)
    assert (status, answer["__type"]) == (400, expected)
    assert answer["message"]


@pytest.mark.parametrize(
    "name", sorted(models.operation_names("ecs") - {n for s, n in OPERATIONS if s == "ecs"})
)
def test_the_other_operations_say_that_they_are_not_there(control: Control, name: str) -> None:
    shape = models.operation("ecs", name).input_shape
    required = {} if shape is None else {m: _any_value(shape.members[m]) for m in shape.required_members}
    status, answer = control.post(json.dumps(required).encode(), f"{ECS}.{name}")
    assert status == 400
    assert answer["__type"] in models.declared_errors("ecs", name) | models.COMMON_ERRORS
    assert name in answer["message"]


@pytest.mark.parametrize("more", [1, 8 * 1024 * 1024])
def test_a_body_beyond_the_limit_is_refused_and_the_client_hears_of_it(control: Control, more: int) -> None:
    status, answer = control.post(b" " * (1024 * 1024 + more), f"{ECS}.ListClusters")
    assert (status, answer["__type"]) == (413, "RequestEntityTooLarge")


def _any_value(shape: Any) -> Any:
    match shape.type_name:
        case "structure":
            return {m: _any_value(shape.members[m]) for m in shape.required_members}
        case "list":
            return [_any_value(shape.member)]
        case "map":
            return {}
        case "integer" | "long" | "double" | "float":
            return max(1, shape.metadata.get("min", 1))
        case "boolean":
            return True
        case "timestamp":
            return 1_700_000_000
    return shape.enum[0] if getattr(shape, "enum", None) else "x" * max(1, shape.metadata.get("min", 1))


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ({"containerDefinitions": []}, "Container list cannot be empty"),
        ({"containerDefinitions": [{"image": "i", "memory": 8}]}, "Container.name should not be null"),
        ({"containerDefinitions": [{"name": "a", "memory": 8}]}, "Container.image should not be null"),
        (
            {"containerDefinitions": [{"name": "a", "image": "i"}]},
            "At least one of 'memory' or 'memoryReservation'",
        ),
        ({"containerDefinitions": [{"name": "a", "image": "i", "memory": 4}]}, "the minimum is 6 MiB"),
        ({"containerDefinitions": [CONTAINER, CONTAINER]}, "must be unique"),
        ({"containerDefinitions": [{**CONTAINER, "essential": False}]}, "at least one essential"),
        ({"containerDefinitions": [{**CONTAINER, "memoryReservation": 32}]}, "must be greater than"),
        (
            {"containerDefinitions": [{**CONTAINER, "hostname": "h"}], "networkMode": "awsvpc"},
            "hostname is not",
        ),
        ({"containerDefinitions": [CONTAINER], "cpu": "lots"}, "Invalid 'cpu' setting"),
        (
            {"containerDefinitions": [CONTAINER], "requiresCompatibilities": ["FARGATE"]},
            "Fargate only supports",
        ),
        ({"containerDefinitions": [{**CONTAINER, "secrets": [{"name": "S", "valueFrom": "x"}]}]}, "secrets"),
        (
            {
                "containerDefinitions": [
                    {**CONTAINER, "dependsOn": [{"containerName": "x", "condition": "START"}]}
                ]
            },
            "not another container",
        ),
    ],
)
def test_a_task_definition_that_cannot_run_is_refused(ecs: Any, members: dict[str, Any], part: str) -> None:
    with pytest.raises(ClientError) as error:
        ecs.register_task_definition(family="bad", **members)
    assert code(error) == "ClientException"
    assert part in message(error)


def test_what_is_not_there(ecs: Any) -> None:
    calls = {
        "ClusterNotFoundException": lambda: ecs.list_services(cluster="nowhere"),
        "ServiceNotFoundException": lambda: ecs.update_service(service="none", desiredCount=1),
        "ClientException": lambda: ecs.describe_task_definition(taskDefinition="none"),
        "InvalidParameterException": lambda: ecs.stop_task(task="0" * 32),
    }
    for expected, call in calls.items():
        with pytest.raises(ClientError) as error:
            call()
        assert code(error) == expected
    assert ecs.describe_services(services=["none"])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_tasks(tasks=["0" * 32])["failures"][0]["reason"] == "MISSING"
    assert ecs.describe_clusters(clusters=["nowhere"])["failures"][0]["reason"] == "MISSING"


# -- clusters, definitions, services, tags ------------------------------------------------------------


def test_a_cluster_s_life(ecs: Any) -> None:
    made = ecs.create_cluster(clusterName="life", tags=[{"key": "a", "value": "b"}])["cluster"]
    assert made["status"] == "ACTIVE"
    assert ecs.create_cluster(clusterName="life")["cluster"]["clusterArn"] == made["clusterArn"]
    assert ecs.list_tags_for_resource(resourceArn=made["clusterArn"])["tags"] == [{"key": "a", "value": "b"}]
    ecs.register_task_definition(family="life", containerDefinitions=[CONTAINER])
    ecs.create_service(cluster="life", serviceName="s", taskDefinition="life", desiredCount=0)
    with pytest.raises(ClientError) as error:
        ecs.delete_cluster(cluster="life")
    assert code(error) == "ClusterContainsServicesException"
    ecs.delete_service(cluster="life", service="s")
    ecs.get_waiter("services_inactive").wait(cluster="life", services=["s"], WaiterConfig={"Delay": 1})
    assert ecs.delete_cluster(cluster="life")["cluster"]["status"] == "INACTIVE"


def test_revisions_grow_and_are_never_used_again(ecs: Any) -> None:
    for expected in (1, 2, 3):
        made = ecs.register_task_definition(family="rev", containerDefinitions=[CONTAINER])["taskDefinition"]
        assert made["revision"] == expected
    ecs.deregister_task_definition(taskDefinition="rev:3")
    assert ecs.describe_task_definition(taskDefinition="rev")["taskDefinition"]["revision"] == 2
    assert ecs.describe_task_definition(taskDefinition="rev:3")["taskDefinition"]["status"] == "INACTIVE"
    made = ecs.register_task_definition(family="rev", containerDefinitions=[CONTAINER])["taskDefinition"]
    assert made["revision"] == 4
    listed = ecs.list_task_definitions(familyPrefix="rev", sort="DESC")["taskDefinitionArns"]
    assert [a.rsplit(":", 1)[1] for a in listed] == ["4", "2", "1"]
    assert "rev" in ecs.list_task_definition_families()["families"]


def test_paginators_find_everything_once(ecs: Any) -> None:
    ecs.register_task_definition(family="pages", containerDefinitions=[CONTAINER])
    names = [f"page-{n:02d}" for n in range(23)]
    for name in names:
        ecs.create_service(serviceName=name, taskDefinition="pages", desiredCount=0)
    found = [
        arn.rsplit("/", 1)[1]
        for page in ecs.get_paginator("list_services").paginate(PaginationConfig={"PageSize": 5})
        for arn in page["serviceArns"]
    ]
    assert [n for n in found if n.startswith("page-")] == names
    assert len(ecs.list_services()["serviceArns"]) == 10  # ECS's own page size
    with pytest.raises(ClientError) as error:
        ecs.list_services(nextToken="mine")
    assert code(error) == "InvalidParameterException"


def test_a_service_without_a_machine_says_so_in_ecs_s_words(ecs: Any) -> None:
    ecs.register_task_definition(family="alone", containerDefinitions=[CONTAINER])
    ecs.create_service(serviceName="alone", taskDefinition="alone", desiredCount=1)
    told = wait_until(lambda: ecs.describe_services(services=["alone"])["services"][0]["events"], "an event")
    assert told[0]["message"] == (
        "(service alone) was unable to place a task because no container instance met all of its requirements. "
        "Reason: No Container Instances were found in your cluster."
    )
    with pytest.raises(ClientError) as error:
        ecs.run_task(taskDefinition="alone")
    assert message(error) == "No Container Instances were found in your cluster."
    with pytest.raises(ClientError) as error:
        ecs.create_service(serviceName="alone", taskDefinition="alone", desiredCount=2)
    assert message(error) == "Creation of service was not idempotent."
    with pytest.raises(ClientError) as error:
        ecs.delete_service(service="alone")
    assert message(error) == "The service cannot be stopped while it is scaled above 0."
    ecs.delete_service(service="alone", force=True)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    control = start(tmp_path)
    ecs = control.client()
    made = []
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        made.append(
            ecs.register_task_definition(family="kept", containerDefinitions=[CONTAINER])["taskDefinition"]
        )
    control.process.kill()
    control.process.wait()
    ecs.close()
    again = start(tmp_path)
    try:
        client = again.client()
        pages = client.get_paginator("list_task_definitions").paginate(familyPrefix="kept")
        found = {arn for page in pages for arn in page["taskDefinitionArns"]}
        assert {d["taskDefinitionArn"] for d in made} <= found
        assert len(found) - len(made) <= 1  # at most the one whose answer was under way
        client.close()
    finally:
        stop(again)
    for name in ("control.sqlite", "credentials.json"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
