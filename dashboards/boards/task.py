"""Task and container: what one container uses, against what it may."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.panels import NONE_IS_GOOD, RATIO, lines, number, rows
from dashboards.queries import SERVICE, TASK, Query, increase, rate, table

_NAME = "{{task}} {{container}}"
BOARD = Board(
    uid="moorwatch-task",
    text="One task's containers: CPU, memory, network and disks against reservation and limit, health and restarts.",
    variables=("cluster", "service", "task", "container"),
    rows=(
        Row(
            "Now",
            (
                number(
                    "CPU of limit",
                    "CPU used over the last ten seconds, of the container's CPU ceiling. No data: it has none.",
                    "percentunit",
                    Query(f"max(ecs_container_cpu_limit_ratio{{{TASK}}})"),
                    RATIO,
                    none="no ceiling",
                    wide=4,
                ),
                number(
                    "CPU of reservation",
                    "CPU used over the last ten seconds, of the CPU units reserved.",
                    "percentunit",
                    Query(f"max(ecs_container_cpu_reservation_ratio{{{TASK}}})"),
                    none="nothing reserved",
                    wide=4,
                ),
                number(
                    "Memory of limit",
                    "Working set, of the memory limit. At 100 % the kernel kills.",
                    "percentunit",
                    Query(f"max(ecs_container_memory_limit_ratio{{{TASK}}})"),
                    RATIO,
                    none="no limit",
                    wide=4,
                ),
                number(
                    "Throttled",
                    "Scheduler periods in which the CPU quota held the container back, of all periods.",
                    "percentunit",
                    Query(f"max(ecs_container_cpu_throttled_ratio{{{TASK}}})"),
                    ((None, "green"), (0.1, "yellow"), (0.25, "red")),
                    none="no quota",
                    wide=4,
                ),
                number(
                    "OOM kills",
                    "Processes of this service's containers killed in the shown time for want of memory.",
                    "short",
                    Query(
                        increase(
                            "ecs_container_oom_kills_total",
                            f'{SERVICE}, container=~"$container"',
                            over="$__range",
                        )
                    ),
                    NONE_IS_GOOD,
                    none="0",
                    wide=4,
                    decimals=0,
                ),
                number(
                    "Runs since",
                    "Time since the oldest of these containers was started.",
                    "s",
                    Query(f"time() - min(ecs_container_start_time_seconds{{{TASK}}})"),
                    wide=4,
                ),
            ),
        ),
        Row(
            "CPU and memory",
            (
                lines(
                    "CPU",
                    "Cores used; dashed: cores reserved, and the ceiling where there is one.",
                    "none",
                    Query(
                        f"rate(ecs_container_cpu_seconds_total{{{TASK}}}[$__rate_interval])", f"{_NAME} used"
                    ),
                    Query(f"ecs_container_cpu_shares{{{TASK}}} / 1024", f"{_NAME} reserved"),
                    Query(f"ecs_container_cpu_quota_cores{{{TASK}}} > 0", f"{_NAME} ceiling"),
                    dashed=(".* reserved", ".* ceiling"),
                ),
                lines(
                    "Memory",
                    "Working set; dashed: the soft and the hard limit.",
                    "bytes",
                    Query(f"ecs_container_memory_working_set_bytes{{{TASK}}}", f"{_NAME} working set"),
                    Query(f"ecs_container_memory_reservation_bytes{{{TASK}}} > 0", f"{_NAME} reserved"),
                    Query(f"ecs_container_memory_limit_bytes{{{TASK}}} > 0", f"{_NAME} limit"),
                    dashed=(".* reserved", ".* limit"),
                ),
                lines(
                    "CPU throttling",
                    "Periods held back by the CPU quota, of all periods, and time held back each second.",
                    "percentunit",
                    Query(f"ecs_container_cpu_throttled_ratio{{{TASK}}}", f"{_NAME} periods"),
                    Query(
                        f"rate(ecs_container_cpu_throttled_seconds_total{{{TASK}}}[$__rate_interval])",
                        f"{_NAME} time",
                    ),
                ),
                lines(
                    "Memory by kind",
                    "Anonymous memory cannot be freed without swap; page cache can.",
                    "bytes",
                    Query(f"sum(ecs_container_memory_rss_bytes{{{TASK}}})", "anonymous"),
                    Query(f"sum(ecs_container_memory_active_file_bytes{{{TASK}}})", "page cache, active"),
                    Query(f"sum(ecs_container_memory_inactive_file_bytes{{{TASK}}})", "page cache, inactive"),
                    Query(f"sum(ecs_container_memory_swap_bytes{{{TASK}}})", "swap"),
                    stacked=True,
                ),
                lines(
                    "Pressure",
                    "Part of the time in which some process of the container waited for CPU, memory or a disk.",
                    "percentunit",
                    Query(
                        f"rate(ecs_container_pressure_cpu_waiting_seconds_total{{{TASK}}}[$__rate_interval])",
                        f"{_NAME} CPU",
                    ),
                    Query(
                        f"rate(ecs_container_pressure_memory_waiting_seconds_total{{{TASK}}}[$__rate_interval])",
                        f"{_NAME} memory",
                    ),
                    Query(
                        f"rate(ecs_container_pressure_io_waiting_seconds_total{{{TASK}}}[$__rate_interval])",
                        f"{_NAME} disk",
                    ),
                ),
                lines(
                    "Page faults",
                    "Page faults that had to read from disk: many mean too little memory.",
                    "ops",
                    Query(f"rate(ecs_container_major_page_faults_total{{{TASK}}}[$__rate_interval])", _NAME),
                ),
            ),
        ),
        Row(
            "Network and disks",
            (
                lines(
                    "Received and transmitted",
                    "Bytes per second, of all interfaces.",
                    "Bps",
                    Query(
                        rate("ecs_container_network_receive_bytes_total", TASK, "task, container"),
                        f"{_NAME} received",
                    ),
                    Query(
                        rate("ecs_container_network_transmit_bytes_total", TASK, "task, container"),
                        f"{_NAME} transmitted",
                    ),
                ),
                lines(
                    "Packets dropped and errors",
                    "Packets per second that were lost on the container's interfaces.",
                    "pps",
                    Query(rate("ecs_container_network_receive_dropped_total", TASK), "received, dropped"),
                    Query(rate("ecs_container_network_transmit_dropped_total", TASK), "transmitted, dropped"),
                    Query(rate("ecs_container_network_receive_errors_total", TASK), "received, errors"),
                    Query(rate("ecs_container_network_transmit_errors_total", TASK), "transmitted, errors"),
                ),
                lines(
                    "Block devices",
                    "Bytes per second read and written.",
                    "Bps",
                    Query(
                        rate("ecs_container_blkio_read_bytes_total", TASK, "task, container"), f"{_NAME} read"
                    ),
                    Query(
                        rate("ecs_container_blkio_written_bytes_total", TASK, "task, container"),
                        f"{_NAME} written",
                    ),
                ),
                lines(
                    "Writable layer",
                    "Disk space of what the container has written to its own file system, volumes not counted.",
                    "bytes",
                    Query(f"ecs_container_fs_usage_bytes{{{TASK}}}", _NAME),
                ),
                lines(
                    "Sockets",
                    "Sockets of the container's network, by protocol and state.",
                    "short",
                    Query(
                        f"sum by (protocol, state) (ecs_container_sockets{{{TASK}}})",
                        "{{protocol}} {{state}}",
                    ),
                ),
                lines(
                    "Processes and threads",
                    "Processes and threads of the container.",
                    "short",
                    Query(f"ecs_container_processes{{{TASK}}}", _NAME),
                ),
            ),
        ),
        Row(
            "Health and restarts",
            (
                lines(
                    "Health check time",
                    "How long the last health check took; near its timeout it will begin to fail.",
                    "s",
                    Query(f"ecs_container_health_check_duration_seconds{{{TASK}}}", _NAME),
                ),
                lines(
                    "Restarts in place",
                    "Times a container was started again by its restart policy.",
                    "short",
                    Query(f"ecs_agent_container_restarts{{{TASK}}}", _NAME),
                ),
                rows(
                    "Containers",
                    "What runs, from which image, and its health.",
                    table(
                        f"sum by (cluster, service, task, container, family, revision, image, docker_id)"
                        f" (ecs_container_info{{{TASK}}})"
                    ),
                    table(
                        f"sum by (cluster, service, task, container, status)"
                        f" (ecs_container_health_status{{{TASK}}} == 1)"
                    ),
                    columns={
                        "cluster": "Cluster",
                        "service": "Service",
                        "task": "Task",
                        "container": "Container",
                        "family": "Family",
                        "revision": "Revision",
                        "image": "Image",
                        "docker_id": "Docker id",
                        "status": "Health",
                    },
                ),
            ),
        ),
    ),
)
