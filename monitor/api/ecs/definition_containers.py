"""What a container definition may say, and the defaults it is given (ECS API reference, ContainerDefinition). Pure.

What a machine of one's own cannot do is refused by name, with what to do instead; nothing is silently dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.api.ecs import definition_linux as linux
from monitor.api.ecs import definition_logs
from monitor.api.ecs.definition_ports import port_mappings
from monitor.model import arn as arns
from monitor.model.errors import client_exception

MEMORY_FLOOR_MIB = 6  # Docker's own minimum since 20.10
DEFAULTS: Mapping[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}
UNSERVED = {
    "secrets": "secrets need Secrets Manager or SSM; pass the value in environment or mount a file",
    "environmentFiles": "environmentFiles need S3; use environment",
    "firelensConfiguration": "FireLens is not available; use a logDriver of the Docker engine",
    "repositoryCredentials": "log the Docker engine in to the registry instead",
    "credentialSpecs": "they need Active Directory; mount a keytab file",
    "resourceRequirements": "GPUs and other accelerators are not handed out; use linuxParameters devices",
}
CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")
RESTART_SECONDS = (60, 1800, 300)  # least, most, default
MOST_IGNORED_CODES = 50


def container(raw: Mapping[str, Any], document: Mapping[str, Any], memory: int) -> dict[str, Any]:
    """One of the document's containers, with its defaults. `memory`: the task's, MiB. Raises ClientException."""
    _named(raw, [c.get("name") for c in document["containerDefinitions"]])
    mode = document.get("networkMode") or "bridge"
    c = {**{k: _copy(v) for k, v in DEFAULTS.items()}, **raw}
    _sizes(c, memory)
    c["portMappings"] = port_mappings(c, mode)
    _complete(c)
    _health(c)
    _restarts(c)
    _depends(c, document)
    definition_logs.check(c)
    _network(c, mode)
    linux.check(c, document)
    return c


def _named(raw: Mapping[str, Any], names: Sequence[Any]) -> None:
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


def _complete(c: Mapping[str, Any]) -> None:
    """Members that the model leaves optional and that mean nothing without their names."""
    check_environment(c["name"], c["environment"])
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


def _restarts(c: dict[str, Any]) -> None:
    policy = c.get("restartPolicy")
    if policy is None:
        return
    least, most, default = RESTART_SECONDS
    period = policy.get("restartAttemptPeriod") or default
    if not least <= period <= most:
        raise client_exception(
            f"Container {c['name']!r}: restartAttemptPeriod must be between {least} and {most} seconds, got {period}."
        )
    codes = policy.get("ignoredExitCodes") or []
    if len(codes) > MOST_IGNORED_CODES:
        raise client_exception(
            f"Container {c['name']!r}: at most {MOST_IGNORED_CODES} ignoredExitCodes, got {len(codes)}."
        )
    if not policy.get("enabled") and (codes or policy.get("restartAttemptPeriod")):
        raise client_exception(
            f"Container {c['name']!r}: restartPolicy is not enabled: set enabled, or leave its other members out."
        )
    if policy.get("enabled"):
        c["restartPolicy"] = {"ignoredExitCodes": [], **policy, "restartAttemptPeriod": period}


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


def _depends(c: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    others = {o["name"] for o in document["containerDefinitions"] if o.get("name")} - {c["name"]}
    for dependency in c.get("dependsOn") or ():
        other, condition = dependency.get("containerName"), dependency.get("condition")
        if other not in others:
            raise client_exception(
                f"Container {c['name']!r} depends on {other!r}, which is not another container here."
            )
        if condition not in CONDITIONS:
            raise client_exception(
                f"Container dependency condition should be one of [{', '.join(CONDITIONS)}]."
            )
    for what, names in (("volumesFrom", volume_sources(c)), ("links", linked(c))):
        for other in names:
            if other not in others:
                raise client_exception(
                    f"Container {c['name']!r}: {what} names {other!r}, which is not another container here."
                )


def volume_sources(c: Mapping[str, Any]) -> list[Any]:
    return [v.get("sourceContainer") for v in c.get("volumesFrom") or ()]


def linked(c: Mapping[str, Any]) -> list[str]:
    """The names in `NAME[:ALIAS]`."""
    return [link.partition(":")[0] for link in c.get("links") or ()]


def _network(c: Mapping[str, Any], mode: str) -> None:
    """What needs a network of the container's own (ECS API reference, ContainerDefinition)."""
    if c.get("links") and mode != "bridge":
        raise client_exception(
            f"Container {c['name']!r}: links are only supported with the network mode bridge."
        )
    for member in ("hostname", "extraHosts", "disableNetworking"):
        if c.get(member) and mode == "awsvpc":
            raise client_exception(
                f"Container {c['name']!r}: {member} is not supported with the network mode awsvpc: its containers "
                "share one network."
            )
