"""Payload container → Docker's create body; Docker's answers → ECS's words."""

from __future__ import annotations

import json
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from monitor.agent.docker import _split, _translated, view
from monitor.agent.engine import EngineError, EngineUnreachable, ImageMissing, Vanished
from monitor.agent.mapping import BadPayload, TaskLimits, container_name, create_body, task_spec

ARN = "arn:aws:ecs:us-east-1:000000000001:task/default/0123456789abcdef0123456789abcdef"
PAYLOAD: dict[str, Any] = {
    "arn": ARN,
    "family": "web",
    "version": "3",
    "serviceName": "shop",
    "networkMode": "bridge",
}

NO_LIMITS = TaskLimits()


def body(container: dict[str, Any], limits: TaskLimits = NO_LIMITS, **payload: Any) -> dict[str, Any]:
    return create_body(
        {**PAYLOAD, **payload}, {"name": "app", "image": "i", **container}, "default", "inst", limits
    )


def test_limits_are_docker_s() -> None:
    host = body({"cpu": 0, "memory": 16})["HostConfig"]
    assert (host["CpuShares"], host["Memory"], host["MemorySwap"]) == (2, 16 * 2**20, 16 * 2**20)
    assert body({"cpu": 10**9})["HostConfig"]["CpuShares"] == 262_144
    capped = body({}, TaskLimits(cap_cpus=0.5, cap_memory_mib=64))["HostConfig"]
    assert (capped["NanoCpus"], capped["Memory"]) == (500_000_000, 64 * 2**20)
    assert body({}, TaskLimits(cgroup_parent="/ecs/x"))["HostConfig"]["CgroupParent"] == "/ecs/x"
    assert "Memory" not in body({})["HostConfig"]


def test_docker_config_lies_under_what_the_agent_sets() -> None:
    docker_config = {
        "config": json.dumps({"User": "nobody", "Image": "other", "Labels": {"mine": "1"}}),
        "hostConfig": json.dumps({"MemoryReservation": 8, "NetworkMode": "host", "CpuShares": 9}),
    }
    made = body({"dockerConfig": docker_config, "cpu": 128})
    assert (made["User"], made["Image"], made["Labels"]["mine"]) == ("nobody", "i", "1")
    host = made["HostConfig"]
    assert (host["MemoryReservation"], host["NetworkMode"], host["CpuShares"]) == (8, "bridge", 128)


def test_labels_name_the_task() -> None:
    labels = body({})["Labels"]
    assert labels["com.amazonaws.ecs.task-arn"] == ARN
    assert labels["com.amazonaws.ecs.cluster"] == "default"
    assert labels["moorwatch.service"] == "shop"
    assert labels["moorwatch.container-instance"] == "inst"


def test_ports_are_published_in_bridge_mode_only() -> None:
    ports = {
        "portMappings": [
            {"containerPort": 80, "hostPort": 0},
            {"containerPort": 53, "hostPort": 5353, "protocol": "udp"},
        ]
    }
    host = body(ports)["HostConfig"]
    assert host["PortBindings"] == {"80/tcp": [{"HostPort": ""}], "53/udp": [{"HostPort": "5353"}]}
    assert "PortBindings" not in body(ports, networkMode="host")["HostConfig"]


def test_volumes() -> None:
    mounts = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/data", "readOnly": True}]}
    on_host = body(mounts, volumes=[{"name": "v", "host": {"sourcePath": "/srv"}}])
    assert on_host["HostConfig"]["Binds"] == ["/srv:/data:ro"]
    own = body(mounts, volumes=[{"name": "v", "host": {"sourcePath": ""}}])
    assert own["HostConfig"]["Binds"] == ["ecs-0123456789abcdef0123456789abcdef-v:/data:ro"]
    with pytest.raises(BadPayload, match="unknown volume"):
        body(mounts)


def test_a_name_is_the_same_whenever_it_is_asked_for() -> None:
    name = container_name(PAYLOAD, {"name": "my_app"})
    assert name == container_name(PAYLOAD, {"name": "my_app"})
    assert name.startswith("ecs-web-3-myapp-")
    assert name != container_name({**PAYLOAD, "arn": ARN[:-1] + "0"}, {"name": "my_app"})


def test_orders_that_cannot_be_read() -> None:
    with pytest.raises(BadPayload):
        task_spec({"arn": ARN, "containers": [{"image": "nameless"}]})
    with pytest.raises(BadPayload):
        body({"dockerConfig": {"config": "{"}})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", ("busybox", "latest")),
        ("busybox:1.36", ("busybox", "1.36")),
        ("host:5000/team/app", ("host:5000/team/app", "latest")),
        ("host:5000/team/app:v1", ("host:5000/team/app", "v1")),
        ("app@sha256:00", ("app@sha256:00", None)),
    ],
)
def test_an_image_s_tag(image: str, expected: tuple[str, str | None]) -> None:
    assert _split(image) == expected


def test_the_daemon_s_errors_become_ours() -> None:
    def raising(error: Exception) -> Any:
        def call(_client: object) -> None:
            raise error

        return call

    cases: list[tuple[str, Exception, type[Exception], str]] = [
        (
            "create",
            docker.errors.NotFound("x", explanation="No such image: i"),
            ImageMissing,
            "No such image",
        ),
        (
            "inspect",
            docker.errors.NotFound("x", explanation="No such container: c"),
            Vanished,
            "ContainerVanished",
        ),
        (
            "start",
            docker.errors.APIError("x", explanation="Bind for 0.0.0.0:80 failed: port is already allocated"),
            EngineError,
            "CannotStartContainerError: .* use hostPort 0",
        ),
        ("ping", requests.exceptions.ConnectionError(), EngineUnreachable, "Docker does not answer"),
        ("ping", docker.errors.DockerException("no socket"), EngineUnreachable, "no socket"),
    ]
    for what, error, expected, text in cases:
        with pytest.raises(expected, match=text):
            _translated(what, lambda: None, raising(error))  # type: ignore[arg-type, return-value]


def test_a_container_as_docker_shows_it() -> None:
    raw = {
        "Id": "abc",
        "Name": "/ecs-web",
        "Created": "2026-11-23T08:00:00.5Z",
        "State": {
            "Status": "exited",
            "ExitCode": 137,
            "OOMKilled": True,
            "StartedAt": "2026-11-23T08:00:01.123456789Z",
            "FinishedAt": "2026-11-23T09:00:01+01:00",
            "Health": {"Status": "unhealthy", "Log": [{"Output": "no"}]},
        },
        "Config": {"Labels": {"a": "b"}, "StopSignal": "SIGQUIT"},
        "HostConfig": {"Memory": 1024},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "81/tcp": None}
        },
    }
    found = view(raw)
    assert (found.exit_code, found.oom_killed, found.health, found.health_output) == (
        137,
        True,
        "UNHEALTHY",
        "no",
    )
    assert found.started_at == pytest.approx(found.created_at + 0.623456789)  # type: ignore[operator]
    assert found.finished_at == pytest.approx(found.created_at + 0.5)  # type: ignore[operator]
    assert found.stop_signal == "SIGQUIT"
    assert found.ports == ({"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"},)
    assert (
        view({"Id": "x", "State": {"Status": "running", "StartedAt": "0001-01-01T00:00:00Z"}}).started_at
        is None
    )
