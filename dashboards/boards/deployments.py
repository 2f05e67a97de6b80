"""Deployments: what is being rolled out, how long it takes, what goes back."""

from __future__ import annotations

from dashboards.board import Board, Row, url
from dashboards.panels import NONE_IS_GOOD, lines, number, rows
from dashboards.queries import SERVICE, Query, increase, quantile, table


def _ended(title: str, text: str, result: str, *steps: tuple[float | None, str]) -> object:
    return number(
        title,
        text,
        "short",
        Query(increase("ecs_deployments_total", f'{SERVICE}, result="{result}"', over="$__range")),
        steps or NONE_IS_GOOD,
        wide=4,
        none="0",
        decimals=0,
    )


BOARD = Board(
    uid="moorwatch-deployments",
    text="Deployments: under way, done, failed and rolled back, and how long they take.",
    variables=("cluster", "service"),
    rows=(
        Row(
            "In the shown time",
            (
                number(
                    "Under way",
                    "Deployments that are IN_PROGRESS now.",
                    "short",
                    Query(f'sum(ecs_service_deployments{{{SERVICE}, rollout_state="IN_PROGRESS"}})'),
                    wide=4,
                    none="0",
                ),
                _ended("Completed", "Deployments that reached COMPLETED.", "COMPLETED", (None, "green")),
                _ended("Failed", "Deployments that failed without a way back.", "FAILED"),
                _ended(
                    "Rolled back",
                    "Deployments that the circuit breaker, an alarm or a person turned back.",
                    "ROLLED_BACK",
                ),
                _ended(
                    "Stopped",
                    "Deployments that a newer one or a person stopped.",
                    "STOPPED",
                    (None, "green"),
                ),
                number(
                    "Failed tasks",
                    "Failed tasks of the deployments that are PRIMARY now.",
                    "short",
                    Query(f"sum(ecs_service_deployment_failed_tasks{{{SERVICE}}})"),
                    NONE_IS_GOOD,
                    wide=4,
                    none="0",
                ),
            ),
        ),
        Row(
            "Progress",
            (
                lines(
                    "Tasks of the newest deployment",
                    "RUNNING and pending tasks of the PRIMARY deployment; dashed: how many it wants.",
                    "short",
                    Query(
                        f"sum by (service) (ecs_service_deployment_running_tasks{{{SERVICE}}})",
                        "{{service}} running",
                    ),
                    Query(
                        f"sum by (service) (ecs_service_deployment_pending_tasks{{{SERVICE}}})",
                        "{{service}} pending",
                    ),
                    Query(
                        f"sum by (service) (ecs_service_deployment_desired_tasks{{{SERVICE}}})",
                        "{{service}} desired",
                    ),
                    dashed=(".* desired",),
                ),
                lines(
                    "Deployments by result",
                    "Deployments that came to an end.",
                    "short",
                    Query(increase("ecs_deployments_total", SERVICE, "result"), "{{result}}"),
                    stacked=True,
                    bars=True,
                ),
                lines(
                    "Time to COMPLETED",
                    "From the start of a deployment to its COMPLETED: half and 95 % of them.",
                    "s",
                    Query(quantile(0.5, "ecs_deployment_duration_seconds", SERVICE), "p50"),
                    Query(quantile(0.95, "ecs_deployment_duration_seconds", SERVICE), "p95"),
                ),
                lines(
                    "Image pulls",
                    "Time the images of a task took to be pulled: half and 95 % of the pulls.",
                    "s",
                    Query(quantile(0.5, "ecs_image_pull_duration_seconds", SERVICE), "p50"),
                    Query(quantile(0.95, "ecs_image_pull_duration_seconds", SERVICE), "p95"),
                ),
                lines(
                    "Failed tasks",
                    "Failed tasks of the PRIMARY deployment: what the circuit breaker counts against its threshold.",
                    "short",
                    Query(
                        f"sum by (service) (ecs_service_deployment_failed_tasks{{{SERVICE}}})", "{{service}}"
                    ),
                ),
                lines(
                    "Start latency",
                    "From a task's creation to RUNNING and to HEALTHY, 95 % of the starts: what each batch of a rollout waits for.",
                    "s",
                    Query(
                        quantile(0.95, "ecs_task_start_latency_seconds", SERVICE, "service, stage"),
                        "{{service}} {{stage}}",
                    ),
                ),
                rows(
                    "Services",
                    "Each service's newest deployment.",
                    table(f"sum by (cluster, service) (ecs_service_deployment_desired_tasks{{{SERVICE}}})"),
                    table(f"sum by (cluster, service) (ecs_service_deployment_running_tasks{{{SERVICE}}})"),
                    table(f"sum by (cluster, service) (ecs_service_deployment_failed_tasks{{{SERVICE}}})"),
                    table(
                        f'sum by (cluster, service) (ecs_service_deployments{{{SERVICE}, rollout_state="IN_PROGRESS"}})'
                    ),
                    columns={
                        "cluster": "Cluster",
                        "service": "Service",
                        "Value #A": "Desired",
                        "Value #B": "Running",
                        "Value #C": "Failed tasks",
                        "Value #D": "Under way",
                    },
                    links={
                        "Service": url(
                            "moorwatch-service",
                            cluster="${__data.fields.Cluster}",
                            service="${__data.fields.Service}",
                        )
                    },
                    sort="Under way",
                ),
            ),
        ),
    ),
)
