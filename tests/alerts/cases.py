"""For each alert: series under which it fires and later resolves, and series under which it never does.

Values are promtool's: one each fifteen seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

STEPS_A_MINUTE = 4
Series = dict[str, str]


def flat(value: float, minutes: float) -> str:
    return f"{value}+0x{round(minutes * STEPS_A_MINUTE) - 1}"


def ramp(start: float, per_minute: float, minutes: float) -> str:
    step = per_minute / STEPS_A_MINUTE
    sign = "-" if step < 0 else "+"
    return f"{start}{sign}{abs(step)}x{round(minutes * STEPS_A_MINUTE) - 1}"


def then(*parts: str) -> str:
    return " ".join(parts)


def swinging(low: float, high: float, each_minutes: float, minutes: float) -> str:
    turns = round(minutes / each_minutes)
    return then(*(flat(high if turn % 2 else low, each_minutes) for turn in range(turns)))


@dataclass(frozen=True)
class Case:
    """`fires_at`, `resolved_at`: minutes. `quiet`: looked at at the same two times."""

    fires: Series
    quiet: tuple[Series, ...]
    fires_at: float
    resolved_at: float


S = '{cluster="c",service="s"}'
C = '{cluster="c",service="s",container="app"}'
T = '{cluster="c",service="s",family="f",revision="1",task="t",container="app"}'
I = '{cluster="c",container_instance="i"}'  # noqa: E741 - an instance
A = '{job="ecs",instance="h:4581"}'
WHO = {'ecs_agent_info{job="ecs",instance="h:4581",cluster="c",container_instance="i"}': flat(1, 600)}


def of(labels: str, **more: str) -> str:
    """The labels and more."""
    return labels[:-1] + "".join(f',{name}="{value}"' for name, value in more.items()) + "}"


def counter(name: str, most: float, at_minutes: float, total: float = 60) -> Series:
    """A counter that is 0 at first and then at `most`."""
    return {name: then(flat(0, at_minutes), flat(most, total - at_minutes))}


def capacity(registered: str, remaining: str, left: float, left_later: float) -> Series:
    return {
        f"{registered}{I}": flat(100, 60),
        f"{remaining}{I}": then(flat(left, 30), flat(left_later, 30)),
    }


def two_instances(reserved: float, later: float) -> Series:
    found: Series = {}
    for name in ("i", "j"):
        labels = f'{{cluster="c",container_instance="{name}"}}'
        found[f"ecs_container_instance_registered_memory_bytes{labels}"] = flat(100, 60)
        left = then(flat(100 - reserved, 30), flat(100 - later, 30))
        found[f"ecs_container_instance_remaining_memory_bytes{labels}"] = left
    return found


STOPPED = "ecs_task_stopped_total"
CASES: dict[str, Case] = {
    "EcsServiceRunningBelowDesired": Case(
        {
            f"ecs_service_desired_tasks{S}": flat(3, 60),
            f"ecs_service_running_tasks{S}": then(flat(1, 25), flat(3, 35)),
        },
        (
            {  # it is working on it
                f"ecs_service_desired_tasks{S}": flat(3, 60),
                f"ecs_service_running_tasks{S}": swinging(1, 2, 2, 60),
            },
            {f"ecs_service_desired_tasks{S}": flat(0, 60), f"ecs_service_running_tasks{S}": flat(0, 60)},
        ),
        17,
        30,
    ),
    "EcsServiceDown": Case(
        {
            f"ecs_service_desired_tasks{S}": flat(2, 60),
            f"ecs_service_running_tasks{S}": then(flat(0, 10), flat(2, 50)),
        },
        ({f"ecs_service_desired_tasks{S}": flat(0, 60), f"ecs_service_running_tasks{S}": flat(0, 60)},),
        5,
        12,
    ),
    "EcsServiceCrashLooping": Case(
        {of(f"{STOPPED}{S}", stop_code="EssentialContainerExited"): then(ramp(0, 1, 15), flat(14.75, 45))},
        (
            counter(of(f"{STOPPED}{S}", stop_code="EssentialContainerExited"), 2, 5),
            {of(f"{STOPPED}{S}", stop_code="ServiceSchedulerInitiated"): ramp(0, 5, 60)},  # a rolling update
        ),
        12,
        40,
    ),
    "EcsServiceBackoff": Case(
        {f"ecs_service_restart_backoff_seconds{S}": then(flat(160, 20), flat(0, 40))},
        ({f"ecs_service_restart_backoff_seconds{S}": flat(40, 60)},),
        15,
        25,
    ),
    "EcsTasksStuckPending": Case(
        {
            f"ecs_service_pending_tasks{S}": then(flat(1, 35), flat(0, 25)),
            f"ecs_service_running_tasks{S}": flat(2, 60),
        },
        (
            {  # a rolling update that goes on
                f"ecs_service_pending_tasks{S}": flat(1, 60),
                f"ecs_service_running_tasks{S}": swinging(2, 3, 1, 60),
            },
            {  # a start now and then
                f"ecs_service_pending_tasks{S}": swinging(0, 1, 4, 60),
                f"ecs_service_running_tasks{S}": flat(2, 60),
            },
        ),
        30,
        40,
    ),
    "EcsServiceUnhealthyTasks": Case(
        {f"ecs_service_unhealthy_tasks{S}": then(flat(1, 10), flat(0, 50))},
        ({f"ecs_service_unhealthy_tasks{S}": swinging(0, 1, 1, 60)},),
        6,
        12,
    ),
    "EcsServiceHealthFlapping": Case(
        {f"ecs_container_health_changes_total{C}": then(ramp(0, 1, 20), flat(19.75, 40))},
        ({f"ecs_container_health_changes_total{C}": ramp(0, 0.2, 60)},),
        18,
        50,
    ),
    "EcsDeploymentFailed": Case(
        counter(of(f"ecs_deployments_total{S}", result="FAILED"), 1, 5),
        (counter(of(f"ecs_deployments_total{S}", result="COMPLETED"), 1, 5),),
        10,
        30,
    ),
    "EcsDeploymentRolledBack": Case(
        counter(of(f"ecs_deployments_total{S}", result="ROLLED_BACK"), 1, 5),
        (counter(of(f"ecs_deployments_total{S}", result="FAILED"), 1, 5),),
        10,
        30,
    ),
    "EcsDeploymentStuck": Case(
        {
            of(f"ecs_service_deployments{S}", rollout_state="IN_PROGRESS"): then(flat(1, 50), flat(0, 30)),
            f"ecs_service_deployment_running_tasks{S}": flat(1, 80),
        },
        (
            {
                of(f"ecs_service_deployments{S}", rollout_state="IN_PROGRESS"): flat(1, 80),
                f"ecs_service_deployment_running_tasks{S}": ramp(0, 0.2, 80),
            },
            {
                of(f"ecs_service_deployments{S}", rollout_state="COMPLETED"): flat(1, 80),
                f"ecs_service_deployment_running_tasks{S}": flat(1, 80),
            },
        ),
        40,
        60,
    ),
    "EcsPlacementFailing": Case(
        {
            of(f"ecs_scheduler_placement_failures_total{S}", reason="RESOURCE:CPU"): then(
                ramp(0, 2, 20), flat(39.5, 40)
            )
        },
        ({of(f"ecs_scheduler_placement_failures_total{S}", reason="RESOURCE:CPU"): flat(7, 60)},),
        15,
        40,
    ),
    "EcsClusterCpuOvercommit": Case(
        capacity("ecs_container_instance_registered_cpu", "ecs_container_instance_remaining_cpu", 5, 50),
        (capacity("ecs_container_instance_registered_cpu", "ecs_container_instance_remaining_cpu", 15, 15),),
        20,
        35,
    ),
    "EcsClusterMemoryOvercommit": Case(
        capacity(
            "ecs_container_instance_registered_memory_bytes",
            "ecs_container_instance_remaining_memory_bytes",
            5,
            50,
        ),
        (
            capacity(
                "ecs_container_instance_registered_memory_bytes",
                "ecs_container_instance_remaining_memory_bytes",
                15,
                15,
            ),
        ),
        20,
        35,
    ),
    "EcsClusterCannotLoseAnInstance": Case(
        two_instances(60, 20),
        (
            two_instances(40, 40),
            capacity(  # one instance alone has nothing to lose to
                "ecs_container_instance_registered_memory_bytes",
                "ecs_container_instance_remaining_memory_bytes",
                5,
                5,
            ),
        ),
        25,
        35,
    ),
    "EcsContainerOomKilled": Case(
        counter(f"ecs_container_oom_kills_total{C}", 1, 5),
        ({f"ecs_container_oom_kills_total{C}": flat(3, 60)},),
        8,
        25,
    ),
    "EcsContainerNearMemoryLimit": Case(
        {f"ecs_container_memory_limit_ratio{T}": then(flat(0.95, 15), flat(0.5, 45))},
        ({f"ecs_container_memory_limit_ratio{T}": swinging(0.85, 0.95, 2, 60)},),
        10,
        20,
    ),
    "EcsContainerMemoryWillExhaust": Case(
        {
            f"ecs_container_memory_working_set_bytes{T}": then(ramp(500, 2, 120), flat(500, 180)),
            f"ecs_container_memory_limit_bytes{T}": flat(1000, 300),
            f"ecs_container_memory_limit_ratio{T}": flat(0.6, 300),
        },
        (
            {  # steady
                f"ecs_container_memory_working_set_bytes{T}": flat(900, 300),
                f"ecs_container_memory_limit_bytes{T}": flat(1000, 300),
                f"ecs_container_memory_limit_ratio{T}": flat(0.9, 300),
            },
            {  # no limit
                f"ecs_container_memory_working_set_bytes{T}": ramp(500, 2, 300),
                f"ecs_container_memory_limit_bytes{T}": flat(0, 300),
            },
        ),
        100,
        290,
    ),
    "EcsContainerCpuThrottlingHigh": Case(
        {
            f"ecs_container_cpu_throttled_periods_total{T}": then(ramp(0, 300, 40), flat(11925, 40)),
            f"ecs_container_cpu_periods_total{T}": ramp(0, 600, 80),
        },
        (
            {
                f"ecs_container_cpu_throttled_periods_total{T}": ramp(0, 60, 80),
                f"ecs_container_cpu_periods_total{T}": ramp(0, 600, 80),
            },
            {  # no quota
                f"ecs_container_cpu_throttled_periods_total{T}": flat(0, 80),
                f"ecs_container_cpu_periods_total{T}": flat(0, 80),
            },
        ),
        30,
        60,
    ),
    "EcsContainerRestarting": Case(
        counter(f"ecs_container_restarts_total{C}", 5, 5),
        (counter(f"ecs_container_restarts_total{C}", 1, 5),),
        10,
        30,
    ),
    "EcsImagePullFailing": Case(
        {of(f"ecs_task_stop_reasons_total{S}", reason="ImagePull"): then(ramp(0, 1, 20), flat(19.75, 40))},
        ({of(f"ecs_task_stop_reasons_total{S}", reason="Scaling"): ramp(0, 1, 60)},),
        15,
        40,
    ),
    "EcsAgentDisconnected": Case(
        {f"ecs_container_instance_agent_connected{I}": then(flat(0, 10), flat(1, 50))},
        (
            {f"ecs_container_instance_agent_connected{I}": swinging(0, 1, 1, 60)},
            {  # taken out of service
                f"ecs_container_instance_agent_connected{I}": flat(0, 60),
                of(f"ecs_container_instance_info{I}", status="DRAINING"): flat(1, 60),
            },
        ),
        5,
        12,
    ),
    "EcsAgentFlapping": Case(
        {f"ecs_container_instance_agent_connected{I}": then(swinging(0, 1, 1, 20), flat(1, 40))},
        ({f"ecs_container_instance_agent_connected{I}": swinging(0, 1, 10, 60)},),
        18,
        50,
    ),
    "EcsDockerDaemonUnresponsive": Case(
        {f"ecs_agent_docker_up{A}": then(flat(0, 10), flat(1, 50)), **WHO},
        (
            {f"ecs_agent_docker_up{A}": flat(1, 60), **WHO},
            {  # a pull may take long
                of(f"ecs_agent_docker_request_duration_seconds_bucket{A}", operation="pull", le="10.0"): flat(
                    0, 60
                ),
                of(f"ecs_agent_docker_request_duration_seconds_bucket{A}", operation="pull", le="+Inf"): ramp(
                    0, 9, 60
                ),
                **WHO,
            },
        ),
        5,
        15,
    ),
    "EcsInstanceDiskFilling": Case(
        {
            f"ecs_host_disk_size_bytes{A}": flat(1000, 600),
            f"ecs_host_disk_available_bytes{A}": then(ramp(140, -0.2, 300), flat(500, 300)),
            **WHO,
        },
        (
            {  # nearly full, and stays so
                f"ecs_host_disk_size_bytes{A}": flat(1000, 600),
                f"ecs_host_disk_available_bytes{A}": flat(100, 600),
                **WHO,
            },
            {  # filling, with much left
                f"ecs_host_disk_size_bytes{A}": flat(1000, 600),
                f"ecs_host_disk_available_bytes{A}": ramp(900, -0.2, 600),
                **WHO,
            },
        ),
        200,
        320,
    ),
    "EcsSchedulerStalled": Case(
        {f"ecs_scheduler_last_loop_timestamp_seconds{A}": then(flat(0, 10), ramp(600, 60, 50))},
        ({f"ecs_scheduler_last_loop_timestamp_seconds{A}": ramp(0, 60, 60)},),
        5,
        15,
    ),
    "EcsNoLeader": Case(
        {f"ecs_controlplane_is_leader{A}": then(flat(0, 10), flat(1, 50))},
        ({f"ecs_controlplane_is_leader{A}": flat(1, 60)},),
        5,
        15,
    ),
    "EcsApiErrors": Case(
        {
            'ecs_api_requests_total{operation="RunTask",code="500"}': then(ramp(0, 6, 30), flat(178.5, 30)),
            'ecs_api_requests_total{operation="RunTask",code="200"}': ramp(0, 60, 60),
        },
        (
            {  # the caller's own fault
                'ecs_api_requests_total{operation="RunTask",code="400"}': ramp(0, 60, 60),
                'ecs_api_requests_total{operation="RunTask",code="500"}': flat(0, 60),
            },
        ),
        25,
        45,
    ),
    "EcsEventsDropped": Case(
        counter(f"ecs_events_dropped_total{A}", 4, 5), ({f"ecs_events_dropped_total{A}": flat(9, 60)},), 8, 25
    ),
    "EcsMetricsStale": Case(
        {f"ecs_agent_last_metrics_timestamp_seconds{A}": then(flat(0, 10), ramp(600, 60, 50)), **WHO},
        ({f"ecs_agent_last_metrics_timestamp_seconds{A}": ramp(0, 60, 60), **WHO},),
        6,
        15,
    ),
    "EcsMetricsCardinalityHigh": Case(
        {f"scrape_samples_scraped{A}": then(flat(60000, 30), flat(9000, 30))},
        ({'scrape_samples_scraped{job="other",instance="x"}': flat(60000, 60)},),
        20,
        35,
    ),
    "EcsTargetDown": Case(
        {f"up{A}": then(flat(0, 15), flat(1, 45))},
        ({f"up{A}": swinging(0, 1, 2, 60)},),
        10,
        20,
    ),
    "EcsDown": Case(
        {f"up{A}": then(flat(0, 15), flat(1, 45))},
        ({f"up{A}": flat(0, 60), 'up{job="ecs",instance="h:4580"}': flat(1, 60)},),
        10,
        20,
    ),
}
