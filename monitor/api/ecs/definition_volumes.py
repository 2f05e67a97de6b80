"""Volumes of a task definition: bind mounts and Docker volumes (ECS API reference, Volume). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.model import arn as arns
from monitor.model.errors import client_exception

SERVED = ("name", "host", "dockerVolumeConfiguration")


def check_volumes(document: Mapping[str, Any]) -> None:
    """Raises ClientException."""
    names: set[str] = set()
    for volume in document.get("volumes") or ():
        _check(volume)
        if volume["name"] in names:
            raise client_exception(f"Volume.name must be unique: {volume['name']!r} is given twice.")
        names.add(volume["name"])
    for c in document["containerDefinitions"]:
        for mount in c["mountPoints"]:
            if mount.get("sourceVolume") not in names:
                raise client_exception(f"Unknown volume '{mount.get('sourceVolume')}'.")


def _check(volume: Mapping[str, Any]) -> None:
    name = volume.get("name")
    if not name:
        raise client_exception("Volume.name should not be null or empty.")
    if arns.NAME.fullmatch(name) is None:
        raise client_exception(f"Volume.name {name[:64]!r} contains invalid characters or is too long.")
    unserved = [k for k in volume if k not in SERVED and volume[k]]
    if unserved:
        raise client_exception(
            f"Volume {name!r}: {unserved[0]} is not available here; use host or a Docker volume."
        )
    path = (volume.get("host") or {}).get("sourcePath") or ""
    docker = volume.get("dockerVolumeConfiguration")
    if path and not path.startswith("/"):
        raise client_exception(f"Volume {name!r}: host sourcePath {path[:64]!r} should be an absolute path.")
    if docker is None:
        return
    if path:
        raise client_exception(f"Volume {name!r}: give either host or dockerVolumeConfiguration, not both.")
    if docker.get("scope") not in (None, "task", "shared"):
        raise client_exception(f"Volume {name!r}: scope should be one of [task, shared].")
    if docker.get("autoprovision") and docker.get("scope") != "shared":
        raise client_exception(
            f"Volume {name!r}: autoprovision is for the scope shared; a volume of scope task is always made."
        )
