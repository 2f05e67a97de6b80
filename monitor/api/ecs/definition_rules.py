"""What RegisterTaskDefinition accepts, and the defaults it fills in (ECS developer guide, "Task definition
parameters"). Pure: a request in, the normalised document and its typed parts out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.api.ecs import definition_fargate as fargate
from monitor.api.ecs.definition_containers import MEMORY_FLOOR_MIB as MEMORY_FLOOR_MIB
from monitor.api.ecs.definition_containers import check_environment as check_environment
from monitor.api.ecs.definition_containers import container, linked, volume_sources
from monitor.api.ecs.definition_ports import check_fixed_ports, fixed_ports
from monitor.api.ecs.definition_volumes import check_volumes
from monitor.model import arn as arns
from monitor.model.errors import ClientFault, client_exception
from monitor.model.resources import Resources
from monitor.model.task_definition import ContainerDefinition
from monitor.scheduler.placement import check_constraints

MOST_CONTAINERS = 10
NETWORK_MODES = ("bridge", "host", "awsvpc", "none")
PID_MODES, IPC_MODES = ("host", "task"), ("host", "task", "none")
LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")
# Members that a machine of one's own cannot honour: refused by name, never silently dropped.
UNSERVED = {
    "proxyConfiguration": "App Mesh is not available; run the proxy as a container of its own",
    "inferenceAccelerators": "Elastic Inference is not available; use linuxParameters devices",
    "enableFaultInjection": "fault injection is not available; leave it out",
    "trustedExecutionConfiguration": "enclaves are not available; leave it out",
    "ephemeralStorage": "containers share the disk of the Docker engine and cannot be given a size of it; leave it out",
}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_CPU = re.compile(rf"\s*{_NUMBER}\s*(vcpu)?\s*", re.IGNORECASE | re.ASCII)
_MEMORY = re.compile(rf"\s*{_NUMBER}\s*(gb)?\s*", re.IGNORECASE | re.ASCII)


def task_cpu(text: str | None) -> int:
    """`256` or `.25 vCPU` → units. Raises ClientException."""
    return _size(text, _CPU, 1024, "cpu", '"256" or "0.25 vCPU"')


def task_memory(text: str | None) -> int:
    """`512` or `0.5GB` → MiB. Raises ClientException."""
    return _size(text, _MEMORY, 1024, "memory", '"512" or "0.5GB"')


def _size(text: str | None, pattern: re.Pattern[str], unit: int, what: str, example: str) -> int:
    if text is None or text == "":
        return 0
    match = pattern.fullmatch(text) if len(text) < 32 else None
    value = 0 if match is None else float(match[1]) * (unit if match[2] else 1)
    if not 1 <= value < 10**9:
        raise client_exception(f"Invalid '{what}' setting for task: {text[:32]!r}. Write it like {example}.")
    return int(value)


def normalise(request: Mapping[str, Any]) -> dict[str, Any]:
    """The document as Describe returns it, without ARN, revision and status. Raises ClientException."""
    _family(request["family"])
    document = {k: v for k, v in request.items() if k not in ("tags",)}
    _modes(document)
    cpu, memory = task_cpu(document.get("cpu")), task_memory(document.get("memory"))
    for name, value in (("cpu", cpu), ("memory", memory)):
        if value:
            document[name] = str(value)
    raw = document.get("containerDefinitions") or []
    if not raw:
        raise client_exception("Container list cannot be empty.")
    if len(raw) > MOST_CONTAINERS:
        raise client_exception(
            f"Too many containers: {len(raw)}. A task definition has at most {MOST_CONTAINERS}."
        )
    document["containerDefinitions"] = [container(c, document, memory) for c in raw]
    _whole(document, cpu, memory)
    document.setdefault("volumes", [])
    document["placementConstraints"] = _constraints(document)
    document["compatibilities"] = _compatibilities(document)
    document["requiresAttributes"] = required_attributes(document)
    return document


def _family(family: str) -> None:
    if arns.NAME.fullmatch(family) is None:
        raise client_exception(
            "Family contains invalid characters or is too long: use 1 to 255 letters, numbers, underscores and hyphens."
        )


def _modes(document: Mapping[str, Any]) -> None:
    for member, known in (("networkMode", NETWORK_MODES), ("pidMode", PID_MODES), ("ipcMode", IPC_MODES)):
        mode = document.get(member)
        if mode is not None and mode not in known:
            what = "Network mode" if member == "networkMode" else member
            raise client_exception(f"{what} {mode!r} should be one of [{', '.join(known)}].")
    for member, why in UNSERVED.items():
        if document.get(member):
            raise client_exception(f"{member} cannot be used here: {why}.")
    system = (document.get("runtimePlatform") or {}).get("operatingSystemFamily") or "LINUX"
    if system != "LINUX":
        raise client_exception(f"operatingSystemFamily {system!r} is not available here: use LINUX.")


def _constraints(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Only memberOf in a task definition (ECS API reference, TaskDefinitionPlacementConstraint)."""
    given = document.get("placementConstraints") or ()
    try:
        check_constraints(given, only_member_of=True)
    except ClientFault as error:
        raise client_exception(
            error.message
        ) from error  # the code that all of this operation's refusals have
    return [dict(c) for c in given]


def _compatibilities(document: Mapping[str, Any]) -> list[str]:
    """The launch types the definition fits. Raises ClientException where it must fit one that it does not."""
    is_awsvpc = document.get("networkMode") == "awsvpc"
    why_not = {
        "EC2": "",
        "FARGATE": fargate.objection(document),
        "EXTERNAL": "Network mode 'awsvpc' is not supported with EXTERNAL: use bridge, host or none."
        if is_awsvpc
        else "",
    }
    for wanted in document.get("requiresCompatibilities") or ():
        if wanted not in why_not:
            raise client_exception(
                f"requiresCompatibilities {wanted!r} should be one of [{', '.join(LAUNCH_TYPES)}]: these machines are "
                "managed by you."
            )
        if why_not[wanted]:
            raise client_exception(why_not[wanted])
    return [name for name in LAUNCH_TYPES if not why_not[name]]


def required_attributes(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """What an instance must have registered to run it, of what our own agent registers (ECS developer guide,
    "Container instance capabilities" in "Amazon ECS task placement")."""
    containers = document["containerDefinitions"]
    old, new = "com.amazonaws.ecs.capability.", "ecs.capability."
    drivers = {str(c["logConfiguration"]["logDriver"]) for c in containers if c.get("logConfiguration")}
    shares = document.get("pidMode") or document.get("ipcMode")
    ranges = any(p.get("containerPortRange") for c in containers for p in c["portMappings"])
    local = [v for v in document.get("volumes") or () if v.get("dockerVolumeConfiguration")]
    wanted = {
        f"{old}privileged-container": any(c.get("privileged") for c in containers),
        f"{new}container-health-check": any(c.get("healthCheck") for c in containers),
        f"{new}container-ordering": any(c.get("dependsOn") for c in containers),
        f"{new}container-port-range": ranges,
        f"{new}container-restart-policy": any(
            (c.get("restartPolicy") or {}).get("enabled") for c in containers
        ),
        f"{new}docker-plugin.local": any(
            (v["dockerVolumeConfiguration"].get("driver") or "local") == "local" for v in local
        ),
        f"{new}pid-ipc-namespace-sharing": bool(shares),
        f"{new}task-cpu-mem-limit": bool(document.get("cpu") or document.get("memory")),
        f"{new}task-eni": document.get("networkMode") == "awsvpc",
    }
    names = [*(f"{old}logging-driver.{d}" for d in sorted(drivers)), *(n for n, on in wanted.items() if on)]
    architecture = (document.get("runtimePlatform") or {}).get("cpuArchitecture")
    valued = [{"name": "ecs.cpu-architecture", "value": architecture.lower()}] if architecture else []
    return [*({"name": name} for name in sorted(names)), *valued]


def _whole(document: Mapping[str, Any], cpu: int, memory: int) -> None:
    containers = document["containerDefinitions"]
    by_name = {c["name"]: c for c in containers}
    if not any(c["essential"] for c in containers):
        raise client_exception("A task definition must have at least one essential container.")
    if cpu and sum(c["cpu"] for c in containers) > cpu:
        raise client_exception("The sum of the containers' cpu is more than the task's cpu.")
    if memory and sum(c.get("memoryReservation") or 0 for c in containers) > memory:
        raise client_exception("The sum of the containers' memoryReservation is more than the task's memory.")
    for c in containers:
        for dependency in c.get("dependsOn") or ():
            other = by_name[dependency["containerName"]]
            if dependency["condition"] in ("COMPLETE", "SUCCESS") and other["essential"]:
                raise client_exception(
                    f"Container {other['name']!r} is essential and cannot be waited for with {dependency['condition']}."
                )
            if dependency["condition"] == "HEALTHY" and not other.get("healthCheck"):
                raise client_exception(
                    f"Container {other['name']!r} needs a healthCheck to be waited for with HEALTHY."
                )
    _no_cycle({c["name"]: _needs(c) for c in containers})
    check_volumes(document)
    check_fixed_ports(containers)


def _needs(c: Mapping[str, Any]) -> list[Any]:
    """The containers that are created or started before it."""
    depends = (d["containerName"] for d in c.get("dependsOn") or ())
    return [*depends, *volume_sources(c), *linked(c)]


def _no_cycle(edges: Mapping[str, Sequence[str]]) -> None:
    done: set[str] = set()
    while len(done) < len(edges):
        ready = [name for name, needs in edges.items() if name not in done and done.issuperset(needs)]
        if not ready:
            left = sorted(set(edges) - done)
            raise client_exception(f"Container dependencies form a cycle: {', '.join(left)}.")
        done.update(ready)


def parts(document: Mapping[str, Any]) -> tuple[tuple[ContainerDefinition, ...], Resources]:
    """The typed containers, and what one task takes from an instance."""
    containers = tuple(
        ContainerDefinition(
            name=c["name"],
            image=c["image"],
            essential=c["essential"],
            cpu=c["cpu"],
            memory=c.get("memory") or 0,
            memory_reservation=c.get("memoryReservation") or 0,
            has_health_check=(c.get("healthCheck") or {}).get("command", ["NONE"])[0] != "NONE",
        )
        for c in document["containerDefinitions"]
    )
    cpu = int(document.get("cpu") or 0) or sum(c.cpu for c in containers)
    memory = int(document.get("memory") or 0) or sum(c.memory_reservation or c.memory for c in containers)
    return containers, Resources(cpu, memory, fixed_ports(document))
