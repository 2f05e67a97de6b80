"""Where the cgroup hierarchies are mounted, and what ceilings a cgroup and those above it set.

Mounts are taken from /proc/…/mountinfo, so nested parents, systemd slices and mounts in odd places need no rule of
their own.
"""

from __future__ import annotations

from pathlib import Path

from exporters import parse
from exporters.parse import BadFile, Mount

ROOT, PROC = Path("/sys/fs/cgroup"), Path("/proc")


class Hierarchies:
    """Where the cgroup hierarchies are mounted; read again when one is asked for that was not there."""

    def __init__(self, root: Path = ROOT, proc: Path = PROC) -> None:
        self._root, self._proc = root, proc
        self._mounts = self._read()

    def _read(self) -> dict[str, Mount]:
        for process in ("self", "1"):  # in a /proc of another pid namespace "self" leads nowhere
            try:
                return parse.parse_mountinfo((self._proc / process / "mountinfo").read_text())
            except (OSError, UnicodeDecodeError):
                continue
        return {}

    def folder(self, controller: str, path: str) -> Path | None:
        """The folder of the cgroup `path` in the controller's hierarchy; None where that does not show."""
        if controller not in self._mounts:
            self._mounts = self._read()
        mount = self._mounts.get(controller)
        if mount is None:
            return None if self._mounts else self._root / controller / path.lstrip("/")
        # A mount that shows only a part (in a container) has that part's path cut off.
        if mount.root != "/":
            if not f"{path}/".startswith(f"{mount.root}/"):
                return None
            path = path[len(mount.root) :]
        point = Path(mount.point)
        if point.is_relative_to(ROOT):  # the host's, which we may see at another place
            point = self._root / point.relative_to(ROOT)
        return point / path.lstrip("/")


def own_part(path: str, container_id: str) -> str | None:
    """The container's cgroup, when its first process moved itself into one below; None: not this container's."""
    parts = path.split("/")
    for at in range(len(parts) - 1, -1, -1):
        if container_id in parts[at]:
            return "/".join(parts[: at + 1])
    return None


def lower(one: int, other: int) -> int:
    """The lower of two limits, of which 0 is none."""
    return min(one, other) if one and other else one or other


def cpu_ceiling(folder: Path) -> float:
    """The CPU ceiling of a cgroup in cores, 0: none."""
    try:
        if (unified := folder / "cpu.max").exists():
            quota, _, period = unified.read_text().partition(" ")
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return max(0.0, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0  # "max", no such file, or not to be read: no ceiling that we know of


def lowest_limit(folder: Path) -> int:
    """Of the cgroups from `folder` up; a task's limit is one level above its containers'. 0: none."""
    lowest = 0
    while (limit_file := folder / "memory.max").exists():
        try:
            lowest = lower(lowest, parse.parse_number(limit_file.read_bytes()))
        except (OSError, BadFile):
            return lowest
        folder = folder.parent
    return lowest
