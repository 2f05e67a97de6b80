"""The cgroup of a task: its cpu and memory as a whole, around those of its containers (ECS: /ecs/<task id>).

Needs root, a daemon of this machine and Docker's cgroupfs driver; where one is missing, each container is capped
by the task's size instead, which is said once in the log.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from monitor.agent.engine import EngineInfo
from monitor.agent.mapping import MIB, TaskLimits

log = logging.getLogger("moorwatch.agent.cgroup")

PARENT = "ecs"
PERIOD_MICROSECONDS = 100_000


class TaskCgroups:
    def __init__(self, info: EngineInfo, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root
        self._is_v2 = (root / "cgroup.controllers").exists()
        self._usable = info.is_local and info.cgroup_driver == "cgroupfs" and os.geteuid() == 0
        if not self._usable:
            log.info("task limits are applied per container: no cgroup of a task's own can be made here")

    def limits(self, task_id: str, cpus: float, memory_mib: int) -> TaskLimits:
        """Make the task's cgroup; or the caps that stand in for it. Nothing when the task has no size."""
        if not cpus and not memory_mib:
            return TaskLimits()
        caps = TaskLimits(cap_cpus=cpus, cap_memory_mib=memory_mib)
        if not self._usable:
            return caps
        try:
            self._make(task_id, cpus, memory_mib)
        except OSError as error:
            log.warning(
                "task=%s no cgroup of its own (%s): its containers are capped instead", task_id, error
            )
            self.remove(task_id)
            return caps
        return TaskLimits(cgroup_parent=f"/{PARENT}/{task_id}")

    def _make(self, task_id: str, cpus: float, memory_mib: int) -> None:
        quota = int(cpus * PERIOD_MICROSECONDS)
        if self._is_v2:
            parent = self._root / PARENT
            parent.mkdir(exist_ok=True)
            for level in (self._root, parent):
                (level / "cgroup.subtree_control").write_text("+cpu +memory +pids +io +cpuset")
            folder = parent / task_id
            folder.mkdir(exist_ok=True)
            if cpus:
                (folder / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
            if memory_mib:
                (folder / "memory.max").write_text(str(memory_mib * MIB))
            return
        if cpus:
            folder = self._root / "cpu" / PARENT / task_id
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
        if memory_mib:
            folder = self._root / "memory" / PARENT / task_id
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "memory.limit_in_bytes").write_text(str(memory_mib * MIB))

    def remove(self, task_id: str) -> None:
        """Remove what is left of the task's cgroups; one that is still in use stays for the next try."""
        folders = (
            [self._root / PARENT / task_id]
            if self._is_v2
            else [p / PARENT / task_id for p in self._root.iterdir() if p.is_dir() and not p.is_symlink()]
        )
        for folder in folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.debug("cgroup=%s stays: %s", folder, error)
