"""`moorwatch up` on a Docker daemon that was there before: it is used, and left as it was."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.cli import dockerd
from monitor.cli.docker_api import DockerApi
from monitor.cli.launch import task_prefix
from tests.conftest import Stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def service(client: Any, name: str, image: str, script: str, desired: int = 1) -> None:
    container = {"name": "main", "image": image, "command": ["sh", "-c", script], "memory": 32, "cpu": 10}
    client.register_task_definition(family=name, containerDefinitions=[container])
    client.create_service(serviceName=name, taskDefinition=name, desiredCount=desired)


def ours(stack: Stack) -> list[str]:
    return dockerd.containers(DockerApi(stack.docker_url), task_prefix("us-east-1", stack.account))


def test_why_tells_of_a_service_that_keeps_failing(stack: Stack, busybox_image: str) -> None:
    client = stack.client()
    service(client, "failing", busybox_image, "echo 'cannot open the book'; exit 3")
    client.close()
    done = wait_until(
        lambda: (d := stack.moorwatch("why", "failing")) and "cannot open the book" in d.stdout and d,
        "why shows the log's last line",
    )
    assert done.returncode == 0
    assert "exit code 3" in done.stdout
    wait_until(lambda: "next start in" in stack.moorwatch("why", "failing").stdout, "back-off is told")
    assert stack.moorwatch("status", "failing").returncode == 1
    assert "Essential container in task exited" in stack.moorwatch("status", "failing").stdout
    told = stack.moorwatch("events", "--service", "failing").stdout
    assert "exit code 3" in told


def test_why_of_a_task_by_the_beginning_of_its_id(stack: Stack, busybox_image: str) -> None:
    client = stack.client()
    service(client, "steady", busybox_image, "echo hello; sleep 1000")
    client.get_waiter("services_stable").wait(
        services=["steady"], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    arn = client.list_tasks(serviceName="steady")["taskArns"][0]
    client.close()
    task = arn.rsplit("/", 1)[-1]
    for subject in (arn, task, task[:12]):
        done = stack.moorwatch("why", subject)
        assert done.returncode == 0, done.stderr
        assert f"task {task} (steady:1, service:steady): RUNNING" in done.stdout


def test_containers_stay_when_the_daemon_is_not_ours(fresh_stack: Stack, busybox_image: str) -> None:
    client = fresh_stack.client()
    service(client, "web", busybox_image, "trap exit TERM; sleep 1000 & wait", desired=2)
    client.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    client.close()
    before = sorted(ours(fresh_stack))
    assert len(before) == 2
    assert "DOCKER_HOST" not in fresh_stack.client_environment()

    done = fresh_stack.moorwatch("down")
    assert done.returncode == 0, done.stderr
    assert "2 containers go on running" in done.stdout
    assert sorted(ours(fresh_stack)) == before
    assert DockerApi(fresh_stack.docker_url).answers()

    assert fresh_stack.moorwatch("up", "--detach", "--no-demo").returncode == 0
    wait_until(lambda: fresh_stack.moorwatch("status").returncode == 0, "the service is whole")
    assert sorted(ours(fresh_stack)) == before  # taken up again, not doubled

    done = fresh_stack.moorwatch("down", "--stop-containers")
    assert done.returncode == 0, done.stderr
    assert "and 2 containers" in done.stdout
    assert ours(fresh_stack) == []


def test_without_authentication_the_account_is_the_key(stack_without_auth: Stack) -> None:
    found = stack_without_auth.client_environment()
    assert found["AWS_ACCESS_KEY_ID"] == stack_without_auth.account
    done = stack_without_auth.moorwatch("status")
    assert done.returncode == 0, done.stderr
    told = stack_without_auth.moorwatch("doctor").stdout
    assert "requests are not authenticated" in told
