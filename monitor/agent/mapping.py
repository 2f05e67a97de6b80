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
from types import MappingProxyType
from typing import Any

from monitor.agent import pause, volumes
from monitor.agent.ports import span
from monitor.scheduler.host import ContainerSpec, RestartPolicy, TaskSpec

MIB = 1024 * 1024
MINIMUM_SHARES = 2
MAXIMUM_SHARES = 262_144
PREFIX = "com.amazonaws.ecs."
TASK_LABEL = volumes.TASK_LABEL
CONTAINER_LABEL = f"{PREFIX}container-name"
SERVICE_LABEL = "moorwatch.service"
# Whose container it is: two agents may share one Docker daemon, and neither touches the other's.
INSTANCE_LABEL = "moorwatch.container-instance"
NO_PORTS: Mapping[str, int] = MappingProxyType({})
NOTHING_TOLD: Mapping[str, str] = MappingProxyType({})


class BadPayload(Exception):
    """An order that cannot be understood."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What holds the task as a whole: a cgroup made for it, or caps on each container."""

    cgroup_parent: str = ""
    cap_cpus: float = 0.0
    cap_memory_mib: int = 0


def containers_of(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The order's containers, and the one that holds their common namespaces, where they have any."""
    holder = pause.holder(payload)
    ours = [{"name": holder, "image": pause.IMAGE, "essential": True}] if holder else []
    return [*ours, *(payload.get("containers") or ())]


def task_spec(payload: Mapping[str, Any]) -> TaskSpec:
    """Raises BadPayload."""
    holder = pause.holder(payload)
    try:
        containers = tuple(_spec(c, holder) for c in containers_of(payload))
    except (KeyError, TypeError, ValueError) as error:
        raise BadPayload(f"the containers of {payload.get('arn')} cannot be read: {error!r}") from error
    return TaskSpec(
        containers,
        wanted=payload.get("desiredStatus") == "RUNNING",
        standby=payload.get("standby") is True,
    )


def _spec(c: Mapping[str, Any], holder: str) -> ContainerSpec:
    """What Docker wants there at creation or start is a dependency like those of dependsOn."""
    internal = pause.is_internal(c["name"])
    depends = [(d["containerName"], d["condition"]) for d in c.get("dependsOn") or ()]
    depends += [(v["sourceContainer"], "CREATE") for v in c.get("volumesFrom") or ()]
    for link in c.get("links") or ():
        depends += [(link.partition(":")[0], condition) for condition in ("CREATE", "START")]
    if holder and not internal:
        depends += [(holder, condition) for condition in ("CREATE", "START")]
    return ContainerSpec(
        name=c["name"],
        essential=bool(c.get("essential", True)),
        depends_on=tuple(depends),
        start_timeout=c.get("startTimeout"),
        restart=_restart(c.get("restartPolicy") or {}),
        internal=internal,
    )


def _restart(policy: Mapping[str, Any]) -> RestartPolicy | None:
    if policy.get("enabled") is not True:
        return None
    period = float(policy.get("restartAttemptPeriod") or RestartPolicy().period)
    return RestartPolicy(period, frozenset(int(code) for code in policy.get("ignoredExitCodes") or ()))


def container_name(payload: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    """ecs-FAMILY-REVISION-CONTAINER-20 hex characters, the same whenever it is asked for."""
    digest = hashlib.sha256(f"{payload['arn']} {container['name']}".encode()).hexdigest()[:20]
    plain = re.sub(r"[^A-Za-z0-9-]", "", container["name"])
    return f"ecs-{payload.get('family', 'task')}-{payload.get('version', '0')}-{plain}-{digest}"


def create_body(
    payload: Mapping[str, Any],
    container: Mapping[str, Any],
    cluster: str,
    instance: str,
    limits: TaskLimits,
    first_ports: Mapping[str, int] = NO_PORTS,
    told: Mapping[str, str] = NOTHING_TOLD,
) -> dict[str, Any]:
    """`first_ports`: the host's side of each containerPortRange (see HostPorts.choose). `told`: environment variables
    of the agent's own, left out where the container has no network. Raises BadPayload."""
    if pause.is_internal(container["name"]):
        return _pause_body(payload, container, cluster, instance, limits)
    config, host = _given(container)
    mode = payload.get("networkMode") or host.get("NetworkMode") or "bridge"
    config["Image"] = container["image"]
    if container.get("command"):
        config["Cmd"] = list(container["command"])
    if container.get("entryPoint"):
        config["Entrypoint"] = list(container["entryPoint"])
    if container.get("stopTimeout") is not None:
        config["StopTimeout"] = int(container["stopTimeout"])  # so that `docker stop` keeps to it too
    ours = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", **(told if mode != "none" else {})}
    environment = {**ours, **(container.get("environment") or {})}
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
        _ports(config, host, container, first_ports)
        host |= _links(payload, container)
    _storage(host, payload, container)
    if container.get("privileged"):
        host["Privileged"] = True
    _namespaces(config, host, payload)
    return {**config, "HostConfig": host}


def _given(container: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    docker = container.get("dockerConfig") or {}
    return _json(docker.get("config")), _json(docker.get("hostConfig"))


def _links(payload: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """`NAME[:ALIAS]` in the task definition; Docker knows the container by another name."""
    parts = [str(link).partition(":") for link in container.get("links") or ()]
    links = [f"{container_name(payload, {'name': name})}:{alias or name}" for name, _, alias in parts]
    return {"Links": links} if links else {}


def _storage(host: dict[str, Any], payload: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    mounts = _mounts(payload, container)
    if mounts:
        host["Binds"] = mounts
    sources = [
        f"{container_name(payload, {'name': v['sourceContainer']})}:{'ro' if v.get('readOnly') else 'rw'}"
        for v in container.get("volumesFrom") or ()
    ]
    if sources:
        host["VolumesFrom"] = sources


def _namespaces(config: dict[str, Any], host: dict[str, Any], payload: Mapping[str, Any]) -> None:
    """Join what the task shares. What belongs to a shared namespace is set on its holder: Docker refuses it here."""
    holder = f"container:{container_name(payload, {'name': pause.holder(payload)})}"
    if payload.get("networkMode") == "awsvpc":
        host["NetworkMode"] = holder
        config.pop("Hostname", None)
        for name in ("Dns", "DnsSearch", "ExtraHosts"):
            host.pop(name, None)
    modes = {"host": "host", "none": "none", "task": holder}
    for name in ("pidMode", "ipcMode"):
        if payload.get(name) in modes:
            host[name[0].upper() + name[1:]] = modes[payload[name]]
    own = {k: v for k, v in (host.get("Sysctls") or {}).items() if not _is_shared(k, payload)}
    if host.pop("Sysctls", None) and own:
        host["Sysctls"] = own


def _is_shared(sysctl: str, payload: Mapping[str, Any]) -> bool:
    of_network = sysctl.startswith("net.")
    return payload.get("networkMode") == "awsvpc" if of_network else payload.get("ipcMode") == "task"


def _pause_body(
    payload: Mapping[str, Any], container: Mapping[str, Any], cluster: str, instance: str, limits: TaskLimits
) -> dict[str, Any]:
    """Where containers set a thing differently, the last one's word holds (ECS API reference, SystemControl)."""
    has_network = payload.get("networkMode") == "awsvpc"
    host: dict[str, Any] = {
        "NetworkMode": "bridge" if has_network else "none",
        "ReadonlyRootfs": True,
        "LogConfig": {"Type": "none", "Config": {}},
        "Memory": pause.MEMORY_BYTES,
    }
    if payload.get("ipcMode") == "task":
        host["IpcMode"] = "shareable"
    if limits.cgroup_parent:
        host["CgroupParent"] = limits.cgroup_parent
    sysctls: dict[str, str] = {}
    names: dict[str, dict[str, None]] = {"Dns": {}, "DnsSearch": {}}  # in order, each once
    for _, theirs in (_given(c) for c in payload.get("containers") or ()):
        sysctls |= {k: v for k, v in (theirs.get("Sysctls") or {}).items() if _is_shared(k, payload)}
        for name, found in names.items():
            found.update(dict.fromkeys(theirs.get(name) or ()))
    if sysctls:
        host["Sysctls"] = sysctls
    if has_network:
        host |= {name: list(found) for name, found in names.items() if found}
    kind = "CNI_PAUSE" if has_network else "NAMESPACE_PAUSE"
    return {
        "Image": container["image"],
        "StopSignal": "SIGKILL",  # the first process of a namespace hears of no other that it does not ask for
        "Labels": {**labels(payload, container, cluster, instance), pause.TYPE_LABEL: kind},
        "HostConfig": host,
    }


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
        # For who tells of the container elsewhere (exporters/otlp_encode.py).
        "moorwatch.container-arn": str(container.get("containerArn") or ""),
        "moorwatch.launch-type": str(payload.get("launchType") or ""),
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


def _ports(
    config: dict[str, Any], host: dict[str, Any], container: Mapping[str, Any], first: Mapping[str, int]
) -> None:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in container.get("portMappings") or ():
        protocol = port.get("protocol") or "tcp"
        whole = port.get("containerPortRange")
        if not whole:
            binding = {"HostPort": str(port.get("hostPort") or "")}
            bindings.setdefault(f"{port['containerPort']}/{protocol}", []).append(binding)
            continue
        low, high = span(whole)
        start = first.get(f"{whole}/{protocol}", 0)
        for n in range(high - low + 1):
            bindings[f"{low + n}/{protocol}"] = [{"HostPort": str(start + n) if start else ""}]
    if bindings:
        config["ExposedPorts"] = {key: {} for key in bindings}
        host["PortBindings"] = bindings


def _mounts(payload: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    known = {v.get("name"): v for v in payload.get("volumes") or ()}
    binds = []
    for mount in container.get("mountPoints") or ():
        volume = known.get(mount.get("sourceVolume"))
        if volume is None:
            raise BadPayload(f"unknown volume {mount.get('sourceVolume')!r}")
        mode = "ro" if mount.get("readOnly") else "rw"
        binds.append(f"{volumes.source(payload, volume)}:{mount['containerPath']}:{mode}")
    return binds
