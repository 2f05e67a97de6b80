"""The first slice's promises, as a user keeps them: the real AWS CLI, real containers, kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.conftest import Stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

FAMILY = "com.amazonaws.ecs.task-definition-family"
TASK = "com.amazonaws.ecs.task-arn"
NAME = "com.amazonaws.ecs.container-name"


@pytest.fixture(scope="module")
def api(docker_url: str) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=docker_url, version="1.41")
    yield client
    client.close()


@pytest.fixture
def ecs(stack: Stack) -> Iterator[Any]:
    client = stack.client()
    yield client
    client.close()


def running(api: docker.APIClient, family: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.containers(filters={"label": [f"{FAMILY}={family}"]})
    return found


def container(image: str, name: str = "app", **members: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "memory": 16,
        "stopTimeout": 2,
        "command": ["sleep", "100000"],
        **members,
    }


def aws(stack: Stack, *arguments: str) -> Any:
    """The real AWS CLI, with nothing but what `moorwatch env` exports."""
    program = Path(os.environ.get("VIRTUAL_ENV", "")) / "bin" / "aws"
    found = shutil.which("aws", path=f"{Path(os.sys.executable).parent}:{program.parent}")  # type: ignore[attr-defined]
    assert found is not None, "the AWS CLI is among the development requirements"
    environ = {"PATH": os.environ["PATH"], "HOME": str(stack.state), **stack.client_environment()}
    done = subprocess.run(
        [found, "ecs", *arguments, "--output", "json"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def task_of(ecs: Any, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_tasks(tasks=[arn])["tasks"][0]
    return found


def stopped(ecs: Any, arn: str) -> dict[str, Any]:
    """The task, once it is STOPPED."""
    found: dict[str, Any] = wait_until(
        lambda: (t := task_of(ecs, arn))["lastStatus"] == "STOPPED" and t, f"{arn} is STOPPED"
    )
    return found


def run(ecs: Any, family: str, *containers: dict[str, Any], **members: Any) -> str:
    ecs.register_task_definition(family=family, containerDefinitions=list(containers), **members)
    answer = ecs.run_task(taskDefinition=family)
    assert answer["failures"] == []
    return str(answer["tasks"][0]["taskArn"])


def test_the_aws_cli_makes_a_service_of_two_containers_and_a_killed_one_is_replaced(
    stack: Stack, api: docker.APIClient, busybox_image: str
) -> None:
    aws(stack, "create-cluster", "--cluster-name", "shop")
    shop = ("--cluster", "shop")  # it has no instance of its own: the local one is shared
    definitions = json.dumps(
        [
            container(busybox_image, "app", cpu=128, memory=32, memoryReservation=24),
            container(busybox_image, "side", essential=False, cpu=64),
        ]
    )
    aws(stack, "register-task-definition", "--family", "web", "--container-definitions", definitions)
    aws(
        stack,
        "create-service",
        *shop,
        "--service-name",
        "web",
        "--task-definition",
        "web",
        "--desired-count",
        "3",
    )
    aws(stack, "wait", "services-stable", *shop, "--services", "web")

    found = running(api, "web")
    assert len(found) == 6
    for each in found:
        host = api.inspect_container(each["Id"])["HostConfig"]
        is_app = each["Labels"][NAME] == "app"
        assert host["Memory"] == (32 if is_app else 16) * 1024 * 1024
        assert host["MemoryReservation"] == (24 * 1024 * 1024 if is_app else 0)
        assert host["CpuShares"] == (128 if is_app else 64)

    victim = next(c for c in found if c["Labels"][NAME] == "app")
    task_arn = victim["Labels"][TASK]
    api.kill(victim["Id"])
    aws(stack, "wait", "tasks-stopped", *shop, "--tasks", task_arn)
    task = aws(stack, "describe-tasks", *shop, "--tasks", task_arn)["tasks"][0]
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    codes = {c["name"]: c.get("exitCode") for c in task["containers"]}
    assert codes == {"app": 137, "side": 137}
    assert not [c for c in running(api, "web") if c["Labels"][TASK] == task_arn]  # the sidecar is gone too
    aws(stack, "wait", "services-stable", *shop, "--services", "web")
    assert len({c["Labels"][TASK] for c in running(api, "web")}) == 3
    assert len(running(api, "web")) == 6
    arns = aws(stack, "list-tasks", *shop, "--service-name", "web")["taskArns"]
    assert {c["Labels"][TASK] for c in running(api, "web")} == set(arns)
    aws(stack, "delete-service", *shop, "--service", "web", "--force")
    aws(stack, "wait", "services-inactive", *shop, "--services", "web")


def test_a_task_size_bounds_its_containers_together(
    stack: Stack, ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    arn = run(ecs, "sized", container(busybox_image, memory=16), cpu="256", memory="64")
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1})
    host = api.inspect_container(running(api, "sized")[0]["Id"])["HostConfig"]
    parent = host["CgroupParent"]
    if parent:
        assert parent == f"/ecs/{arn.rsplit('/', 1)[-1]}"
        v1 = Path("/sys/fs/cgroup/cpu") / parent.lstrip("/")
        quota = (
            int((v1 / "cpu.cfs_quota_us").read_text()) / int((v1 / "cpu.cfs_period_us").read_text())
            if v1.exists()
            else _quota_v2(Path("/sys/fs/cgroup") / parent.lstrip("/"))
        )
        assert quota == pytest.approx(0.25)
    else:
        assert host["NanoCpus"] == 250_000_000
    ecs.stop_task(task=arn)
    stopped(ecs, arn)


def _quota_v2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return int(quota) / int(period)


def test_a_crash_loop_backs_off_and_says_why(stack: Stack, ecs: Any, busybox_image: str) -> None:
    crash = container(busybox_image, command=["sh", "-c", "echo I cannot go on; exit 1"])
    ecs.register_task_definition(family="crash", containerDefinitions=[crash])
    ecs.create_service(serviceName="crash", taskDefinition="crash", desiredCount=1)

    def explained() -> dict[str, Any]:
        value: dict[str, Any] = json.loads(stack.moorwatch("why", "crash", "--json").stdout)
        return value

    told = wait_until(lambda: (e := explained())["service"]["retryAt"] and e, "the service is in back-off")
    # Two rounds are free, the third starts the wait of 10 s, which then doubles.
    assert told["service"]["failedTasks"] >= 3
    assert told["service"]["backoffSeconds"] in (10.0, 20.0, 40.0)
    assert told["lastStopped"]["containers"][0]["exitCode"] == 1
    wait_until(
        lambda: "I cannot go on" in explained()["lastStopped"]["containers"][0]["logTail"],
        "the log's last line",
    )
    service = ecs.describe_services(services=["crash"])["services"][0]
    assert service["deployments"][0]["failedTasks"] >= 3
    assert any("unable to consistently start tasks" in e["message"] for e in service["events"])
    started = sum("has started" in e["message"] for e in service["events"])
    assert started <= 4  # an emulator without back-off starts more than one a second
    ecs.delete_service(service="crash", force=True)


def test_memory_beyond_the_limit_is_told_apart(stack: Stack, ecs: Any, busybox_image: str) -> None:
    greedy = container(busybox_image, command=["sh", "-c", "x=aaaaaaaa; while true; do x=$x$x; done"])
    arn = run(ecs, "greedy", greedy)
    task = stopped(ecs, arn)
    assert task["containers"][0]["exitCode"] == 137
    assert task["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    told = stack.moorwatch("why", arn).stdout
    assert "it needed more memory than its limit" in told
    assert "raise memory in the task definition" in told


@pytest.mark.parametrize(
    ("family", "members", "reason"),
    [
        ("no-image", {"image": "no.such.host.invalid/thing:1"}, "CannotPullContainerError"),
        ("no-command", {"command": ["no-such-command"]}, "CannotStartContainerError"),
    ],
)
def test_what_cannot_start_says_why(
    ecs: Any, busybox_image: str, family: str, members: dict[str, Any], reason: str
) -> None:
    task = stopped(ecs, run(ecs, family, {**container(busybox_image), **members}))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(reason)
    assert "exitCode" not in task["containers"][0]


def test_a_host_port_in_use_is_refused_by_placement_or_told_by_the_task(
    ecs: Any, busybox_image: str, api: docker.APIClient
) -> None:
    port = {"containerPort": 80, "hostPort": 28471}
    arn = run(ecs, "porter", container(busybox_image, portMappings=[port]))
    refused = ecs.run_task(taskDefinition="porter")
    assert refused["tasks"] == []
    assert refused["failures"][0]["reason"] == "RESOURCE:PORTS"
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1})
    bindings = task_of(ecs, arn)["containers"][0]["networkBindings"]
    assert bindings[0]["containerPort"] == 80
    assert bindings[0]["hostPort"] == 28471
    ecs.stop_task(task=arn)
    stopped(ecs, arn)
    # A container that is no task's holds the port: only Docker can know.
    host = api.create_host_config(port_bindings={80: 28471})
    holder = api.create_container(busybox_image, ["sleep", "1000"], ports=[80], host_config=host)["Id"]
    api.start(holder)
    try:
        task = stopped(ecs, run(ecs, "porter", container(busybox_image, portMappings=[port])))
        assert "free it, choose another hostPort, or use hostPort 0" in task["stoppedReason"]
    finally:
        api.remove_container(holder, force=True)


def test_a_dynamic_port_is_given_and_reported(ecs: Any, busybox_image: str) -> None:
    arn = run(ecs, "dynamic", container(busybox_image, portMappings=[{"containerPort": 80}]))
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1})
    bindings = task_of(ecs, arn)["containers"][0]["networkBindings"]
    assert bindings[0]["hostPort"] > 1024
    ecs.stop_task(task=arn)
    stopped(ecs, arn)


def test_an_order_of_start_holds(ecs: Any, busybox_image: str) -> None:
    init = container(busybox_image, "init", essential=False, command=["sh", "-c", "exit 0"])
    app = container(busybox_image, "app", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}])
    arn = run(ecs, "ordered", init, app)
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1})
    states = {c["name"]: (c["lastStatus"], c.get("exitCode")) for c in task_of(ecs, arn)["containers"]}
    assert states["app"] == ("RUNNING", None)
    assert states["init"] == ("STOPPED", 0)
    ecs.stop_task(task=arn)
    stopped(ecs, arn)


def test_an_unhealthy_task_is_replaced(
    stack: Stack, ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    check = {"command": ["CMD-SHELL", "test ! -e /tmp/ill"], "interval": 5, "timeout": 2, "retries": 1}
    ecs.register_task_definition(
        family="care", containerDefinitions=[container(busybox_image, healthCheck=check)]
    )
    ecs.create_service(serviceName="care", taskDefinition="care", desiredCount=1)

    def healthy() -> list[str]:
        arns = ecs.list_tasks(serviceName="care")["taskArns"]
        tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return [t["taskArn"] for t in tasks if t["healthStatus"] == "HEALTHY"]

    first = wait_until(healthy, "the task is HEALTHY")[0]
    victim = running(api, "care")[0]["Id"]
    api.exec_start(api.exec_create(victim, ["touch", "/tmp/ill"])["Id"])
    task = stopped(ecs, first)
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    assert task["stoppedReason"] == "Task failed container health checks"
    wait_until(lambda: healthy() and first not in healthy(), "its replacement is HEALTHY")
    ecs.delete_service(service="care", force=True)


def test_a_stop_waits_for_stop_timeout_and_then_kills(ecs: Any, busybox_image: str) -> None:
    polite = container(
        busybox_image, command=["sh", "-c", "trap 'exit 7' TERM; while true; do sleep 0.1; done"]
    )
    arn = run(ecs, "polite", {**polite, "stopTimeout": 30})
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1})
    ecs.stop_task(task=arn, reason="enough")
    task = stopped(ecs, arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 7


def test_a_warm_standby_is_created_ahead_and_takes_over(
    stack: Stack, ecs: Any, api: docker.APIClient, busybox_image: str
) -> None:
    ecs.register_task_definition(family="warm", containerDefinitions=[container(busybox_image)])
    ecs.create_service(
        serviceName="warm",
        taskDefinition="warm",
        desiredCount=1,
        tags=[{"key": "moorwatch:warm-standby", "value": "1"}],
    )
    ecs.get_waiter("services_stable").wait(services=["warm"], WaiterConfig={"Delay": 1})

    def waiting() -> list[str]:
        found = api.containers(all=True, filters={"label": [f"{FAMILY}=warm"], "status": ["created"]})
        return [c["Id"] for c in found]

    standby = wait_until(waiting, "the standby's container is created")[0]
    assert ecs.describe_services(services=["warm"])["services"][0]["runningCount"] == 1
    assert len(ecs.list_tasks(serviceName="warm")["taskArns"]) == 1  # a standby is no task to a user
    os.kill(api.inspect_container(running(api, "warm")[0]["Id"])["State"]["Pid"], signal.SIGKILL)
    wait_until(lambda: [c["Id"] for c in running(api, "warm")] == [standby], "the standby runs in its place")
    wait_until(lambda: waiting() not in ([], [standby]), "another one stands by")
    ecs.delete_service(service="warm", force=True)
    wait_until(lambda: not running(api, "warm"), "the service is gone")
