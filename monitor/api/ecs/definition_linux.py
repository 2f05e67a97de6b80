"""Kernel settings of a container definition: linuxParameters, ulimits, systemControls (ECS API reference). Pure.

They are handed to Docker as they are, so what Docker or the kernel would refuse at every start is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from monitor.model.errors import client_exception

IPC_CONTROLS = frozenset(
    f"kernel.{name}"
    for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_CAPABILITY = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_DEVICE_PERMISSIONS = ("read", "write", "mknod")


def check(c: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Raises ClientException."""
    for limit in c.get("ulimits") or ():
        if 0 <= limit["hardLimit"] < limit["softLimit"]:
            raise _refused(c, f"ulimit {limit['name']}: softLimit is above hardLimit")
    for control in c["systemControls"]:
        _system_control(c, control, document)
    parameters = c.get("linuxParameters") or {}
    capabilities = parameters.get("capabilities") or {}
    for name in [*(capabilities.get("add") or ()), *(capabilities.get("drop") or ())]:
        if _CAPABILITY.fullmatch(name) is None:
            raise _refused(c, f"capability {name[:32]!r} is not valid; write it like NET_ADMIN")
    for device in parameters.get("devices") or ():
        unknown = set(device.get("permissions") or ()) - set(_DEVICE_PERMISSIONS)
        if unknown:
            raise _refused(c, f"device permissions should be of [{', '.join(_DEVICE_PERMISSIONS)}]")
    _memory(c, parameters)


def _memory(c: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    shared, swap, swappiness = (parameters.get(k) for k in ("sharedMemorySize", "maxSwap", "swappiness"))
    if shared is not None and shared <= 0:
        raise _refused(c, "sharedMemorySize must be above 0 MiB")
    if swap is not None and swap < 0:
        raise _refused(c, "maxSwap cannot be negative; 0 is no swap")
    if swap is not None and not c.get("memory"):
        raise _refused(c, "maxSwap needs the container's memory: Docker limits both together")
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise _refused(c, "swappiness must be between 0 and 100")
    if swappiness is not None and swap is None:
        raise _refused(c, "swappiness needs maxSwap")
    for tmpfs in parameters.get("tmpfs") or ():
        if tmpfs["size"] <= 0 or not tmpfs["containerPath"].startswith("/"):
            raise _refused(c, "tmpfs needs an absolute containerPath and a size above 0 MiB")


def _system_control(c: Mapping[str, Any], control: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    for member in ("namespace", "value"):
        if not control.get(member):
            raise _refused(c, f"each of systemControls needs a {member}")
    name, mode = control["namespace"], document.get("networkMode") or "bridge"
    of_ipc = name in IPC_CONTROLS or name.startswith("fs.mqueue.")
    if not of_ipc and not name.startswith("net."):
        raise _refused(c, f"systemControls {name!r} is not of the container alone; set it on the machine")
    if of_ipc and document.get("ipcMode") == "host":
        raise _refused(c, f"systemControls {name!r} cannot be set with ipcMode host; set it on the machine")
    if not of_ipc and mode == "host":
        raise _refused(
            c, f"systemControls {name!r} cannot be set with networkMode host; set it on the machine"
        )


def _refused(c: Mapping[str, Any], why: str) -> Exception:
    return client_exception(f"Container {c['name']!r}: {why}.")
