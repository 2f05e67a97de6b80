"""The machine itself, by psutil, and how many files this process may hold open."""

from __future__ import annotations

import resource

import psutil

MANY = 1 << 30


def facts() -> dict[str, float]:
    """Metric name → value now."""
    memory = psutil.virtual_memory()
    return {
        "ecs_host_cpus": float(psutil.cpu_count() or 1),
        "ecs_host_memory_total_bytes": float(memory.total),
        "ecs_host_memory_available_bytes": float(memory.available),
        "ecs_host_load1": psutil.getloadavg()[0],
    }


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
