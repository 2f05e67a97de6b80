"""Fleet: is everything that should run running, and where to look if not."""

from __future__ import annotations

from dashboards.board import Board, Row, url
from dashboards.panels import NONE_IS_GOOD, RATIO, SOME_IS_GOOD, lines, number, rows
from dashboards.queries import CLUSTER, FAILED, SERVICE, Query, increase, table

BOARD = Board(
    uid="moorwatch-fleet",
    text="Every service of the chosen clusters: what should run, what runs, what stops and why.",
    variables=("cluster", "service"),
    rows=(
        Row(
            "Now",
            (
                number(
                    "Running of desired",
                    "Tasks RUNNING, of those that services want. Below 100 % something is starting, failing or has no room.",
                    "percentunit",
                    Query(
                        f"sum(ecs_service_running_tasks{{{SERVICE}}}) / (sum(ecs_service_desired_tasks{{{SERVICE}}}) > 0)"
                    ),
                    ((None, "red"), (0.8, "yellow"), (1, "green")),
                    wide=4,
                    none="nothing wanted",
                ),
                number(
                    "Services",
                    "Services that are there, at whatever desired count.",
                    "short",
                    Query(f"count(ecs_service_desired_tasks{{{SERVICE}}})"),
                    none="0",
                ),
                number(
                    "Tasks running",
                    "Tasks of services that are RUNNING.",
                    "short",
                    Query(f"sum(ecs_service_running_tasks{{{SERVICE}}})"),
                    none="0",
                ),
                number(
                    "Tasks pending",
                    "Tasks placed but not yet RUNNING: images being pulled, containers being started.",
                    "short",
                    Query(f"sum(ecs_service_pending_tasks{{{SERVICE}}})"),
                    none="0",
                ),
                number(
                    "Unhealthy tasks",
                    "RUNNING tasks whose health check fails; they are replaced once the grace period is over.",
                    "short",
                    Query(f"sum(ecs_service_unhealthy_tasks{{{SERVICE}}})"),
                    NONE_IS_GOOD,
                    none="0",
                ),
                number(
                    "Failed stops",
                    "Tasks that stopped in the shown time by a failure of any kind.",
                    "short",
                    Query(increase("ecs_task_stop_reasons_total", f"{SERVICE}, {FAILED}", over="$__range")),
                    NONE_IS_GOOD,
                    wide=4,
                    none="0",
                    decimals=0,
                ),
                number(
                    "OOM kills",
                    "Processes killed in the shown time because a container reached its memory limit.",
                    "short",
                    Query(increase("ecs_container_oom_kills_total", SERVICE, over="$__range")),
                    NONE_IS_GOOD,
                    wide=4,
                    none="0",
                    decimals=0,
                ),
            ),
        ),
        Row(
            "Services",
            (
                rows(
                    "Services",
                    "What each service wants and has, how long its next start waits, and its failures of the shown time.",
                    table(f"sum by (cluster, service) (ecs_service_desired_tasks{{{SERVICE}}})"),
                    table(f"sum by (cluster, service) (ecs_service_running_tasks{{{SERVICE}}})"),
                    table(f"sum by (cluster, service) (ecs_service_pending_tasks{{{SERVICE}}})"),
                    table(f"sum by (cluster, service) (ecs_service_restart_backoff_seconds{{{SERVICE}}})"),
                    table(
                        increase(
                            "ecs_task_stop_reasons_total",
                            f"{SERVICE}, {FAILED}",
                            "cluster, service",
                            "$__range",
                        )
                    ),
                    columns={
                        "cluster": "Cluster",
                        "service": "Service",
                        "Value #A": "Desired",
                        "Value #B": "Running",
                        "Value #C": "Pending",
                        "Value #D": "Waits",
                        "Value #E": "Failed stops",
                    },
                    units={"Waits": "s"},
                    links={
                        "Service": url(
                            "moorwatch-service",
                            cluster="${__data.fields.Cluster}",
                            service="${__data.fields.Service}",
                        )
                    },
                    sort="Failed stops",
                    wide=14,
                    high=10,
                ),
                rows(
                    "Firing alerts",
                    "Alerts that Prometheus fires now. The runbook of each is in deploy/runbooks.",
                    table('ALERTS{alertname=~"Ecs.*", alertstate="firing"}'),
                    columns={
                        "alertname": "Alert",
                        "severity": "Severity",
                        "cluster": "Cluster",
                        "service": "Service",
                        "container": "Container",
                    },
                    widths={"Alert": 240, "Severity": 80},
                    wide=10,
                    high=10,
                ),
            ),
        ),
        Row(
            "Course",
            (
                lines(
                    "Desired and running",
                    "Tasks that services want (dashed) and have. A gap that stays is a service that cannot get up.",
                    "short",
                    Query(
                        f"sum by (cluster) (ecs_service_running_tasks{{{SERVICE}}})", "{{cluster}} running"
                    ),
                    Query(
                        f"sum by (cluster) (ecs_service_desired_tasks{{{SERVICE}}})", "{{cluster}} desired"
                    ),
                    dashed=(".* desired",),
                ),
                lines(
                    "Stops by reason",
                    "Tasks that stopped, by class of reason. Scaling, Moved and User are wanted ones.",
                    "short",
                    Query(increase("ecs_task_stop_reasons_total", SERVICE, "reason"), "{{reason}}"),
                    stacked=True,
                    bars=True,
                ),
                lines(
                    "CPU",
                    "Cores used by tasks, reserved by them, and registered by the container instances (dashed).",
                    "none",
                    Query(
                        f"sum by (cluster) (rate(ecs_container_cpu_seconds_total{{{SERVICE}}}[$__rate_interval]))",
                        "{{cluster}} used",
                    ),
                    Query(
                        f"(sum by (cluster) (ecs_container_instance_registered_cpu{{{CLUSTER}}})"
                        f" - sum by (cluster) (ecs_container_instance_remaining_cpu{{{CLUSTER}}})) / 1024",
                        "{{cluster}} reserved",
                    ),
                    Query(
                        f"sum by (cluster) (ecs_container_instance_registered_cpu{{{CLUSTER}}}) / 1024",
                        "{{cluster}} registered",
                    ),
                    dashed=(".* registered",),
                ),
                lines(
                    "Memory",
                    "Working set of tasks, memory reserved by them, and registered by the container instances (dashed).",
                    "bytes",
                    Query(
                        f"sum by (cluster) (ecs_container_memory_working_set_bytes{{{SERVICE}}})",
                        "{{cluster}} used",
                    ),
                    Query(
                        f"sum by (cluster) (ecs_container_instance_registered_memory_bytes{{{CLUSTER}}})"
                        f" - sum by (cluster) (ecs_container_instance_remaining_memory_bytes{{{CLUSTER}}})",
                        "{{cluster}} reserved",
                    ),
                    Query(
                        f"sum by (cluster) (ecs_container_instance_registered_memory_bytes{{{CLUSTER}}})",
                        "{{cluster}} registered",
                    ),
                    dashed=(".* registered",),
                ),
            ),
        ),
        Row(
            "Container instances",
            (
                number(
                    "Connected",
                    "Container instances whose agent is connected and that take tasks.",
                    "short",
                    Query(f'sum(ecs_cluster_container_instances{{{CLUSTER}, status="ACTIVE"}})'),
                    SOME_IS_GOOD,
                    none="0",
                    wide=4,
                ),
                number(
                    "Disconnected",
                    "Container instances whose agent is silent; their tasks are moved once the grace period is over.",
                    "short",
                    Query(f'sum(ecs_cluster_container_instances{{{CLUSTER}, status="DISCONNECTED"}})'),
                    NONE_IS_GOOD,
                    none="0",
                    wide=4,
                ),
                number(
                    "CPU reserved",
                    "CPU units that tasks reserve, of those registered.",
                    "percentunit",
                    Query(
                        f"1 - sum(ecs_container_instance_remaining_cpu{{{CLUSTER}}})"
                        f" / sum(ecs_container_instance_registered_cpu{{{CLUSTER}}})"
                    ),
                    RATIO,
                    wide=4,
                ),
                number(
                    "Memory reserved",
                    "Memory that tasks reserve, of that registered.",
                    "percentunit",
                    Query(
                        f"1 - sum(ecs_container_instance_remaining_memory_bytes{{{CLUSTER}}})"
                        f" / sum(ecs_container_instance_registered_memory_bytes{{{CLUSTER}}})"
                    ),
                    RATIO,
                    wide=4,
                ),
                number(
                    "Placement failures",
                    "Looks of the scheduler in the shown time in which a task found no instance with room for it.",
                    "short",
                    Query(increase("ecs_scheduler_placement_failures_total", SERVICE, over="$__range")),
                    NONE_IS_GOOD,
                    none="0",
                    wide=4,
                    decimals=0,
                ),
                number(
                    "Deployments under way",
                    "Deployments that are IN_PROGRESS.",
                    "short",
                    Query(f'sum(ecs_service_deployments{{{SERVICE}, rollout_state="IN_PROGRESS"}})'),
                    none="0",
                    wide=4,
                ),
            ),
        ),
    ),
)
