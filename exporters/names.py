"""Every metric: name, type, help, labels. Exposition, dashboards, alerts and docs are built from this table.

Prometheus's naming rules: base units, `_total` for counters, `_info` for facts. Labels are bounded: failure
counters carry service and container, never a task's id.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTAINER_LABELS = ("cluster", "service", "family", "revision", "task", "container")
GROUP_LABELS = ("cluster", "service", "container")
SERVICE_LABELS = ("cluster", "service")
UNITS = ("seconds", "bytes", "cores")
INSTANCE_LABELS = ("cluster", "container_instance")


@dataclass(frozen=True, slots=True)
class Metric:
    """`source`: the process whose /metrics has it: exporter (and agent), agent, control."""

    name: str
    kind: str  # counter | gauge | histogram
    help: str
    labels: tuple[str, ...] = ()
    source: str = "exporter"

    @property
    def unit(self) -> str:
        """The base unit, which Prometheus wants in the name: "seconds", "bytes", … or "" for a plain number."""
        words = self.name.removesuffix("_total").split("_")
        return words[-1] if words[-1] in UNITS else ""


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
}
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
    "unhealthy": Metric(
        "ecs_container_unhealthy_total", "counter", "Times a health check turned to unhealthy.", GROUP_LABELS
    ),
}
EXPORTER_METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("ecs_exporter_containers", "gauge", "Containers that are sampled."),
        Metric(
            "ecs_exporter_unreadable_containers",
            "gauge",
            "Running containers whose cgroups cannot be seen from here.",
        ),
        Metric("ecs_exporter_sample_age_seconds", "gauge", "Age of the samples shown."),
        Metric("ecs_exporter_sample_duration_seconds", "gauge", "Time the last round of samples took."),
        Metric(
            "ecs_exporter_render_duration_seconds", "gauge", "Time the previous exposition took to write."
        ),
        Metric(
            "ecs_exporter_read_errors_total",
            "counter",
            "Samples given up because a file could not be understood.",
        ),
        Metric("ecs_exporter_docker_events_total", "counter", "Docker events seen."),
        Metric(
            "ecs_exporter_docker_event_lag_seconds", "gauge", "Age of the last Docker event when it was seen."
        ),
        Metric("ecs_agent_docker_up", "gauge", "1 when the Docker daemon answers."),
    )
}
HOST_METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("ecs_host_cpus", "gauge", "Processors of the machine."),
        Metric("ecs_host_memory_total_bytes", "gauge", "Memory of the machine."),
        Metric("ecs_host_memory_available_bytes", "gauge", "Memory that can be had without swapping."),
        Metric("ecs_host_load1", "gauge", "Load average over one minute."),
    )
}
AGENT_METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric(
            "ecs_agent_container_restarts",
            "gauge",
            "Times the container was started again by its restart policy.",
            CONTAINER_LABELS,
            "agent",
        ),
        Metric("ecs_agent_connected", "gauge", "1 while the ACS session is open.", (), "agent"),
        Metric(
            "ecs_agent_docker_request_duration_seconds",
            "histogram",
            "Docker calls, by operation.",
            ("operation",),
            "agent",
        ),
        Metric(
            "ecs_agent_docker_errors_total",
            "counter",
            "Docker calls without an answer.",
            ("operation",),
            "agent",
        ),
        Metric(
            "ecs_agent_last_metrics_timestamp_seconds",
            "gauge",
            "When containers were last sampled.",
            (),
            "agent",
        ),
    )
}
CONTROL_METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("ecs_service_desired_tasks", "gauge", "Tasks the service wants.", SERVICE_LABELS, "control"),
        Metric("ecs_service_running_tasks", "gauge", "Tasks that are RUNNING.", SERVICE_LABELS, "control"),
        Metric("ecs_service_pending_tasks", "gauge", "Tasks not yet RUNNING.", SERVICE_LABELS, "control"),
        Metric(
            "ecs_service_failed_tasks",
            "gauge",
            "Failed tasks in a row of the newest deployment.",
            SERVICE_LABELS,
            "control",
        ),
        Metric(
            "ecs_service_restart_backoff_seconds",
            "gauge",
            "Present wait between start attempts.",
            SERVICE_LABELS,
            "control",
        ),
        Metric(
            "ecs_task_stopped_total",
            "counter",
            "Tasks that reached STOPPED, by stop code.",
            (*SERVICE_LABELS, "stop_code"),
            "control",
        ),
        Metric(
            "ecs_task_replacement_latency_seconds",
            "histogram",
            "From the end of a task to its replacement RUNNING.",
            SERVICE_LABELS,
            "control",
        ),
        Metric(
            "ecs_scheduler_placement_failures_total",
            "counter",
            "Looks in which a task of the service could not be placed, by reason.",
            (*SERVICE_LABELS, "reason"),
            "control",
        ),
        Metric(
            "ecs_scheduler_loop_duration_seconds",
            "histogram",
            "Time of one look at the whole state.",
            (),
            "control",
        ),
        Metric(
            "ecs_scheduler_last_loop_timestamp_seconds",
            "gauge",
            "When the scheduler last looked.",
            (),
            "control",
        ),
        Metric(
            "ecs_api_requests_total", "counter", "API requests answered.", ("operation", "code"), "control"
        ),
        Metric(
            "ecs_api_request_duration_seconds",
            "histogram",
            "Time to answer an API request.",
            ("operation",),
            "control",
        ),
        Metric(
            "ecs_controlplane_is_leader", "gauge", "1 when this process runs the scheduler.", (), "control"
        ),
        Metric(
            "ecs_container_instance_agent_connected",
            "gauge",
            "1 when the container agent is connected.",
            INSTANCE_LABELS,
            "control",
        ),
        Metric(
            "ecs_container_instance_registered_cpu",
            "gauge",
            "CPU units registered.",
            INSTANCE_LABELS,
            "control",
        ),
        Metric(
            "ecs_container_instance_remaining_cpu",
            "gauge",
            "CPU units no task has reserved.",
            INSTANCE_LABELS,
            "control",
        ),
        Metric(
            "ecs_container_instance_registered_memory_bytes",
            "gauge",
            "Memory registered.",
            INSTANCE_LABELS,
            "control",
        ),
        Metric(
            "ecs_container_instance_remaining_memory_bytes",
            "gauge",
            "Memory no task has reserved.",
            INSTANCE_LABELS,
            "control",
        ),
    )
}


def every() -> list[Metric]:
    """The whole table."""
    return [
        *SAMPLE_METRICS.values(),
        *NETWORK_METRICS.values(),
        *IDENTITY_METRICS.values(),
        INFO,
        HEALTH,
        *GROUP_METRICS.values(),
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
