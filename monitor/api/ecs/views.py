"""Model → wire: the only place that spells response members. Absent facts are left out, lists never are."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from monitor.api.ecs import interfaces as network
from monitor.api.ecs.tags import wire_tags
from monitor.model.capacity import BUILT_IN, FARGATE, providers_of
from monitor.model.cluster import Cluster, ContainerInstance
from monitor.model.resources import Resources
from monitor.model.service import ACTIVE, DRAINING
from monitor.model.state import State
from monitor.model.task import ORDER, RUNNING, Container, Task
from monitor.model.task_definition import TaskDefinition

EVERYTHING = frozenset(("TAGS", "SETTINGS", "CONFIGURATIONS", "STATISTICS", "ATTACHMENTS"))
_PENDING_RANK = ORDER[RUNNING]


def filled(**members: Any) -> dict[str, Any]:
    """The members that are known: None and "" are left out."""
    return {key: value for key, value in members.items() if value is not None and value != ""}


def counts(tasks: Any) -> tuple[int, int]:
    """(running, pending): lastStatus RUNNING, and everything before it. Warm standbys count as neither, nor do tasks
    that were given up with their instance: a service that was healed elsewhere is whole again."""
    running = pending = 0
    for task in tasks:
        if task.standby or task.is_given_up:
            continue
        if task.last == RUNNING:
            running += 1
        elif ORDER[task.last] < _PENDING_RANK:
            pending += 1
    return running, pending


def _is_fargate(launch_type: str, provider: str) -> bool:
    return launch_type == FARGATE or provider in BUILT_IN


def _statistics(state: State, c: Cluster) -> dict[str, int]:
    """DescribeClusters' STATISTICS: tasks that live and services, by kind of capacity."""
    kinds = {False: "EC2", True: "Fargate"}
    found = {
        f"{name}{kind}{what}Count": 0
        for name, what in (
            ("running", "Tasks"),
            ("pending", "Tasks"),
            ("active", "Service"),
            ("draining", "Service"),
        )
        for kind in kinds.values()
    }
    for t in state.live_tasks_of(c.arn):
        running, pending = counts((t,))
        kind = kinds[_is_fargate(t.launch_type, t.capacity_provider)]
        found[f"running{kind}TasksCount"] += running
        found[f"pending{kind}TasksCount"] += pending
    for s in state.services_of(c.arn):
        kind = kinds[_is_fargate(s.launch_type, s.strategy[0].provider if s.strategy else "")]
        if s.status in (ACTIVE, DRAINING):
            found[f"{s.status.lower()}{kind}ServiceCount"] += 1
    return found


def cluster(state: State, c: Cluster, include: AbstractSet[str]) -> dict[str, Any]:
    statistics = _statistics(state, c)
    running = statistics["runningEC2TasksCount"] + statistics["runningFargateTasksCount"]
    pending = statistics["pendingEC2TasksCount"] + statistics["pendingFargateTasksCount"]
    active = statistics["activeEC2ServiceCount"] + statistics["activeFargateServiceCount"]
    body: dict[str, Any] = {
        "clusterArn": c.arn,
        "clusterName": c.name,
        "status": c.status,
        "registeredContainerInstancesCount": sum(
            1 for i in state.instances_of(c.arn) if i.status in ("ACTIVE", "DRAINING")
        ),
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "activeServicesCount": active,
        "statistics": [],
        "tags": wire_tags(c.tags) if "TAGS" in include else [],
        "settings": [],
        "capacityProviders": c.config.get("capacityProviders", []),
        "defaultCapacityProviderStrategy": c.config.get("defaultCapacityProviderStrategy", []),
    }
    if "STATISTICS" in include:
        body["statistics"] = [{"name": name, "value": str(value)} for name, value in statistics.items()]
    if "SETTINGS" in include:
        default = [{"name": "containerInsights", "value": "disabled"}]
        body["settings"] = c.config.get("settings") or default
    if "CONFIGURATIONS" in include and "configuration" in c.config:
        body["configuration"] = c.config["configuration"]
    if "serviceConnectDefaults" in c.config:
        body["serviceConnectDefaults"] = c.config["serviceConnectDefaults"]
    return body


def task_definition(d: TaskDefinition) -> dict[str, Any]:
    return {
        **d.document,
        "taskDefinitionArn": d.arn,
        "revision": d.revision,
        "status": d.status,
        **filled(
            registeredAt=d.registered_at,
            registeredBy=d.registered_by,
            deregisteredAt=d.deregistered_at,
            deleteRequestedAt=d.delete_requested_at,
        ),
    }


def container(task: Task, c: Container) -> dict[str, Any]:
    return filled(
        containerArn=c.arn,
        taskArn=task.arn,
        name=c.name,
        image=c.image,
        imageDigest=c.image_digest,
        runtimeId=c.runtime_id,
        lastStatus=c.last,
        exitCode=c.exit_code,
        reason=c.reason,
        networkBindings=network.bindings(c),
        networkInterfaces=network.interfaces(task, c),
        healthStatus=c.health,
        cpu=str(c.cpu),
        memory=str(c.memory) if c.memory else None,
        memoryReservation=str(c.memory_reservation) if c.memory_reservation else None,
    )


def task(state: State, t: Task, include: AbstractSet[str]) -> dict[str, Any]:
    definition = state.definitions.get(t.definition_arn)
    instance = state.instances.get(t.instance_arn)
    connected = instance is not None and instance.agent_connected
    zone = instance.attributes.get("ecs.availability-zone") if instance else None
    architecture = instance.attributes.get("ecs.cpu-architecture") if instance else None
    overrides = {
        "containerOverrides": [{"name": c.name} for c in t.containers],
        "inferenceAcceleratorOverrides": [],
        **t.overrides,
    }
    body = filled(
        taskArn=t.arn,
        clusterArn=t.cluster_arn,
        taskDefinitionArn=t.definition_arn,
        containerInstanceArn=t.instance_arn,
        availabilityZone=zone,
        connectivity="CONNECTED" if connected else "DISCONNECTED",
        connectivityAt=instance.connectivity_at if instance and instance.connectivity_at else None,
        cpu=str(t.needs.cpu),
        memory=str(t.needs.memory),
        createdAt=t.created_at,
        pullStartedAt=t.pull_started_at,
        pullStoppedAt=t.pull_stopped_at,
        startedAt=t.started_at,
        stoppingAt=t.stopping_at,
        executionStoppedAt=t.execution_stopped_at,
        stoppedAt=t.stopped_at,
        desiredStatus=t.desired,
        lastStatus=t.last,
        healthStatus=t.health,
        group=t.group,
        launchType=t.launch_type,
        capacityProviderName=t.capacity_provider,
        startedBy=t.started_by,
        stopCode=t.stop_code,
        stoppedReason=t.stopped_reason,
        version=t.version,
    )
    body["attachments"] = network.attachments(t, definition)
    body["attributes"] = (
        [{"name": "ecs.cpu-architecture", "value": architecture}] if architecture is not None else []
    )
    body["containers"] = [container(t, c) for c in t.containers]
    body["enableExecuteCommand"] = t.execute_command
    body["overrides"] = overrides
    body["tags"] = wire_tags(t.tags) if "TAGS" in include else []
    if definition is not None and definition.document.get("ephemeralStorage"):
        body["ephemeralStorage"] = definition.document["ephemeralStorage"]
    return body


def _resources(cpu: int, memory: int, tcp: list[str], udp: list[str]) -> list[dict[str, Any]]:
    integers = {"CPU": cpu, "MEMORY": memory}
    sets = {"PORTS": tcp, "PORTS_UDP": udp}
    zero = {"doubleValue": 0.0, "longValue": 0}
    return [
        *({"name": n, "type": "INTEGER", **zero, "integerValue": v} for n, v in integers.items()),
        *(
            {"name": n, "type": "STRINGSET", **zero, "integerValue": 0, "stringSetValue": v}
            for n, v in sets.items()
        ),
    ]


def _ports(resources: Resources, protocol: str, used: Any = ()) -> list[str]:
    numbers = {number for number, kind in [*resources.ports, *used] if kind == protocol}
    return [str(number) for number in sorted(numbers)]


def container_instance(state: State, i: ContainerInstance, include: AbstractSet[str]) -> dict[str, Any]:
    usage = state.usage_of(i.arn)
    running, pending = counts(state.live_tasks_on(i.arn))
    total = i.resources
    body = filled(
        containerInstanceArn=i.arn,
        ec2InstanceId=i.external_id,
        version=i.version,
        status=i.status,
        agentConnected=i.agent_connected,
        runningTasksCount=running,
        pendingTasksCount=pending,
        registeredAt=i.registered_at,
    )
    provider = next(iter(sorted(providers_of(i))), "")
    if provider:
        body["capacityProviderName"] = provider
    body["versionInfo"] = dict(i.version_info)
    body["registeredResources"] = _resources(
        total.cpu, total.memory, _ports(total, "tcp"), _ports(total, "udp")
    )
    body["remainingResources"] = _resources(
        total.cpu - usage.cpu,
        total.memory - usage.memory,
        _ports(total, "tcp", usage.ports),
        _ports(total, "udp", usage.ports),
    )
    body["attributes"] = [filled(name=name, value=value) for name, value in i.attributes.items()]
    body["attachments"] = []
    body["tags"] = wire_tags(i.tags) if "TAGS" in include else []
    if "CONTAINER_INSTANCE_HEALTH" in include:
        body["healthStatus"] = _instance_health(i)
    return body


def _instance_health(i: ContainerInstance) -> dict[str, Any]:
    status = i.runtime_status or "INSUFFICIENT_DATA"
    detail = {"type": "CONTAINER_RUNTIME", "status": status}
    if i.connectivity_at:
        detail |= {"lastUpdated": i.connectivity_at, "lastStatusChange": i.connectivity_at}  # type: ignore[dict-item]
    return {"overallStatus": status, "details": [detail]}
