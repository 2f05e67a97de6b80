"""Recorded /proc and /sys/fs/cgroup files, laid out as trees that a CgroupReader can be pointed at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CONTAINER = "6b294ec30efec16cae89b76897fef9e6aa51b32b2eff051cce24a86d4c76c35a"
PID = 4711

# Linux 6.18, Docker 20.10, cgroup v1.
V1_MEMORY_STAT = """\
cache 12288
rss 53248
rss_huge 0
shmem 0
mapped_file 0
inactive_file 8192
active_file 4096
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 134217728
total_cache 12288000
total_rss 53248000
total_rss_huge 0
total_shmem 0
total_mapped_file 4096
total_dirty 0
total_writeback 0
total_workingset_refault_anon 0
total_workingset_refault_file 0
total_swap 8192
total_swapcached 0
total_pgpgin 859
total_pgpgout 846
total_pgfault 1164
total_pgmajfault 3
total_inactive_anon 49152
total_active_anon 4096
total_inactive_file 8192000
total_active_file 4096
total_unevictable 0
"""
V1_FILES = {
    "cpuacct/cpuacct.usage": "2500000000\n",
    "cpuacct/cpuacct.stat": "user 150\nsystem 90\n",
    "cpu/cpu.stat": "nr_periods 200\nnr_throttled 50\nthrottled_time 1500000000\nnr_bursts 0\nburst_time 0\n",
    "memory/memory.usage_in_bytes": "65536000\n",
    "memory/memory.max_usage_in_bytes": "66000000\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.stat": V1_MEMORY_STAT,
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/memory.failcnt": "7\n",
    "pids/pids.current": "5\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": (
        "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 12288\n254:0 Async 0\n254:0 Discard 0\n254:0 Total 12288\n"
        "259:0 Read 1000\n259:0 Write 0\n259:0 Total 1000\nTotal 13288\n"
    ),
    "blkio/blkio.throttle.io_serviced_recursive": (
        "254:0 Read 1\n254:0 Write 2\n254:0 Total 3\n259:0 Read 4\n259:0 Write 0\n259:0 Total 4\nTotal 7\n"
    ),
}
PRESSURE = (
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=11724\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=6799\n"
)
PRESSURE_FILES = {
    "cpu.pressure": PRESSURE,
    "memory.pressure": PRESSURE.replace("11724", "500000"),
    "io.pressure": PRESSURE.replace("6799", "250000"),
}
# Linux 6.1, Docker 24, systemd driver, cgroup v2.
V2_FILES = {
    "cpu.stat": (
        "usage_usec 2500000\nuser_usec 1500000\nsystem_usec 1000000\ncore_sched.force_idle_usec 0\n"
        "nr_periods 200\nnr_throttled 50\nthrottled_usec 1500000\nnr_bursts 0\nburst_usec 0\n"
    ),
    "memory.current": "65536000\n",
    "memory.peak": "66000000\n",
    "memory.max": "67108864\n",
    "memory.stat": (
        "anon 53248000\nfile 12288000\nkernel 1081344\nfile_mapped 4096\ninactive_anon 49152\nactive_anon 4096\n"
        "inactive_file 8192000\nactive_file 4096\nunevictable 0\npgfault 1164\npgmajfault 3\n"
    ),
    "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
    "memory.swap.current": "8192\n",
    "pids.current": "5\n",
    "io.stat": (
        "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n259:0 rbytes=1000 wbytes=0 rios=4 wios=0 "
        "dbytes=0 dios=0\n"
    ),
    **PRESSURE_FILES,
}
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0
  eth0:    9001      12    1    2    0     0          0         0     1234       7    3    4    0     0       0          0
"""  # noqa: E501
MOUNT = "{id} 23 0:{id} {root} {point} rw,relatime - {kind} {kind} rw{options}\n"


def mountinfo(mounts: Mapping[str, str], root: str = "/") -> str:
    """A mount table: mount point → its controllers ("" for cgroup v2)."""
    out = "23 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
    for number, (point, controllers) in enumerate(mounts.items(), start=30):
        kind = "cgroup" if controllers else "cgroup2"
        options = f",{controllers}" if controllers else ""
        out += MOUNT.format(id=number, root=root, point=point, kind=kind, options=options)
    return out


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_process(
    proc: Path, cgroup: str, mounts: str, pid: int = PID, net_dev: str | None = NET_DEV
) -> None:
    write(proc, {f"{pid}/cgroup": cgroup, "self/mountinfo": mounts})
    if net_dev is not None:
        write(proc, {f"{pid}/net/dev": net_dev})


def v1_tree(
    base: Path, path: str = f"/docker/{CONTAINER}", listed: str = "", pid: int = PID
) -> tuple[Path, Path]:
    """(root, proc) of a v1 host; `listed` is what /proc/PID/cgroup says when that is not `path`."""
    root, proc = base / "cgroup", base / "proc"
    controllers = ("cpu", "cpuacct", "memory", "pids", "blkio")
    for name, text in V1_FILES.items():
        controller, file = name.split("/")
        write(root / controller / path.lstrip("/"), {file: text})
    listing = "".join(f"{n}:{c}:{listed or path}\n" for n, c in enumerate(controllers, start=1)) + "0::/\n"
    mounts = mountinfo({f"/sys/fs/cgroup/{c}": c for c in controllers})
    write_process(proc, listing, mounts, pid)
    return root, proc


def v2_tree(
    base: Path, path: str = f"/system.slice/docker-{CONTAINER}.scope", listed: str = "", pid: int = PID
) -> tuple[Path, Path]:
    """(root, proc) of a v2 host; `listed` is what /proc/PID/cgroup says when that is not `path`."""
    root, proc = base / "cgroup", base / "proc"
    write(root / path.lstrip("/"), V2_FILES)
    write_process(proc, f"0::{listed or path}\n", mountinfo({"/sys/fs/cgroup": ""}), pid)
    return root, proc
