"""Prometheus's http_sd: which of the tasks' containers expose metrics of their own, and where. Pure.

A container says so by a Docker label with its port: `prometheus.io/port`, or `ECS_PROMETHEUS_EXPORTER_PORT` as
CloudWatch's agent reads it; the path likewise (`prometheus.io/path`, `ECS_PROMETHEUS_METRICS_PATH`), the scheme and the
job's name. `prometheus.io/scrape=false` takes it off (Prometheus documentation, "HTTP SD").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from monitor.model import arn as arns
from monitor.model.cluster import ContainerInstance
from monitor.model.state import State
from monitor.model.task import RUNNING, Container, Task
from monitor.model.task_definition import TaskDefinition

PORT = ("prometheus.io/port", "ECS_PROMETHEUS_EXPORTER_PORT")
PATH = ("prometheus.io/path", "ECS_PROMETHEUS_METRICS_PATH")
JOB = ("prometheus.io/job", "ECS_PROMETHEUS_JOB_NAME")
SCHEME, SCRAPE = "prometheus.io/scheme", "prometheus.io/scrape"
# Where the containers of an instance are reached from Prometheus: an attribute that an operator gives the instance.
ADDRESS = "moorwatch.address"
LOOPBACK = "127.0.0.1"
ZONE = "ecs.availability-zone"


class Wish(NamedTuple):
    """What a container of a definition asks for."""

    container: str
    port: int
    path: str
    scheme: str
    job: str


def targets(state: State) -> list[dict[str, Any]]:
    """Prometheus's target groups, one for each container that runs: `{"targets": ["host:port"], "labels": {…}}`."""
    wishes: dict[str, list[Wish]] = {}
    found = []
    for instance in state.instances.values():
        for task in state.live_tasks_on(instance.arn):
            if task.last != RUNNING or task.standby:
                continue
            definition = state.definitions.get(task.definition_arn)
            if definition is None:
                continue
            if task.definition_arn not in wishes:
                wishes[task.definition_arn] = list(wishes_of(definition))
            for wish in wishes[task.definition_arn]:
                address = _address(task, definition, instance, wish)
                if address:
                    found.append({"targets": [address], "labels": _labels(task, definition, instance, wish)})
    return found


def wishes_of(definition: TaskDefinition) -> Iterator[Wish]:
    for raw in definition.document.get("containerDefinitions") or ():
        labels = raw.get("dockerLabels") or {}
        port = _first(labels, PORT)
        if labels.get(SCRAPE, "true").lower() == "false" or not port.isdecimal() or not 0 < int(port) < 65536:
            continue
        yield Wish(
            raw["name"],
            int(port),
            _first(labels, PATH) or "/metrics",
            "https" if labels.get(SCHEME) == "https" else "http",
            _first(labels, JOB),
        )


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _address(task: Task, definition: TaskDefinition, instance: ContainerInstance, wish: Wish) -> str:
    """host:port; "" while the agent has not told the port, or when it cannot be reached from outside."""
    host = instance.attributes.get(ADDRESS) or LOOPBACK
    container = next((c for c in task.containers if c.name == wish.container), None)
    if container is None:
        return ""
    match definition.network_mode:
        case "host":
            return f"{host}:{wish.port}"
        case "awsvpc":
            own = next((str(b["bindIP"]) for b in container.network_bindings if b.get("bindIP")), "")
            return f"{own}:{wish.port}" if own else ""
        case "none":
            return ""
    port = _host_port(container, wish.port)
    return f"{host}:{port}" if port else ""


def _host_port(container: Container, port: int) -> int | None:
    for binding in container.network_bindings:
        if binding.get("containerPort") == port and binding.get("protocol", "tcp") == "tcp":
            return int(binding["hostPort"])
    return None


def _labels(
    task: Task, definition: TaskDefinition, instance: ContainerInstance, wish: Wish
) -> dict[str, str]:
    labels = {
        "__metrics_path__": wish.path,
        "__scheme__": wish.scheme,
        "__meta_ecs_cluster": arns.short(task.cluster_arn),
        "__meta_ecs_service": arns.short(task.service_arn) if task.service_arn else "",
        "__meta_ecs_family": definition.family,
        "__meta_ecs_revision": str(definition.revision),
        "__meta_ecs_task": arns.short(task.arn),
        "__meta_ecs_task_arn": task.arn,
        "__meta_ecs_container": wish.container,
        "__meta_ecs_container_instance": arns.short(instance.arn),
        "__meta_ecs_availability_zone": instance.attributes.get(ZONE, ""),
        "__meta_ecs_launch_type": task.launch_type,
        "__meta_ecs_health": task.health,
    }
    return {**labels, "job": wish.job} if wish.job else labels
