"""What a task definition says of its containers, kept by real ones: restarts, order, networks, volumes, the kernel."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from tests.conftest import Stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

TASK = "com.amazonaws.ecs.task-arn"
NAME = "com.amazonaws.ecs.container-name"
PAUSE = "~internal~ecs~pause"
PERIOD_SECONDS = 60  # the shortest restartAttemptPeriod


@pytest.fixture(scope="module")
def api(docker_url: str) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=docker_url, version="1.41")
    yield client
    client.close()


@pytest.fixture(scope="module")
def ecs(stack: Stack) -> Iterator[Any]:
    client = stack.client()
    yield client
    client.close()


def container(image: str, name: str = "app", **members: Any) -> dict[str, Any]:
    command = ["sh", "-c", "trap exit TERM; while true; do sleep 0.1; done"]
    return {"name": name, "image": image, "memory": 16, "stopTimeout": 5, "command": command, **members}


def shell(image: str, script: str, name: str = "app", **members: Any) -> dict[str, Any]:
    return container(image, name, command=["sh", "-c", script], **members)


def run(ecs: Any, family: str, *containers: dict[str, Any], **members: Any) -> str:
    ecs.register_task_definition(family=family, containerDefinitions=list(containers), **members)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    needed = {"networkConfiguration": network} if members.get("networkMode") == "awsvpc" else {}
    answer = ecs.run_task(taskDefinition=family, **needed)
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def task_of(ecs: Any, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_tasks(tasks=[arn])["tasks"][0]
    return found


def until(ecs: Any, arn: str, status: str) -> dict[str, Any]:
    """The task, once it has that lastStatus; fails when it has stopped instead."""

    def reached() -> dict[str, Any] | None:
        task = task_of(ecs, arn)
        if task["lastStatus"] == "STOPPED" != status:
            pytest.fail(f"stopped: {task.get('stoppedReason')} {task['containers']}")
        return task if task["lastStatus"] == status else None

    found: dict[str, Any] = wait_until(reached, f"{arn} is {status}")
    return found


def stop(ecs: Any, arn: str) -> dict[str, Any]:
    ecs.stop_task(task=arn)
    return until(ecs, arn, "STOPPED")


def of_task(api: docker.APIClient, arn: str) -> dict[str, dict[str, Any]]:
    """Container name → `docker inspect`, of all containers of the task."""
    found = api.containers(all=True, filters={"label": [f"{TASK}={arn}"]})
    inspected = {}
    for c in found:
        with contextlib.suppress(docker.errors.NotFound):  # removed since it was listed
            inspected[c["Labels"][NAME]] = api.inspect_container(c["Id"])
    return inspected


def log(api: docker.APIClient, arn: str, name: str = "app") -> str:
    raw = api.logs(of_task(api, arn)[name]["Id"])
    return (raw if isinstance(raw, bytes) else b"".join(raw)).decode()


def container_of(task: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in task["containers"] if c["name"] == name)
    return found


@pytest.fixture(scope="module")
def phoenix(ecs: Any, api: docker.APIClient, busybox_image: str) -> tuple[str, str, str]:
    """A task whose container fails after the shortest restartAttemptPeriod: ARN, Docker's id, first start. Asked for
    by the module's first test, so that the minute passes beside the others."""
    policy = {"enabled": True, "restartAttemptPeriod": PERIOD_SECONDS, "ignoredExitCodes": [7]}
    script = (
        f"trap exit TERM; test -e /again && exec sleep 1000; touch /again; sleep {PERIOD_SECONDS + 1}; exit 3"
    )
    # In a network of its own: that, too, has to be there when the container comes back.
    arn = run(ecs, "phoenix", shell(busybox_image, script, restartPolicy=policy), networkMode="awsvpc")
    until(ecs, arn, "RUNNING")
    found = of_task(api, arn)["app"]
    return arn, found["Id"], found["State"]["StartedAt"]


def test_a_policy_does_not_restart_what_died_too_soon(
    phoenix: tuple[str, str, str], ecs: Any, busybox_image: str
) -> None:
    arn = run(ecs, "spark", shell(busybox_image, "exit 3", restartPolicy={"enabled": True}))
    task = until(ecs, arn, "STOPPED")
    assert task["stopCode"] == "EssentialContainerExited"
    assert container_of(task, "app")["exitCode"] == 3


def test_containers_of_an_awsvpc_task_share_an_address_of_their_own(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    server = shell(
        busybox_image,
        "mkdir /w; hostname -i > /w/index.html; exec httpd -f -p 8080 -h /w",
        "server",
        portMappings=[{"containerPort": 8080}],
    )
    script = "until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done; exec sleep 1000"
    client = shell(busybox_image, script, "client", stopTimeout=2)
    arns = [run(ecs, "pair", server, client, networkMode="awsvpc") for _ in range(2)]
    addresses = set()
    for arn in arns:
        task = until(ecs, arn, "RUNNING")
        assert {c["name"] for c in task["containers"]} == {"server", "client"}
        inside = of_task(api, arn)
        address = inside[PAUSE]["NetworkSettings"]["IPAddress"]
        addresses.add(address)
        for c in task["containers"]:
            assert c["networkBindings"] == []
            assert [i["privateIpv4Address"] for i in c["networkInterfaces"]] == [address]
            assert c["networkInterfaces"][0]["attachmentId"] == task["attachments"][0]["id"]
        assert {"name": "privateIPv4Address", "value": address} in task["attachments"][0]["details"]
        assert inside[PAUSE]["Config"]["Labels"]["moorwatch.container-type"] == "CNI_PAUSE"
        wait_until(
            lambda arn=arn, ip=address: ip in log(api, arn, "client"), "the client reads the server's page"
        )
    assert len(addresses) == 2  # both listen on 8080 and do not clash
    for arn in arns:
        stop(ecs, arn)
        assert not any(c["State"]["Running"] for c in of_task(api, arn).values())


def test_the_death_of_the_namespaces_holder_ends_the_task_and_says_so(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    arn = run(ecs, "orphaned", container(busybox_image), networkMode="awsvpc")
    until(ecs, arn, "RUNNING")
    api.kill(of_task(api, arn)[PAUSE]["Id"])
    task = until(ecs, arn, "STOPPED")
    assert "namespaces has ended" in container_of(task, "app")["reason"]


def test_processes_and_shared_memory_of_a_task_are_shared(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    watched = shell(busybox_image, "echo > /dev/shm/here; exec sleep 4321", "watched", stopTimeout=2)
    both = "ps | grep -q '[s]leep 4321' && test -e /dev/shm/here"
    script = f"until {both}; do sleep 0.1; done; echo seen; exec sleep 1000"
    watcher = shell(busybox_image, script, "watcher", stopTimeout=2)
    arn = run(ecs, "seen", watched, watcher, pidMode="task", ipcMode="task")
    until(ecs, arn, "RUNNING")
    wait_until(lambda: "seen" in log(api, arn, "watcher"), "the watcher sees the other's process and memory")
    stop(ecs, arn)


def test_containers_start_when_their_conditions_hold_and_stop_in_reverse(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    check = {"command": ["CMD-SHELL", "test -e /ready"], "interval": 5, "timeout": 2, "retries": 10}

    def after(*conditions: tuple[str, str]) -> list[dict[str, str]]:
        return [{"containerName": name, "condition": condition} for name, condition in conditions]

    chain = [
        shell(busybox_image, "exit 0", "success", essential=False),
        shell(busybox_image, "exit 5", "complete", essential=False, dependsOn=after(("success", "SUCCESS"))),
        shell(
            busybox_image,
            "trap 'sleep 0.3; exit 0' TERM; touch /ready; while true; do sleep 0.1; done",
            "healthy",
            healthCheck=check,
            dependsOn=after(("complete", "COMPLETE")),
        ),
        container(busybox_image, "started", dependsOn=after(("healthy", "HEALTHY"))),
        container(busybox_image, "last", dependsOn=after(("started", "START"), ("healthy", "HEALTHY"))),
    ]
    arn = run(ecs, "chain", *reversed(chain))
    until(ecs, arn, "RUNNING")
    order = ["success", "complete", "healthy", "started", "last"]
    started = {name: c["State"]["StartedAt"] for name, c in of_task(api, arn).items()}
    assert sorted(started, key=lambda name: started[name]) == order
    stop(ecs, arn)
    finished = {name: c["State"]["FinishedAt"] for name, c in of_task(api, arn).items()}
    assert sorted(finished, key=lambda name: finished[name]) == [*order[:2], "last", "started", "healthy"]


def test_a_dependency_that_takes_longer_than_its_start_timeout_ends_the_task(
    ecs: Any, busybox_image: str
) -> None:
    slow = container(busybox_image, "slow", essential=False, startTimeout=2)
    app = container(busybox_image, dependsOn=[{"containerName": "slow", "condition": "SUCCESS"}])
    task = until(ecs, run(ecs, "late", slow, app), "STOPPED")
    assert "slow was not SUCCESS within its startTimeout (2 s)" in task["stoppedReason"]
    assert task["stopCode"] == "TaskFailedToStart"


def test_a_container_that_ignores_its_stop_is_killed_after_stop_timeout(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    deaf = shell(busybox_image, "trap '' TERM; while true; do sleep 0.1; done", stopTimeout=1)
    arn = run(ecs, "deaf", deaf)
    until(ecs, arn, "RUNNING")
    assert container_of(stop(ecs, arn), "app")["exitCode"] == 137


def test_a_volume_of_scope_task_goes_with_its_task_and_a_shared_one_stays(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    volumes = [
        {"name": "own", "dockerVolumeConfiguration": {"scope": "task", "labels": {"kept": "no"}}},
        {"name": "mw-shared", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}},
    ]
    mounts = [
        {"sourceVolume": "own", "containerPath": "/own"},
        {"sourceVolume": "mw-shared", "containerPath": "/shared"},
    ]
    writer = shell(
        busybox_image,
        "echo one > /own/a; echo two >> /shared/b",
        "writer",
        essential=False,
        mountPoints=mounts,
    )
    reader = shell(
        busybox_image,
        "cat /own/a /shared/b; echo x > /own/a",
        volumesFrom=[{"sourceContainer": "writer", "readOnly": True}],
        dependsOn=[{"containerName": "writer", "condition": "SUCCESS"}],
    )
    arns = [run(ecs, "tidy", reader, writer, volumes=volumes)]
    first = until(ecs, arns[0], "STOPPED")
    assert container_of(first, "app")["exitCode"] == 1  # it may read, not write
    assert "one\ntwo\n" in log(api, arns[0])
    own = f"ecs-{arns[0].rsplit('/', 1)[-1]}-own"
    assert api.inspect_volume(own)["Labels"]["kept"] == "no"
    # The newest three ended tasks of a family are kept, with what is theirs.
    for _ in range(3):
        arns.append(str(ecs.run_task(taskDefinition="tidy")["tasks"][0]["taskArn"]))
        until(ecs, arns[-1], "STOPPED")
    wait_until(lambda: not of_task(api, arns[0]), "the first task's containers are removed")
    wait_until(lambda: own not in [v["Name"] for v in api.volumes()["Volumes"]], "its volume is removed")
    assert api.inspect_volume("mw-shared")["Name"] == "mw-shared"
    assert log(api, arns[-1]).count("two") == 4
    for arn in arns:
        for each in of_task(api, arn).values():
            api.remove_container(each["Id"], force=True)
    api.remove_volume("mw-shared")


def test_a_shared_volume_that_is_not_there_is_asked_for(ecs: Any, busybox_image: str) -> None:
    volume = {"name": "mw-absent", "dockerVolumeConfiguration": {"scope": "shared"}}
    mount = {"sourceVolume": "mw-absent", "containerPath": "/data"}
    arn = run(ecs, "absent", container(busybox_image, mountPoints=[mount]), volumes=[volume])
    task = until(ecs, arn, "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotCreateVolumeError: there is no shared Docker volume")


def test_a_port_range_gets_host_ports_in_a_row(ecs: Any, api: docker.APIClient, busybox_image: str) -> None:
    ports = [{"containerPortRange": "8000-8004"}, {"containerPort": 53, "protocol": "udp"}]
    arns = [run(ecs, "ranged", container(busybox_image, portMappings=ports)) for _ in range(2)]
    taken = set()
    for arn in arns:
        bindings = container_of(until(ecs, arn, "RUNNING"), "app")["networkBindings"]
        found = next(b for b in bindings if "containerPortRange" in b and b["bindIP"] == "0.0.0.0")
        assert (found["containerPortRange"], found["protocol"]) == ("8000-8004", "tcp")
        low, high = (int(n) for n in found["hostPortRange"].split("-"))
        assert high - low == 4
        taken |= set(range(low, high + 1))
        inside = of_task(api, arn)["app"]["NetworkSettings"]["Ports"]
        assert inside["8003/tcp"][0]["HostPort"] == str(low + 3)
        single = next(b for b in bindings if b.get("containerPort") == 53)
        low, high = (int(n) for n in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        assert low <= single["hostPort"] <= high
    assert len(taken) == 10
    for arn in arns:
        stop(ecs, arn)


def test_the_ports_the_machine_keeps_are_not_given_out(ecs: Any, busybox_image: str) -> None:
    for port in (22, 51678, 51680):
        ecs.register_task_definition(
            family="keeper",
            containerDefinitions=[
                container(busybox_image, portMappings=[{"containerPort": 80, "hostPort": port}])
            ],
        )
        assert ecs.run_task(taskDefinition="keeper")["failures"][0]["reason"] == "RESOURCE:PORTS"


def test_a_link_finds_the_other_container(ecs: Any, api: docker.APIClient, busybox_image: str) -> None:
    db = container(busybox_image, "db")
    app = shell(busybox_image, "ping -c 1 store && exec sleep 1000", links=["db:store"], stopTimeout=2)
    arn = run(ecs, "linked", app, db)
    until(ecs, arn, "RUNNING")
    wait_until(lambda: "1 packets received" in log(api, arn), "the link's name is known")
    stop(ecs, arn)


def test_no_network_is_none(ecs: Any, api: docker.APIClient, busybox_image: str) -> None:
    arn = run(ecs, "hermit", shell(busybox_image, "ls /sys/class/net; exec sleep 1000"), networkMode="none")
    until(ecs, arn, "RUNNING")
    wait_until(lambda: log(api, arn).split() == ["lo"], "there is the loopback alone")
    stop(ecs, arn)


def test_what_a_definition_says_reaches_docker(
    ecs: Any, api: docker.APIClient, busybox_image: str, short_tmp: Path
) -> None:
    members = {
        "user": "nobody",
        "workingDirectory": "/tmp",
        "hostname": "box",
        "dockerLabels": {"mine": "1"},
        "interactive": True,
        "pseudoTerminal": True,
        "readonlyRootFilesystem": True,
        "privileged": False,
        "dnsServers": ["192.0.2.53"],
        "dnsSearchDomains": ["example.org"],
        "extraHosts": [{"hostname": "db", "ipAddress": "192.0.2.7"}],
        "dockerSecurityOptions": ["no-new-privileges"],
        "memoryReservation": 8,
        "cpu": 64,
        "ulimits": [{"name": "nofile", "softLimit": 512, "hardLimit": 1024}],
        "systemControls": [
            {"namespace": "net.core.somaxconn", "value": "99"},
            {"namespace": "kernel.msgmax", "value": "4096"},
        ],
        "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}},
        "entryPoint": ["sh", "-c"],
        "command": ["exec sleep 1000"],
        "environment": [{"name": "A", "value": "b"}],
        "mountPoints": [{"sourceVolume": "host", "containerPath": "/host", "readOnly": True}],
        "linuxParameters": {
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
            "devices": [{"hostPath": "/dev/zero", "containerPath": "/dev/nil", "permissions": ["read"]}],
            "initProcessEnabled": True,
            "sharedMemorySize": 4,
            "tmpfs": [{"containerPath": "/run", "size": 2, "mountOptions": ["noexec"]}],
            "maxSwap": 8,
        },
    }
    volumes = [{"name": "host", "host": {"sourcePath": str(short_tmp)}}]
    arn = run(ecs, "told", container(busybox_image, **{**members, "stopTimeout": 2}), volumes=volumes)
    until(ecs, arn, "RUNNING")
    found = of_task(api, arn)["app"]
    config, host = found["Config"], found["HostConfig"]
    assert (config["User"], config["WorkingDir"], config["Hostname"]) == ("nobody", "/tmp", "box")
    assert (config["OpenStdin"], config["Tty"], config["Labels"]["mine"]) == (True, True, "1")
    assert (config["Entrypoint"], config["Cmd"]) == (["sh", "-c"], ["exec sleep 1000"])
    assert (config["StopTimeout"], "A=b" in config["Env"]) == (2, True)
    assert (host["Dns"], host["DnsSearch"], host["ExtraHosts"]) == (
        ["192.0.2.53"],
        ["example.org"],
        ["db:192.0.2.7"],
    )
    assert (host["ReadonlyRootfs"], host["SecurityOpt"], host["Init"]) == (True, ["no-new-privileges"], True)
    assert (host["MemoryReservation"], host["Memory"], host["MemorySwap"]) == (8 << 20, 16 << 20, 24 << 20)
    assert (host["CpuShares"], host["ShmSize"]) == (64, 4 << 20)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 512, "Hard": 1024}]
    assert host["Sysctls"] == {"net.core.somaxconn": "99", "kernel.msgmax": "4096"}
    assert (host["CapAdd"], host["CapDrop"]) == (["NET_ADMIN"], ["CHOWN"])
    assert host["Devices"] == [
        {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/nil", "CgroupPermissions": "r"}
    ]
    assert host["Tmpfs"] == {"/run": "size=2m,noexec"}
    assert (host["LogConfig"]["Type"], host["LogConfig"]["Config"]["max-size"]) == ("json-file", "1m")
    assert host["Binds"] == [f"{short_tmp}:/host:ro"]
    stop(ecs, arn)


def test_what_a_definition_shares_with_the_machine(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    app = container(busybox_image, disableNetworking=True)
    arn = run(ecs, "open", app, pidMode="host", ipcMode="none")
    until(ecs, arn, "RUNNING")
    inside = of_task(api, arn)
    assert list(inside) == ["app"]  # nothing shared among containers: nothing to hold
    host = inside["app"]["HostConfig"]
    assert (host["PidMode"], host["IpcMode"]) == ("host", "none")
    assert inside["app"]["Config"]["NetworkDisabled"] is True
    stop(ecs, arn)


def test_system_controls_of_an_awsvpc_task_hold_for_the_whole_task(
    ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    control = [{"namespace": "net.core.somaxconn", "value": "77"}]
    one = container(busybox_image, "one", systemControls=control, dnsServers=["192.0.2.53"])
    two = shell(
        busybox_image,
        "cat /proc/sys/net/core/somaxconn /etc/resolv.conf; exec sleep 1000",
        "two",
        stopTimeout=2,
    )
    members = {"networkMode": "awsvpc", "requiresCompatibilities": ["EC2"], "cpu": "256", "memory": "64"}
    arn = run(ecs, "ruled", one, two, **members)
    until(ecs, arn, "RUNNING")
    wait_until(
        lambda: re.match(r"77\s.*192\.0\.2\.53", log(api, arn, "two"), re.DOTALL), "two sees one's settings"
    )
    stop(ecs, arn)


def test_a_policy_restarts_the_same_container(
    phoenix: tuple[str, str, str], stack: Stack, ecs: Any, api: docker.APIClient
) -> None:
    arn, docker_id, first_start = phoenix

    def again() -> bool:
        found = api.inspect_container(docker_id)["State"]
        return found["Running"] and found["StartedAt"] != first_start

    wait_until(again, "the container runs again", PERIOD_SECONDS + 60)
    task = task_of(ecs, arn)
    assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "RUNNING")
    shown = container_of(task, "app")
    holder = of_task(api, arn)[PAUSE]
    address = holder["NetworkSettings"]["IPAddress"]
    assert shown["networkInterfaces"][0]["privateIpv4Address"] == address
    assert (shown["lastStatus"], shown["runtimeId"], shown.get("exitCode")) == ("RUNNING", docker_id, None)
    series = re.compile(r'ecs_agent_container_restarts\{[^}]*family="phoenix"[^}]*\} 1\.0')
    wait_until(lambda: series.search(metrics(stack)), "the restart is counted")
    # The count and the watch on the container outlive the agent.
    old = stack.pid("agent")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: stack.pid("agent") != old, "the agent is started again")
    wait_until(lambda: series.search(metrics(stack)), "the restart is remembered")
    assert PAUSE not in metrics(stack)
    assert of_task(api, arn)[PAUSE]["State"] == holder["State"]
    assert task_of(ecs, arn)["lastStatus"] == "RUNNING"
    assert container_of(stop(ecs, arn), "app")["runtimeId"] == docker_id


def metrics(stack: Stack) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{stack.agent_port}/metrics").text
    except httpx.TransportError:
        return ""
