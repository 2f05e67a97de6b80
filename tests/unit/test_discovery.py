"""Which of the tasks' own metrics Prometheus is sent to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.control.discovery import ADDRESS, targets
from monitor.model.state import Put
from tests.scenarios.world import World

MAPPED = {"portMappings": [{"containerPort": 8080}]}


def serving(labels: dict[str, str], mode: str = "bridge", bindings: Any = None, **container: Any) -> World:
    """A service of one RUNNING task whose agent has told these bindings."""
    world = World()
    world.join("one")
    app = {"name": "app", "image": "i", "memory": 64, "dockerLabels": labels, **container}
    world.call("RegisterTaskDefinition", family="web", containerDefinitions=[app], networkMode=mode)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    world.serve(**({"networkConfiguration": network} if mode == "awsvpc" else {}))
    (task,) = world.live()
    told = {"containerName": "app", "status": "RUNNING", "networkBindings": bindings or []}
    world.report(task, "RUNNING", containers=[told])
    return world


def test_a_mapped_port_is_reached_on_the_machine() -> None:
    bindings = [{"bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 32768, "protocol": "tcp"}]
    world = serving({"prometheus.io/port": "8080", "prometheus.io/path": "/m"}, bindings=bindings, **MAPPED)
    (task,) = world.live()
    (group,) = targets(world.state)
    assert group["targets"] == ["127.0.0.1:32768"]
    assert group["labels"] == {
        "__metrics_path__": "/m",
        "__scheme__": "http",
        "__meta_ecs_cluster": "default",
        "__meta_ecs_service": "web",
        "__meta_ecs_family": "web",
        "__meta_ecs_revision": "1",
        "__meta_ecs_task": task.arn.rsplit("/", 1)[1],
        "__meta_ecs_task_arn": task.arn,
        "__meta_ecs_container": "app",
        "__meta_ecs_container_instance": "one",
        "__meta_ecs_availability_zone": "a",
        "__meta_ecs_launch_type": "EC2",
        "__meta_ecs_health": "UNKNOWN",
    }
    instance = world.instance("one")
    world.commit([Put(replace(instance, attributes={**instance.attributes, ADDRESS: "10.0.0.7"}))])
    assert targets(world.state)[0]["targets"] == ["10.0.0.7:32768"]


@pytest.mark.parametrize(
    ("mode", "bindings", "address"),
    [
        ("host", [], "127.0.0.1:9100"),
        ("awsvpc", [{"bindIP": "172.18.0.5"}], "172.18.0.5:9100"),
        ("awsvpc", [], None),
        ("none", [], None),
        ("bridge", [], None),  # no mapping: it cannot be reached from outside
    ],
)
def test_by_network_mode(mode: str, bindings: list[dict[str, Any]], address: str | None) -> None:
    world = serving({"ECS_PROMETHEUS_EXPORTER_PORT": "9100"}, mode, bindings)
    assert [g["targets"] for g in targets(world.state)] == ([[address]] if address else [])


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"prometheus.io/port": "http"},
        {"prometheus.io/port": "0"},
        {"prometheus.io/port": "99999"},
        {"prometheus.io/port": "-1"},
        {"prometheus.io/port": "9100", "prometheus.io/scrape": "False"},
    ],
)
def test_without_a_port_that_can_be_asked_there_is_no_target(labels: dict[str, str]) -> None:
    assert targets(serving(labels, "host").state) == []


def test_a_job_s_name_and_scheme_are_taken_from_the_labels() -> None:
    labels = {"prometheus.io/port": "9", "prometheus.io/scheme": "https", "ECS_PROMETHEUS_JOB_NAME": "shop"}
    (group,) = targets(serving(labels, "host").state)
    assert (group["labels"]["job"], group["labels"]["__scheme__"]) == ("shop", "https")


def test_a_task_that_ends_is_no_target() -> None:
    world = serving({"prometheus.io/port": "9"}, "host")
    world.ended(world.live()[0], 0)
    assert targets(world.state) == []
