"""Samples → Docker's stats object, as the task metadata endpoint gives it. Pure: Docker is not asked.

Fields and nesting are those of Docker's API (1.41, "ContainerStats"); what a sample does not know is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from exporters.sample import ContainerIdentity, Interface, Sample

NANOSECONDS = 1_000_000_000


def timestamp(seconds: float) -> str:
    """RFC 3339 with nanoseconds, as Docker writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def stats(
    who: ContainerIdentity, now: Sample, before: Sample | None, cpus: int, booted_at: float, memory_bytes: int
) -> dict[str, Any]:
    """`cpus`, `booted_at` (epoch seconds) and `memory_bytes` are the machine's; a container without a limit has the
    machine's memory as its limit."""
    seconds = now.at - before.at if before is not None else 0.0
    body: dict[str, Any] = {
        "id": who.id,
        "name": f"/{who.name}",
        "read": timestamp(now.at),
        "preread": timestamp(before.at) if before is not None else "0001-01-01T00:00:00Z",
        "num_procs": 0,
        "cpu_stats": _cpu(now, cpus, booted_at),
        "precpu_stats": _cpu(before, cpus, booted_at) if before is not None else {},
        "memory_stats": _memory(now, memory_bytes),
        "blkio_stats": {
            "io_service_bytes_recursive": _blkio(now.blkio_read_bytes, now.blkio_write_bytes),
            "io_serviced_recursive": _blkio(now.blkio_reads, now.blkio_writes),
        },
        "pids_stats": {} if now.pids is None else {"current": now.pids},
        "networks": {i.name: _network(i) for i in now.network},
        "storage_stats": {},
    }
    if before is not None and seconds > 0 and now.network:
        body["network_rate_stats"] = {
            "rx_bytes_per_sec": _rate(now, before, seconds, "rx_bytes"),
            "tx_bytes_per_sec": _rate(now, before, seconds, "tx_bytes"),
        }
    return body


def _known(**members: object) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NANOSECONDS)


def _cpu(s: Sample, cpus: int, booted_at: float) -> dict[str, Any]:
    """The machine's own CPU time, idle time included, is its uptime on each processor."""
    return {
        "cpu_usage": _known(
            total_usage=_ns(s.cpu_seconds),
            usage_in_kernelmode=_ns(s.cpu_system_seconds),
            usage_in_usermode=_ns(s.cpu_user_seconds),
        ),
        "system_cpu_usage": _ns(max(0.0, s.at - booted_at) * cpus),
        "online_cpus": cpus,
        "throttling_data": {
            "periods": s.cpu_periods or 0,
            "throttled_periods": s.cpu_throttled_periods or 0,
            "throttled_time": _ns(s.cpu_throttled_seconds or 0.0),
        },
    }


def _memory(s: Sample, machine_bytes: int) -> dict[str, Any]:
    return _known(
        usage=s.memory_usage_bytes,
        max_usage=s.memory_peak_bytes,
        failcnt=s.memory_failures,
        limit=s.memory_limit_bytes or machine_bytes,
        stats=_known(
            cache=s.memory_cache_bytes,
            rss=s.memory_rss_bytes,
            mapped_file=s.memory_mapped_file_bytes,
            swap=s.memory_swap_bytes,
            active_anon=s.memory_active_anon_bytes,
            inactive_anon=s.memory_inactive_anon_bytes,
            active_file=s.memory_active_file_bytes,
            inactive_file=s.memory_inactive_file_bytes,
            total_inactive_file=s.memory_inactive_file_bytes,
            unevictable=s.memory_unevictable_bytes,
            pgfault=s.page_faults,
            pgmajfault=s.major_page_faults,
        ),
    )


def _blkio(read: int | None, written: int | None) -> list[dict[str, Any]]:
    """Over all devices: samples do not tell them apart."""
    if read is None or written is None:
        return []
    return [
        {"major": 0, "minor": 0, "op": op, "value": value}
        for op, value in (("Read", read), ("Write", written))
    ]


def _network(i: Interface) -> dict[str, int]:
    return {name: value for name, value in i._asdict().items() if name != "name"}


def _rate(now: Sample, before: Sample, seconds: float, field: str) -> float:
    now_all, before_all = (sum(i._asdict()[field] for i in s.network) for s in (now, before))
    return max(0.0, float(now_all - before_all) / seconds)
