"""The volumes of a task: which Docker volume each one is, and which are made before a container is created. Pure.

A volume of scope `task`, or with an empty `host`, lives as long as the task's containers; one of scope `shared`
stays (ECS API reference, DockerVolumeConfiguration).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TASK_LABEL = "com.amazonaws.ecs.task-arn"


@dataclass(frozen=True, slots=True)
class DockerVolume:
    """`must_exist`: shared and not to be provisioned here."""

    name: str
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    must_exist: bool = False


def source(payload: Mapping[str, Any], volume: Mapping[str, Any]) -> str:
    """A path of the host, or the name of a Docker volume."""
    path = (volume.get("host") or {}).get("sourcePath")
    return str(path) if path else docker_volume(payload, volume).name


def docker_volume(payload: Mapping[str, Any], volume: Mapping[str, Any]) -> DockerVolume:
    docker = volume.get("dockerVolumeConfiguration") or {}
    driver, options = docker.get("driver") or "local", docker.get("driverOpts") or {}
    labels = docker.get("labels") or {}
    if docker.get("scope") == "shared":
        return DockerVolume(str(volume["name"]), driver, options, labels, not docker.get("autoprovision"))
    task_id = str(payload["arn"]).rsplit("/", 1)[-1]
    name = f"ecs-{task_id}-{volume['name']}"
    return DockerVolume(name, driver, options, {**labels, TASK_LABEL: str(payload["arn"])})


def of_container(payload: Mapping[str, Any], container: Mapping[str, Any]) -> list[DockerVolume]:
    """The Docker volumes the container mounts."""
    mounted = {mount.get("sourceVolume") for mount in container.get("mountPoints") or ()}
    return [
        docker_volume(payload, volume)
        for volume in payload.get("volumes") or ()
        if volume.get("name") in mounted and not (volume.get("host") or {}).get("sourcePath")
    ]
