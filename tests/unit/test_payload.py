"""From task definition to the agent's order, and from the agent's report to what the API shows of the network."""

from __future__ import annotations

import json
from typing import Any

from monitor.control.payload import task_payload
from monitor.model.task import Task
from tests.scenarios.world import World

APP: dict[str, Any] = {"name": "app", "image": "i", "memory": 64}


def ordered(world: World, *containers: dict[str, Any], **members: Any) -> Task:
    """A task of such a definition, on an instance."""
    world.call("RegisterTaskDefinition", family="f", containerDefinitions=list(containers), **members)
    instance = world.join("one")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    needed = {"networkConfiguration": network} if members.get("networkMode") == "awsvpc" else {}
    made = world.call("StartTask", taskDefinition="f", containerInstances=[instance.arn], **needed)
    assert made["failures"] == []
    return world.state.tasks[made["tasks"][0]["taskArn"]]


def order(*containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    world = World()
    return task_payload(world.state, ordered(world, *containers, **members))


def test_a_restart_policy_is_sent_only_when_it_is_enabled() -> None:
    (app,) = order({**APP, "restartPolicy": {"enabled": True, "restartAttemptPeriod": 90}})["containers"]
    assert app["restartPolicy"] == {"enabled": True, "restartAttemptPeriod": 90, "ignoredExitCodes": []}
    (app,) = order({**APP, "restartPolicy": {"enabled": False}})["containers"]
    assert "restartPolicy" not in app


def test_ports_by_network_mode() -> None:
    ports = {"portMappings": [{"containerPort": 80}]}
    for mode, host in (("bridge", 0), ("host", 80), ("awsvpc", 80)):
        (app,) = order({**APP, **ports}, networkMode=mode)["containers"]
        assert app["portMappings"] == [{"containerPort": 80, "hostPort": host, "protocol": "tcp"}]
    (app,) = order({**APP, "portMappings": [{"containerPortRange": "1-9", "protocol": "udp"}]})["containers"]
    assert app["portMappings"] == [{"containerPortRange": "1-9", "protocol": "udp"}]


def test_the_network_of_an_awsvpc_task_is_the_agent_s_to_make() -> None:
    found = order(APP, networkMode="awsvpc", pidMode="task", ipcMode="none")
    assert (found["networkMode"], found["pidMode"], found["ipcMode"]) == ("awsvpc", "task", "none")
    host = json.loads(found["containers"][0]["dockerConfig"]["hostConfig"])
    assert "NetworkMode" not in host


def test_volumes_of_other_containers() -> None:
    data = {**APP, "name": "data", "essential": False}
    app, _ = order({**APP, "volumesFrom": [{"sourceContainer": "data"}]}, data)["containers"]
    assert app["volumesFrom"] == [{"sourceContainer": "data", "readOnly": False}]


def test_swap_is_what_is_left_above_memory() -> None:
    (app,) = order({**APP, "linuxParameters": {"maxSwap": 8, "swappiness": 10}})["containers"]
    host = json.loads(app["dockerConfig"]["hostConfig"])
    assert (host["MemorySwap"], host["MemorySwappiness"]) == (72 << 20, 10)


def test_the_address_of_an_awsvpc_task_is_shown_as_its_interface() -> None:
    world = World()
    task = ordered(world, APP, {**APP, "name": "side"}, networkMode="awsvpc")

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = world.call("DescribeTasks", tasks=[task.arn])["tasks"][0]
        return found

    before = shown()
    (attachment,) = before["attachments"]
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "PRECREATED")
    assert before["containers"][0]["networkInterfaces"] == []
    reports = [
        {"containerName": name, "status": "RUNNING", "networkBindings": [{"bindIP": "172.17.0.5"}]}
        for name in ("app", "side")
    ]
    world.report(task, "RUNNING", containers=reports)
    after = shown()
    for c in after["containers"]:
        assert c["networkBindings"] == []
        assert c["networkInterfaces"] == [
            {"attachmentId": attachment["id"], "privateIpv4Address": "172.17.0.5"}
        ]
    assert after["attachments"] == [
        {
            **attachment,
            "status": "ATTACHED",
            "details": [{"name": "privateIPv4Address", "value": "172.17.0.5"}],
        }
    ]
    world.ended(world.state.tasks[task.arn], 0)
    assert shown()["attachments"][0]["status"] == "DELETED"


def test_bindings_of_a_bridge_task_are_shown_as_they_are() -> None:
    world = World()
    task = ordered(world, APP)
    binding = {"bindIP": "0.0.0.0", "containerPortRange": "1-2", "hostPortRange": "8-9", "protocol": "tcp"}
    report = {"containerName": "app", "status": "RUNNING", "networkBindings": [binding]}
    world.report(task, "RUNNING", containers=[report])
    (found,) = world.call("DescribeTasks", tasks=[task.arn])["tasks"]
    assert found["attachments"] == []
    assert found["containers"][0]["networkBindings"] == [binding]
    assert found["containers"][0]["networkInterfaces"] == []
