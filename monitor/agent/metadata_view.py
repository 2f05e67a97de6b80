"""What the task metadata endpoint and the introspection API say of tasks and containers. Pure.

Names and order of the fields are those of Amazon's agent ("Amazon ECS task metadata endpoint version 4", "Amazon ECS
container introspection"); what is not known is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.agent.docker_stats import timestamp
from monitor.agent.held import Held
from monitor.agent.pause import NETWORK_PAUSE, holder
from monitor.agent.worker import Worker
from monitor.scheduler.host import CREATED, RUNNING, STOPPED

_PHASES = {CREATED: "CREATED", RUNNING: "RUNNING", STOPPED: "STOPPED"}


def known(**members: object) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {})}


def _when(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


def container(worker: Worker, name: str, version: int = 4) -> dict[str, Any]:
    """`version`: of the endpoint, 3 or 4."""
    h = worker.held[name]
    raw, view = h.raw, h.view
    inspected = view.raw if view is not None else {}
    log = (inspected.get("HostConfig") or {}).get("LogConfig") or {}
    body = known(
        DockerId=h.id,
        Name=name,
        DockerName=str(inspected.get("Name", "")).lstrip("/"),
        Image=raw.get("image"),
        ImageID=inspected.get("Image"),
        Ports=_ports(h),
        Labels=dict(view.labels) if view is not None else {},
        DesiredStatus="RUNNING" if worker.spec.wanted else "STOPPED",
        KnownStatus=_PHASES.get(h.seen.phase, "NONE"),
        ExitCode=h.seen.exit_code if h.seen.phase == STOPPED else None,
    )
    body["Limits"] = known(CPU=int(raw.get("cpu") or 0) or 2, Memory=int(raw.get("memory") or 0) or None)
    body |= known(
        CreatedAt=inspected.get("Created"),
        StartedAt=_when(h.seen.started_at),
        FinishedAt=_when(h.seen.finished_at) if h.seen.phase == STOPPED else None,
        Type=_type(name),
        Health=_health(h),
        Volumes=[
            known(DockerName=m.get("Name"), Source=m.get("Source"), Destination=m.get("Destination"))
            for m in inspected.get("Mounts") or ()
        ],
        Networks=_networks(worker, h, version),
    )
    if version >= 4:
        body |= known(
            LogDriver=log.get("Type"), LogOptions=log.get("Config"), ContainerARN=raw.get("containerArn")
        )
        if (raw.get("restartPolicy") or {}).get("enabled"):
            body["RestartCount"] = h.restarts
    return body


def _type(name: str) -> str:
    if not name.startswith("~internal~"):
        return "NORMAL"
    return "CNI_PAUSE" if name == NETWORK_PAUSE else "NAMESPACE_PAUSE"


def _ports(h: Held) -> list[dict[str, Any]]:
    return [
        known(
            ContainerPort=b.get("containerPort"),
            Protocol=b.get("protocol"),
            HostPort=b.get("hostPort"),
            HostIp=b.get("bindIP"),
        )
        for b in (h.view.ports if h.view is not None else ())
    ]


def _health(h: Held) -> dict[str, Any] | None:
    if not h.raw.get("healthCheckType"):
        return None
    return known(status=h.seen.health, statusSince=_when(h.health_since or None))


def _networks(worker: Worker, h: Held, version: int) -> list[dict[str, Any]]:
    mode = str(worker.payload.get("networkMode") or "bridge")
    of = worker.held.get(holder(worker.payload)) if mode == "awsvpc" else h
    inspected = of.view.raw if of is not None and of.view is not None else {}
    found = next(iter(((inspected.get("NetworkSettings") or {}).get("Networks") or {}).values()), None) or {}
    body = {
        "NetworkMode": mode,
        **known(
            IPv4Addresses=[a for a in (found.get("IPAddress"),) if a], MACAddress=found.get("MacAddress")
        ),
    }
    if version >= 4 and found.get("Gateway"):
        body["SubnetGatewayIpv4Address"] = f"{found['Gateway']}/{found.get('IPPrefixLen', 16)}"
    return [body]


def task(worker: Worker, instance: Mapping[str, str], version: int = 4) -> dict[str, Any]:
    """`instance`: `cluster` (ARN or name) and `zone` of the container instance."""
    payload = worker.payload
    statuses = [h.seen.phase for h in worker.held.values()]
    body = known(
        Cluster=instance.get("cluster"),
        TaskARN=worker.arn,
        Family=payload.get("family"),
        Revision=str(payload.get("version", "")),
        ServiceName=payload.get("serviceName"),
        DesiredStatus="RUNNING" if worker.spec.wanted else "STOPPED",
        KnownStatus="STOPPED" if worker.finished else _known_status(statuses),
        Limits=known(CPU=payload.get("cpu"), Memory=payload.get("memory")),
        PullStartedAt=_when(worker.creation.pull_started_at),
        PullStoppedAt=_when(worker.creation.pull_stopped_at),
        ExecutionStoppedAt=_when(worker.execution_stopped_at),
        AvailabilityZone=instance.get("zone"),
    )
    if version >= 4:
        body |= known(LaunchType=payload.get("launchType"), Group=payload.get("group"))
    shown = [n for n, h in worker.held.items() if h.id or not h.is_internal]
    body["Containers"] = [container(worker, name, version) for name in shown]
    return body


def _known_status(phases: list[str]) -> str:
    if phases and all(phase in (RUNNING, STOPPED) for phase in phases):
        return "RUNNING"
    return "CREATED" if CREATED in phases or RUNNING in phases else "NONE"


def introspected(worker: Worker) -> dict[str, Any]:
    """An entry of /v1/tasks."""
    return {
        "Arn": worker.arn,
        "DesiredStatus": "RUNNING" if worker.spec.wanted else "STOPPED",
        "KnownStatus": "STOPPED"
        if worker.finished
        else _known_status([h.seen.phase for h in worker.held.values()]),
        "Family": worker.payload.get("family", ""),
        "Version": str(worker.payload.get("version", "")),
        "Containers": [
            known(
                DockerId=h.id,
                DockerName=str((h.view.raw if h.view else {}).get("Name", "")).lstrip("/"),
                Name=name,
                Image=h.raw.get("image"),
                Ports=_ports(h),
                Networks=_networks(worker, h, 3),
                Volumes=[],
            )
            for name, h in worker.held.items()
            if not h.is_internal
        ],
    }
