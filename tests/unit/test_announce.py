"""Events with EventBridge's shape: each change one, none forgotten, none doubled, versions without a gap."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from monitor.api.announce import ACTION_TYPE, DEPLOYMENT_TYPE, INSTANCE_TYPE, TASK_TYPE, envelope
from monitor.model.event import Event
from monitor.model.state import Log, Put
from tests.properties.test_reconcile_walk import Walk
from tests.scenarios.world import World


@pytest.fixture
def world() -> World:
    world = World()
    world.join("one")
    world.define()
    return world


def of(world: World, detail_type: str) -> list[dict[str, Any]]:
    return [envelope(e) for e in world.state.events if e.detail_type == detail_type]


def test_a_tasks_life_in_events(world: World) -> None:
    world.serve(desired=1)
    world.settle()
    (task,) = world.live()
    world.crashed(task, 3)
    world.settle()
    mine = [e for e in of(world, TASK_TYPE) if e["resources"] == [task.arn]]
    states = [(e["detail"]["lastStatus"], e["detail"]["desiredStatus"]) for e in mine]
    assert states == [
        ("PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("RUNNING", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ]
    assert [e["detail"]["version"] for e in mine] == [1, 2, 3, 4]
    last = mine[-1]
    assert (last["source"], last["version"], last["account"], last["region"]) == (
        "aws.ecs",
        "0",
        "000000000001",
        "us-east-1",
    )
    detail = last["detail"]
    assert detail["stopCode"] == "EssentialContainerExited"
    assert detail["containers"][0]["exitCode"] == 3
    assert detail["createdAt"].endswith("Z")
    assert detail["updatedAt"].endswith("Z")
    assert not {"healthStatus", "tags"} & set(detail)
    assert "healthStatus" not in detail["containers"][0]
    described = world.call("DescribeTasks", tasks=[task.arn])["tasks"][0]
    assert described["version"] == 4


def test_a_second_delivery_and_a_health_report_are_no_events(world: World) -> None:
    world.define("checked", healthCheck={"command": ["CMD", "true"]})
    world.serve("checked", desired=1, taskDefinition="checked")
    world.settle()
    (task,) = world.live("checked")
    before = len(of(world, TASK_TYPE))
    world.report(task, "RUNNING", containers=[{"containerName": "main", "status": "RUNNING"}])
    world.is_healthy(task, True)
    assert len(of(world, TASK_TYPE)) == before
    assert world.state.tasks[task.arn].version == task.version


def test_deployments_and_service_actions(world: World) -> None:
    world.serve(desired=1, configuration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}})
    world.settle()
    world.advance(11)
    names = [e["detail"]["eventName"] for e in of(world, DEPLOYMENT_TYPE)]
    assert names == ["SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED"]
    done = of(world, DEPLOYMENT_TYPE)[-1]
    primary = world.service().primary
    assert done["resources"] == [world.service().arn]
    assert done["detail"]["deploymentId"] == primary.id
    assert done["detail"]["reason"] == f"ECS deployment {primary.id} completed."
    actions = [e["detail"]["eventName"] for e in of(world, ACTION_TYPE)]
    assert actions == ["TASKS_STARTED", "SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_STEADY_STATE"]
    world.define()
    world.call("UpdateService", service="web", taskDefinition="web:2")
    for _ in range(3):
        world.look()
        world.ended(
            next(t for t in world.live() if t.last == "PENDING"), reason="CannotPullContainerError: no"
        )
    world.look()
    failed = [e for e in of(world, DEPLOYMENT_TYPE) if e["detail"]["eventName"].endswith("FAILED")]
    assert [e["detail"]["eventType"] for e in failed] == ["ERROR"]
    assert failed[0]["detail"]["reason"] == "ECS deployment circuit breaker: task failed to start."
    reasons = [e["detail"]["reason"] for e in of(world, DEPLOYMENT_TYPE)]
    assert f"ECS deployment circuit breaker: rolling back to deploymentId {primary.id}." in reasons
    impaired = next(
        e for e in of(world, ACTION_TYPE) if e["detail"]["eventName"] == "SERVICE_TASK_START_IMPAIRED"
    )
    assert impaired["detail"]["eventType"] == "WARN"


def test_container_instances(world: World) -> None:
    world.disconnect("one")
    world.reconnect("one")
    world.call("UpdateContainerInstancesState", containerInstances=["one"], status="DRAINING")
    told = of(world, INSTANCE_TYPE)
    shown = [(e["detail"]["status"], e["detail"]["agentConnected"]) for e in told]
    assert shown == [("ACTIVE", True), ("ACTIVE", False), ("ACTIVE", True), ("DRAINING", True)]
    assert told[0]["detail"]["clusterArn"].endswith("cluster/default")
    assert told[0]["resources"] == [world.instance("one").arn]
    world.commit([Put(replace(world.instance("one"), runtime_status="OK"))])
    assert len(of(world, INSTANCE_TYPE)) == len(told)


@pytest.mark.parametrize("seed", range(12))
def test_versions_grow_by_one_with_each_event_on_any_walk(seed: int) -> None:
    walk = Walk(seed)
    events: list[Event] = []
    walk.world.listeners.append(
        lambda _, applied: events.extend(c.event for c in applied if isinstance(c, Log))
    )
    walk.look()
    for _ in range(60):
        walk.step()
    versions: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event.detail_type == TASK_TYPE:
            versions[event.task_arn].append(json.loads(event.detail)["version"])
    assert versions
    for arn, found in versions.items():
        assert found == list(range(found[0], found[0] + len(found))), arn
        task = walk.world.state.tasks.get(arn)
        assert task is None or task.version == found[-1]
