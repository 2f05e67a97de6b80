"""The alert pack and the recording rules, as data. Prometheus rule files, Grafana's alert rules, runbooks and the docs
are made from it.

Windows are short, so that the rules hold on Prometheus 2.42 and 3 alike (ranges are left-open there). Counters are at 0
from the start of a service, so that a first failure counts. Failure alerts are of services; tasks come and go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dashboards.queries import FOREIGN, UnknownMetric, series

JOB = 'job="ecs"'
CRITICAL, WARNING, INFO = "critical", "warning", "info"
_NAMES = re.compile(r"\b((?:ecs|cluster|cluster_service|up|scrape)[a-z0-9_:]*)\b(?=\s*[{\[)\s]|$)")
_RANGE = re.compile(r"\[(\d+)([smh])\]")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
# Metrics of a machine carry Prometheus's own instance alone; the agent beside them knows who it is.
_WHO = f"* on (instance) group_left (cluster, container_instance) ecs_agent_info{{{JOB}}}"


@dataclass(frozen=True, slots=True)
class Recording:
    """`record`: level:metric:operation."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """`wait`: how long the condition must hold, in seconds. `summary` and `description` are Prometheus templates.

    `meaning`, `first`, `fix` make the runbook: what it means, the first command and what to look for, what to do.
    """

    name: str
    severity: str
    wait: float
    expr: str
    summary: str
    description: str
    meaning: str
    first: str
    fix: str


RECORDINGS: tuple[Recording, ...] = (
    Recording(
        "cluster:ecs_container_instance_cpu_reserved:ratio",
        "1 - sum by (cluster) (ecs_container_instance_remaining_cpu)"
        " / sum by (cluster) (ecs_container_instance_registered_cpu)",
    ),
    Recording(
        "cluster:ecs_container_instance_memory_reserved:ratio",
        "1 - sum by (cluster) (ecs_container_instance_remaining_memory_bytes)"
        " / sum by (cluster) (ecs_container_instance_registered_memory_bytes)",
    ),
    Recording(
        "cluster_service:ecs_container_cpu_seconds:rate5m",
        "sum by (cluster, service) (rate(ecs_container_cpu_seconds_total[5m]))",
    ),
    Recording(
        "cluster_service:ecs_container_memory_working_set_bytes:sum",
        "sum by (cluster, service) (ecs_container_memory_working_set_bytes)",
    ),
    Recording(
        "cluster_service:ecs_task_essential_exits:increase10m",
        'sum by (cluster, service) (increase(ecs_task_stopped_total{stop_code="EssentialContainerExited"}[10m]))',
    ),
)
_SERVICE = "{{ $labels.service }} in cluster {{ $labels.cluster }}"
_INSTANCE = "container instance {{ $labels.container_instance }} in cluster {{ $labels.cluster }}"
_CONTAINER = "container {{ $labels.container }} of {{ $labels.service }} in cluster {{ $labels.cluster }}"

ALERTS: tuple[Alert, ...] = (
    # -- services ------------------------------------------------------------------------------------
    Alert(
        "EcsServiceRunningBelowDesired",
        WARNING,
        300,
        "ecs_service_running_tasks < ecs_service_desired_tasks and changes(ecs_service_running_tasks[10m]) == 0",
        f"Service {_SERVICE} runs fewer tasks than it wants",
        "{{ $value }} tasks are RUNNING, and that has not changed for ten minutes.",
        "The service wants more tasks than run, and nothing has come or gone for ten minutes: it is not deploying, it is stuck.",
        "`moorwatch why SERVICE`: the cause of the newest stop, or why a task finds no place",
        "Give it room (an instance, a smaller reservation), or mend what keeps its tasks from starting.",
    ),
    Alert(
        "EcsServiceDown",
        CRITICAL,
        60,
        "ecs_service_running_tasks == 0 and ecs_service_desired_tasks > 0",
        f"Service {_SERVICE} has no task running",
        "It wants tasks and not one is RUNNING.",
        "Nobody is served: the service wants tasks and none is RUNNING.",
        "`moorwatch why SERVICE`: the last stop's reason and when the next start is tried",
        "If a deployment brought it down, go back: `aws ecs update-service --service SERVICE --task-definition FAMILY:REVISION`.",
    ),
    Alert(
        "EcsServiceCrashLooping",
        CRITICAL,
        120,
        "cluster_service:ecs_task_essential_exits:increase10m > 3",
        f"Tasks of {_SERVICE} end again and again",
        "Essential containers ended {{ $value | humanize }} times in ten minutes.",
        "Tasks start, their essential container ends, they are replaced, and so on. The scheduler spreads the attempts out.",
        "`moorwatch why SERVICE`: exit code and the log's last lines; 137 with an OOM kill means memory",
        "Mend the program, its configuration or its memory limit, and deploy; a new deployment starts without back-off.",
    ),
    Alert(
        "EcsServiceBackoff",
        WARNING,
        600,
        "ecs_service_restart_backoff_seconds > 60",
        f"Starts of {_SERVICE} are held back",
        "The next start attempt waits {{ $value | humanizeDuration }} after failures in a row.",
        "So many starts failed in a row that the scheduler waits more than a minute between attempts.",
        "`moorwatch why SERVICE`: what failed, and when it retries",
        "Mend the cause and deploy (`aws ecs update-service --force-new-deployment`): back-off begins anew.",
    ),
    Alert(
        "EcsTasksStuckPending",
        WARNING,
        600,
        "min_over_time(ecs_service_pending_tasks[10m]) > 0 and changes(ecs_service_running_tasks[10m]) == 0",
        f"Tasks of {_SERVICE} do not get RUNNING",
        "{{ $value }} tasks have been pending for ten minutes and more.",
        "Tasks were placed on an instance and do not reach RUNNING: an image that takes long, a Docker daemon that hangs, a"
        " container another one waits for.",
        "`moorwatch status SERVICE`, then `moorwatch why TASK` of a pending one",
        "Look at the image pull, at dependsOn and start timeouts, and at the agent's Docker (EcsDockerDaemonUnresponsive).",
    ),
    Alert(
        "EcsServiceUnhealthyTasks",
        WARNING,
        180,
        "ecs_service_unhealthy_tasks > 0",
        f"{_SERVICE} has unhealthy tasks",
        "The health check of {{ $value }} RUNNING tasks fails.",
        "Containers run, and their health check says they do not work.",
        "`moorwatch why SERVICE`: the health check's last output",
        "Mend the program, or the check: its command, timeout, retries and startPeriod.",
    ),
    Alert(
        "EcsServiceHealthFlapping",
        WARNING,
        300,
        "sum by (cluster, service) (increase(ecs_container_health_changes_total[15m])) > 6",
        f"Health of {_SERVICE} comes and goes",
        "Health checks changed {{ $value | humanize }} times in fifteen minutes.",
        "Health checks turn healthy and unhealthy in turn: a timeout near the usual answer time, or a program at its limit.",
        '`moorwatch events --service SERVICE`, and the panel "Health check time" of the board Task and container',
        "Raise timeout or retries, give the container more CPU, or make the check cheaper.",
    ),
    # -- deployments ---------------------------------------------------------------------------------
    Alert(
        "EcsDeploymentFailed",
        CRITICAL,
        0,
        'increase(ecs_deployments_total{result="FAILED"}[15m]) > 0',
        f"A deployment of {_SERVICE} failed",
        "The circuit breaker or an alarm ended it, and there was no way back.",
        "A deployment was ended by its circuit breaker or an alarm without a rollback: the service runs what is left of both.",
        "`moorwatch why SERVICE`: the failed tasks of the new revision",
        "Deploy a revision that works; turn on rollback in deploymentCircuitBreaker.",
    ),
    Alert(
        "EcsDeploymentRolledBack",
        WARNING,
        0,
        'increase(ecs_deployments_total{result="ROLLED_BACK"}[15m]) > 0',
        f"A deployment of {_SERVICE} was rolled back",
        "The service runs its previous revision again.",
        "The new revision did not come up, or an alarm fired while it did, and the service went back by itself.",
        "`aws ecs describe-service-deployments`: the rollback's reason; `moorwatch why SERVICE`: the failed tasks",
        "Compare the two revisions, mend the new one, deploy again.",
    ),
    Alert(
        "EcsDeploymentStuck",
        WARNING,
        900,
        'sum by (cluster, service) (ecs_service_deployments{rollout_state="IN_PROGRESS"}) > 0'
        " and on (cluster, service) changes(ecs_service_deployment_running_tasks[15m]) == 0",
        f"A deployment of {_SERVICE} makes no progress",
        "It has been under way for fifteen minutes without a task more or less.",
        "A deployment is IN_PROGRESS and its number of running tasks does not change: percentages that allow no step, no room,"
        " or a pause hook that waits for a person.",
        "`moorwatch status SERVICE` and `moorwatch events --service SERVICE`",
        "Allow a step (minimumHealthyPercent, maximumPercent), add capacity, or continue the hook.",
    ),
    Alert(
        "EcsPlacementFailing",
        WARNING,
        300,
        "sum by (cluster, service, reason) (increase(ecs_scheduler_placement_failures_total[10m])) > 0",
        f"Tasks of {_SERVICE} find no place",
        "Reason: {{ $labels.reason }}.",
        "The scheduler looked for an instance for a task and found none that fits.",
        "`moorwatch events --service SERVICE`: which resource is missing, and on which instance it came closest",
        "Add an instance, lower the reservation, free a port, or mend the constraint.",
    ),
    # -- capacity ------------------------------------------------------------------------------------
    Alert(
        "EcsClusterCpuOvercommit",
        WARNING,
        600,
        "cluster:ecs_container_instance_cpu_reserved:ratio > 0.9",
        "Cluster {{ $labels.cluster }} has little CPU left to reserve",
        "{{ $value | humanizePercentage }} of the CPU units are reserved.",
        "Tasks reserve more than nine tenths of the CPU units; the next deployment may find no room for its second set.",
        "`moorwatch status`, and the board Instances and capacity",
        "Add an instance, or lower reservations that are far above use.",
    ),
    Alert(
        "EcsClusterMemoryOvercommit",
        WARNING,
        600,
        "cluster:ecs_container_instance_memory_reserved:ratio > 0.9",
        "Cluster {{ $labels.cluster }} has little memory left to reserve",
        "{{ $value | humanizePercentage }} of the memory is reserved.",
        "Tasks reserve more than nine tenths of the memory; the next deployment may find no room for its second set.",
        "`moorwatch status`, and the board Instances and capacity",
        "Add an instance, or lower reservations that are far above use.",
    ),
    Alert(
        "EcsClusterCannotLoseAnInstance",
        WARNING,
        900,
        "sum by (cluster) (ecs_container_instance_registered_memory_bytes)"
        " - max by (cluster) (ecs_container_instance_registered_memory_bytes)"
        " < sum by (cluster) (ecs_container_instance_registered_memory_bytes"
        " - ecs_container_instance_remaining_memory_bytes)"
        " and count by (cluster) (ecs_container_instance_registered_memory_bytes) > 1",
        "Cluster {{ $labels.cluster }} cannot lose an instance",
        "Without its largest instance, {{ $value | humanize1024 }}B of memory would be left, less than tasks reserve.",
        "If the largest instance is lost, its tasks will not fit on the others.",
        'the board Instances and capacity: "Memory reserved"',
        "Add an instance of that size, or lower reservations.",
    ),
    # -- containers ----------------------------------------------------------------------------------
    Alert(
        "EcsContainerOomKilled",
        CRITICAL,
        0,
        "increase(ecs_container_oom_kills_total[10m]) > 0",
        f"{_CONTAINER[0].upper()}{_CONTAINER[1:]} was killed for want of memory",
        "The kernel killed a process of it in the last ten minutes because its memory limit was reached.",
        "A container needed more memory than its limit, and the kernel killed a process of it.",
        "`moorwatch why SERVICE`: memory at its end against the limit",
        'Raise `memory` in the task definition, or find what grows: "Memory by kind" on the board Task and container.',
    ),
    Alert(
        "EcsContainerNearMemoryLimit",
        WARNING,
        300,
        "ecs_container_memory_limit_ratio > 0.9",
        f"{_CONTAINER[0].upper()}{_CONTAINER[1:]} is near its memory limit",
        "Its working set is {{ $value | humanizePercentage }} of the limit.",
        "The working set is above nine tenths of the limit: the next peak may be a kill.",
        'the board Task and container: "Memory" over a day',
        "Raise the limit, or find what grows.",
    ),
    Alert(
        "EcsContainerMemoryWillExhaust",
        INFO,
        900,
        "predict_linear(ecs_container_memory_working_set_bytes[1h], 4 * 3600) > ecs_container_memory_limit_bytes"
        " and ecs_container_memory_limit_bytes > 0 and ecs_container_memory_limit_ratio > 0.5",
        f"{_CONTAINER[0].upper()}{_CONTAINER[1:]} will reach its memory limit",
        "If it grows as in the last hour, it reaches the limit within four hours.",
        "Memory has grown steadily for an hour: a leak, or a cache without a bound.",
        'the board Task and container: "Memory by kind"',
        "Find the leak. Until then a restart buys time: `aws ecs update-service --force-new-deployment`.",
    ),
    Alert(
        "EcsContainerCpuThrottlingHigh",
        INFO,
        900,
        "increase(ecs_container_cpu_throttled_periods_total[5m])"
        " / (increase(ecs_container_cpu_periods_total[5m]) > 0) > 0.25",
        f"{_CONTAINER[0].upper()}{_CONTAINER[1:]} is held back by its CPU quota",
        "It was throttled in {{ $value | humanizePercentage }} of the periods.",
        "The CPU quota of the task holds the container back in more than a quarter of the periods: answers take longer.",
        'the board Task and container: "CPU" and "CPU throttling"',
        "Raise the task's `cpu`, or use fewer threads.",
    ),
    Alert(
        "EcsContainerRestarting",
        WARNING,
        0,
        "increase(ecs_container_restarts_total[15m]) > 2",
        f"{_CONTAINER[0].upper()}{_CONTAINER[1:]} is restarted again and again",
        "It was started again in place {{ $value | humanize }} times in fifteen minutes.",
        "A container with a restart policy ends and is started again in the same task.",
        '`moorwatch why SERVICE`, and "Exit codes" on the board Failures',
        "Mend why it ends; codes that are meant to end it belong into ignoredExitCodes.",
    ),
    Alert(
        "EcsImagePullFailing",
        WARNING,
        300,
        'sum by (cluster, service) (increase(ecs_task_stop_reasons_total{reason="ImagePull"}[10m])) > 0',
        f"Images of {_SERVICE} cannot be pulled",
        "{{ $value | humanize }} tasks stopped in ten minutes because an image could not be pulled.",
        "Tasks stop before they start because Docker gets no image: wrong name or tag, registry away, no credentials.",
        "`moorwatch why SERVICE`: Docker's own words; then `docker pull IMAGE` on the instance",
        "Mend the image's name, the registry or its credentials.",
    ),
    # -- instances and agents ------------------------------------------------------------------------
    Alert(
        "EcsAgentDisconnected",
        CRITICAL,
        120,
        "ecs_container_instance_agent_connected == 0"
        ' unless on (cluster, container_instance) ecs_container_instance_info{status="DRAINING"}',
        f"The agent of {_INSTANCE} is silent",
        "Its tasks are given up and replaced elsewhere once the grace period is over.",
        "The control plane hears nothing of this container instance: the machine, its network or the agent is down.",
        "`moorwatch doctor` on that machine, or `moorwatch status`: which tasks were moved",
        "Bring the machine or the agent back; for good: `aws ecs deregister-container-instance --force`.",
    ),
    Alert(
        "EcsAgentFlapping",
        WARNING,
        300,
        "changes(ecs_container_instance_agent_connected[15m]) > 4",
        f"The agent of {_INSTANCE} comes and goes",
        "Its connection changed {{ $value }} times in fifteen minutes.",
        "The agent loses its session and opens it again: a bad network, a machine under load, a clock that jumps.",
        "`moorwatch events`, and the agent's log on that machine",
        'Mend the network or the load; look at "Pressure on the machine" on the board Instances and capacity.',
    ),
    Alert(
        "EcsDockerDaemonUnresponsive",
        CRITICAL,
        120,
        f"(ecs_agent_docker_up == 0 or histogram_quantile(0.99, sum by (instance, le)"
        f' (rate(ecs_agent_docker_request_duration_seconds_bucket{{operation!="pull"}}[5m]))) >= 10) {_WHO}',
        f"Docker on {_INSTANCE} does not answer",
        "Its daemon is down, or calls take ten seconds and more.",
        "The agent cannot start or stop containers; metrics of those that run go on, as they are read from the kernel.",
        "`systemctl status docker` and `journalctl -u docker` on that machine",
        "Restart Docker; remove stopped containers and unused images; look at the disk.",
    ),
    Alert(
        "EcsInstanceDiskFilling",
        WARNING,
        3600,
        f"((ecs_host_disk_available_bytes / ecs_host_disk_size_bytes < 0.15)"
        f" and predict_linear(ecs_host_disk_available_bytes[6h], 4 * 86400) < 0) {_WHO}",
        f"The disk of {_INSTANCE} fills up",
        "{{ $value | humanizePercentage }} are left, and at this rate nothing in four days.",
        "The file system of Docker's data has less than 15 % left and is filling.",
        "`docker system df` on that machine",
        "`docker image prune`, limit logs (logConfiguration max-size), or a larger disk.",
    ),
    # -- control plane -------------------------------------------------------------------------------
    Alert(
        "EcsSchedulerStalled",
        CRITICAL,
        60,
        "time() - ecs_scheduler_last_loop_timestamp_seconds > 60",
        "The scheduler does not look any more",
        "Its last look was {{ $value | humanizeDuration }} ago.",
        "The scheduler looks at the state at least every five seconds; it has not for a minute. Nothing is replaced.",
        'the control plane\'s log (`control.log` in the state folder), and "Commits" on the board Control plane and agents',
        "Restart it: `moorwatch down`, `moorwatch up --detach`. Containers run on meanwhile.",
    ),
    Alert(
        "EcsNoLeader",
        CRITICAL,
        60,
        f"max(ecs_controlplane_is_leader{{{JOB}}}) < 1 or absent(ecs_controlplane_is_leader{{{JOB}}})",
        "No control plane runs the scheduler",
        "Nothing that ends is replaced.",
        "No control plane says that it leads: it is down, or cannot write its store.",
        "`moorwatch status`, then the control plane's log",
        "Start it (`moorwatch up --detach`); look at the disk of its state folder.",
    ),
    Alert(
        "EcsApiErrors",
        WARNING,
        600,
        'sum by (operation) (rate(ecs_api_requests_total{code=~"5.."}[5m]))'
        " / sum by (operation) (rate(ecs_api_requests_total[5m])) > 0.01",
        "The API answers {{ $labels.operation }} with errors",
        "{{ $value | humanizePercentage }} of the requests fail with 5xx.",
        "Requests fail by our fault, not by the caller's.",
        "the control plane's log, by the operation's name",
        "Most often the store cannot write: look at the disk of the state folder.",
    ),
    Alert(
        "EcsEventsDropped",
        WARNING,
        0,
        "increase(ecs_events_dropped_total[10m]) > 0",
        "A reader of the event log came too late",
        "{{ $value | humanize }} events had left memory when it asked for them.",
        "The log keeps the newest 5,000 events in memory; a reader (`moorwatch events -f`) was slower, or away for longer.",
        "which reader: `moorwatch events -f` says so itself",
        "Read more often, or narrow down by service.",
    ),
    Alert(
        "EcsMetricsStale",
        WARNING,
        120,
        f"(time() - ecs_agent_last_metrics_timestamp_seconds > 90) {_WHO}",
        f"Metrics of {_INSTANCE} are old",
        "The newest sample is {{ $value | humanizeDuration }} old.",
        "The agent answers scrapes but has not sampled its containers for a minute and a half.",
        'the agent\'s log on that machine; "Cost of sampling" on the board Control plane and agents',
        "Restart the agent; containers run on meanwhile.",
    ),
    Alert(
        "EcsMetricsCardinalityHigh",
        INFO,
        900,
        f"scrape_samples_scraped{{{JOB}}} > 50000",
        "A target of job ecs has very many series",
        "{{ $value | humanize }} samples in one scrape of {{ $labels.instance }}.",
        "Some seventy series a container: 50,000 are seven hundred containers on one machine, or labels that grow.",
        '`count by (__name__) ({job="ecs"})` in Prometheus',
        "Drop what nobody looks at by metric_relabel_configs, or lower the agent's setting series_limit.",
    ),
    Alert(
        "EcsTargetDown",
        WARNING,
        300,
        f"up{{{JOB}}} == 0",
        "Target {{ $labels.instance }} cannot be scraped",
        "Prometheus has had no answer for five minutes.",
        "One of the control plane and the agents does not answer Prometheus.",
        "`curl http://INSTANCE/metrics`, and `moorwatch status`",
        "Start it again; look at firewall and address.",
    ),
    Alert(
        "EcsDown",
        CRITICAL,
        300,
        f"absent(up{{{JOB}}} == 1)",
        "Nothing of Moorwatch can be scraped",
        "No target of job ecs answers.",
        "Neither the control plane nor any agent answers Prometheus: nobody watches the containers.",
        "`moorwatch status`, then `moorwatch doctor`",
        "`moorwatch up --detach`; look at Prometheus's page Targets for the reason.",
    ),
)


def names_in(expr: str) -> Iterator[str]:
    """Series that an expression names."""
    yield from (n for n in _NAMES.findall(re.sub(r'"[^"]*"', '""', expr)) if n not in ("cluster", "up_"))


def check() -> None:
    """Raises UnknownMetric for a rule that names what nothing exposes or records."""
    known = series() | FOREIGN | {r.record for r in RECORDINGS}
    for expr in (*(r.expr for r in RECORDINGS), *(a.expr for a in ALERTS)):
        for name in names_in(expr):
            if name not in known:
                raise UnknownMetric(f"{name} in {expr}")


def scaled(
    alerts: Sequence[Alert], recordings: Sequence[Recording], factor: float
) -> tuple[list[Alert], list[Recording]]:
    """The same rules in `factor` of their time: for a test that cannot wait ten minutes. Windows stay whole seconds."""

    def shorter(expr: str) -> str:
        return _RANGE.sub(lambda m: f"[{max(1, round(int(m[1]) * _SECONDS[m[2]] * factor))}s]", expr)

    return (
        [replace(a, expr=shorter(a.expr), wait=a.wait * factor) for a in alerts],
        [replace(r, expr=shorter(r.expr)) for r in recordings],
    )
