"""Failures: what stops and why, across services."""

from __future__ import annotations

from dashboards.board import Board, Row, url
from dashboards.panels import lines, rows
from dashboards.queries import FAILED, SERVICE, Query, increase, table

BOARD = Board(
    uid="moorwatch-failures",
    text="What stops and why: reasons, exit codes, images that cannot be pulled, tasks that find no place, back-off.",
    variables=("cluster", "service"),
    rows=(
        Row(
            "Stops",
            (
                lines(
                    "Failed stops by reason",
                    "Tasks that stopped by a failure, by class of reason.",
                    "short",
                    Query(
                        increase("ecs_task_stop_reasons_total", f"{SERVICE}, {FAILED}", "reason"),
                        "{{reason}}",
                    ),
                    stacked=True,
                    bars=True,
                ),
                lines(
                    "Failed stops by service",
                    "Tasks that stopped by a failure, by service.",
                    "short",
                    Query(
                        increase("ecs_task_stop_reasons_total", f"{SERVICE}, {FAILED}", "service"),
                        "{{service}}",
                    ),
                    stacked=True,
                    bars=True,
                ),
                rows(
                    "Reasons",
                    "Stops of the shown time, by service, stop code and class of reason. `moorwatch why SERVICE` has the sentence.",
                    table(
                        f"{increase('ecs_task_stop_reasons_total', SERVICE, 'cluster, service, reason', '$__range')} > 0"
                    ),
                    columns={
                        "cluster": "Cluster",
                        "service": "Service",
                        "reason": "Reason",
                        "Value": "Stops",
                    },
                    links={
                        "Service": url(
                            "moorwatch-service",
                            cluster="${__data.fields.Cluster}",
                            service="${__data.fields.Service}",
                        )
                    },
                    sort="Stops",
                    wide=12,
                ),
                rows(
                    "Exit codes",
                    "Containers that ended since the agent started, by exit code. 137: SIGKILL, 143: SIGTERM, 127: no such command.",
                    table(
                        f"sum by (cluster, service, container, exit_code) (ecs_container_exits_by_code_total{{{SERVICE}}})"
                    ),
                    columns={
                        "cluster": "Cluster",
                        "service": "Service",
                        "container": "Container",
                        "exit_code": "Exit code",
                        "Value": "Ends",
                    },
                    sort="Ends",
                    wide=12,
                ),
                lines(
                    "Stop codes",
                    "Tasks that stopped, by ECS's stop code.",
                    "short",
                    Query(increase("ecs_task_stopped_total", SERVICE, "stop_code"), "{{stop_code}}"),
                    stacked=True,
                    bars=True,
                ),
                lines(
                    "OOM kills",
                    "Processes killed because their container reached its memory limit.",
                    "short",
                    Query(
                        increase("ecs_container_oom_kills_total", SERVICE, "service, container"),
                        "{{service}} {{container}}",
                    ),
                    bars=True,
                ),
            ),
        ),
        Row(
            "Health",
            (
                lines(
                    "Unhealthy tasks",
                    "RUNNING tasks whose health check fails.",
                    "short",
                    Query(f"sum by (service) (ecs_service_unhealthy_tasks{{{SERVICE}}})", "{{service}}"),
                ),
                lines(
                    "Health changes",
                    "Changes of a health check's status. Many: it flaps; look at its timeout and start period.",
                    "short",
                    Query(
                        increase("ecs_container_health_changes_total", SERVICE, "service, container"),
                        "{{service}} {{container}}",
                    ),
                    bars=True,
                ),
            ),
        ),
        Row(
            "Starts",
            (
                lines(
                    "Placement failures by reason",
                    "Looks of the scheduler in which a task found no place, by what was missing.",
                    "short",
                    Query(
                        increase("ecs_scheduler_placement_failures_total", SERVICE, "reason"), "{{reason}}"
                    ),
                    stacked=True,
                    bars=True,
                ),
                lines(
                    "Images that cannot be pulled",
                    "Tasks that stopped because an image could not be pulled, by repository.",
                    "short",
                    Query(
                        f"sum by (image_repository) (ecs_image_pull_failures_total{{{SERVICE}}})",
                        "{{image_repository}}",
                    ),
                ),
                lines(
                    "Back-off",
                    "How long the next start attempt of a service is held back.",
                    "s",
                    Query(
                        f"sum by (service) (ecs_service_restart_backoff_seconds{{{SERVICE}}})", "{{service}}"
                    ),
                ),
                lines(
                    "Time in back-off",
                    "Time by which start attempts were held back, all in all.",
                    "s",
                    Query(increase("ecs_service_backoff_seconds_total", SERVICE, "service"), "{{service}}"),
                    bars=True,
                ),
            ),
        ),
    ),
)
