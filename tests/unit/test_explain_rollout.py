"""What `why` says of a deployment that is not simply done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.api import alarms
from monitor.model.alarm import ALARM, OK, alarm_arn
from monitor.model.errors import AwsError
from monitor.model.state import Put
from tests.scenarios.world import SCOPE, World

assert alarms


@pytest.fixture
def world() -> World:
    world = World()
    world.join("one", cpu=65536, memory=65536)
    world.define()
    return world


def steps(world: World) -> str:
    return " | ".join(world.call("ExplainService", api="moorwatch", service="web")["next"])


def ready(world: World, **configuration: Any) -> None:
    world.serve(desired=2, configuration=configuration)
    world.settle()
    world.advance(11)
    world.define()


def test_a_failed_deployment_says_what_goes_on(world: World) -> None:
    ready(world, deploymentCircuitBreaker={"enable": True, "rollback": False})
    world.call("UpdateService", service="web", taskDefinition="web:2")
    world.look()
    world.ended(next(t for t in world.live() if t.last == "PENDING"), reason="CannotPullContainerError: no")
    world.look()
    assert "The circuit breaker has counted 1 failures of 3." in steps(world)
    for _ in range(2):
        world.ended(
            next(t for t in world.live() if t.last == "PENDING"), reason="CannotPullContainerError: no"
        )
        world.look()
    assert "newest deployment FAILED (ECS deployment circuit breaker: task failed to start.)" in steps(world)
    answer = world.call("ExplainService", api="moorwatch", service="web")
    assert answer["sentence"] == "Service web: its newest deployment failed; 2 of 2 tasks run."


def test_a_hook_says_how_to_go_on(world: World) -> None:
    hook = {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}
    ready(world, strategy="BLUE_GREEN", lifecycleHooks=[hook])
    world.call("UpdateService", service="web", taskDefinition="web:2")
    world.look()
    primary = world.service().primary
    assert f"--service-deployment-arn {primary.record_arn} --hook-id {primary.hook_id}" in steps(world)


def test_baking_draining_and_protection_are_told(world: World) -> None:
    world.call("PutAlarmState", api="moorwatch", alarmName="errors", state=OK, windowSeconds=60)
    ready(world, alarms={"alarmNames": ["errors"], "enable": True, "rollback": True})
    assert "alarms are watched for another 59 s" in steps(world)
    world.commit([Put(replace(world.instance("one"), status="DRAINING"))])
    assert "Container instance one is DRAINING" in steps(world)
    world.commit([Put(replace(t, protected_until=world.now + 60)) for t in world.live()])
    world.call("UpdateService", service="web", desiredCount=1)
    assert "2 of its tasks are protected from scaling in." in steps(world)


def test_an_alarm_comes_to_be_with_its_first_state(world: World) -> None:
    told = world.call("PutAlarmState", api="moorwatch", alarmName="errors", state=OK, reason="all is well")
    assert told == {"alarmArn": alarm_arn(SCOPE.region, SCOPE.account, "errors"), "state": OK}
    first = world.state.alarms[told["alarmArn"]]
    world.now += 5
    world.call("PutAlarmState", api="moorwatch", alarmName="errors", state=OK)
    assert world.state.alarms[told["alarmArn"]].changed_at == first.changed_at
    world.call("PutAlarmState", api="moorwatch", alarmName="errors", state=ALARM)
    assert world.state.alarms[told["alarmArn"]].changed_at == world.now


@pytest.mark.parametrize(
    "wrong",
    [
        {"alarmName": ""},
        {"alarmName": 3},
        {"alarmName": "x" * 256},
        {"state": "BAD"},
        {"reason": 5},
        {"windowSeconds": -1},
        {"windowSeconds": True},
    ],
)
def test_a_wrong_alarm_state_is_refused(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(AwsError) as raised:
        world.call("PutAlarmState", api="moorwatch", **{"alarmName": "errors", "state": OK, **wrong})
    assert raised.value.code == "InvalidParameterException"
