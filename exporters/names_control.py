"""The metrics that the agent and the control plane keep with prometheus_client."""

from __future__ import annotations

from exporters.metric import CONTAINER_LABELS, INSTANCE_LABELS, SERVICE_LABELS, Metric, table


def _agent(name: str, kind: str, text: str, *labels: str) -> Metric:
    return Metric(f"ecs_agent_{name}", kind, text, labels, "agent")


def _control(name: str, kind: str, text: str, *labels: str) -> Metric:
    return Metric(f"ecs_{name}", kind, text, labels, "control")


def _service(name: str, kind: str, text: str, *more: str) -> Metric:
    return _control(name, kind, text, *SERVICE_LABELS, *more)


def _instance(name: str, text: str, *more: str) -> Metric:
    return _control(f"container_instance_{name}", "gauge", text, *INSTANCE_LABELS, *more)


AGENT_METRICS: dict[str, Metric] = table(
    _agent(
        "info",
        "gauge",
        "Who the agent is; always 1.",
        *INSTANCE_LABELS,
        "version",
        "docker_version",
    ),
    _agent(
        "container_restarts",
        "gauge",
        "Times the container was started again by its restart policy.",
        *CONTAINER_LABELS,
    ),
    _agent("log_events_total", "counter", "Log events stored by the control plane."),
    _agent("log_bytes_total", "counter", "Bytes of the messages of those."),
    _agent("log_events_refused_total", "counter", "Log events that the control plane refused."),
    _agent("log_failures_total", "counter", "Attempts to read or store a container's log that failed."),
    _agent("connected", "gauge", "1 while the ACS session is open."),
    _agent("docker_request_duration_seconds", "histogram", "Docker calls, by operation.", "operation"),
    _agent("docker_errors_total", "counter", "Docker calls without an answer.", "operation"),
    _agent(
        "custom_metrics_total",
        "counter",
        "What came by StatsD and OTLP, by what became of it: sent, or why not.",
        "input",
        "result",
    ),
    _agent("last_metrics_timestamp_seconds", "gauge", "When containers were last sampled."),
)
CONTROL_METRICS: dict[str, Metric] = table(
    _service("service_desired_tasks", "gauge", "Tasks the service wants."),
    _service("service_running_tasks", "gauge", "Tasks that are RUNNING."),
    _service("service_pending_tasks", "gauge", "Tasks not yet RUNNING."),
    _service("service_unhealthy_tasks", "gauge", "RUNNING tasks whose health is UNHEALTHY."),
    _service("service_failed_tasks", "gauge", "Failed tasks in a row of the newest deployment."),
    _service("service_restart_backoff_seconds", "gauge", "Present wait between start attempts."),
    _service(
        "service_backoff_seconds_total", "counter", "Time in which start attempts were held back by back-off."
    ),
    _service("service_deployments", "gauge", "Deployments, by rollout state.", "rollout_state"),
    _service("service_deployment_desired_tasks", "gauge", "Tasks the PRIMARY deployment wants."),
    _service(
        "service_deployment_running_tasks", "gauge", "Tasks of the PRIMARY deployment that are RUNNING."
    ),
    _service("service_deployment_pending_tasks", "gauge", "Tasks of the PRIMARY deployment not yet RUNNING."),
    _service("service_deployment_failed_tasks", "gauge", "Tasks of the PRIMARY deployment that failed."),
    _service("deployments_total", "counter", "Deployments that came to an end, by result.", "result"),
    _service("deployment_duration_seconds", "histogram", "From the start of a deployment to its COMPLETED."),
    _service("task_stopped_total", "counter", "Tasks that reached STOPPED, by stop code.", "stop_code"),
    _service(
        "task_stop_reasons_total", "counter", "Tasks that reached STOPPED, by class of reason.", "reason"
    ),
    _service(
        "task_start_latency_seconds",
        "histogram",
        "From a task's creation to RUNNING, and to HEALTHY where it has a health check.",
        "stage",
    ),
    _service(
        "task_replacement_latency_seconds",
        "histogram",
        "From the end of a task to its replacement RUNNING.",
    ),
    _service("image_pull_duration_seconds", "histogram", "Time the images of a task took to be pulled."),
    _service(
        "image_pull_failures_total",
        "counter",
        "Tasks that stopped because an image could not be pulled.",
        "image_repository",
    ),
    _service(
        "scheduler_placement_failures_total",
        "counter",
        "Looks in which a task of the service could not be placed, by reason.",
        "reason",
    ),
    _control("scheduler_loop_duration_seconds", "histogram", "Time of one look at the whole state."),
    _control("scheduler_last_loop_timestamp_seconds", "gauge", "When the scheduler last looked."),
    _control("api_requests_total", "counter", "API requests answered.", "operation", "code"),
    _control("api_request_duration_seconds", "histogram", "Time to answer an API request.", "operation"),
    _control("store_commit_duration_seconds", "histogram", "Time from a change to its being on disk."),
    _control("events_total", "counter", "Events appended to the event log."),
    _control("events_dropped_total", "counter", "Events a reader asked for after they had left memory."),
    _control("controlplane_is_leader", "gauge", "1 when this process runs the scheduler."),
    _control("cluster_container_instances", "gauge", "Container instances, by status.", "cluster", "status"),
    _instance("info", "Who the instance is; always 1.", "status", "availability_zone", "host"),
    _instance("agent_connected", "1 when the container agent is connected."),
    _instance("running_tasks", "RUNNING tasks on it."),
    _instance("pending_tasks", "Tasks on it that are not yet RUNNING."),
    _instance("registered_cpu", "CPU units registered."),
    _instance("remaining_cpu", "CPU units no task has reserved."),
    _instance("registered_memory_bytes", "Memory registered."),
    _instance("remaining_memory_bytes", "Memory no task has reserved."),
    Metric(
        "moorwatch_deliveries_total",
        "counter",
        "Attempts to deliver notifications and events, by kind of target and result.",
        ("target", "result"),
        "control",
    ),
    Metric("moorwatch_deliveries_pending", "gauge", "Notifications and events on their way.", (), "control"),
    Metric("moorwatch_alarms", "gauge", "CloudWatch alarms, by state.", ("state",), "control"),
    Metric("moorwatch_metric_store_series", "gauge", "Series the metric store holds.", (), "control"),
    Metric(
        "moorwatch_metric_store_points_total", "counter", "Datapoints the metric store took.", (), "control"
    ),
    Metric(
        "moorwatch_metric_store_refused_points_total",
        "counter",
        "Datapoints that could not be written: the disk is full, or the back-end is away.",
        (),
        "control",
    ),
    Metric(
        "moorwatch_metric_store_dropped_chunks_total",
        "counter",
        "Chunks of old datapoints deleted because the store had reached its bound.",
        (),
        "control",
    ),
    Metric(
        "moorwatch_metric_store_size_bytes", "gauge", "What the metric store takes on disk.", (), "control"
    ),
    Metric(
        "moorwatch_metric_store_limit_bytes",
        "gauge",
        "What the metric store may take on disk; 0: no bound.",
        (),
        "control",
    ),
    Metric("moorwatch_log_store_events_total", "counter", "Log events the log store took.", (), "control"),
    Metric(
        "moorwatch_log_store_refused_events_total",
        "counter",
        "Log events that could not be written: the disk is full.",
        (),
        "control",
    ),
    Metric(
        "moorwatch_log_store_dropped_events_total",
        "counter",
        "Old log events deleted because the store had reached its bound.",
        (),
        "control",
    ),
    Metric("moorwatch_log_store_size_bytes", "gauge", "What the log store takes on disk.", (), "control"),
    Metric(
        "moorwatch_log_store_limit_bytes",
        "gauge",
        "What the log store may take on disk; 0: no bound.",
        (),
        "control",
    ),
)
