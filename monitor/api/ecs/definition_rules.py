"""What RegisterTaskDefinition accepts, and the defaults it fills in (ECS developer guide, "Task definition
parameters"). Pure: a request in, the normalised document and its typed parts out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.model import arn as arns
from monitor.model.errors import client_exception
from monitor.model.resources import Resources
from monitor.model.task_definition import ContainerDefinition
from monitor.scheduler.placement import check_constraints

MOST_CONTAINERS = 10
MEMORY_FLOOR_MIB = 6  # Docker's own minimum since 20.10
NETWORK_MODES = ("bridge", "host", "none")
LOG_DRIVERS = ("json-file", "syslog", "journald", "gelf", "fluentd", "local", "none", "awslogs", "splunk")
DEFAULTS: Mapping[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}
# Members that a machine of one's own cannot honour yet: refused by name, never silently dropped.
UNSERVED = {
    "secrets": "secrets need Secrets Manager or SSM; pass the value in environment or mount a file",
    "environmentFiles": "environmentFiles need S3; use environment",
    "firelensConfiguration": "FireLens is not available; use a logDriver of the Docker engine",
    "repositoryCredentials": "log the Docker engine in to the registry instead",
    "volumesFrom": "volumesFrom is not implemented yet; share a named volume by mountPoints",
}
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_CPU = re.compile(rf"\s*{_NUMBER}\s*(vcpu)?\s*", re.IGNORECASE | re.ASCII)
_MEMORY = re.compile(rf"\s*{_NUMBER}\s*(gb)?\s*", re.IGNORECASE | re.ASCII)
_CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


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
    mode = document.get("networkMode")
    if mode == "awsvpc":
        raise client_exception(
            "networkMode awsvpc needs an elastic network interface, which these machines do not have. "
            "Use bridge, host or none."
        )
    if mode is not None and mode not in NETWORK_MODES:
        raise client_exception(f"Network mode {mode!r} should be one of [bridge, host, none].")
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
    names = [c.get("name") for c in raw]
    document["containerDefinitions"] = [_container(c, mode or "bridge", memory, names) for c in raw]
    _whole(document, cpu, memory)
    document.setdefault("volumes", [])
    document.setdefault("placementConstraints", [])
    check_constraints(document["placementConstraints"], only_member_of=True)
    compatible = [] if mode == "awsvpc" else ["EXTERNAL", "EC2"]
    wanted = set(document.get("requiresCompatibilities") or ())
    if wanted - set(compatible):
        raise client_exception(
            f"requiresCompatibilities {sorted(wanted - set(compatible))} cannot be met: these machines run EC2 "
            "and EXTERNAL tasks."
        )
    document["compatibilities"] = compatible
    document["requiresAttributes"] = []
    return document


def _family(family: str) -> None:
    if arns.NAME.fullmatch(family) is None:
        raise client_exception(
            "Family contains invalid characters or is too long: use 1 to 255 letters, numbers, underscores and hyphens."
        )


def _container(raw: Mapping[str, Any], mode: str, memory: int, names: Sequence[Any]) -> dict[str, Any]:
    name, image = raw.get("name"), raw.get("image")
    if not name:
        raise client_exception("Container.name should not be null or empty.")
    if arns.NAME.fullmatch(name) is None:
        raise client_exception(f"Container.name {name[:64]!r} contains invalid characters or is too long.")
    if names.count(name) > 1:
        raise client_exception(
            f"Container.name must be unique in the task definition: {name!r} is given twice."
        )
    if not image or len(image) > 255 or any(ch.isspace() for ch in image):
        raise client_exception("Container.image should not be null or empty." if not image else _image(image))
    for member, why in UNSERVED.items():
        if raw.get(member):
            raise client_exception(f"Container {name!r}: {member} cannot be used here: {why}.")
    container = {**{k: _copy(v) for k, v in DEFAULTS.items()}, **raw}
    _sizes(container, memory)
    container["portMappings"] = [_port(p, name, mode) for p in container["portMappings"]]
    _complete(container)
    _health(container)
    _depends(container, names)
    _restarts(container)
    _logs(container)
    if container.get("links") and mode != "bridge":
        raise client_exception(f"Container {name!r}: links are only supported with the network mode bridge.")
    return container


def _complete(c: Mapping[str, Any]) -> None:
    """Members that the model leaves optional and that mean nothing without their names."""
    check_environment(c["name"], c["environment"])
    for member, needed in (("systemControls", "namespace"), ("systemControls", "value")):
        if any(not entry.get(needed) for entry in c[member]):
            raise client_exception(f"Container {c['name']!r}: each of {member} needs a {needed}.")
    for mount in c["mountPoints"]:
        if not mount.get("containerPath"):
            raise client_exception(f"Container {c['name']!r}: each of mountPoints needs a containerPath.")


def check_environment(container: str, environment: Sequence[Mapping[str, str]]) -> None:
    """Raises ClientException for a variable that no process could have."""
    for variable in environment:
        name, value = variable.get("name") or "", variable.get("value") or ""
        if not name or "=" in name or "\0" in name + value:
            raise client_exception(
                f"Container {container!r}: environment variable {name[:64]!r} needs a name without '=', and no "
                "character NUL."
            )


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _image(image: str) -> str:
    return f"Container.image {image[:64]!r} is not valid: at most 255 characters, no blanks."


def _sizes(c: Mapping[str, Any], task: int) -> None:
    name, hard, soft = c["name"], c.get("memory") or 0, c.get("memoryReservation") or 0
    if not hard and not soft and not task:
        raise client_exception(
            f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be "
            "specified."
        )
    if c.get("cpu", 0) < 0:
        raise client_exception(f"Invalid setting for container '{name}'. 'cpu' cannot be negative.")
    for what, value in (("memory", hard), ("memoryReservation", soft)):
        if value and value < MEMORY_FLOOR_MIB:
            raise client_exception(
                f"Invalid setting for container '{name}'. '{what}' is {value} MiB; the minimum is "
                f"{MEMORY_FLOOR_MIB} MiB, below which Docker does not start a container."
            )
    if hard and soft and soft >= hard:
        raise client_exception(
            f"Invalid setting for container '{name}'. 'memory' ({hard}) must be greater than 'memoryReservation' "
            f"({soft})."
        )
    if task and hard > task:
        raise client_exception(
            f"Invalid setting for container '{name}'. 'memory' ({hard}) is more than the task's memory ({task})."
        )


def _port(raw: Mapping[str, Any], name: str, mode: str) -> dict[str, Any]:
    if raw.get("containerPortRange"):
        raise client_exception(
            f"Container {name!r}: containerPortRange is not implemented yet; list the ports."
        )
    port, host = raw.get("containerPort"), raw.get("hostPort") or 0
    if mode == "none":
        raise client_exception(f"Container {name!r}: portMappings cannot be used with the network mode none.")
    if not isinstance(port, int) or not 1 <= port <= 65535 or not 0 <= host <= 65535:
        raise client_exception(
            f"Container {name!r}: ports must be between 1 and 65535 (hostPort 0: any free one)."
        )
    if mode == "host" and host not in (0, port):
        raise client_exception(
            f"When networkMode=host, the host ports and container ports in port mappings must match ({host}, {port})."
        )
    protocol = raw.get("protocol") or "tcp"
    if protocol not in ("tcp", "udp"):
        raise client_exception(f"Container {name!r}: protocol {protocol!r} should be one of [tcp, udp].")
    return {**raw, "containerPort": port, "hostPort": port if mode == "host" else host, "protocol": protocol}


def _health(c: dict[str, Any]) -> None:
    check = c.get("healthCheck")
    if not check:
        return
    ranges = {
        "interval": (5, 300, 30),
        "timeout": (2, 60, 5),
        "retries": (1, 10, 3),
        "startPeriod": (0, 300, None),
    }
    filled = dict(check)
    for member, (low, high, default) in ranges.items():
        value = check.get(member, default)
        if value is None:
            continue
        if not low <= value <= high:
            raise client_exception(
                f"Container {c['name']!r}: healthCheck {member} must be between {low} and {high}, got {value}."
            )
        filled[member] = value
    command = check.get("command") or []
    if (
        not command
        or command[0] not in ("CMD", "CMD-SHELL", "NONE")
        or (command[0] != "NONE" and len(command) < 2)
    ):
        raise client_exception(
            f"Container {c['name']!r}: healthCheck command must start with CMD or CMD-SHELL, followed by the command."
        )
    c["healthCheck"] = filled


def _restarts(c: dict[str, Any]) -> None:
    policy = c.get("restartPolicy")
    if not policy:
        return
    period, ignored = policy.get("restartAttemptPeriod", 300), policy.get("ignoredExitCodes") or []
    if not 60 <= period <= 1800:
        raise client_exception(
            f"Container {c['name']!r}: restartAttemptPeriod must be between 60 and 1800 seconds, got {period}."
        )
    if len(ignored) > 50:
        raise client_exception(f"Container {c['name']!r}: ignoredExitCodes can have at most 50 entries.")
    c["restartPolicy"] = {**policy, "restartAttemptPeriod": period, "ignoredExitCodes": list(ignored)}


def _depends(c: Mapping[str, Any], names: Sequence[Any]) -> None:
    for dependency in c.get("dependsOn") or ():
        other, condition = dependency.get("containerName"), dependency.get("condition")
        if other not in names or other == c["name"]:
            raise client_exception(
                f"Container {c['name']!r} depends on {other!r}, which is not another container here."
            )
        if condition not in _CONDITIONS:
            raise client_exception(
                f"Container dependency condition should be one of [{', '.join(_CONDITIONS)}]."
            )


def _logs(c: Mapping[str, Any]) -> None:
    driver = (c.get("logConfiguration") or {}).get("logDriver")
    if driver is None:
        return
    if driver in ("awslogs", "splunk", "awsfirelens") or driver not in LOG_DRIVERS:
        raise client_exception(
            f"Container {c['name']!r}: logDriver {driver!r} is not available here; use json-file, journald, syslog, "
            "gelf or fluentd."
        )


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
    _no_cycle({c["name"]: [d["containerName"] for d in c.get("dependsOn") or ()] for c in containers})
    _volumes(document)
    _fixed_ports(containers)


def _no_cycle(edges: Mapping[str, Sequence[str]]) -> None:
    done: set[str] = set()
    while len(done) < len(edges):
        ready = [name for name, needs in edges.items() if name not in done and done.issuperset(needs)]
        if not ready:
            left = sorted(set(edges) - done)
            raise client_exception(f"Container dependencies form a cycle: {', '.join(left)}.")
        done.update(ready)


def _volumes(document: Mapping[str, Any]) -> None:
    names = {v.get("name") for v in document.get("volumes") or ()}
    for volume in document.get("volumes") or ():
        if not volume.get("name"):
            raise client_exception("Volume.name should not be null or empty.")
        unserved = [k for k in volume if k not in ("name", "host", "dockerVolumeConfiguration")]
        if unserved:
            raise client_exception(
                f"Volume {volume.get('name')!r}: {unserved[0]} is not available here; use host or a Docker volume."
            )
    for c in document["containerDefinitions"]:
        for mount in c["mountPoints"]:
            if mount.get("sourceVolume") not in names:
                raise client_exception(f"Unknown volume '{mount.get('sourceVolume')}'.")


def _fixed_ports(containers: Sequence[Mapping[str, Any]]) -> None:
    seen: set[tuple[int, str]] = set()
    for c in containers:
        for p in c["portMappings"]:
            key = (p["hostPort"], p["protocol"])
            if p["hostPort"] and key in seen:
                raise client_exception(f"Host port {key[0]}/{key[1]} is used by more than one container.")
            seen.add(key)


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
    ports = frozenset(
        (p["hostPort"], p["protocol"])
        for c in document["containerDefinitions"]
        for p in c["portMappings"]
        if p["hostPort"]
    )
    cpu = int(document.get("cpu") or 0) or sum(c.cpu for c in containers)
    memory = int(document.get("memory") or 0) or sum(c.memory_reservation or c.memory for c in containers)
    return containers, Resources(cpu, memory, ports)
