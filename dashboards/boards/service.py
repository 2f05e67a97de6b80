"""Service: one service, from what it wants to why its tasks stop."""

from __future__ import annotations

from dashboards.board import Board, Row, url
from dashboards.panels import NONE_IS_GOOD, SOME_IS_GOOD, lines, number, rows
from dashboards.queries import SERVICE, Query, increase, quantile, rate, table

_BY_TASK = "{{task}} {{container}}"
BOARD = Board(
    uid="moorwatch-service",
    text="One service: tasks wanted and running, why they stop, how long they take to start, what they use.",
    variables=("cluster", "service"),
    single=("service",),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Desired",
                    "Tasks the service wants.",
                    "short",
                    Query(f"sum(ecs_service_desired_tasks{{{SERVICE}}})"),
                ),
                number(
                    "Running",
                    "Tasks that are RUNNING.",
                    "short",
                    Query(f"sum(ecs_service_running_tasks{{{SERVICE}}})"),
                    SOME_IS_GOOD,
                ),
                number(
                    "Pending",
                    "Tasks not yet RUNNING.",
                    "short",
                    Query(f"sum(ecs_service_pending_tasks{{{SERVICE}}})"),
                ),
                number(
                    "Unhealthy",
                    "RUNNING tasks whose health check fails.",
                    "short",
                    Query(f"sum(ecs_service_unhealthy_tasks{{{SERVICE}}})"),
                    NONE_IS_GOOD,
                ),
                number(
                    "Next start waits",
                    "Back-off: how long the next start attempt is held back after failures. 0: it is not.",
                    "s",
                    Query(f"max(ecs_service_restart_backoff_seconds{{{SERVICE}}})"),
                    ((None, "green"), (1, "yellow"), (60, "red")),
                ),
                number(
                    "Failed in a row",
                    "Failed tasks of the newest deployment since one was healthy.",
                    "short",
                    Query(f"max(ecs_service_failed_tasks{{{SERVICE}}})"),
                    NONE_IS_GOOD,
                ),
                number(
                    "OOM kills",
                    "Processes killed in the shown time because a memory limit was reached.",
                    "short",
                    Query(increase("ecs_container_oom_kills_total", SERVICE, over="$__range")),
                    NONE_IS_GOOD,
                    none="0",
                    decimals=0,
                ),
                number(
                    "Last exit code",
                    "Exit code of the container that ended last; 137 and no OOM kill: killed from outside.",
                    "none",
                    Query(f"max(ecs_container_last_exit_code{{{SERVICE}}})"),
                    NONE_IS_GOOD,
                    none="none yet",
                ),
            ),
        ),
        Row(
            "Tasks",
            (
                lines(
                    "Desired, running, pending",
                    "The gap between desired (dashed) and running is what the scheduler works on.",
                    "short",
                    Query(f"sum(ecs_service_running_tasks{{{SERVICE}}})", "running"),
                    Query(f"sum(ecs_service_pending_tasks{{{SERVICE}}})", "pending"),
                    Query(f"sum(ecs_service_desired_tasks{{{SERVICE}}})", "desired"),
                    dashed=("desired",),
                ),
                lines(
                    "Stops by reason",
                    "Tasks that stopped, by class of reason; `moorwatch why SERVICE` has the sentence.",
                    "short",
                    Query(increase("ecs_task_stop_reasons_total", SERVICE, "reason"), "{{reason}}"),
                    stacked=True,
                    bars=True,
                ),
                lines(
                    "Restarts in place and failed exits",
                    "Containers that ended with an exit code other than 0, and those started again by their restart policy.",
                    "short",
                    Query(
                        increase("ecs_container_failed_exits_total", SERVICE, "container"),
                        "{{container}} failed exits",
                    ),
                    Query(
                        increase("ecs_container_restarts_total", SERVICE, "container"),
                        "{{container}} restarts",
                    ),
                    bars=True,
                ),
                lines(
                    "Start latency",
                    "From a task's creation to RUNNING, and to HEALTHY where it has a health check: half and 95 % of the starts.",
                    "s",
                    Query(quantile(0.5, "ecs_task_start_latency_seconds", SERVICE, "stage"), "{{stage}} p50"),
                    Query(
                        quantile(0.95, "ecs_task_start_latency_seconds", SERVICE, "stage"), "{{stage}} p95"
                    ),
                    Query(quantile(0.5, "ecs_task_replacement_latency_seconds", SERVICE), "replaced p50"),
                ),
                rows(
                    "Tasks",
                    "Containers that run now. A task's name opens its board.",
                    table(
                        f"sum by (cluster, service, task, container, image) (ecs_container_info{{{SERVICE}}})"
                    ),
                    table(
                        f"sum by (cluster, service, task, container) (ecs_container_memory_working_set_bytes{{{SERVICE}}})"
                    ),
                    table(
                        f"time() - sum by (cluster, service, task, container) (ecs_container_start_time_seconds{{{SERVICE}}})"
                    ),
                    columns={
                        "task": "Task",
                        "container": "Container",
                        "image": "Image",
                        "Value #B": "Memory",
                        "Value #C": "Runs since",
                    },
                    units={"Memory": "bytes", "Runs since": "s"},
                    links={
                        "Task": url(
                            "moorwatch-task",
                            cluster="${cluster}",
                            service="${service}",
                            task="${__data.fields.Task}",
                        )
                    },
                ),
            ),
        ),
        Row(
            "Use",
            (
                lines(
                    "CPU against reservation",
                    "CPU used, of the CPU units reserved; above 100 % it takes what others leave.",
                    "percentunit",
                    Query(f"ecs_container_cpu_reservation_ratio{{{SERVICE}}}", _BY_TASK),
                ),
                lines(
                    "Memory against limit",
                    "Working set, of the memory limit. At 100 % the kernel kills.",
                    "percentunit",
                    Query(f"ecs_container_memory_limit_ratio{{{SERVICE}}}", _BY_TASK),
                    limits=((None, "transparent"), (0.9, "red")),
                ),
                lines(
                    "Network",
                    "Bytes per second: received, and transmitted.",
                    "Bps",
                    Query(rate("ecs_container_network_receive_bytes_total", SERVICE), "received"),
                    Query(rate("ecs_container_network_transmit_bytes_total", SERVICE), "transmitted"),
                ),
                lines(
                    "Block devices",
                    "Bytes per second: read, and written.",
                    "Bps",
                    Query(rate("ecs_container_blkio_read_bytes_total", SERVICE), "read"),
                    Query(rate("ecs_container_blkio_written_bytes_total", SERVICE), "written"),
                ),
            ),
        ),
    ),
)
