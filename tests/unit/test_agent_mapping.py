"""Payload container → Docker's create body; Docker's answers → ECS's words."""

from __future__ import annotations

import json
import platform
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from monitor.agent.docker import _split, _translated, view
from monitor.agent.engine import EngineError, EngineUnreachable, ImageMissing, Vanished
from monitor.agent.mapping import (
    BadPayload,
    TaskLimits,
    container_name,
    containers_of,
    create_body,
    task_spec,
)
from monitor.agent.pause import NoPause, program
from monitor.agent.ports import HostPorts, ephemeral_range, is_free
from monitor.agent.volumes import docker_volume, of_container
from monitor.scheduler.host import RestartPolicy

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
        (
            "start",
            docker.errors.APIError("x", explanation="error while mounting volume '/v': failed"),
            EngineError,
            "CannotCreateVolumeError: error while mounting",
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


# -- what the containers of a task share ----------------------------------------------------------------


def pause_of(*containers: dict[str, Any], **payload: Any) -> dict[str, Any]:
    order = {**PAYLOAD, "containers": list(containers), **payload}
    return create_body(order, containers_of(order)[0], "default", "inst", NO_LIMITS)


def given(**host: Any) -> dict[str, Any]:
    config = json.dumps({"Hostname": "h"})
    return {"name": "app", "image": "i", "dockerConfig": {"config": config, "hostConfig": json.dumps(host)}}


def test_an_awsvpc_task_s_containers_join_the_network_of_one_that_holds_it() -> None:
    app = given(Dns=["192.0.2.1"], DnsSearch=["a"], Sysctls={"net.x": "1", "kernel.msgmax": "2"})
    ports = {"portMappings": [{"containerPort": 80, "hostPort": 80}]}
    made = body({**app, **ports}, networkMode="awsvpc")
    host = made["HostConfig"]
    holder = container_name(PAYLOAD, {"name": "~internal~ecs~pause"})
    assert host["NetworkMode"] == f"container:{holder}"
    # Docker refuses these of a container without a network of its own.
    assert not {"Dns", "DnsSearch", "PortBindings", "ExtraHosts"} & set(host)
    assert not {"Hostname", "ExposedPorts"} & set(made)
    assert host["Sysctls"] == {"kernel.msgmax": "2"}
    held = pause_of(app, networkMode="awsvpc")
    assert held["Labels"]["com.amazonaws.ecs.container-name"] == "~internal~ecs~pause"
    assert held["Labels"]["moorwatch.container-type"] == "CNI_PAUSE"
    assert held["Labels"]["com.amazonaws.ecs.task-arn"] == ARN
    host = held["HostConfig"]
    assert (host["NetworkMode"], host["Dns"], host["DnsSearch"]) == ("bridge", ["192.0.2.1"], ["a"])
    assert host["Sysctls"] == {"net.x": "1"}


def test_pid_and_ipc_namespaces() -> None:
    shared = body({}, pidMode="task", ipcMode="task")["HostConfig"]
    holder = "container:" + container_name(PAYLOAD, {"name": "~internal~ecs~pause~namespace"})
    assert (shared["PidMode"], shared["IpcMode"], shared["NetworkMode"]) == (holder, holder, "bridge")
    held = pause_of(given(Sysctls={"net.x": "1", "kernel.msgmax": "2"}), ipcMode="task")["HostConfig"]
    assert (held["NetworkMode"], held["IpcMode"]) == ("none", "shareable")
    assert held["Sysctls"] == {"kernel.msgmax": "2"}
    host = body({}, pidMode="host", ipcMode="none")["HostConfig"]
    assert (host["PidMode"], host["IpcMode"]) == ("host", "none")
    assert not {"PidMode", "IpcMode"} & set(body({})["HostConfig"])


def test_only_what_shares_has_a_holder() -> None:
    order = {**PAYLOAD, "containers": [{"name": "app", "image": "i"}]}
    assert [c["name"] for c in containers_of(order)] == ["app"]
    names = [c.name for c in task_spec({**order, "networkMode": "awsvpc"}).containers]
    assert names == ["~internal~ecs~pause", "app"]
    holder, app = task_spec({**order, "pidMode": "task"}).containers
    assert (holder.internal, app.internal) == (True, False)
    assert app.depends_on == ((holder.name, "CREATE"), (holder.name, "START"))


def test_links_and_volumes_of_others_are_named_as_docker_knows_them_and_waited_for() -> None:
    app = {
        "name": "app",
        "image": "i",
        "links": ["db:store", "cache"],
        "volumesFrom": [{"sourceContainer": "data", "readOnly": True}],
    }
    db, cache, data = (container_name(PAYLOAD, {"name": n}) for n in ("db", "cache", "data"))
    host = body(app)["HostConfig"]
    assert host["Links"] == [f"{db}:store", f"{cache}:cache"]
    assert host["VolumesFrom"] == [f"{data}:ro"]
    (spec,) = task_spec({**PAYLOAD, "containers": [app]}).containers
    assert ("data", "CREATE") in spec.depends_on
    assert {("db", "CREATE"), ("db", "START"), ("cache", "START")} <= set(spec.depends_on)


def test_restart_policies() -> None:
    def policy(**members: Any) -> RestartPolicy | None:
        c = {"name": "app", "image": "i", "restartPolicy": members}
        return task_spec({**PAYLOAD, "containers": [c]}).containers[0].restart

    assert policy(enabled=False, restartAttemptPeriod=60) is None
    assert policy(enabled=True) == RestartPolicy(300.0)
    expected = RestartPolicy(60.0, frozenset((0, 7)))
    assert policy(enabled=True, restartAttemptPeriod=60, ignoredExitCodes=[0, 7]) == expected


# -- port ranges ------------------------------------------------------------------------------------------


def test_a_range_is_published_port_by_port() -> None:
    ports = {"portMappings": [{"containerPortRange": "80-82", "protocol": "udp"}]}
    order = {**PAYLOAD, "containers": []}
    made = create_body(
        order, {"name": "app", "image": "i", **ports}, "default", "inst", NO_LIMITS, {"80-82/udp": 40000}
    )
    assert made["HostConfig"]["PortBindings"] == {
        f"{80 + n}/udp": [{"HostPort": str(40000 + n)}] for n in range(3)
    }


def test_host_ports_in_a_row() -> None:
    taken = {102, 106}
    ports = HostPorts((100, 110), lambda port, _protocol: port not in taken)
    assert ports.find(3, "tcp") == 103
    assert ports.find(2, "tcp") == 107  # goes on behind the last: nobody holds those yet
    assert ports.find(2, "tcp") == 109
    assert ports.find(2, "tcp") == 100  # and from the start again
    with pytest.raises(EngineError, match="no 5 free tcp ports in a row between 100 and 110"):
        ports.find(5, "tcp")


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert not is_free(port, "tcp")
        assert is_free(port, "udp")


@pytest.mark.parametrize(
    ("text", "expected"), [("32768\t60999\n", (32768, 60999)), ("", (49153, 65535)), ("9 1", (49153, 65535))]
)
def test_the_ephemeral_range(tmp_path: Path, text: str, expected: tuple[int, int]) -> None:
    (tmp_path / "range").write_text(text)
    assert ephemeral_range(tmp_path / "range") == expected
    assert ephemeral_range(tmp_path / "absent") == (49153, 65535)


# -- volumes ----------------------------------------------------------------------------------------------


def test_docker_volumes() -> None:
    own = {"name": "v", "dockerVolumeConfiguration": {"driverOpts": {"o": "1"}, "labels": {"l": "2"}}}
    found = docker_volume(PAYLOAD, own)
    assert found.name == "ecs-0123456789abcdef0123456789abcdef-v"
    assert (found.driver, found.options, found.labels["l"]) == ("local", {"o": "1"}, "2")
    assert found.labels["com.amazonaws.ecs.task-arn"] == ARN
    assert not found.must_exist
    shared = {"name": "v", "dockerVolumeConfiguration": {"scope": "shared", "driver": "nfs"}}
    found = docker_volume(PAYLOAD, shared)
    assert (found.name, found.driver, found.labels, found.must_exist) == ("v", "nfs", {}, True)
    shared["dockerVolumeConfiguration"] = {"scope": "shared", "autoprovision": True}
    assert not docker_volume(PAYLOAD, shared).must_exist


def test_only_what_a_container_mounts_is_made_for_it() -> None:
    order = {
        **PAYLOAD,
        "volumes": [{"name": "a"}, {"name": "b"}, {"name": "c", "host": {"sourcePath": "/c"}}],
    }
    mounts = [{"sourceVolume": name, "containerPath": f"/{name}"} for name in ("b", "c")]
    assert [v.name[-2:] for v in of_container(order, {"mountPoints": mounts})] == ["-b"]


# -- the pause program ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", 62), ("arm64", 183)])
def test_the_pause_program_is_one_static_segment(architecture: str, machine: int) -> None:
    elf = program(architecture)
    assert elf[:5] == b"\x7fELF\x02"
    assert struct.unpack_from("<HH", elf, 16) == (2, machine)
    entry, headers = struct.unpack_from("<QQ", elf, 24)
    kind, flags, offset, address, _, in_file, in_memory, _ = struct.unpack_from("<IIQQQQQQ", elf, headers)
    assert (kind, flags, offset, in_file, in_memory) == (1, 5, 0, len(elf), len(elf))
    assert address < entry < address + len(elf)
    assert (entry - address) % 4 == 0


def test_the_pause_program_waits(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"no pause program for {platform.machine()}")
    path = tmp_path / "pause"
    path.write_bytes(program(platform.machine()))
    path.chmod(0o755)
    with subprocess.Popen([path]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()


def test_other_machines_are_told_what_to_do() -> None:
    with pytest.raises(NoPause, match="not on riscv64: use networkMode bridge"):
        program("riscv64")
