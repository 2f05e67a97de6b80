"""What ECS publishes of a minute: AWS/ECS, and ECS/ContainerInsights where a cluster asks for it (ECS developer guide,
"CloudWatch metrics" and "Container Insights metrics"). Pure: what was used is handed in.

A metric over tasks is the set of its tasks' values, so that SampleCount of a service's CPUUtilization is the number of
its tasks, and its percentiles are those over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitor.model.metric import MetricKey, StatisticSet
from monitor.rules.statistics import of_values

ECS, INSIGHTS = "AWS/ECS", "ECS/ContainerInsights"
Published = tuple[MetricKey, str, StatisticSet]  # with the unit


@dataclass(frozen=True, slots=True)
class ContainerUse:
    """One container in one minute, in the task's units. `restarts`: in the minute, of one with a restart policy;
    `unhealthy`: 1 or 0, of one with a health check."""

    name: str
    cpu: float
    memory: float
    cpu_reserved: float
    memory_reserved: float
    received: float | None = None
    sent: float | None = None
    read: float | None = None
    written: float | None = None
    restarts: float | None = None
    unhealthy: float | None = None


@dataclass(frozen=True, slots=True)
class TaskUse:
    """One task in one minute. CPU in units (1,024 are a core), memory in MiB; None: not told. `service` is "" for a
    task of none."""

    cluster: str
    service: str
    family: str
    cpu: float
    memory: float
    cpu_reserved: float
    memory_reserved: float
    received: float | None = None  # bytes a second; none in host mode
    sent: float | None = None
    read: float | None = None  # bytes in the minute
    written: float | None = None
    id: str = ""
    containers: tuple[ContainerUse, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterUse:
    """`cpu`, `memory`: registered on ACTIVE and DRAINING instances. `reserved_*`: by running tasks."""

    name: str
    cpu: float
    memory: float
    reserved_cpu: float
    reserved_memory: float
    instances: int
    tasks: int
    services: int


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    cluster: str
    name: str
    desired: int
    running: int
    pending: int
    deployments: int
    task_sets: int


def of_ecs(cluster: ClusterUse, tasks: Sequence[TaskUse]) -> list[Published]:
    """Namespace AWS/ECS of one cluster. One without a registered instance publishes nothing of its own."""
    out: list[Published] = []
    where = {"ClusterName": cluster.name}
    for name, used, reserved, whole in (
        ("CPU", sum(t.cpu for t in tasks), cluster.reserved_cpu, cluster.cpu),
        ("Memory", sum(t.memory for t in tasks), cluster.reserved_memory, cluster.memory),
    ):
        if whole > 0:
            out.append(one(ECS, f"{name}Reservation", where, "Percent", [100 * reserved / whole]))
            out.append(one(ECS, f"{name}Utilization", where, "Percent", [100 * used / whole]))
    for service, mine in by(tasks, lambda t: t.service).items():
        if not service:
            continue
        whom = {**where, "ServiceName": service}
        cpu = [100 * t.cpu / t.cpu_reserved for t in mine if t.cpu_reserved > 0]
        memory = [100 * t.memory / t.memory_reserved for t in mine if t.memory_reserved > 0]
        out += some(ECS, "CPUUtilization", whom, "Percent", cpu)
        out += some(ECS, "MemoryUtilization", whom, "Percent", memory)
    return out


def of_insights(
    cluster: ClusterUse, services: Iterable[ServiceCounts], tasks: Sequence[TaskUse]
) -> list[Published]:
    """Standard Container Insights of one cluster."""
    where = {"ClusterName": cluster.name}
    out = [
        one(INSIGHTS, name, where, "Count", [float(count)])
        for name, count in (
            ("ContainerInstanceCount", cluster.instances),
            ("TaskCount", cluster.tasks),
            ("ServiceCount", cluster.services),
        )
    ]
    for s in services:
        whom = {**where, "ServiceName": s.name}
        out += [
            one(INSIGHTS, name, whom, "Count", [float(count)])
            for name, count in (
                ("DesiredTaskCount", s.desired),
                ("RunningTaskCount", s.running),
                ("PendingTaskCount", s.pending),
                ("DeploymentCount", s.deployments),
                ("TaskSetCount", s.task_sets),
            )
        ]
    out += standard_of_tasks(where, tasks)
    for service, mine in by(tasks, lambda t: t.service).items():
        if service:
            out += standard_of_tasks({**where, "ServiceName": service}, mine)
    for family, mine in by(tasks, lambda t: t.family).items():
        out += standard_of_tasks({**where, "TaskDefinitionFamily": family}, mine)
    return out


def standard_of_tasks(where: Mapping[str, str], tasks: Sequence[TaskUse]) -> list[Published]:
    columns: tuple[tuple[str, str, list[float | None]], ...] = (
        ("CpuUtilized", "None", [t.cpu for t in tasks]),
        ("CpuReserved", "None", [t.cpu_reserved for t in tasks]),
        ("MemoryUtilized", "Megabytes", [t.memory for t in tasks]),
        ("MemoryReserved", "Megabytes", [t.memory_reserved for t in tasks]),
        ("NetworkRxBytes", "Bytes/Second", [t.received for t in tasks]),
        ("NetworkTxBytes", "Bytes/Second", [t.sent for t in tasks]),
        ("StorageReadBytes", "Bytes", [t.read for t in tasks]),
        ("StorageWriteBytes", "Bytes", [t.written for t in tasks]),
    )
    out: list[Published] = []
    for name, unit, values in columns:
        out += some(INSIGHTS, name, where, unit, [v for v in values if v is not None])
    return out


def by(tasks: Iterable[TaskUse], key: Callable[[TaskUse], str]) -> dict[str, list[TaskUse]]:
    found: dict[str, list[TaskUse]] = {}
    for task in tasks:
        found.setdefault(key(task), []).append(task)
    return found


def some(
    namespace: str, name: str, where: Mapping[str, str], unit: str, values: Sequence[float]
) -> list[Published]:
    """Nothing, not 0, where nothing runs."""
    return [one(namespace, name, where, unit, values)] if values else []


def one(namespace: str, name: str, where: Mapping[str, str], unit: str, values: Sequence[float]) -> Published:
    return MetricKey.of(namespace, name, where), unit, of_values(values)
