"""`awslogs` just works: what real containers write is in CloudWatch Logs once, in order, over kills of either side."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

GROUP = "/shop"
COUNTING = "i=0; while [ $i -lt {most} ]; do i=$((i+1)); echo line $i; sleep 0.01; done"


@pytest.fixture(scope="module")
def ecs(stack: Stack) -> Iterator[Any]:
    client = stack.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def logs(stack: Stack) -> Iterator[Any]:
    client = stack.client("logs")
    yield client
    client.close()


def run(ecs: Any, image: str, family: str, script: str, **options: str) -> str:
    """The task's id."""
    given = {
        "awslogs-group": GROUP,
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "t",
        "awslogs-create-group": "true",
        **{name.replace("_", "-"): value for name, value in options.items()},
    }
    ecs.register_task_definition(
        family=family,
        containerDefinitions=[
            {
                "name": "app",
                "image": image,
                "memory": 16,
                "stopTimeout": 2,
                "command": ["sh", "-c", script],
                "logConfiguration": {"logDriver": "awslogs", "options": given},
            }
        ],
    )
    (task,) = ecs.run_task(taskDefinition=family)["tasks"]
    return str(task["taskArn"]).rsplit("/", 1)[-1]


def told(logs: Any, task: str) -> list[str]:
    """The messages of the task's stream; none while there is no such stream."""
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=GROUP, logStreamNames=[f"t/app/{task}"]
        )
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def test_lines_come_in_order_once_over_kills_of_agent_and_control_plane(
    stack: Stack, ecs: Any, logs: Any, busybox_image: str
) -> None:
    most = 1000
    task = run(ecs, busybox_image, "counting", COUNTING.format(most=most))
    wait_until(lambda: len(told(logs, task)) > 50, "the first lines are told")
    for name in ("agent", "control"):
        pid, before = stack.pid(name), len(told(logs, task))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda name=name, pid=pid: stack.pid(name) != pid, f"{name} is started again")
        wait_until(lambda: stack.moorwatch("doctor").returncode == 0, "all is well again")
        wait_until(lambda before=before: len(told(logs, task)) > before, "more lines are told")
    wait_until(lambda: len(told(logs, task)) >= most, "all lines are told")
    assert told(logs, task) == [f"line {n}" for n in range(1, most + 1)]


def test_the_last_words_of_a_container_that_dies_at_once(ecs: Any, logs: Any, busybox_image: str) -> None:
    task = run(ecs, busybox_image, "brief", "echo out; echo err >&2; exit 3")
    wait_until(lambda: len(told(logs, task)) == 2, "both lines are told")
    assert sorted(told(logs, task)) == ["err", "out"]


def test_several_lines_are_one_event(ecs: Any, logs: Any, busybox_image: str) -> None:
    script = "printf 'Error: no\\n  at a\\n  at b\\nNext\\n'"
    task = run(ecs, busybox_image, "traces", script, awslogs_multiline_pattern="^[A-Z]")
    wait_until(lambda: len(told(logs, task)) == 2, "both events are told")
    assert told(logs, task) == ["Error: no\n  at a\n  at b", "Next"]


def test_a_group_that_is_not_there_ends_the_task_with_the_reason(
    ecs: Any, logs: Any, busybox_image: str
) -> None:
    task = run(ecs, busybox_image, "lost", "true", awslogs_group="/none", awslogs_create_group="false")

    def ended() -> Any:
        (found,) = ecs.describe_tasks(tasks=[task])["tasks"]
        return found if found["lastStatus"] == "STOPPED" else None

    found = wait_until(ended, "the task is stopped")
    assert found["stopCode"] == "TaskFailedToStart"
    assert "The specified log group does not exist." in found["stoppedReason"]
    assert not [g for g in logs.describe_log_groups()["logGroups"] if g["logGroupName"] == "/none"]


def test_people_read_them_by_name(stack: Stack, ecs: Any, logs: Any, busybox_image: str) -> None:
    task = run(ecs, busybox_image, "shown", "echo hello; echo world; sleep 100000")
    wait_until(lambda: len(told(logs, task)) == 2, "both lines are told")
    shown = stack.moorwatch("logs", task[:8])
    assert [line.split("  ", 1)[1] for line in shown.stdout.splitlines()] == ["hello", "world"]
    assert stack.moorwatch("logs", task[:8], "-n", "1").stdout.endswith("world\n")
    missing = stack.moorwatch("logs", "nobody")
    assert (missing.returncode, "no service and no task 'nobody'" in missing.stderr) == (1, True)


def test_the_usual_alarms_are_installed(stack: Stack, ecs: Any, busybox_image: str) -> None:
    ecs.create_service(serviceName="alarmed", taskDefinition="shown", desiredCount=0)
    done = stack.moorwatch("alarms", "install", "--service", "alarmed")
    assert "3 alarms for 1 services" in done.stdout, done.stderr
    listed = stack.moorwatch("alarms", "list").stdout
    assert "moorwatch-default-alarmed-tasks" in listed
    ecs.delete_service(service="alarmed", force=True)
