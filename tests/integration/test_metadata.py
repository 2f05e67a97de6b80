"""Tasks read of themselves at the task metadata endpoint, and people at the introspection API, on real Docker."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.conftest import Stack, _RunningStack, free_port, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

# What the container reads is written to its log, one document a line.
READ = "for p in '' /task /task/stats /taskWithTags; do wget -q -O - $ECS_CONTAINER_METADATA_URI_V4$p; echo; done"
SAMPLED = "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/stats | grep -q cpu_stats"
SCRIPT = f"while ! {SAMPLED}; do :; done; {READ}; sleep 9999"


@pytest.fixture(scope="module")
def introspected(docker_url: str) -> Iterator[tuple[Stack, int]]:
    port = free_port()
    with _RunningStack(docker_url, {"MOORWATCH_INTROSPECTION_PORT": str(port)}) as stack:
        yield stack, port


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("mode", ["bridge", "host", "awsvpc"])
def test_a_container_reads_of_its_task(
    introspected: tuple[Stack, int], docker_url: str, busybox_image: str, mode: str
) -> None:
    stack, _ = introspected
    ecs = stack.client()
    container = {
        "name": "app",
        "image": busybox_image,
        "memory": 32,
        "cpu": 64,
        "command": ["sh", "-c", SCRIPT],
    }
    ecs.register_task_definition(family=f"meta-{mode}", containerDefinitions=[container], networkMode=mode)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    ecs.create_service(
        serviceName=f"meta-{mode}",
        taskDefinition=f"meta-{mode}",
        desiredCount=1,
        tags=[{"key": "team", "value": "core"}],
        propagateTags="SERVICE",
        **({"networkConfiguration": network} if mode == "awsvpc" else {}),
    )
    (arn,) = wait_until(lambda: ecs.list_tasks(serviceName=f"meta-{mode}")["taskArns"], "a task")
    api = docker.APIClient(base_url=docker_url, version="auto")

    def told() -> list[str]:
        label = f"com.amazonaws.ecs.task-arn={arn}"
        found = api.containers(filters={"label": [label, "com.amazonaws.ecs.container-name=app"]})
        lines = api.logs(found[0]["Id"]).decode().splitlines() if found else []
        return lines if len(lines) >= 4 else []

    one, task, stats, tagged = (json.loads(line) for line in wait_until(told, "what the container read")[:4])
    (described,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    assert (one["Name"], one["Type"], one["Image"]) == ("app", "NORMAL", busybox_image)
    assert one["DockerId"] == described["containers"][0]["runtimeId"]
    assert one["ContainerARN"] == described["containers"][0]["containerArn"]
    assert one["Limits"] == {"CPU": 64, "Memory": 32}
    assert one["Networks"][0]["NetworkMode"] == mode
    assert task["TaskARN"] == arn
    assert (task["Family"], task["Revision"], task["ServiceName"]) == (f"meta-{mode}", "1", f"meta-{mode}")
    assert (task["DesiredStatus"], task["KnownStatus"]) == ("RUNNING", "RUNNING")
    names = {c["Type"]: c["Name"] for c in task["Containers"]}
    assert names["NORMAL"] == "app"
    assert ("CNI_PAUSE" in names) == (mode == "awsvpc")
    assert stats[one["DockerId"]]["memory_stats"]["usage"] > 0
    assert stats[one["DockerId"]]["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert tagged["TaskTags"]["team"] == "core"
    _exporter_can_read(task, stats)
    api.close()
    ecs.close()


def _exporter_can_read(task: dict[str, Any], stats: dict[str, Any]) -> None:
    """The members that prometheus-community's ecs_exporter decodes, with their types: strings are labels, numbers
    values."""
    for name in ("Cluster", "TaskARN", "Family", "Revision", "DesiredStatus", "KnownStatus"):
        assert isinstance(task[name], str), name
    for container in task["Containers"]:
        for name in (
            "DockerId",
            "Name",
            "DockerName",
            "Image",
            "ImageID",
            "KnownStatus",
            "CreatedAt",
            "StartedAt",
        ):
            assert isinstance(container[name], str), name
        assert isinstance(container["Limits"]["CPU"], int)
        if container["Type"] != "NORMAL":
            continue
        found = stats[container["DockerId"]]
        usage = found["cpu_stats"]["cpu_usage"]
        for value in (
            usage["total_usage"],
            found["cpu_stats"]["system_cpu_usage"],
            found["cpu_stats"]["online_cpus"],
            found["memory_stats"]["usage"],
            found["memory_stats"]["limit"],
            found["memory_stats"]["stats"]["cache"],
        ):
            assert type(value) is int
        for network in found["networks"].values():
            assert {"rx_bytes", "rx_packets", "rx_dropped", "rx_errors", "tx_bytes"} <= set(network)


def test_an_id_that_is_not_known_is_refused_and_v3_is_there(
    introspected: tuple[Stack, int], docker_url: str, busybox_image: str
) -> None:
    api = docker.APIClient(base_url=docker_url, version="auto")
    stack, _ = introspected
    account = f":{stack.account}:task/"
    found = [c for c in api.containers() if account in c["Labels"].get("com.amazonaws.ecs.task-arn", "")]
    mine = next(c for c in found if c["Labels"]["com.amazonaws.ecs.container-name"] == "app")
    env = dict(e.split("=", 1) for e in api.inspect_container(mine["Id"])["Config"]["Env"])
    v3, v4 = env["ECS_CONTAINER_METADATA_URI"], env["ECS_CONTAINER_METADATA_URI_V4"]
    assert get(v3)["DockerId"] == mine["Id"]
    assert "ContainerARN" not in get(v3)
    assert get(f"{v3}/task")["TaskARN"] == mine["Labels"]["com.amazonaws.ecs.task-arn"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(v4[:-4] + "0000")
    assert refused.value.code == 404
    assert "unknown id" in json.load(refused.value)
    codes = []
    for _ in range(200):
        try:
            get(v4)
            codes.append(200)
        except urllib.error.HTTPError as error:
            codes.append(error.code)
            break
    assert codes[-1] == 429
    assert len(codes) > 50  # sixty at once, less those asked for just before
    api.close()


def test_introspection(introspected: tuple[Stack, int]) -> None:
    stack, port = introspected
    ecs = stack.client()
    (instance,) = ecs.list_container_instances()["containerInstanceArns"]
    metadata = get(f"http://127.0.0.1:{port}/v1/metadata")
    assert (metadata["Cluster"], metadata["ContainerInstanceArn"]) == ("default", instance)
    tasks = get(f"http://127.0.0.1:{port}/v1/tasks")["Tasks"]
    assert {t["Arn"] for t in tasks} == set(ecs.list_tasks()["taskArns"])
    one = tasks[0]
    docker_id = one["Containers"][0]["DockerId"]
    for query in (f"taskarn={one['Arn']}", f"dockerid={docker_id}", f"shortid={docker_id[:12]}"):
        assert get(f"http://127.0.0.1:{port}/v1/tasks?{query}")["Arn"] == one["Arn"]
    with pytest.raises(urllib.error.HTTPError):
        get(f"http://127.0.0.1:{port}/v1/tasks?shortid=zzz")
    ecs.close()
