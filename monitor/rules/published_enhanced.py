"""What enhanced Container Insights add, and the instances' own figures (CloudWatch user guide, "Amazon ECS Container
Insights with enhanced observability metrics" and "Amazon ECS Container Insights metrics"). Pure.

Not here, as nothing on these machines has it: EBS volumes, and the ephemeral storage of Fargate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.rules.published import (
    INSIGHTS,
    ContainerUse,
    Published,
    TaskUse,
    by,
    one,
    some,
    standard_of_tasks,
)

Where = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InstanceUse:
    """One container instance in one minute. CPU in units, memory in bytes; None: its agent does not tell it."""

    cluster: str
    id: str
    host_id: str
    cpu_limit: float
    cpu_reserved: float
    memory_limit: float
    memory_reserved: float
    tasks: int
    cpu: float | None = None
    memory: float | None = None
    filesystem_percent: float | None = None
    network: float | None = None  # bytes a second, both ways


def of_enhanced(cluster: str, tasks: Sequence[TaskUse]) -> list[Published]:
    """Beside what `of_insights` has: by task, by container."""
    where = {"ClusterName": cluster}
    out = _of_tasks(where, tasks)
    for service, mine in by(tasks, lambda t: t.service).items():
        if service:
            out += _of_tasks({**where, "ServiceName": service}, mine)
    for family, mine in by(tasks, lambda t: t.family).items():
        out += _of_tasks({**where, "TaskDefinitionFamily": family}, mine)
    for task in tasks:
        for whose in _of(task):
            whom = {**where, **whose, "TaskId": task.id}
            out += standard_of_tasks(whom, [task]) + _of_tasks(whom, [task])
    return out + _of_containers(where, tasks)


def _of(task: TaskUse) -> list[dict[str, str]]:
    """The ways a task is told apart by: its service, where it has one, and its family."""
    service = [{"ServiceName": task.service}] if task.service else []
    return [*service, {"TaskDefinitionFamily": task.family}]


def _of_tasks(where: Where, tasks: Sequence[TaskUse]) -> list[Published]:
    cpu = [100 * t.cpu / t.cpu_reserved for t in tasks if t.cpu_reserved > 0]
    memory = [100 * t.memory / t.memory_reserved for t in tasks if t.memory_reserved > 0]
    return [
        *some(INSIGHTS, "TaskCpuUtilization", where, "Percent", cpu),
        *some(INSIGHTS, "TaskMemoryUtilization", where, "Percent", memory),
    ]


def _of_containers(where: Where, tasks: Sequence[TaskUse]) -> list[Published]:
    found: dict[tuple[tuple[str, str], ...], dict[tuple[str, str], list[float]]] = {}
    for task in tasks:
        for c in task.containers:
            values = _values(c)
            named = {"ContainerName": c.name}
            sets: list[dict[str, str]] = [{}]
            for whose in _of(task):
                sets += [{**named, **whose}, {**named, **whose, "TaskId": task.id}]
            for own in sets:
                metrics = found.setdefault(tuple(sorted({**where, **own}.items())), {})
                for metric, value in values.items():
                    metrics.setdefault(metric, []).append(value)
    return [
        one(INSIGHTS, name, dict(dimensions), unit, values)
        for dimensions, metrics in found.items()
        for (name, unit), values in metrics.items()
    ]


def _values(c: ContainerUse) -> dict[tuple[str, str], float]:
    """(metric, unit) → value, of those that are known."""
    known = {
        ("ContainerCpuUtilized", "None"): c.cpu,
        ("ContainerCpuReserved", "None"): c.cpu_reserved,
        ("ContainerCpuUtilization", "Percent"): 100 * c.cpu / c.cpu_reserved if c.cpu_reserved else None,
        ("ContainerMemoryUtilized", "Megabytes"): c.memory,
        ("ContainerMemoryReserved", "Megabytes"): c.memory_reserved,
        ("ContainerMemoryUtilization", "Percent"): (
            100 * c.memory / c.memory_reserved if c.memory_reserved else None
        ),
        ("ContainerNetworkRxBytes", "Bytes/Second"): c.received,
        ("ContainerNetworkTxBytes", "Bytes/Second"): c.sent,
        ("ContainerStorageReadBytes", "Bytes"): c.read,
        ("ContainerStorageWriteBytes", "Bytes"): c.written,
        ("RestartCount", "Count"): c.restarts,
        ("UnHealthyContainerHealthStatus", "Count"): c.unhealthy,
    }
    return {metric: value for metric, value in known.items() if value is not None}


# -- instances -----------------------------------------------------------------------------------------------


def of_instances(cluster: str, instances: Sequence[InstanceUse]) -> list[Published]:
    """Standard, too. By cluster and by instance."""
    where = {"ClusterName": cluster}
    out = _of_instances(where, instances)
    for i in instances:
        out += _of_instances({**where, "ContainerInstanceId": i.id, "InstanceId": i.host_id}, [i])
    return out


def _of_instances(where: Where, instances: Sequence[InstanceUse]) -> list[Published]:
    def share(part: float | None, whole: float) -> float | None:
        return 100 * part / whole if part is not None and whole > 0 else None

    columns: tuple[tuple[str, str, list[float | None]], ...] = (
        ("instance_cpu_limit", "None", [i.cpu_limit for i in instances]),
        ("instance_cpu_usage_total", "None", [i.cpu for i in instances]),
        ("instance_cpu_utilization", "Percent", [share(i.cpu, i.cpu_limit) for i in instances]),
        (
            "instance_cpu_reserved_capacity",
            "Percent",
            [share(i.cpu_reserved, i.cpu_limit) for i in instances],
        ),
        ("instance_memory_limit", "Bytes", [i.memory_limit for i in instances]),
        ("instance_memory_working_set", "Bytes", [i.memory for i in instances]),
        ("instance_memory_utilization", "Percent", [share(i.memory, i.memory_limit) for i in instances]),
        (
            "instance_memory_reserved_capacity",
            "Percent",
            [share(i.memory_reserved, i.memory_limit) for i in instances],
        ),
        ("instance_filesystem_utilization", "Percent", [i.filesystem_percent for i in instances]),
        ("instance_network_total_bytes", "Bytes/Second", [i.network for i in instances]),
        ("instance_number_of_running_tasks", "Count", [float(i.tasks) for i in instances]),
    )
    out: list[Published] = []
    for name, unit, values in columns:
        out += some(INSIGHTS, name, where, unit, [v for v in values if v is not None])
    return out
