"""Every metric: name, type, help, labels. Exposition, dashboards, alerts and docs are built from this table.

Prometheus's naming rules: base units, `_total` for counters, `_info` for facts. Labels are bounded: failure
counters carry service and container, never a task's id.
"""

from __future__ import annotations

from exporters.metric import CONTAINER_LABELS, GROUP_LABELS, Metric, table
from exporters.names_control import AGENT_METRICS, CONTROL_METRICS


def _container(name: str, kind: str, text: str, *extra: str) -> Metric:
    return Metric(f"ecs_container_{name}", kind, text, (*CONTAINER_LABELS, *extra))


# Sample's field → its metric; the order is that of the exposition.
SAMPLE_METRICS: dict[str, Metric] = {
    "cpu_seconds": _container("cpu_seconds_total", "counter", "CPU time used."),
    "cpu_user_seconds": _container("cpu_user_seconds_total", "counter", "CPU time used in user mode."),
    "cpu_system_seconds": _container("cpu_system_seconds_total", "counter", "CPU time used in the kernel."),
    "cpu_periods": _container(
        "cpu_periods_total", "counter", "Scheduler periods in which a CPU quota was in force."
    ),
    "cpu_throttled_periods": _container(
        "cpu_throttled_periods_total",
        "counter",
        "Periods in which the container was held back by its CPU quota.",
    ),
    "cpu_throttled_seconds": _container(
        "cpu_throttled_seconds_total", "counter", "Time the container was held back by its CPU quota."
    ),
    "memory_usage_bytes": _container("memory_usage_bytes", "gauge", "Memory charged, page cache included."),
    "memory_working_set_bytes": _container(
        "memory_working_set_bytes",
        "gauge",
        "Memory charged less inactive page cache: what cannot be freed easily.",
    ),
    "memory_cache_bytes": _container(
        "memory_cache_bytes", "gauge", "Page cache (v1 cache, v2 inactive_file)."
    ),
    "memory_rss_bytes": _container("memory_rss_bytes", "gauge", "Anonymous memory."),
    "memory_mapped_file_bytes": _container("memory_mapped_file_bytes", "gauge", "Mapped files."),
    "memory_swap_bytes": _container("memory_swap_bytes", "gauge", "Swap used."),
    "memory_active_anon_bytes": _container(
        "memory_active_anon_bytes", "gauge", "Anonymous memory used lately."
    ),
    "memory_inactive_anon_bytes": _container(
        "memory_inactive_anon_bytes", "gauge", "Anonymous memory not used lately."
    ),
    "memory_active_file_bytes": _container("memory_active_file_bytes", "gauge", "Page cache used lately."),
    "memory_inactive_file_bytes": _container(
        "memory_inactive_file_bytes", "gauge", "Page cache not used lately: freed first."
    ),
    "memory_unevictable_bytes": _container(
        "memory_unevictable_bytes", "gauge", "Memory that cannot be freed, as locked memory."
    ),
    "memory_kernel_bytes": _container(
        "memory_kernel_bytes", "gauge", "Memory of the kernel on its behalf (cgroup v2)."
    ),
    "memory_peak_bytes": _container(
        "memory_peak_bytes", "gauge", "Most memory charged since the container started."
    ),
    "memory_limit_bytes": _container("memory_limit_bytes", "gauge", "Memory limit in force; 0: none."),
    "memory_failures": _container("memory_failures_total", "counter", "Times the memory limit was hit."),
    "page_faults": _container("page_faults_total", "counter", "Page faults."),
    "major_page_faults": _container("major_page_faults_total", "counter", "Page faults that read from disk."),
    "pids": _container("processes", "gauge", "Processes and threads."),
    "blkio_read_bytes": _container("blkio_read_bytes_total", "counter", "Bytes read from block devices."),
    "blkio_write_bytes": _container(
        "blkio_written_bytes_total", "counter", "Bytes written to block devices."
    ),
    "blkio_reads": _container("blkio_reads_total", "counter", "Reads from block devices."),
    "blkio_writes": _container("blkio_writes_total", "counter", "Writes to block devices."),
    "cpu_waiting_seconds": _container(
        "pressure_cpu_waiting_seconds_total", "counter", "Time in which some task waited for a CPU."
    ),
    "memory_waiting_seconds": _container(
        "pressure_memory_waiting_seconds_total", "counter", "Time in which some task waited for memory."
    ),
    "memory_stalled_seconds": _container(
        "pressure_memory_stalled_seconds_total", "counter", "Time in which all tasks waited for memory."
    ),
    "io_waiting_seconds": _container(
        "pressure_io_waiting_seconds_total", "counter", "Time in which some task waited for a disk."
    ),
    "io_stalled_seconds": _container(
        "pressure_io_stalled_seconds_total", "counter", "Time in which all tasks waited for a disk."
    ),
}
# Interface's field → its metric.
_NETWORK_TEXT = {
    "bytes": "Bytes {}.",
    "packets": "Packets {}.",
    "errors": "Errors while packets were {}.",
    "dropped": "Packets dropped that should have been {}.",
}
NETWORK_METRICS: dict[str, Metric] = {
    f"{way}_{what}": _container(f"network_{verb}_{what}_total", "counter", text.format(done), "interface")
    for way, verb, done in (("rx", "receive", "received"), ("tx", "transmit", "transmitted"))
    for what, text in _NETWORK_TEXT.items()
}
# Identity's field → its metric: what was asked for.
IDENTITY_METRICS: dict[str, Metric] = {
    "started_at": _container("start_time_seconds", "gauge", "When it started, seconds since the epoch."),
    "cpu_shares": _container("cpu_shares", "gauge", "CPU units reserved (1,024 = one core)."),
    "cpu_quota_cores": _container("cpu_quota_cores", "gauge", "CPU ceiling in cores; 0: none."),
    "memory_reservation_bytes": _container(
        "memory_reservation_bytes", "gauge", "Soft memory limit; 0: none."
    ),
    "memory_swap_limit_bytes": _container(
        "memory_swap_limit_bytes", "gauge", "Limit of memory and swap together; 0: none."
    ),
    "processes_limit": _container("processes_limit", "gauge", "Most processes and threads; 0: no limit."),
}
# Usage's field → its metric: worked out between samples, over the last ten seconds or so.
USAGE_METRICS: dict[str, Metric] = {
    "cpu_limit_ratio": _container(
        "cpu_limit_ratio", "gauge", "CPU used, of the ceiling of the container or its task; only with one."
    ),
    "cpu_reservation_ratio": _container(
        "cpu_reservation_ratio", "gauge", "CPU used, of the CPU units reserved; can exceed 1."
    ),
    "cpu_throttled_ratio": _container(
        "cpu_throttled_ratio", "gauge", "Scheduler periods held back by the CPU quota, of all periods."
    ),
    "memory_limit_ratio": _container(
        "memory_limit_ratio", "gauge", "Working set, of the memory limit; only with one."
    ),
    "memory_reservation_ratio": _container(
        "memory_reservation_ratio", "gauge", "Working set, of the soft limit; can exceed 1."
    ),
    "seen_at": _container(
        "last_seen_timestamp_seconds", "gauge", "When it was last sampled, seconds since the epoch."
    ),
}
# Rare's field → its metric: too dear for each second, looked at every minute or so.
RARE_METRICS: dict[str, Metric] = {
    "layer_bytes": _container("fs_usage_bytes", "gauge", "Disk space of its writable layer."),
    "layer_inodes": _container("fs_inodes", "gauge", "Files and folders in its writable layer."),
    "open_files_limit": _container("open_files_limit", "gauge", "Most open files of its first process."),
    "health_seconds": _container(
        "health_check_duration_seconds", "gauge", "Time its last health check took."
    ),
    "health_failures": _container("health_check_failures", "gauge", "Failed health checks in a row."),
}
SOCKETS = _container(
    "sockets", "gauge", "Sockets of its network, by protocol and state.", "protocol", "state"
)
INFO = _container("info", "gauge", "Facts of the container; always 1.", "image", "docker_id", "docker_name")
HEALTH = _container("health_status", "gauge", "1 for the health check's present status.", "status")
GROUP_METRICS: dict[str, Metric] = {
    "starts": Metric("ecs_container_starts_total", "counter", "Containers started.", GROUP_LABELS),
    "restarts": Metric(
        "ecs_container_restarts_total", "counter", "Containers started again in place.", GROUP_LABELS
    ),
    "exits": Metric("ecs_container_exits_total", "counter", "Containers that ended.", GROUP_LABELS),
    "failed_exits": Metric(
        "ecs_container_failed_exits_total",
        "counter",
        "Containers that ended with an exit code other than 0.",
        GROUP_LABELS,
    ),
    "oom_kills": Metric(
        "ecs_container_oom_kills_total",
        "counter",
        "Processes killed because a memory limit was reached.",
        GROUP_LABELS,
    ),
    "health_changes": Metric(
        "ecs_container_health_changes_total", "counter", "Changes of a health check's status.", GROUP_LABELS
    ),
    "unhealthy": Metric(
        "ecs_container_unhealthy_total", "counter", "Times a health check turned to unhealthy.", GROUP_LABELS
    ),
}
EXITS_BY_CODE = Metric(
    "ecs_container_exits_by_code_total",
    "counter",
    "Containers that ended, by exit code.",
    (*GROUP_LABELS, "exit_code"),
)
LAST_EXIT_CODE = Metric(
    "ecs_container_last_exit_code", "gauge", "Exit code of the last one that ended.", GROUP_LABELS
)
EXPORTER_METRICS: dict[str, Metric] = table(
    Metric("ecs_exporter_containers", "gauge", "Containers that are sampled."),
    Metric(
        "ecs_exporter_unreadable_containers",
        "gauge",
        "Running containers whose cgroups cannot be seen from here.",
    ),
    Metric("ecs_exporter_sample_age_seconds", "gauge", "Age of the samples shown."),
    Metric("ecs_exporter_sample_duration_seconds", "gauge", "Time the last round of samples took."),
    Metric("ecs_exporter_render_duration_seconds", "gauge", "Time the previous exposition took to write."),
    Metric(
        "ecs_exporter_read_errors_total",
        "counter",
        "Samples given up because a file could not be understood.",
    ),
    Metric("ecs_exporter_docker_events_total", "counter", "Docker events seen."),
    Metric(
        "ecs_exporter_docker_event_lag_seconds", "gauge", "Age of the last Docker event when it was seen."
    ),
    Metric("ecs_exporter_docker_event_gaps_total", "counter", "Times Docker's event stream broke off."),
    Metric(
        "ecs_exporter_dropped_series_total",
        "counter",
        "Series left out of expositions because there were more than the limit.",
    ),
    Metric(
        "ecs_exporter_fallback_containers", "gauge", "Containers sampled by Docker's stats, not by files."
    ),
    Metric("ecs_agent_docker_up", "gauge", "1 when the Docker daemon answers."),
)
HOST_METRICS: dict[str, Metric] = table(
    Metric("ecs_host_cpus", "gauge", "Processors of the machine."),
    Metric("ecs_host_memory_total_bytes", "gauge", "Memory of the machine."),
    Metric("ecs_host_memory_available_bytes", "gauge", "Memory that can be had without swapping."),
    Metric("ecs_host_memory_swap_used_bytes", "gauge", "Swap used on the machine."),
    Metric("ecs_host_load1", "gauge", "Load average over one minute."),
    Metric("ecs_host_load5", "gauge", "Load average over five minutes."),
    Metric("ecs_host_load15", "gauge", "Load average over fifteen minutes."),
    Metric("ecs_host_boot_time_seconds", "gauge", "When the machine started, seconds since the epoch."),
    Metric("ecs_host_cpu_seconds_total", "counter", "CPU time of the machine, by mode.", ("mode",)),
    Metric("ecs_host_disk_size_bytes", "gauge", "Size of the file system of Docker's data."),
    Metric("ecs_host_disk_available_bytes", "gauge", "Space left there."),
    Metric("ecs_host_disk_inodes", "gauge", "Inodes of that file system; 0: it has no fixed number."),
    Metric("ecs_host_disk_inodes_free", "gauge", "Inodes left there."),
    Metric("ecs_host_network_receive_bytes_total", "counter", "Bytes received.", ("interface",)),
    Metric("ecs_host_network_transmit_bytes_total", "counter", "Bytes transmitted.", ("interface",)),
    Metric(
        "ecs_host_pressure_waiting_seconds_total",
        "counter",
        "Time in which some process waited, by resource.",
        ("resource",),
    ),
    Metric(
        "ecs_host_pressure_stalled_seconds_total",
        "counter",
        "Time in which all processes waited, by resource.",
        ("resource",),
    ),
)


def every() -> list[Metric]:
    """The whole table."""
    return [
        *SAMPLE_METRICS.values(),
        *NETWORK_METRICS.values(),
        *USAGE_METRICS.values(),
        *IDENTITY_METRICS.values(),
        *RARE_METRICS.values(),
        SOCKETS,
        INFO,
        HEALTH,
        *GROUP_METRICS.values(),
        EXITS_BY_CODE,
        LAST_EXIT_CODE,
        *EXPORTER_METRICS.values(),
        *HOST_METRICS.values(),
        *AGENT_METRICS.values(),
        *CONTROL_METRICS.values(),
    ]


def markdown() -> str:
    """docs/metrics.md."""
    titles = {
        "exporter": "Exporter: the agent's `/metrics`, and `python -m exporters`",
        "agent": "Agent: the agent's `/metrics`",
        "control": "Control plane: `/metrics` of the endpoint",
    }
    out = [
        "# Metrics",
        "",
        "Made by `python -m exporters names` from `exporters/names.py`; do not edit by hand.",
        "",
        "Failure counters exist at 0 as soon as their service or container is known, and never carry a task's id.",
        "Facts the kernel does not tell are left out, not shown as 0.",
    ]
    for source, title in titles.items():
        out += ["", f"## {title}", "", "| metric | type | labels | what |", "|---|---|---|---|"]
        for m in every():
            if m.source == source:
                out.append(f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '–'} | {m.help} |")
    return "\n".join(out) + "\n"
