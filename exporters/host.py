"""The machine itself, by psutil, and how many files this process may hold open."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from exporters import parse
from exporters.parse import BadFile

MANY = 1 << 30
MOST_INTERFACES = 32
_RESOURCES = ("cpu", "memory", "io")
_OF_CONTAINERS = ("veth", "lo", "br-")  # one for each container or network: theirs are counted inside

Fact = tuple[str, dict[str, str], float]  # metric, labels, value


def facts(data_root: str = "", proc: Path = Path("/proc")) -> list[Fact]:
    """What the machine's metrics are now. `data_root`: Docker's folder; "" leaves its disk out."""
    return [*_memory_and_load(), *_cpu(), *_disk(data_root), *_network(), *_pressure(proc)]


def _memory_and_load() -> Iterator[Fact]:
    memory, swap, loads = psutil.virtual_memory(), psutil.swap_memory(), psutil.getloadavg()
    yield "ecs_host_cpus", {}, float(psutil.cpu_count() or 1)
    yield "ecs_host_memory_total_bytes", {}, float(memory.total)
    yield "ecs_host_memory_available_bytes", {}, float(memory.available)
    yield "ecs_host_memory_swap_used_bytes", {}, float(swap.used)
    for minutes, load in zip((1, 5, 15), loads, strict=True):
        yield f"ecs_host_load{minutes}", {}, load
    yield "ecs_host_boot_time_seconds", {}, psutil.boot_time()


def _cpu() -> Iterator[Fact]:
    for mode, seconds in psutil.cpu_times()._asdict().items():
        if not mode.startswith("guest"):  # counted in user already
            yield "ecs_host_cpu_seconds_total", {"mode": mode}, seconds


def _disk(data_root: str) -> Iterator[Fact]:
    if not data_root:
        return
    try:
        found = os.statvfs(data_root)
    except OSError:
        return  # a remote daemon's folder, or one we may not see
    yield "ecs_host_disk_size_bytes", {}, float(found.f_blocks * found.f_frsize)
    yield "ecs_host_disk_available_bytes", {}, float(found.f_bavail * found.f_frsize)
    yield "ecs_host_disk_inodes", {}, float(found.f_files)
    yield "ecs_host_disk_inodes_free", {}, float(found.f_favail)


def _network() -> Iterator[Fact]:
    counters = psutil.net_io_counters(pernic=True)
    shown = [(n, c) for n, c in counters.items() if not n.startswith(_OF_CONTAINERS)][:MOST_INTERFACES]
    for name, count in shown:
        yield "ecs_host_network_receive_bytes_total", {"interface": name}, float(count.bytes_recv)
        yield "ecs_host_network_transmit_bytes_total", {"interface": name}, float(count.bytes_sent)


def _pressure(proc: Path) -> Iterator[Fact]:
    for of in _RESOURCES:
        try:
            some, full = parse.parse_pressure((proc / "pressure" / of).read_bytes())
        except (OSError, BadFile):
            continue  # a kernel without, or with it switched off
        if some is not None:
            yield "ecs_host_pressure_waiting_seconds_total", {"resource": of}, some / 1e6
        if full is not None:
            yield "ecs_host_pressure_stalled_seconds_total", {"resource": of}, full / 1e6


def descriptor_limit() -> int:
    """How many files this process may hold open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MANY if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> int:
    """Ask for all the administrator allows (usual: 1,024 of them at first); returns the limit now in force.

    For a main to call before it makes an Exporter: a sampled container keeps some 15 files open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return descriptor_limit()
