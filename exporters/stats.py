"""Samples from Docker's stats, for containers whose cgroups cannot be seen from here: a remote daemon, Docker Desktop.

A hundred times dearer than files (Docker's daemon does most of the work), so a thread asks every ten seconds, a few
containers at a time, and sampling takes the newest answer. A daemon that hangs holds up this thread alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from exporters.cgroups import UNLIMITED, Gone, NotYet
from exporters.sample import ContainerIdentity, Interface, Sample

log = logging.getLogger("moorwatch.exporter")

ASK_SECONDS = 10.0
AT_ONCE = 4
NANOSECONDS = 1e9

# (container id) → Docker's stats of one moment; None: it is not there (any more). Raises OSError when Docker fails.
AskStats = Callable[[str], Mapping[str, Any] | None]


def sample(container_id: str, at: float, raw: Mapping[str, Any]) -> Sample:
    """Docker's stats object → Sample. What it leaves out stays None."""
    cpu, memory = raw.get("cpu_stats") or {}, raw.get("memory_stats") or {}
    usage, quota, details = (
        cpu.get("cpu_usage") or {},
        cpu.get("throttling_data") or {},
        memory.get("stats") or {},
    )
    used = _int(memory.get("usage"))
    inactive = _first(details, "total_inactive_file", "inactive_file")
    limit = _int(memory.get("limit"))
    blkio = raw.get("blkio_stats") or {}
    read_bytes, written_bytes = _blkio(blkio.get("io_service_bytes_recursive"))
    reads, writes = _blkio(blkio.get("io_serviced_recursive"))
    return Sample(
        at,
        container_id,
        cpu_seconds=_per(usage.get("total_usage")),
        cpu_user_seconds=_per(usage.get("usage_in_usermode")),
        cpu_system_seconds=_per(usage.get("usage_in_kernelmode")),
        cpu_periods=_int(quota.get("periods")),
        cpu_throttled_periods=_int(quota.get("throttled_periods")),
        cpu_throttled_seconds=_per(quota.get("throttled_time")),
        memory_usage_bytes=used,
        memory_cache_bytes=_first(details, "total_cache", "inactive_file"),
        memory_working_set_bytes=None if used is None else max(0, used - (inactive or 0)),
        memory_rss_bytes=_first(details, "total_rss", "anon"),
        memory_mapped_file_bytes=_first(details, "total_mapped_file", "file_mapped"),
        memory_swap_bytes=_first(details, "total_swap"),
        memory_peak_bytes=_int(memory.get("max_usage")),
        memory_limit_bytes=None if limit is None else (0 if limit >= UNLIMITED else limit),
        memory_failures=_int(memory.get("failcnt")),
        page_faults=_first(details, "total_pgfault", "pgfault"),
        major_page_faults=_first(details, "total_pgmajfault", "pgmajfault"),
        pids=_int((raw.get("pids_stats") or {}).get("current")),
        blkio_read_bytes=read_bytes,
        blkio_write_bytes=written_bytes,
        blkio_reads=reads,
        blkio_writes=writes,
        network=tuple(_interface(name, of) for name, of in (raw.get("networks") or {}).items()),
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _per(value: object) -> float | None:
    number = _int(value)
    return None if number is None else number / NANOSECONDS


def _first(of: Mapping[str, Any], *names: str) -> int | None:
    return next((number for name in names if (number := _int(of.get(name))) is not None), None)


def _blkio(lines: Iterable[Mapping[str, Any]] | None) -> tuple[int | None, int | None]:
    if lines is None:
        return None, None
    totals = {"read": 0, "write": 0}
    for line in lines:
        op = str(line.get("op", "")).lower()
        if op in totals:
            totals[op] += _int(line.get("value")) or 0
    return totals["read"], totals["write"]


def _interface(name: str, of: Mapping[str, Any]) -> Interface:
    return Interface(
        name, *(_int(of.get(f"{way}_{what}")) or 0 for way in ("rx", "tx") for what in _COUNTERS)
    )


_COUNTERS = ("bytes", "packets", "errors", "dropped")


class StatsReader:
    """One container's newest answer, in the form of a reader."""

    quota_cores = 0.0

    def __init__(self, owner: StatsPoller, container_id: str) -> None:
        self._owner, self._id = owner, container_id

    def read(self, at: float) -> Sample:  # noqa: ARG002 - as old as Docker's answer, not as new as the question
        """Raises Gone, NotYet before the first answer."""
        return self._owner.newest(self._id)

    def close(self) -> None:
        self._owner.drop(self._id)


class StatsPoller:
    """Asks Docker for the stats of those containers that were opened here."""

    def __init__(self, ask: AskStats, now: Callable[[], float] = time.time) -> None:
        self._ask, self._now = ask, now
        self._lock = threading.Lock()
        self._found: dict[str, Sample | None] = {}
        self._gone: set[str] = set()

    def open(self, who: ContainerIdentity) -> StatsReader:
        with self._lock:
            self._found.setdefault(who.id, None)
            self._gone.discard(who.id)
        return StatsReader(self, who.id)

    def count(self) -> int:
        """Containers that are sampled this way."""
        return len(self._found)

    def newest(self, container_id: str) -> Sample:
        """Raises Gone, NotYet."""
        with self._lock:
            if container_id in self._gone or container_id not in self._found:
                raise Gone(f"container {container_id[:12]} is over")
            found = self._found[container_id]
        if found is None:
            raise NotYet(f"container {container_id[:12]}: Docker has not told its stats yet")
        return found

    def drop(self, container_id: str) -> None:
        with self._lock:
            self._found.pop(container_id, None)
            self._gone.discard(container_id)

    def run(self, stop: threading.Event) -> None:
        """In a thread, until `stop`."""
        with ThreadPoolExecutor(AT_ONCE, "docker-stats") as pool:
            while not stop.wait(ASK_SECONDS if self._found else 1.0):
                self.ask_all(pool)

    def ask_all(self, pool: ThreadPoolExecutor) -> None:
        """One round."""
        with self._lock:
            wanted = list(self._found)
        list(pool.map(self._ask_one, wanted))

    def _ask_one(self, container_id: str) -> None:
        try:
            raw = self._ask(container_id)
        except OSError as error:
            log.debug("no stats of %s: %s", container_id[:12], error)
            return
        with self._lock:
            if container_id not in self._found:
                return
            if raw is None:
                self._gone.add(container_id)
            else:
                self._found[container_id] = sample(container_id, self._now(), raw)
