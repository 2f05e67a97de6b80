"""Another agent in ours' place: a double that speaks only what Amazon's agent speaks, over real websockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from monitor.wire.signing import sign
from tests.conformance.test_ecs_api import Control, start, stop
from tests.conftest import wait_until

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375", "2376", "51678", "51679"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
ATTRIBUTES = [
    {"name": "ecs.capability.external"},
    {"name": "ecs.os-type", "value": "linux"},
    *({"name": f"com.amazonaws.ecs.capability.docker-remote-api.1.{n}"} for n in (18, 41)),
    {"name": "ecs.capability.container-health-check"},
]


class Double:
    """An agent without any of our extras."""

    def __init__(self, control: Control, ecs: Any) -> None:
        self.control, self.ecs = control, ecs
        answer = ecs.register_container_instance(
            cluster="default", totalResources=RESOURCES, attributes=ATTRIBUTES
        )
        self.instance = answer["containerInstance"]
        self.arn: str = self.instance["containerInstanceArn"]
        found = ecs.discover_poll_endpoint(cluster="default", containerInstance=self.arn)
        self.endpoint, self.telemetry_endpoint = found["endpoint"], found["telemetryEndpoint"]

    def acs(self) -> ClientConnection:
        query = {
            "clusterArn": "default",
            "containerInstanceArn": self.arn,
            "agentVersion": "1.105.1",
            "agentHash": "0",
            "seqNum": "1",
            "protocolVersion": "2",
            "dockerVersion": "20.10.24",
            "sendCredentials": "true",
        }
        return self._open(f"{self.endpoint}ws?{urlencode(query)}")

    def tcs(self) -> ClientConnection:
        query = {
            "cluster": "default",
            "containerInstance": self.arn,
            "agentVersion": "1.105.1",
            "agentHash": "0",
        }
        return self._open(f"{self.telemetry_endpoint}ws?{urlencode(query)}")

    def _open(self, url: str) -> ClientConnection:
        headers = sign(self.control.key, "GET", url, "us-east-1")
        socket = url.replace("http://", "ws://", 1)
        return connect(socket, additional_headers=headers, proxy=None, ping_interval=None)

    def submit(self, task: str, status: str, *containers: dict[str, Any]) -> None:
        self.ecs.submit_task_state_change(
            cluster="default", task=task, status=status, reason="", containers=list(containers)
        )


def next_message(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of the kind; heartbeats are answered on the way."""
    while True:
        frame = json.loads(socket.recv(timeout=30))
        if frame["type"] == "HeartbeatMessage":
            ack = {"messageId": frame["message"]["messageId"]}
            socket.send(json.dumps({"type": "HeartbeatAckRequest", "message": ack}))
        if frame["type"] == kind:
            found: dict[str, Any] = frame["message"]
            return found


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    running = start(tmp_path, MOORWATCH_AGENT_SILENCE_SECONDS="3")
    yield running
    stop(running)


@pytest.fixture
def ecs(control: Control) -> Iterator[Any]:
    client = control.client()
    yield client
    client.close()


@pytest.fixture
def agent(control: Control, ecs: Any) -> Double:
    return Double(control, ecs)


def definition(ecs: Any, **members: Any) -> None:
    container = {"name": "app", "image": "busybox", "memory": 64, "cpu": 128, **members}
    ecs.register_task_definition(family="web", containerDefinitions=[container])


def test_registration_echoes_every_attribute_and_is_the_same_again(agent: Double, ecs: Any) -> None:
    echoed = {(a["name"], a.get("value", "")) for a in agent.instance["attributes"]}
    assert {(a["name"], a.get("value", "")) for a in ATTRIBUTES} <= echoed
    again = ecs.register_container_instance(
        cluster="default", totalResources=RESOURCES, attributes=ATTRIBUTES, containerInstanceArn=agent.arn
    )
    assert again["containerInstance"]["containerInstanceArn"] == agent.arn
    assert ecs.list_container_instances()["containerInstanceArns"] == [agent.arn]


def test_a_task_from_order_to_end(agent: Double, ecs: Any) -> None:
    definition(ecs, environment=[{"name": "A", "value": "1"}], memoryReservation=32)
    with agent.acs() as acs:
        wait_until(
            lambda: ecs.describe_container_instances(containerInstances=[agent.arn])["containerInstances"][0][
                "agentConnected"
            ],
            "the agent is connected",
        )
        ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EXTERNAL")
        payload = next_message(acs, "PayloadMessage")
        assert {"clusterArn", "containerInstanceArn", "messageId", "seqNum", "generatedAt"} <= set(payload)
        (task,) = payload["tasks"]
        assert (task["family"], task["version"], task["desiredStatus"]) == ("web", "1", "RUNNING")
        assert task["overrides"] == "{}"
        (container,) = task["containers"]
        assert container["environment"] == {"A": "1"}
        assert (container["memory"], container["cpu"]) == (64, 128)
        host = json.loads(container["dockerConfig"]["hostConfig"])
        assert host["MemoryReservation"] == 32 * 1024 * 1024

        # Not acknowledged: the same order comes again.
        assert next_message(acs, "PayloadMessage")["tasks"] == payload["tasks"]

        arn = task["arn"]
        agent.submit(arn, "RUNNING", {"containerName": "app", "runtimeId": "x", "status": "RUNNING"})
        ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1})

        # Essential container gone, in the agent's own two-step way, and late and repeated news after it.
        ended = {"containerName": "app", "runtimeId": "x", "status": "STOPPED", "exitCode": 3}
        agent.submit(arn, "RUNNING", ended)
        agent.submit(arn, "STOPPED", ended)
        agent.submit(arn, "RUNNING", {"containerName": "app", "runtimeId": "x", "status": "RUNNING"})
        found = ecs.describe_tasks(tasks=[arn])["tasks"][0]
        assert (found["lastStatus"], found["stopCode"]) == ("STOPPED", "EssentialContainerExited")
        assert found["containers"][0]["exitCode"] == 3
        seen = {arn}
        while seen == {arn}:
            seen |= {t["arn"] for t in next_message(acs, "PayloadMessage")["tasks"]}
        assert len(seen) == 2  # its replacement is ordered


def test_health_by_telemetry_replaces_the_task(agent: Double, ecs: Any) -> None:
    definition(ecs, healthCheck={"command": ["CMD", "true"]})
    with agent.acs() as acs, agent.tcs() as tcs:
        ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1)
        (task,) = next_message(acs, "PayloadMessage")["tasks"]
        assert task["containers"][0]["healthCheckType"] == "docker"
        agent.submit(task["arn"], "RUNNING", {"containerName": "app", "runtimeId": "x", "status": "RUNNING"})

        def tell(arn: str, health: str) -> None:
            entry = {"taskArn": arn, "containers": [{"containerName": "app", "healthStatus": health}]}
            body = {
                "type": "PublishHealthRequest",
                "message": {"metadata": {}, "timestamp": 0, "tasks": [entry]},
            }
            tcs.send(f"Host: x\r\nX-Amz-Date: y\r\n\r\n{json.dumps(body)}")
            assert json.loads(tcs.recv(timeout=10))["type"] == "AckPublishHealth"

        tell(task["arn"], "HEALTHY")
        assert ecs.describe_tasks(tasks=[task["arn"]])["tasks"][0]["healthStatus"] == "HEALTHY"
        tell(task["arn"], "UNHEALTHY")
        orders = next_message(acs, "PayloadMessage")["tasks"]
        fresh = next(t for t in orders if t["arn"] != task["arn"])
        agent.submit(fresh["arn"], "RUNNING", {"containerName": "app", "runtimeId": "y", "status": "RUNNING"})
        tell(fresh["arn"], "HEALTHY")
        stopping = wait_until(
            lambda: (
                (t := ecs.describe_tasks(tasks=[task["arn"]])["tasks"][0])["desiredStatus"] == "STOPPED" and t
            ),
            "the unhealthy one is to stop",
        )
        assert stopping["stoppedReason"] == "Task failed container health checks"


def test_tasks_that_nobody_wants_are_named_and_stopped_on_our_word(agent: Double, ecs: Any) -> None:
    with agent.acs() as acs:
        manifest = next_message(acs, "TaskManifestMessage")
        stranger = {"taskArn": agent.arn.replace("container-instance", "task"), "desiredStatus": "STOPPED"}
        body = {"messageId": manifest["messageId"], "stopCandidates": [stranger]}
        acs.send(json.dumps({"type": "TaskStopVerificationMessage", "message": body}))
        assert next_message(acs, "TaskStopVerificationAck")["stopTasks"] == [stranger]


def test_garbage_does_not_end_a_session(agent: Double, ecs: Any) -> None:
    with agent.acs() as acs, agent.tcs() as tcs:
        for frame in ("{", "[]", '{"type": 3}', '{"type": "Unheard"}', "x" * 1000):
            acs.send(frame)
            tcs.send(frame)
        assert next_message(acs, "HeartbeatMessage")["messageId"]
        tcs.send('{"type":"PublishMetricsRequest","message":{}}')
        assert json.loads(tcs.recv(timeout=10))["type"] == "AckPublishMetric"


def test_who_is_not_registered_or_not_signed_is_refused(agent: Double, ecs: Any) -> None:
    ecs.deregister_container_instance(containerInstance=agent.arn)
    with pytest.raises(InvalidStatus) as error:
        agent.acs()
    assert error.value.response.status_code == 400
    assert "InactiveInstanceException" in (error.value.response.body or b"").decode()
    with pytest.raises(InvalidStatus) as error:
        connect(agent.endpoint.replace("http://", "ws://") + "ws", proxy=None)
    assert error.value.response.status_code == 403


def test_a_newer_session_takes_the_older_one_s_place(agent: Double, ecs: Any) -> None:
    with agent.acs() as old:
        next_message(old, "TaskManifestMessage")
        with agent.acs() as new:
            next_message(new, "TaskManifestMessage")
            list(old)  # what was under way, and then its end
            assert isinstance(old.protocol.close_exc, ConnectionClosed)
            found = ecs.describe_container_instances(containerInstances=[agent.arn])["containerInstances"]
            assert found[0]["agentConnected"]
