"""kill -9 of each part in the middle of a service of 5: the same tasks run on or are replaced once, none doubled."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from monitor.cli import dockerd
from monitor.cli.docker_api import DockerApi
from tests.conftest import Stack, free_port, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COUNT = 5


@pytest.fixture(scope="module")
def home() -> Iterator[Stack]:
    """A stack with a Docker daemon of its own, so that even that may be killed."""
    short_tmp = Path(tempfile.mkdtemp(prefix="mw-"))
    own = dockerd.own_daemon(short_tmp)
    if os.geteuid() != 0 or not own.binary:
        pytest.skip("only root can start a Docker daemon, and dockerd must be installed")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORWATCH_", "AWS_", "DOCKER_"))}
    port, agent_port = free_port(), free_port()
    environ = {
        **kept,
        "MOORWATCH_PORT": str(port),
        "MOORWATCH_AGENT_PORT": str(agent_port),
        "MOORWATCH_STATE": str(short_tmp),
        "MOORWATCH_DOCKER_HOST": own.host,
    }
    stack = Stack(short_tmp, port, agent_port, "000000000001", own.host, environ)
    done = stack.moorwatch("up", "--detach", "--no-demo")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{stack.log('control')}\n{stack.log('agent')}"
    yield stack
    done = stack.moorwatch("down")
    shutil.rmtree(short_tmp, ignore_errors=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def ecs(home: Stack) -> Iterator[Any]:
    client = home.client()
    yield client
    client.delete_service(service="five", force=True)
    client.get_waiter("services_inactive").wait(services=["five"], WaiterConfig={"Delay": 1})
    client.close()


def five(ecs: Any, family: str = "five") -> None:
    ecs.register_task_definition(
        family=family,
        containerDefinitions=[
            {
                "name": "app",
                "image": "moorwatch/busybox:local",
                "memory": 16,
                "stopTimeout": 2,
                "command": ["sleep", "100000"],
            }
        ],
    )
    ecs.create_service(serviceName=family, taskDefinition=family, desiredCount=COUNT)


def containers(home: Stack) -> dict[str, str]:
    """Container id → task ARN, of those that run."""
    daemon = DockerApi(home.docker_url)
    if not daemon.answers():
        return {}
    return {str(c["Id"]): str(c["Labels"]["com.amazonaws.ecs.task-arn"]) for c in daemon.running()}


def whole(home: Stack, ecs: Any) -> dict[str, str] | None:
    """The containers, when Docker and the API agree on five tasks, one container each, and no more."""
    found = containers(home)
    arns = ecs.list_tasks(serviceName="five")["taskArns"]
    tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    agreed = {t["taskArn"] for t in tasks if t["lastStatus"] == "RUNNING"} == set(found.values())
    alone = max(Counter(found.values()).values(), default=0) == 1
    return found if len(found) == COUNT and agreed and alone else None


def kill(home: Stack, name: str) -> None:
    pid = home.pid(name)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: home.pid(name) != pid, f"{name} is started again")
    wait_until(lambda: home.moorwatch("doctor").returncode == 0, "all is well again")


@pytest.mark.parametrize("name", ["agent", "control", "dockerd"])
def test_killed_while_the_tasks_run(home: Stack, ecs: Any, name: str) -> None:
    five(ecs)
    before = wait_until(lambda: whole(home, ecs), "five tasks run")
    kill(home, name)
    after = wait_until(lambda: whole(home, ecs), "five tasks run again")
    assert after == before


@pytest.mark.parametrize("name", ["agent", "control", "dockerd"])
def test_killed_while_the_tasks_start(home: Stack, ecs: Any, name: str) -> None:
    five(ecs)
    wait_until(lambda: containers(home), "some of the tasks run")
    kill(home, name)
    wait_until(lambda: whole(home, ecs), "five tasks run, none doubled")


@pytest.mark.parametrize("name", ["agent", "control"])
def test_a_container_that_dies_meanwhile_is_replaced_once(home: Stack, ecs: Any, name: str) -> None:
    five(ecs)
    before = wait_until(lambda: whole(home, ecs), "five tasks run")
    victim = next(iter(before))
    client = docker.APIClient(base_url=home.docker_url, version="1.41")
    pid = client.inspect_container(victim)["State"]["Pid"]
    client.close()
    os.kill(home.pid(name), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: home.moorwatch("doctor").returncode == 0, "all is well again")
    after = wait_until(
        lambda: (found := whole(home, ecs)) and victim not in found and found, "it is replaced"
    )
    assert len(set(before) & set(after)) == COUNT - 1
    ended = ecs.describe_tasks(tasks=[before[victim]])["tasks"][0]
    assert ended["stopCode"] == "EssentialContainerExited"
    assert ended["containers"][0]["exitCode"] == 137
