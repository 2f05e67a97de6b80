"""What services promise while they change, on real containers: the percentages hold at every moment, a bad image goes
back, a drained instance empties, capacity providers and daemons go where they should."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def ecs(stack: Stack) -> Iterator[Any]:
    client = stack.client()
    yield client
    client.close()


def define(ecs: Any, image: str, family: str, **members: Any) -> str:
    """A one-container definition that takes next to nothing."""
    container = {
        "name": "app",
        "image": image,
        "cpu": 2,
        "memory": 8,
        "stopTimeout": 2,
        "command": ["sleep", "100000"],
        **members,
    }
    made = ecs.register_task_definition(family=family, containerDefinitions=[container])
    return str(made["taskDefinition"]["taskDefinitionArn"])


def service(ecs: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_services(services=[name])["services"][0]
    return found


def settled(ecs: Any, name: str, seconds: float = 120.0) -> dict[str, Any]:
    """The service once it has one deployment, completed."""

    def look() -> dict[str, Any] | None:
        found = service(ecs, name)
        one = len(found["deployments"]) == 1 and found["deployments"][0]["rolloutState"] == "COMPLETED"
        return found if one and found["runningCount"] == found["desiredCount"] else None

    value: dict[str, Any] = wait_until(look, f"{name} settles", seconds)
    return value


def tasks_of(ecs: Any, name: str) -> list[dict[str, Any]]:
    """Every task the service ever had."""
    arns: list[str] = []
    for status in ("RUNNING", "STOPPED"):
        for page in ecs.get_paginator("list_tasks").paginate(serviceName=name, desiredStatus=status):
            arns += page["taskArns"]
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), 100):
        found += ecs.describe_tasks(tasks=arns[start : start + 100])["tasks"]
    return found


def counts_over_time(tasks: list[dict[str, Any]], since: Any) -> Iterator[tuple[int, int]]:
    """(tasks that run and are meant to, tasks that exist) at each moment of change after `since`."""
    moments = {t[k] for t in tasks for k in ("createdAt", "startedAt", "stoppingAt", "stoppedAt") if k in t}
    for at in sorted(m for m in moments if m > since):
        running = [
            t
            for t in tasks
            if "startedAt" in t and t["startedAt"] <= at and not _is_past(t, "stoppingAt", at)
        ]
        there = [t for t in tasks if t["createdAt"] <= at and not _is_past(t, "stoppedAt", at)]
        yield len(running), len(there)


def _is_past(task: dict[str, Any], moment: str, at: Any) -> bool:
    return moment in task and bool(task[moment] <= at)


def test_a_rolling_update_of_twenty_keeps_its_percentages(ecs: Any, busybox_image: str) -> None:
    define(ecs, busybox_image, "twenty")
    ecs.create_service(
        serviceName="twenty",
        taskDefinition="twenty",
        desiredCount=20,
        deploymentConfiguration={"minimumHealthyPercent": 80, "maximumPercent": 125},
    )
    before = settled(ecs, "twenty")["deployments"][0]
    second = define(ecs, busybox_image, "twenty")
    updated = ecs.update_service(service="twenty", taskDefinition=second)["service"]
    since = updated["deployments"][0]["createdAt"]
    after = settled(ecs, "twenty", 180)["deployments"][0]
    assert after["id"] != before["id"]
    tasks = tasks_of(ecs, "twenty")
    seen = list(counts_over_time(tasks, since))
    assert len(seen) > 40
    assert min(running for running, _ in seen) >= 16
    assert max(there for _, there in seen) <= 25
    assert all(t["taskDefinitionArn"] == second for t in tasks if t["desiredStatus"] == "RUNNING")
    ecs.delete_service(service="twenty", force=True)


def test_a_bad_image_goes_back_by_the_circuit_breaker(ecs: Any, busybox_image: str) -> None:
    good = define(ecs, busybox_image, "shop")
    ecs.create_service(
        serviceName="shop",
        taskDefinition="shop",
        desiredCount=2,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )
    settled(ecs, "shop")
    bad = define(ecs, "moorwatch/no-such-image:1", "shop")
    record = ecs.update_service(service="shop", taskDefinition=bad)["service"]["currentServiceDeployment"]

    def rolled_back() -> dict[str, Any] | None:
        found = ecs.describe_service_deployments(serviceDeploymentArns=[record])["serviceDeployments"][0]
        return found if found["status"].startswith("ROLLBACK_") and found.get("finishedAt") else None

    found = wait_until(rolled_back, "the circuit breaker rolls back", 120)
    assert found["status"] == "ROLLBACK_SUCCESSFUL"
    breaker = found["deploymentCircuitBreaker"]
    assert (breaker["status"], breaker["threshold"]) == ("TRIGGERED", 3)
    assert breaker["failureCount"] >= 3
    now = service(ecs, "shop")
    assert now["taskDefinition"] == good
    assert now["runningCount"] == 2
    told = [e["message"] for e in now["events"]]
    assert any("deployment failed: tasks failed to start." in m for m in told)
    assert any("rolling back to deployment" in m for m in told)
    # One that was being started as the deployment was given up is stopped by the scheduler.
    failed = [
        t
        for t in tasks_of(ecs, "shop")
        if t["taskDefinitionArn"] == bad and t["stopCode"] == "TaskFailedToStart"
    ]
    assert failed
    assert all("CannotPullContainerError" in t["stoppedReason"] for t in failed)
    revision = found["rollback"]["serviceRevisionArn"]
    revisions = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert revisions[0]["taskDefinition"] == good
    ecs.delete_service(service="shop", force=True)


def test_blue_green_waits_for_a_person_and_takes_over(ecs: Any, busybox_image: str) -> None:
    define(ecs, busybox_image, "blue")
    ecs.create_service(
        serviceName="blue",
        taskDefinition="blue",
        desiredCount=2,
        deploymentConfiguration={
            "strategy": "BLUE_GREEN",
            "bakeTimeInMinutes": 0,
            "lifecycleHooks": [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}],
        },
    )
    settled(ecs, "blue")
    second = define(ecs, busybox_image, "blue")
    record = ecs.update_service(service="blue", taskDefinition=second)["service"]["currentServiceDeployment"]

    def waiting() -> str | None:
        found = ecs.describe_service_deployments(serviceDeploymentArns=[record])["serviceDeployments"][0]
        hooks = found.get("lifecycleHookDetails") or []
        return hooks[0]["hookId"] if hooks and hooks[0]["status"] == "AWAITING_ACTION" else None

    hook = wait_until(waiting, "the deployment waits at its hook")
    assert service(ecs, "blue")["runningCount"] == 4
    ecs.continue_service_deployment(serviceDeploymentArn=record, hookId=hook, action="CONTINUE")
    assert settled(ecs, "blue")["taskDefinition"] == second
    listed = ecs.list_service_deployments(service="blue")["serviceDeployments"]
    assert [d["status"] for d in listed] == ["SUCCESSFUL", "SUCCESSFUL"]
    ecs.delete_service(service="blue", force=True)


def instances(ecs: Any) -> list[dict[str, Any]]:
    arns = ecs.list_container_instances()["containerInstanceArns"]
    found: list[dict[str, Any]] = ecs.describe_container_instances(containerInstances=arns)[
        "containerInstances"
    ]
    return [i for i in found if i["agentConnected"]]


@contextlib.contextmanager
def two_instances(stack: Stack, ecs: Any, attributes: str) -> Iterator[tuple[str, str]]:
    """The ARNs of the stack's own instance and of a second one that has `attributes`."""
    (first,) = (i["containerInstanceArn"] for i in instances(ecs))
    with stack.another_agent(attributes):
        both = wait_until(lambda: len(found := instances(ecs)) == 2 and found, "a second agent registers")
        second = next(i["containerInstanceArn"] for i in both if i["containerInstanceArn"] != first)
        try:
            yield first, second
        finally:
            for task in ecs.list_tasks(containerInstance=second)["taskArns"]:
                ecs.stop_task(task=task)
            wait_until(
                lambda: not ecs.list_tasks(containerInstance=second)["taskArns"], "the second one is empty"
            )
            ecs.deregister_container_instance(containerInstance=second, force=True)


def on(ecs: Any, instance: str, name: str) -> int:
    return len(ecs.list_tasks(containerInstance=instance, serviceName=name)["taskArns"])


def test_a_drained_instance_empties_and_daemons_leave_last(
    stack: Stack, ecs: Any, busybox_image: str
) -> None:
    define(ecs, busybox_image, "moving")
    define(ecs, busybox_image, "guard")
    with two_instances(stack, ecs, "ecs.availability-zone=other") as (first, second):
        ecs.create_service(serviceName="guard", taskDefinition="guard", schedulingStrategy="DAEMON")
        ecs.create_service(serviceName="moving", taskDefinition="moving", desiredCount=4)
        settled(ecs, "moving")
        assert settled(ecs, "guard")["desiredCount"] == 2
        assert (on(ecs, first, "moving"), on(ecs, second, "moving")) == (2, 2)
        ecs.update_container_instances_state(containerInstances=[second], status="DRAINING")
        wait_until(
            lambda: on(ecs, first, "moving") == 4 and not on(ecs, second, "moving"), "the instance empties"
        )
        wait_until(lambda: not on(ecs, second, "guard"), "the daemon leaves it too")
        assert service(ecs, "guard")["desiredCount"] == 1
        moved = [t for t in tasks_of(ecs, "moving") if t.get("stopCode")]
        assert {t["stoppedReason"] for t in moved} == {
            "Task moved off its container instance, which is DRAINING."
        }
        ecs.update_container_instances_state(containerInstances=[second], status="ACTIVE")
        wait_until(lambda: on(ecs, second, "guard") == 1, "the daemon comes back")
        ecs.delete_service(service="guard", force=True)
        ecs.delete_service(service="moving", force=True)


def test_capacity_providers_take_their_shares(stack: Stack, ecs: Any, busybox_image: str) -> None:
    define(ecs, busybox_image, "shared-out")
    with two_instances(stack, ecs, "moorwatch.capacity-provider=FARGATE_SPOT") as (first, second):
        ecs.put_attributes(
            attributes=[{"name": "moorwatch.capacity-provider", "value": "FARGATE", "targetId": first}]
        )
        ecs.put_cluster_capacity_providers(
            cluster="default",
            capacityProviders=["FARGATE", "FARGATE_SPOT"],
            defaultCapacityProviderStrategy=[],
        )
        made = ecs.run_task(
            taskDefinition="shared-out",
            count=5,
            capacityProviderStrategy=[
                {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 3},
            ],
        )
        assert made["failures"] == []
        where = {(t["capacityProviderName"], t["containerInstanceArn"]) for t in made["tasks"]}
        assert where == {("FARGATE", first), ("FARGATE_SPOT", second)}
        shares = sorted(t["capacityProviderName"] for t in made["tasks"])
        assert shares == ["FARGATE"] * 2 + ["FARGATE_SPOT"] * 3
        assert all("launchType" not in t for t in made["tasks"])
        arns = [t["taskArn"] for t in made["tasks"]]
        wait_until(
            lambda: all(t["lastStatus"] == "RUNNING" for t in ecs.describe_tasks(tasks=arns)["tasks"]),
            "all run",
        )
        for arn in arns:
            ecs.stop_task(task=arn)
