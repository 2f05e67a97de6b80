"""What the commands draw of what the control plane says."""

from __future__ import annotations

from typing import Any

import click
import pytest

from monitor.cli import events, status, why
from monitor.cli.checks import FAULT, WARNING, Check
from monitor.cli.doctor import lines as doctor_lines
from monitor.cli.session import Session
from monitor.config import load

NOW = 1_800_000_000.0
MIB = 1024 * 1024
TASK = "arn:aws:ecs:us-east-1:000000000001:task/default/" + "ab12" * 8


def seen(lines: list[str]) -> str:
    return click.unstyle("\n".join(lines))


def a_service(**changes: Any) -> dict[str, Any]:
    deployment = {
        "status": "PRIMARY",
        "taskDefinition": "arn:aws:ecs:us-east-1:000000000001:task-definition/web:3",
        "runningCount": 1,
        "desiredCount": 3,
        "pendingCount": 1,
        "failedTasks": 4,
        "rolloutState": "IN_PROGRESS",
        "createdAt": NOW - 60,
    }
    return {
        "serviceName": "web",
        "clusterArn": "arn:aws:ecs:us-east-1:000000000001:cluster/default",
        "status": "ACTIVE",
        "runningCount": 1,
        "desiredCount": 3,
        "pendingCount": 1,
        "taskDefinition": deployment["taskDefinition"],
        "deployments": [deployment],
        **changes,
    }


def an_explained_service() -> dict[str, Any]:
    return {
        "service": {
            "name": "web",
            "desired": 3,
            "running": 1,
            "pending": 1,
            "failedTasks": 4,
            "backoffSeconds": 40.0,
            "retryAt": NOW + 12,
        },
        "sentence": "Service web is in back-off: its tasks keep failing.",
        "stoppedByReason": [
            {
                "reason": "Essential container in task exited",
                "exitCode": 1,
                "count": 7,
                "tasks": ["ab12" * 8],
                "lastAt": NOW - 5,
            }
        ],
        "lastStopped": an_explained_task(),
        "events": [{"at": NOW - 9, "message": "older"}, {"at": NOW - 3, "message": "newer"}],
        "next": ["the next start is in 12 s"],
    }


def an_explained_task() -> dict[str, Any]:
    return {
        "task": {
            "taskArn": TASK,
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000001:task-definition/web:3",
            "group": "service:web",
            "lastStatus": "STOPPED",
            "stopCode": "EssentialContainerExited",
        },
        "cause": "Essential container app ended with exit code 137 (SIGKILL).",
        "containers": [
            {
                "name": "app",
                "exitCode": 137,
                "signal": "SIGKILL",
                "meaning": "killed by the kernel: it needed more memory than its limit",
                "oomKilled": True,
                "memoryAtDeathBytes": 32 * MIB - 4096,
                "memoryPeakBytes": 32 * MIB,
                "memoryLimitBytes": 32 * MIB,
                "logTail": ["loading", "\x1b[2Jallocating"],
                "startedAt": NOW - 8,
                "finishedAt": NOW - 5,
            },
            {"name": "sidecar", "exitCode": 0, "meaning": "it ended by itself, with success"},
            {"name": "never"},
        ],
        "next": ["Task cd34 took its place."],
        "replacedBy": {"taskArn": TASK, "lastStatus": "RUNNING", "startedAt": NOW - 4},
        "timeline": [{"at": NOW - 5, "what": "STOPPED"}],
    }


def test_a_task_is_explained_with_cause_code_memory_log_and_what_came_next() -> None:
    text = seen(why.task_lines(an_explained_task(), NOW))
    for part in (
        "STOPPED, EssentialContainerExited",
        "Essential container app ended with exit code 137",
        "exit code 137 (SIGKILL: killed by the kernel: it needed more memory than its limit)",
        "memory at death 32.0 MiB, peak 32.0 MiB, limit 32.0 MiB",
        "ran 3s",
        "| [2Jallocating",
        "container sidecar: exit code 0 (it ended by itself, with success)",
        "container never: has no exit code",
        "Task cd34 took its place.",
        "replaced by task " + "ab12" * 8 + ", RUNNING since",
    ):
        assert part in text
    assert "\x1b[2J" not in text


def test_a_task_of_which_little_is_known_is_still_drawn() -> None:
    text = seen(why.task_lines({"task": {"taskArn": TASK, "lastStatus": "PENDING"}}, NOW))
    assert text.splitlines()[0] == f"task {'ab12' * 8} (standalone): PENDING"
    assert "no cause is known" in text


def test_memory_without_a_limit_is_no_alarm() -> None:
    container = {"name": "x", "exitCode": 0, "memoryPeakBytes": 5 * MIB, "memoryLimitBytes": 0}
    assert "peak 5.0 MiB, no limit" in seen(
        why.task_lines({**an_explained_task(), "containers": [container]}, NOW)
    )


def test_a_service_is_explained_with_back_off_groups_and_newest_event_first() -> None:
    text = seen(why.service_lines(an_explained_service(), NOW))
    assert "███░░░░░░░ 1/3 running, 1 pending" in text
    assert "4 tasks failed; back-off 40s, next start in 12s" in text
    assert text.index("newer") < text.index("older")
    assert "the last task that stopped:" in text


def test_a_service_in_depth() -> None:
    one = {"service": a_service(), "tasks": [], "explained": an_explained_service()}
    text = seen(status.in_depth(one, NOW))
    assert "service web in cluster default: ACTIVE" in text
    assert "its tasks keep failing. (next start in 12s)" in text
    assert "PRIMARY     web:3" in text
    assert "7        Essential container in task exited" in text


def test_the_overview_shows_clusters_services_and_tasks() -> None:
    task = {
        "taskArn": TASK,
        "taskDefinitionArn": "x/web:3",
        "group": "service:web",
        "lastStatus": "RUNNING",
        "startedAt": NOW - 90,
    }
    cluster = {
        "cluster": {"clusterName": "default"},
        "services": [
            a_service(),
            a_service(serviceName="old", status="DRAINING", desiredCount=0, runningCount=0),
        ],
        "containerInstances": [{"agentConnected": True}, {"agentConnected": False}],
        "tasks": [task],
        "taskCount": 31,
        "explained": {"web": an_explained_service(), "gone": None},
    }
    text = seen(status.overview([cluster], NOW))
    for part in (
        "cluster default  1 of 2 container instances connected",
        "███░░░░░░░ 1/3",
        "IN_PROGRESS, 4 failed tasks",
        "old (DRAINING)",
        "! web: Service web is in back-off",
        "1m 30s ago",
        "… and 30 more tasks",
    ):
        assert part in text
    assert "gone" not in text


def test_no_cluster_says_how_to_make_one() -> None:
    assert "aws ecs create-cluster" in seen(status.overview([], NOW))


@pytest.mark.parametrize(
    ("running", "desired", "short"), [(0, 0, False), (2, 2, False), (3, 2, False), (1, 2, True)]
)
def test_short_services(running: int, desired: int, short: bool) -> None:
    assert status.is_short({"runningCount": running, "desiredCount": desired}) is short


def test_an_event_is_one_line() -> None:
    event = {"at": NOW, "kind": "service", "service": "a/b/web", "message": "(service web)\nhas begun"}
    assert seen([events.line(event, NOW)]).endswith("service            web  (service web) has begun")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (None, None),
        ("90s", NOW - 90),
        ("2h", NOW - 7200),
        ("3d", NOW - 259200),
        ("2027-01-15T08:00:00+00:00", NOW),
        ("2027-01-15T08:00:00Z", NOW),
    ],
)
def test_since(text: str | None, at: float | None) -> None:
    assert events.since(text, NOW) == at


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "yesterday", "9999999999s"])
def test_since_that_means_nothing_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="10m"):
        events.since(text, NOW)


def test_doctor_shows_origins_and_a_fix_for_each_problem() -> None:
    settings = load({"MOORWATCH_STATE": "/x", "MOORWATCH_PORT": "4999"})
    found = [
        Check("a", "ok", "fine", "not shown"),
        Check("b", FAULT, "broken", "mend it"),
        Check("c", WARNING, "so so", "better it"),
    ]
    text = seen(doctor_lines(Session(settings, settings, None), found))
    assert "environment MOORWATCH_PORT" in text
    assert "→ mend it" in text
    assert "→ better it" in text
    assert "not shown" not in text
    assert text.endswith("1 problem, 1 warning")
