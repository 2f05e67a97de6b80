"""What the control plane's /metrics reads off the state at scrape time: services, deployments, instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from monitor.model import arn as arns
from monitor.model import task as tasks
from monitor.model.service import ACTIVE, COMPLETED, FAILED, IN_PROGRESS, Service
from monitor.model.state import State
from monitor.model.task import RUNNING, UNHEALTHY, Task

MIB = 1024 * 1024
ROLLOUT_STATES = (IN_PROGRESS, COMPLETED, FAILED)
INSTANCE_STATES = ("ACTIVE", "DRAINING", "DISCONNECTED")
ZONE = "ecs.availability-zone"
_SERVICE = ["cluster", "service"]
_INSTANCE = ["cluster", "container_instance"]

Naming = Callable[[str], str]  # a cluster's ARN → its label


def collect(state: State, services: Sequence[Service], cluster_label: Naming) -> Iterator[Metric]:
    """Each task is looked at once for its service and once for its instance."""
    yield from _services(state, services, cluster_label)
    yield from _instances(state, cluster_label)
    yield CounterMetricFamily("ecs_events", "Events appended to the event log.", value=state.seq)


def _gauges(names: dict[str, str], prefix: str, labels: list[str]) -> dict[str, GaugeMetricFamily]:
    return {name: GaugeMetricFamily(f"{prefix}_{name}", text, labels=labels) for name, text in names.items()}


def _services(state: State, services: Iterable[Service], cluster_label: Naming) -> Iterator[Metric]:
    found = _gauges(
        {
            "desired_tasks": "Tasks the service wants.",
            "running_tasks": "Tasks that are RUNNING.",
            "pending_tasks": "Tasks not yet RUNNING.",
            "unhealthy_tasks": "RUNNING tasks whose health is UNHEALTHY.",
            "failed_tasks": "Failed tasks in a row of the newest deployment.",
            "restart_backoff_seconds": "Present wait between start attempts.",
            "deployment_desired_tasks": "Tasks the PRIMARY deployment wants.",
            "deployment_running_tasks": "Tasks of the PRIMARY deployment that are RUNNING.",
            "deployment_pending_tasks": "Tasks of the PRIMARY deployment not yet RUNNING.",
            "deployment_failed_tasks": "Tasks of the PRIMARY deployment that failed.",
        },
        "ecs_service",
        _SERVICE,
    )
    states = GaugeMetricFamily(
        "ecs_service_deployments", "Deployments, by rollout state.", labels=[*_SERVICE, "rollout_state"]
    )
    for service in services:
        key = [cluster_label(service.cluster_arn), service.name]
        for name, value in _numbers(state, service).items():
            found[name].add_metric(key, value)
        present = Counter(d.rollout_state for d in service.deployments)
        for rollout_state in ROLLOUT_STATES:
            states.add_metric([*key, rollout_state], present[rollout_state])
    yield from found.values()
    yield states


def _numbers(state: State, service: Service) -> dict[str, float]:
    primary = service.primary
    live = [t for t in state.live_tasks_of_service(service.arn) if not t.standby and not t.is_given_up]
    of_all, of_primary = _phases(live), _phases([t for t in live if t.deployment_id == primary.id])
    waits = primary.backoff_step and service.status == ACTIVE
    return {
        "desired_tasks": service.desired_count,
        "running_tasks": of_all[0],
        "pending_tasks": of_all[1],
        "unhealthy_tasks": sum(1 for t in live if t.last == RUNNING and t.health == UNHEALTHY),
        "failed_tasks": primary.failed_tasks,
        "restart_backoff_seconds": max(0.0, primary.retry_at - primary.step_at) if waits else 0.0,
        "deployment_desired_tasks": service.desired_count,
        "deployment_running_tasks": of_primary[0],
        "deployment_pending_tasks": of_primary[1],
        "deployment_failed_tasks": primary.failed_tasks,
    }


def _phases(live: Iterable[Task]) -> tuple[int, int]:
    """(RUNNING, not yet RUNNING)."""
    running = pending = 0
    for task in live:
        if task.last == RUNNING:
            running += 1
        elif tasks.ORDER[task.last] < tasks.ORDER[RUNNING]:
            pending += 1
    return running, pending


def _instances(state: State, cluster_label: Naming) -> Iterator[Metric]:
    found = _gauges(
        {
            "agent_connected": "1 when the container agent is connected.",
            "running_tasks": "RUNNING tasks on it.",
            "pending_tasks": "Tasks on it that are not yet RUNNING.",
            "registered_cpu": "CPU units registered.",
            "remaining_cpu": "CPU units no task has reserved.",
            "registered_memory_bytes": "Memory registered.",
            "remaining_memory_bytes": "Memory no task has reserved.",
        },
        "ecs_container_instance",
        _INSTANCE,
    )
    info = GaugeMetricFamily(
        "ecs_container_instance_info",
        "Who the instance is; always 1.",
        labels=[*_INSTANCE, "status", "availability_zone", "host"],
    )
    number = GaugeMetricFamily(
        "ecs_cluster_container_instances", "Container instances, by status.", labels=["cluster", "status"]
    )
    present: dict[str, Counter[str]] = {cluster_label(c): Counter() for c in state.clusters}
    for i in state.instances.values():
        if i.status == "INACTIVE":
            continue
        cluster = cluster_label(i.cluster_arn)
        key = [cluster, arns.short(i.arn)]
        usage = state.usage_of(i.arn)
        running, pending = _phases(t for t in state.live_tasks_on(i.arn) if not t.standby)
        memory, memory_left = i.resources.memory, i.resources.memory - usage.memory
        values = (
            1.0 if i.agent_connected else 0.0,
            running,
            pending,
            i.resources.cpu,
            i.resources.cpu - usage.cpu,
            memory * MIB,
            memory_left * MIB,
        )
        for family, value in zip(found.values(), values, strict=True):
            family.add_metric(key, value)
        info.add_metric([*key, i.status, i.attributes.get(ZONE, ""), i.external_id], 1)
        present.setdefault(cluster, Counter())[i.status if i.agent_connected else "DISCONNECTED"] += 1
    for cluster, states in present.items():
        for status in INSTANCE_STATES:
            number.add_metric([cluster, status], states[status])
    yield from found.values()
    yield info
    yield number
