"""cgroup v1, v2 and hybrids of them → samples: the hot path. Descriptors stay open; Docker is not asked.

Where the files are comes from /proc/PID/cgroup and the mount table, so nested parents, systemd slices and mounts
in odd places need no rule of their own. `root` and `proc` are parameters so that an exporter in a container can
be pointed at the host's, and tests at recorded trees.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from exporters import parse
from exporters.hierarchy import PROC, ROOT, Hierarchies, cpu_ceiling, lower, lowest_limit, own_part
from exporters.parse import Picker
from exporters.sample import ContainerIdentity, Interface, Sample

NANOSECONDS = 1e9
MICROSECONDS = 1e6
UNLIMITED = 1 << 60  # v1 says "no limit" by a number near 2^63
READ_BYTES = 16384
FILES_A_CONTAINER = 16
_TICKS = os.sysconf("SC_CLK_TCK")
_GONE = (errno.ENOENT, errno.ENODEV, errno.ESRCH)
_FULL = (errno.EMFILE, errno.ENFILE)

_V1_TICKS = Picker(b"user", b"system")
_V1_QUOTA = Picker(b"nr_periods", b"nr_throttled", b"throttled_time")
_V1_MEMORY = Picker(
    b"total_cache",
    b"total_rss",
    b"total_mapped_file",
    b"total_swap",
    b"total_active_anon",
    b"total_inactive_anon",
    b"total_active_file",
    b"total_inactive_file",
    b"total_unevictable",
    b"total_pgfault",
    b"total_pgmajfault",
    b"hierarchical_memory_limit",
    start=b"hierarchical_memory_limit ",  # the first of the totals: the numbers before leave out cgroups below
)
_V1_OOM = Picker(b"oom_kill")
_V2_CPU = Picker(
    b"usage_usec", b"user_usec", b"system_usec", b"nr_periods", b"nr_throttled", b"throttled_usec"
)
_V2_MEMORY = Picker(
    b"anon",
    b"file_mapped",
    b"active_anon",
    b"inactive_anon",
    b"active_file",
    b"inactive_file",
    b"unevictable",
    b"kernel",
    b"pgfault",
    b"pgmajfault",
)
_V2_EVENTS = Picker(b"max", b"oom_kill")

# Part of a sample → its files. A container's part is read from the version whose first file is there.
_V1 = {
    "cpu": (
        ("cpuacct", "cpuacct.usage"),
        ("cpuacct", "cpuacct.stat"),
        ("cpu", "cpu.stat"),
    ),
    "memory": (
        ("memory", "memory.usage_in_bytes"),
        ("memory", "memory.max_usage_in_bytes"),
        ("memory", "memory.stat"),
        ("memory", "memory.oom_control"),
        ("memory", "memory.failcnt"),
    ),
    "io": (
        ("blkio", "blkio.throttle.io_service_bytes_recursive"),
        ("blkio", "blkio.throttle.io_serviced_recursive"),
    ),
    "pids": (("pids", "pids.current"),),
}
_V2 = {
    "cpu": ("cpu.stat",),
    "memory": (
        "memory.current",
        "memory.peak",
        "memory.max",
        "memory.stat",
        "memory.events",
        "memory.swap.current",
    ),
    "io": ("io.stat",),
    "pids": ("pids.current",),
}
_TASK_CPU = "task cpu.stat"
_PRESSURE = ("cpu.pressure", "memory.pressure", "io.pressure")  # v2, and the v2 side of a hybrid


# The parts, in the order of Sample's fields.
_Cpu = tuple[float | None, float | None, float | None, int | None, int | None, float | None]
_Int = int | None
_Memory = tuple[
    _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int, _Int
]
_Io = tuple[_Int, _Int, _Int, _Int]


class Gone(Exception):
    """The container's cgroup is not there (any more)."""


class NotVisible(Gone):
    """The process is there, but its cgroup cannot be seen from here; the message says what to do."""


class Unreadable(Exception):
    """This time the files could not be read (no descriptor free); the container may well be alive."""


class NotYet(Unreadable):
    """There is nothing to read yet."""


class CgroupReader:
    """Reads one container; safe to read and close from several threads. Close it when the container is over."""

    def __init__(
        self,
        identity: ContainerIdentity,
        root: Path = ROOT,
        proc: Path = PROC,
        hierarchies: Hierarchies | None = None,
        keep_open: bool = True,
    ) -> None:
        """`keep_open=False` opens the files anew for each sample. Raises Gone."""
        self._id, self._keep_open = identity.id, keep_open
        self._files: dict[str, int | Path] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._memory_ceiling = 0  # v2: the lowest limit of the cgroups above; 0: none
        self.quota_cores = 0.0  # CPU ceiling in force: the container's own, or its task's; 0: none
        process = proc / str(identity.pid)
        try:
            listed = parse.parse_proc_cgroup((process / "cgroup").read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise Gone(f"container {identity.id[:12]} has no process {identity.pid}") from error
        paths = {c: own for c, path in listed.items() if (own := own_part(path, identity.id)) is not None}
        if not paths:
            raise NotVisible(
                f"process {identity.pid} does not show as container {identity.id[:12]}: run on the Docker host "
                "itself, or in a container with --pid=host --cgroupns=host and /sys/fs/cgroup mounted"
            )
        try:
            self._open_all(paths, hierarchies or Hierarchies(root, proc))
            if not self._files:
                kind = NotVisible if process.exists() else Gone
                raise kind(f"container {identity.id[:12]} has no cgroup files that can be read from here")
            if identity.network_mode != "host":
                self._open("dev", process / "net" / "dev")
        except BaseException:
            self.close()
            raise
        self._is_v1 = {part: part_files[0][1] in self._files for part, part_files in _V1.items()}

    def _open_all(self, paths: dict[str, str], hierarchies: Hierarchies) -> None:
        unified = hierarchies.folder("", paths[""]) if "" in paths else None
        for part, files in _V1.items():
            for controller, name in files:
                folder = hierarchies.folder(controller, paths[controller]) if controller in paths else None
                if folder is not None:
                    self._open(name, folder / name)
            if files[0][1] not in self._files and unified is not None:
                for name in _V2[part]:
                    self._open(name, unified / name)
        folder = hierarchies.folder("cpu", paths["cpu"]) if "cpu" in paths else unified
        if folder is not None:
            self._find_quota(folder)
        if unified is not None:
            for name in _PRESSURE:
                self._open(name, unified / name)
            if "memory.max" in self._files:
                self._memory_ceiling = lowest_limit(unified.parent)

    def _find_quota(self, folder: Path) -> None:
        """An ECS task's CPU is a quota on the cgroup above its containers': what holds them back is told there."""
        self.quota_cores = cpu_ceiling(folder)
        if not self.quota_cores and (above := cpu_ceiling(folder.parent)):
            self.quota_cores = above
            self._open(_TASK_CPU, folder.parent / "cpu.stat")

    def _open(self, name: str, path: Path) -> None:
        """Keep a file that can be read; what this kernel has not stays None in samples."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if self._keep_open:
                self._files[name] = fd
                return
            os.close(fd)
        except OSError as error:
            if error.errno not in _FULL:
                return
        self._files[name] = path

    def _read(self, name: str) -> bytes | None:
        source = self._files.get(name)
        if source is None:
            return None
        try:
            if source.__class__ is int:
                return os.pread(source, READ_BYTES, 0)
            return _read_once(source)  # type: ignore[arg-type]
        except OSError as error:
            if error.errno in _GONE:
                raise Gone(f"container {self._id[:12]} is over") from error
            if error.errno in _FULL:
                raise Unreadable(f"container {self._id[:12]}: {error.strerror}") from error
        # A file that can be opened but not read, like pressure where the kernel has it switched off.
        del self._files[name]
        if isinstance(source, int):
            os.close(source)
        return None

    def _number(self, name: str) -> int | None:
        text = self._read(name)
        return None if text is None else parse.parse_number(text)

    def _pick(self, picker: Picker, name: str) -> list[int | None]:
        text = self._read(name)
        return picker.nothing if text is None else picker.pick(text)

    def _pressure(self, name: str) -> tuple[float | None, float | None]:
        text = self._read(name)
        if text is None:
            return None, None
        some, full = parse.parse_pressure(text)
        return _per(some, MICROSECONDS), _per(full, MICROSECONDS)

    def read(self, at: float) -> Sample:
        """Raises Gone, Unreadable, BadFile."""
        with self._lock:
            if self._is_closed:
                raise Gone(f"container {self._id[:12]} is no longer read")
            v1 = self._is_v1
            cpu = self._cpu_v1() if v1["cpu"] else self._cpu_v2()
            memory = self._memory_v1() if v1["memory"] else self._memory_v2()
            io = self._io_v1() if v1["io"] else self._io_v2()
            network = self._network()
            waits = (
                self._pressure("cpu.pressure")[0],
                *self._pressure("memory.pressure"),
                *self._pressure("io.pressure"),
            )
            return Sample(at, self._id, *cpu, *memory, self._number("pids.current"), *io, *waits, network)

    def descriptors(self) -> list[int]:
        """Those kept open."""
        return [source for source in self._files.values() if isinstance(source, int)]

    def close(self) -> None:
        """Closing twice changes nothing."""
        with self._lock:
            self._is_closed = True
            for fd in self.descriptors():
                os.close(fd)
            self._files.clear()

    # -- the parts of a sample, in the order of its fields ------------------------------------------------

    def _cpu_v1(self) -> _Cpu:
        user, system = self._pick(_V1_TICKS, "cpuacct.stat")
        quota = _TASK_CPU if _TASK_CPU in self._files else "cpu.stat"
        periods, throttled, throttled_time = self._pick(_V1_QUOTA, quota)
        return (
            _per(self._number("cpuacct.usage"), NANOSECONDS),
            _per(user, _TICKS),
            _per(system, _TICKS),
            periods,
            throttled,
            _per(throttled_time, NANOSECONDS),
        )

    def _cpu_v2(self) -> _Cpu:
        usage, user, system, periods, throttled, throttled_time = self._pick(_V2_CPU, "cpu.stat")
        if _TASK_CPU in self._files:
            *_, periods, throttled, throttled_time = self._pick(_V2_CPU, _TASK_CPU)
        return (
            _per(usage, MICROSECONDS),
            _per(user, MICROSECONDS),
            _per(system, MICROSECONDS),
            periods,
            throttled,
            _per(throttled_time, MICROSECONDS),
        )

    def _memory_v1(self) -> _Memory:
        used = self._number("memory.usage_in_bytes")
        (
            cache,
            rss,
            mapped,
            swap,
            active_anon,
            inactive_anon,
            active,
            inactive,
            unevictable,
            faults,
            major,
            limit,
        ) = self._pick(_V1_MEMORY, "memory.stat")
        return (
            used,
            cache,
            None if used is None else max(0, used - (inactive or 0)),
            rss,
            mapped,
            swap,
            active_anon,
            inactive_anon,
            active,
            inactive,
            unevictable,
            None,  # the kernel's share is a file of its own here, which newer kernels have not
            self._number("memory.max_usage_in_bytes"),
            None if limit is None else (0 if limit >= UNLIMITED else limit),
            self._number("memory.failcnt"),
            faults,
            major,
            self._pick(_V1_OOM, "memory.oom_control")[0],
        )

    def _memory_v2(self) -> _Memory:
        used, limit = self._number("memory.current"), self._number("memory.max")
        (
            anon,
            mapped,
            active_anon,
            inactive_anon,
            active,
            inactive,
            unevictable,
            kernel,
            faults,
            major,
        ) = self._pick(_V2_MEMORY, "memory.stat")
        failures, oom_kills = self._pick(_V2_EVENTS, "memory.events")
        return (
            used,
            inactive,
            None if used is None else max(0, used - (inactive or 0)),
            anon,
            mapped,
            self._number("memory.swap.current"),
            active_anon,
            inactive_anon,
            active,
            inactive,
            unevictable,
            kernel,
            self._number("memory.peak"),
            None if limit is None else lower(limit, self._memory_ceiling),
            failures,
            faults,
            major,
            oom_kills,
        )

    def _io_v1(self) -> _Io:
        sizes = self._read("blkio.throttle.io_service_bytes_recursive")
        counts = self._read("blkio.throttle.io_serviced_recursive")
        read_bytes, written_bytes = (None, None) if sizes is None else parse.parse_blkio(sizes)
        reads, writes = (None, None) if counts is None else parse.parse_blkio(counts)
        return read_bytes, written_bytes, reads, writes

    def _io_v2(self) -> _Io:
        text = self._read("io.stat")
        return (None, None, None, None) if text is None else parse.parse_io(text)

    def _network(self) -> tuple[Interface, ...]:
        text = self._read("dev")
        return () if text is None else parse.parse_net_dev(text)


def _per(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _read_once(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, READ_BYTES, 0)
    finally:
        os.close(fd)
