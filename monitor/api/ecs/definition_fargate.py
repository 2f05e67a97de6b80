"""What FARGATE asks of a task definition (ECS developer guide, "Task definition differences for Fargate").

The tasks run on machines of one's own; the rules are kept so that a definition is good in both places. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GIB = 1024
_SIZES: Mapping[int, frozenset[int]] = {
    256: frozenset((512, 1 * GIB, 2 * GIB)),
    512: frozenset(n * GIB for n in range(1, 5)),
    1024: frozenset(n * GIB for n in range(2, 9)),
    2048: frozenset(n * GIB for n in range(4, 17)),
    4096: frozenset(n * GIB for n in range(8, 31)),
    8192: frozenset(n * GIB for n in range(16, 61, 4)),
    16384: frozenset(n * GIB for n in range(32, 121, 8)),
    32768: frozenset(n * GIB for n in (60, 120, 244)),
}
_REMOTE_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_NOT_OF_CONTAINERS = (
    "disableNetworking",
    "dnsSearchDomains",
    "dnsServers",
    "dockerSecurityOptions",
    "extraHosts",
    "links",
    "privileged",
)
_NOT_OF_LINUX = ("devices", "maxSwap", "sharedMemorySize", "swappiness")
_LONGEST_SECONDS = 120


def objection(document: Mapping[str, Any]) -> str:
    """Why the definition does not fit FARGATE; "" when it does."""
    return (
        _of_task(document)
        or next(filter(None, (_of_volume(v) for v in document.get("volumes") or ())), "")
        or next(filter(None, (_of_container(c) for c in document["containerDefinitions"])), "")
    )


def _of_task(document: Mapping[str, Any]) -> str:
    if document.get("networkMode") != "awsvpc":
        return "Fargate only supports network mode 'awsvpc'."
    for name in ("cpu", "memory"):
        if not document.get(name):
            return f"Fargate requires that '{name}' be defined at the task level."
    if int(document["memory"]) not in _SIZES.get(int(document["cpu"]), ()):
        return "No Fargate configuration exists for given values."
    mode = document.get("pidMode")
    if mode not in (None, "task"):
        return (
            f"Tasks using the Fargate launch type do not support pidMode '{mode}'. The supported value for pidMode is "
            "'task'."
        )
    for name in ("ipcMode", "placementConstraints"):
        if document.get(name):
            return f"Tasks using the Fargate launch type do not support {name}: remove it."
    return ""


def _of_volume(volume: Mapping[str, Any]) -> str:
    if volume.get("dockerVolumeConfiguration"):
        return (
            f"Fargate does not support dockerVolumeConfiguration (volume '{volume['name']}'): leave it out."
        )
    if (volume.get("host") or {}).get("sourcePath"):
        return f"Fargate does not support a host sourcePath (volume '{volume['name']}'): leave it out."
    return ""


def _of_container(c: Mapping[str, Any]) -> str:
    linux = c.get("linuxParameters") or {}
    members = [m for m in _NOT_OF_CONTAINERS if c.get(m)]
    members += [f"linuxParameters.{m}" for m in _NOT_OF_LINUX if linux.get(m) not in (None, [])]
    if members:
        return f"Fargate does not support {members[0]} (container '{c['name']}'): remove it."
    added = set((linux.get("capabilities") or {}).get("add") or ()) - {"SYS_PTRACE"}
    if added:
        return f"Fargate only allows the capability SYS_PTRACE to be added (container '{c['name']}')."
    driver = (c.get("logConfiguration") or {}).get("logDriver")
    if driver and driver not in _REMOTE_LOG_DRIVERS:
        return (
            f"Fargate does not support the log driver '{driver}' (container '{c['name']}'): leave "
            "logConfiguration out, and the Docker engine keeps the log."
        )
    for name in ("startTimeout", "stopTimeout"):
        if (c.get(name) or 0) > _LONGEST_SECONDS:
            return f"Fargate allows {name} up to {_LONGEST_SECONDS} seconds (container '{c['name']}')."
    return ""
