"""The machine itself, by psutil."""

from __future__ import annotations

import psutil


def facts() -> dict[str, float]:
    """Metric name → value now."""
    memory = psutil.virtual_memory()
    return {
        "ecs_host_cpus": float(psutil.cpu_count() or 1),
        "ecs_host_memory_total_bytes": float(memory.total),
        "ecs_host_memory_available_bytes": float(memory.available),
        "ecs_host_load1": psutil.getloadavg()[0],
    }
