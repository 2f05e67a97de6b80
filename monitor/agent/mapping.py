"""Payload container → Docker's create body. Pure.

`dockerConfig.config` and `.hostConfig` are JSON strings in Docker's own shape, from the control plane; what the
agent itself must set goes on top (agent protocol, "Container object").
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.scheduler.host import ContainerSpec, RestartPolicy, TaskSpec

MIB = 1024 * 1024
MINIMUM_SHARES = 2
MAXIMUM_SHARES = 262_144
DEFAULT_RESTART_PERIOD = 300.0
PREFIX = "com.amazonaws.ecs."
TASK_LABEL = f"{PREFIX}task-arn"
CONTAINER_LABEL = f"{PREFIX}container-name"
SERVICE_LABEL = "moorwatch.service"
# Whose container it is: two agents may share one Docker daemon, and neither touches the other's.
INSTANCE_LABEL = "moorwatch.container-instance"


class BadPayload(Exception):
    """An order that cannot be understood."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What holds the task as a whole: a cgroup made for it, or caps on each container."""

    cgroup_parent: str = ""
    cap_cpus: float = 0.0
    cap_memory_mib: int = 0


def task_spec(payload: Mapping[str, Any]) -> TaskSpec:
    """Raises BadPayload."""
    try:
        containers = tuple(
            ContainerSpec(
                name=c["name"],
                essential=bool(c.get("essential", True)),
                depends_on=tuple((d["containerName"], d["condition"]) for d in c.get("dependsOn") or ()),
                start_timeout=c.get("startTimeout"),
                restart=_restart_policy(c.get("restartPolicy") or {}),
            )
            for c in payload.get("containers") or ()
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadPayload(f"the containers of {payload.get('arn')} cannot be read: {error!r}") from error
    return TaskSpec(
        containers,
        wanted=payload.get("desiredStatus") == "RUNNING",
        standby=payload.get("standby") is True,
    )


def _restart_policy(raw: Mapping[str, Any]) -> RestartPolicy | None:
    if raw.get("enabled") is not True:
        return None
    return RestartPolicy(
        frozenset(int(code) for code in raw.get("ignoredExitCodes") or ()),
        float(raw.get("restartAttemptPeriod") or DEFAULT_RESTART_PERIOD),
    )


def container_name(payload: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    """ecs-FAMILY-REVISION-CONTAINER-20 hex characters, the same whenever it is asked for."""
    digest = hashlib.sha256(f"{payload['arn']} {container['name']}".encode()).hexdigest()[:20]
    plain = re.sub(r"[^A-Za-z0-9-]", "", container["name"])
    return f"ecs-{payload.get('family', 'task')}-{payload.get('version', '0')}-{plain}-{digest}"


def create_body(
    payload: Mapping[str, Any], container: Mapping[str, Any], cluster: str, instance: str, limits: TaskLimits
) -> dict[str, Any]:
    """Raises BadPayload."""
    docker = container.get("dockerConfig") or {}
    config, host = _json(docker.get("config")), _json(docker.get("hostConfig"))
    mode = payload.get("networkMode") or host.get("NetworkMode") or "bridge"
    config["Image"] = container["image"]
    if container.get("command"):
        config["Cmd"] = list(container["command"])
    if container.get("entryPoint"):
        config["Entrypoint"] = list(container["entryPoint"])
    if container.get("stopTimeout") is not None:
        config["StopTimeout"] = int(container["stopTimeout"])  # so that `docker stop` keeps to it too
    environment = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", **(container.get("environment") or {})}
    config["Env"] = [f"{name}={value}" for name, value in environment.items()]
    config["Labels"] = {**(config.get("Labels") or {}), **labels(payload, container, cluster, instance)}
    host["NetworkMode"] = mode
    host["CpuShares"] = min(max(MINIMUM_SHARES, int(container.get("cpu") or 0)), MAXIMUM_SHARES)
    _memory(host, int(container.get("memory") or 0), limits)
    if limits.cgroup_parent:
        host["CgroupParent"] = limits.cgroup_parent
    elif limits.cap_cpus:
        host["NanoCpus"] = int(limits.cap_cpus * 1e9)
    if mode == "bridge":
        _ports(config, host, container)
    mounts = _mounts(payload, container)
    if mounts:
        host["Binds"] = mounts
    if container.get("links"):
        host["Links"] = list(container["links"])
    if container.get("privileged"):
        host["Privileged"] = True
    for name in ("pidMode", "ipcMode"):
        if payload.get(name) == "host":
            host[name[0].upper() + name[1:]] = "host"
    return {**config, "HostConfig": host}


def labels(
    payload: Mapping[str, Any], container: Mapping[str, Any], cluster: str, instance: str
) -> dict[str, str]:
    return {
        f"{PREFIX}cluster": cluster,
        CONTAINER_LABEL: container["name"],
        TASK_LABEL: payload["arn"],
        f"{PREFIX}task-definition-family": str(payload.get("family", "")),
        f"{PREFIX}task-definition-version": str(payload.get("version", "")),
        INSTANCE_LABEL: instance,
        SERVICE_LABEL: str(payload.get("serviceName") or ""),
    }


def _json(text: object) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise BadPayload("dockerConfig is not JSON") from error
    if not isinstance(value, dict):
        raise BadPayload("dockerConfig is not an object")
    return value


def _memory(host: dict[str, Any], hard_mib: int, limits: TaskLimits) -> None:
    mib = hard_mib or limits.cap_memory_mib
    if mib:
        host["Memory"] = mib * MIB
        # Without this Docker allows as much swap again: the limit would not be the limit.
        host.setdefault("MemorySwap", mib * MIB)


def _ports(config: dict[str, Any], host: dict[str, Any], container: Mapping[str, Any]) -> None:
    exposed: dict[str, Any] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in container.get("portMappings") or ():
        key = f"{port['containerPort']}/{port.get('protocol') or 'tcp'}"
        exposed[key] = {}
        bindings.setdefault(key, []).append({"HostPort": str(port.get("hostPort") or "")})
    if exposed:
        config["ExposedPorts"] = exposed
        host["PortBindings"] = bindings


def _mounts(payload: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    volumes = {v.get("name"): v for v in payload.get("volumes") or ()}
    binds = []
    for mount in container.get("mountPoints") or ():
        volume = volumes.get(mount.get("sourceVolume"))
        if volume is None:
            raise BadPayload(f"unknown volume {mount.get('sourceVolume')!r}")
        mode = "ro" if mount.get("readOnly") else "rw"
        binds.append(f"{_source(payload, volume)}:{mount['containerPath']}:{mode}")
    return binds


def _source(payload: Mapping[str, Any], volume: Mapping[str, Any]) -> str:
    """A path of the host, a shared Docker volume, or a volume of this task alone."""
    path = (volume.get("host") or {}).get("sourcePath")
    if path:
        return str(path)
    docker = volume.get("dockerVolumeConfiguration") or {}
    if docker.get("scope") == "shared":
        return str(volume["name"])
    task_id = str(payload["arn"]).rsplit("/", 1)[-1]
    return f"ecs-{task_id}-{volume['name']}"
