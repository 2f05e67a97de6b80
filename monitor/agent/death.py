"""Death: see a container's process end some 100 ms before Docker says so.

A pidfd becomes readable when the process is gone. It says nothing else: the exit code still comes from Docker.
Only for containers whose pids are processes of this machine, which is checked before one is trusted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path


def open_pidfd(pid: int, container_id: str, proc: Path = Path("/proc")) -> int | None:
    """A pidfd of the container's first process; None when it cannot be had (gone, remote, not supported)."""
    if pid <= 0 or not hasattr(os, "pidfd_open"):
        return None
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    # Checked after opening: a pid that was used again in between shows another container's cgroup.
    try:
        is_ours = container_id in (proc / str(pid) / "cgroup").read_text()
    except OSError:
        is_ours = False
    if not is_ours:
        os.close(fd)
        return None
    return fd


class DeathWatch:
    """Calls back on the loop, once, when the process behind a pidfd has ended."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def watch(self, container_id: str, pid: int, gone: Callable[[], None]) -> bool:
        """False when there is nothing to watch; Docker's events must do then."""
        if container_id in self._fds:
            return True
        fd = open_pidfd(pid, container_id)
        if fd is None:
            return False
        self._fds[container_id] = fd

        def readable() -> None:
            self.forget(container_id)
            gone()

        asyncio.get_running_loop().add_reader(fd, readable)
        return True

    def forget(self, container_id: str) -> None:
        fd = self._fds.pop(container_id, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        for container_id in list(self._fds):
            self.forget(container_id)
