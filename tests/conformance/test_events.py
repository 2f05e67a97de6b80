"""ListEvents over the wire: filters, EventBridge's form, and an answer that is held back until there is one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.test_ecs_api import CONTAINER, Control, start, stop

TARGET = "Moorwatch_20261101.ListEvents"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("events"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def ecs(control: Control) -> Iterator[Any]:
    client = control.client()
    client.register_task_definition(family="app", containerDefinitions=[CONTAINER])
    yield client
    client.close()


def events(control: Control, **params: Any) -> dict[str, Any]:
    status, answer = control.post(json.dumps(params).encode(), TARGET)
    assert status == 200, answer
    return answer


def test_a_deployment_in_eventbridges_form(control: Control, ecs: Any) -> None:
    made = ecs.create_service(serviceName="shape", taskDefinition="app", desiredCount=0)["service"]
    found = events(control, service="shape", format="eventbridge", detailType="ECS Deployment State Change")[
        "events"
    ]
    assert found[0]["source"] == "aws.ecs"
    assert found[0]["resources"] == [made["serviceArn"]]
    assert found[0]["detail"]["eventName"] == "SERVICE_DEPLOYMENT_IN_PROGRESS"
    assert found[0]["detail"]["deploymentId"] == made["deployments"][0]["id"]
    assert events(control, service="nobody")["events"] == []


def test_an_answer_is_held_back_until_there_is_one(control: Control, ecs: Any) -> None:
    after = events(control)["last"]
    found: dict[str, Any] = {}
    waiting = threading.Thread(
        target=lambda: found.update(events(control, after=after, service="late", waitSeconds=20))
    )
    began = time.monotonic()
    waiting.start()
    ecs.create_service(serviceName="other", taskDefinition="app", desiredCount=0)
    ecs.create_service(serviceName="late", taskDefinition="app", desiredCount=0)
    waiting.join(15)
    assert not waiting.is_alive()
    assert time.monotonic() - began < 15
    assert {e["service"] for e in found["events"]} == {"late"}
    assert found["last"] > after


def test_nothing_new_is_an_empty_answer_in_time(control: Control) -> None:
    after = events(control)["last"]
    found = events(control, after=after, service="nobody", waitSeconds=1)
    assert found["events"] == []
    assert found["last"] >= after


@pytest.mark.parametrize(
    "wrong", [{"waitSeconds": 21}, {"waitSeconds": "1"}, {"detailType": 5}, {"after": -1}]
)
def test_wrong_parameters_are_refused(control: Control, wrong: dict[str, Any]) -> None:
    status, answer = control.post(json.dumps(wrong).encode(), TARGET)
    assert status == 400
    assert answer["__type"] == "InvalidParameterException"
