"""cgroup v1 and v2 files → samples: the hot path. Descriptors stay open; Docker is not asked.

The folders come from /proc/PID/cgroup, so nested parents, systemd slices and hybrid v1+v2 hosts need no rule of
their own. `root` and `proc` are parameters so that tests read recorded trees.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from exporters.sample import ContainerIdentity, Interface, Sample

NANOSECONDS = 1e9
MICROSECONDS = 1e6
UNLIMITED = 1 << 60  # v1 says "no limit" by a number near 2^63
READ_BYTES = 16384
_TICKS = os.sysconf("SC_CLK_TCK")


class Gone(Exception):
    """The container's cgroup is not there (any more)."""


class BadFile(ValueError):
    """A cgroup file that does not look like one."""


# -- parsing ------------------------------------------------------------------------------------------


def parse_number(text: bytes) -> int:
    """`123` or `max` (→ 0: no limit). Raises BadFile."""
    text = text.strip()
    if text == b"max":
        return 0
    try:
        return int(text)
    except ValueError as error:
        raise BadFile(f"not a number: {text[:40]!r}") from error


def parse_flat(text: bytes) -> dict[bytes, int]:
    """Lines of `name number`. Raises BadFile."""
    fields = text.split()
    try:
        return dict(zip(fields[::2], map(int, fields[1::2]), strict=True))
    except ValueError as error:
        raise BadFile(f"not lines of name and number: {text[:40]!r}") from error


def parse_blkio(text: bytes) -> tuple[int, int]:
    """v1 `major:minor Read|Write|… number` lines → (read, write). Raises BadFile."""
    read = write = 0
    for line in text.splitlines():
        parts = line.split()
        if len(parts) != 3:
            continue
        try:
            value = int(parts[2])
        except ValueError as error:
            raise BadFile(f"not a blkio line: {line[:40]!r}") from error
        if parts[1] == b"Read":
            read += value
        elif parts[1] == b"Write":
            write += value
    return read, write


def parse_io(text: bytes) -> tuple[int, int, int, int]:
    """v2 io.stat → (read bytes, written bytes, reads, writes) over all devices. Raises BadFile."""
    totals = {b"rbytes": 0, b"wbytes": 0, b"rios": 0, b"wios": 0}
    for line in text.splitlines():
        for item in line.split()[1:]:
            name, _, value = item.partition(b"=")
            if name in totals:
                try:
                    totals[name] += int(value)
                except ValueError as error:
                    raise BadFile(f"not an io.stat line: {line[:40]!r}") from error
    return totals[b"rbytes"], totals[b"wbytes"], totals[b"rios"], totals[b"wios"]


def parse_net_dev(text: bytes) -> tuple[Interface, ...]:
    """/proc/PID/net/dev without the loopback. Raises BadFile."""
    found = []
    for line in text.splitlines()[2:]:
        name, colon, rest = line.partition(b":")
        if not colon or name.strip() == b"lo":
            continue
        try:
            n = [int(v) for v in rest.split()]
            found.append(Interface(name.strip().decode(), n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]))
        except (ValueError, IndexError) as error:
            raise BadFile(f"not a net/dev line: {line[:40]!r}") from error
    return tuple(found)


def parse_proc_cgroup(text: str) -> dict[str, str]:
    """Controller → path; "" is the unified (v2) hierarchy."""
    found = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                found[controller] = parts[2]
    return found


# -- reading ------------------------------------------------------------------------------------------

_V1 = {
    "cpuacct": ("cpuacct.usage", "cpuacct.stat"),
    "cpu": ("cpu.stat",),
    "memory": (
        "memory.usage_in_bytes",
        "memory.max_usage_in_bytes",
        "memory.limit_in_bytes",
        "memory.stat",
        "memory.oom_control",
        "memory.failcnt",
    ),
    "pids": ("pids.current",),
    "blkio": ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"),
}
_V2 = (
    "cpu.stat",
    "memory.current",
    "memory.peak",
    "memory.max",
    "memory.stat",
    "memory.events",
    "memory.swap.current",
    "pids.current",
    "io.stat",
)


class CgroupReader:
    """Reads one container. Close it when the container is over."""

    def __init__(
        self, identity: ContainerIdentity, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")
    ) -> None:
        """Raises Gone."""
        self._id = identity.id
        self._files: dict[str, int] = {}
        try:
            paths = parse_proc_cgroup((proc / str(identity.pid) / "cgroup").read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise Gone(f"container {identity.id[:12]} has no process {identity.pid}") from error
        if not any(identity.id in path for path in paths.values()):
            raise Gone(f"process {identity.pid} is not of container {identity.id[:12]}")
        self._is_v1 = "memory" in paths or "cpuacct" in paths
        if self._is_v1:
            for controller, names in _V1.items():
                if controller in paths:
                    self._open(_v1_folder(root, controller) / paths[controller].lstrip("/"), names)
        else:
            self._open(root / paths.get("", "").lstrip("/"), _V2)
        if identity.network_mode != "host":
            self._open(proc / str(identity.pid) / "net", ("dev",))
        if not self._files:
            raise Gone(f"container {identity.id[:12]} has no cgroup files that can be read")

    def _open(self, folder: Path, names: tuple[str, ...]) -> None:
        for name in names:
            try:
                self._files[name] = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue  # this kernel has no such file: the fact stays None

    def _read(self, name: str) -> bytes | None:
        fd = self._files.get(name)
        if fd is None:
            return None
        try:
            return os.pread(fd, READ_BYTES, 0)
        except OSError as error:
            raise Gone(f"container {self._id[:12]} is over") from error

    def _number(self, name: str) -> int | None:
        text = self._read(name)
        return None if text is None else parse_number(text)

    def _flat(self, name: str) -> Mapping[bytes, int]:
        text = self._read(name)
        return {} if text is None else parse_flat(text)

    def read(self, at: float) -> Sample:
        """Raises Gone, BadFile."""
        return self._read_v1(at) if self._is_v1 else self._read_v2(at)

    def _network(self) -> tuple[Interface, ...]:
        text = self._read("dev")
        return () if text is None else parse_net_dev(text)

    def _read_v1(self, at: float) -> Sample:
        usage = self._number("cpuacct.usage")
        ticks, cpu = self._flat("cpuacct.stat"), self._flat("cpu.stat")
        memory, oom = self._flat("memory.stat"), self._flat("memory.oom_control")
        used, limit = self._number("memory.usage_in_bytes"), self._number("memory.limit_in_bytes")
        io_bytes = self._read("blkio.throttle.io_service_bytes_recursive")
        io_count = self._read("blkio.throttle.io_serviced_recursive")
        read_bytes, write_bytes = parse_blkio(io_bytes) if io_bytes is not None else (None, None)
        reads, writes = parse_blkio(io_count) if io_count is not None else (None, None)
        inactive = memory.get(b"total_inactive_file", 0)
        return Sample(
            at=at,
            container_id=self._id,
            cpu_seconds=None if usage is None else usage / NANOSECONDS,
            cpu_user_seconds=ticks[b"user"] / _TICKS if b"user" in ticks else None,
            cpu_system_seconds=ticks[b"system"] / _TICKS if b"system" in ticks else None,
            cpu_periods=cpu.get(b"nr_periods"),
            cpu_throttled_periods=cpu.get(b"nr_throttled"),
            cpu_throttled_seconds=cpu[b"throttled_time"] / NANOSECONDS if b"throttled_time" in cpu else None,
            memory_usage_bytes=used,
            memory_cache_bytes=memory.get(b"total_cache"),
            memory_working_set_bytes=None if used is None else max(0, used - inactive),
            memory_rss_bytes=memory.get(b"total_rss"),
            memory_mapped_file_bytes=memory.get(b"total_mapped_file"),
            memory_swap_bytes=memory.get(b"total_swap"),
            memory_peak_bytes=self._number("memory.max_usage_in_bytes"),
            memory_limit_bytes=None if limit is None else (0 if limit >= UNLIMITED else limit),
            memory_failures=self._number("memory.failcnt"),
            page_faults=memory.get(b"total_pgfault"),
            major_page_faults=memory.get(b"total_pgmajfault"),
            oom_kills=oom.get(b"oom_kill"),
            pids=self._number("pids.current"),
            blkio_read_bytes=read_bytes,
            blkio_write_bytes=write_bytes,
            blkio_reads=reads,
            blkio_writes=writes,
            network=self._network(),
        )

    def _read_v2(self, at: float) -> Sample:
        cpu, memory, events = self._flat("cpu.stat"), self._flat("memory.stat"), self._flat("memory.events")
        used = self._number("memory.current")
        io = self._read("io.stat")
        totals = parse_io(io) if io is not None else (None, None, None, None)
        inactive = memory.get(b"inactive_file", 0)

        def seconds(name: bytes) -> float | None:
            return cpu[name] / MICROSECONDS if name in cpu else None

        return Sample(
            at=at,
            container_id=self._id,
            cpu_seconds=seconds(b"usage_usec"),
            cpu_user_seconds=seconds(b"user_usec"),
            cpu_system_seconds=seconds(b"system_usec"),
            cpu_periods=cpu.get(b"nr_periods"),
            cpu_throttled_periods=cpu.get(b"nr_throttled"),
            cpu_throttled_seconds=seconds(b"throttled_usec"),
            memory_usage_bytes=used,
            memory_cache_bytes=memory.get(b"inactive_file"),
            memory_working_set_bytes=None if used is None else max(0, used - inactive),
            memory_rss_bytes=memory.get(b"anon"),
            memory_mapped_file_bytes=memory.get(b"file_mapped"),
            memory_swap_bytes=self._number("memory.swap.current"),
            memory_peak_bytes=self._number("memory.peak"),
            memory_limit_bytes=self._number("memory.max"),
            memory_failures=events.get(b"max"),
            page_faults=memory.get(b"pgfault"),
            major_page_faults=memory.get(b"pgmajfault"),
            oom_kills=events.get(b"oom_kill"),
            pids=self._number("pids.current"),
            blkio_read_bytes=totals[0],
            blkio_write_bytes=totals[1],
            blkio_reads=totals[2],
            blkio_writes=totals[3],
            network=self._network(),
        )

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()


def _v1_folder(root: Path, controller: str) -> Path:
    """The mount of a v1 controller: its own name, or one of several it is mounted with (`cpu,cpuacct`)."""
    plain = root / controller
    if plain.is_dir() or not root.is_dir():
        return plain
    for folder in root.iterdir():
        if controller in folder.name.split(","):
            return folder
    return plain
