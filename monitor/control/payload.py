"""Task → the task object of an ACS PayloadMessage (agent protocol, section 4). Pure.

The translation of a container definition into Docker's own words (health check, user, log driver, soft limit
and so on) is the control plane's job: agents merge `dockerConfig.config` and `.hostConfig`, two JSON strings
in the shape of Docker's API, under what they set themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.model import arn as arns
from monitor.model.cluster import STANDBY_CAPABILITY, ContainerInstance
from monitor.model.state import State
from monitor.model.task import RUNNING, Task
from monitor.model.task_definition import TaskDefinition

DOCKER_API_VERSION = "1.24"
NANOSECONDS = 1_000_000_000
MIB = 1024 * 1024


def task_payload(state: State, task: Task) -> dict[str, Any]:
    """The order for `task` as it is wanted now: run it, prepare it (standby) or stop it."""
    definition = state.definitions[task.definition_arn]
    body: dict[str, Any] = {
        "arn": task.arn,
        "family": definition.family,
        "version": str(definition.revision),
        "desiredStatus": task.desired,
        "taskClusterArn": task.cluster_arn,
        "overrides": "{}",
        "containers": [],
    }
    if task.desired != RUNNING:
        return body
    document = definition.document
    overrides = {o["name"]: o for o in task.overrides.get("containerOverrides") or ()}
    body |= {
        "networkMode": definition.network_mode,
        "launchType": task.launch_type,
        "group": task.group,
        "serviceName": arns.short(task.service_arn) if task.service_arn else "",
        "taskDefinitionAccountId": arns.scope_of(task.arn).account,
        "volumes": [_volume(v) for v in document.get("volumes") or ()],
        "containers": [
            _container(task, raw, overrides.get(raw["name"], {}), definition)
            for raw in document["containerDefinitions"]
        ],
    }
    for name in ("pidMode", "ipcMode"):
        if document.get(name):
            body[name] = document[name]
    cpu = task.overrides.get("cpu") or document.get("cpu")
    memory = task.overrides.get("memory") or document.get("memory")
    if cpu:
        body["cpu"] = int(cpu) / 1024
    if memory:
        body["memory"] = int(memory)
    if task.standby:
        body["standby"] = True
    return body


def can_receive(task: Task, instance: ContainerInstance) -> bool:
    """An agent that does not know the standby extra would start the task: it is never sent one."""
    return not task.standby or STANDBY_CAPABILITY in instance.attributes


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    docker = volume.get("dockerVolumeConfiguration")
    if docker:
        return {"name": volume["name"], "type": "docker", "dockerVolumeConfiguration": docker}
    source = (volume.get("host") or {}).get("sourcePath", "")
    return {"name": volume["name"], "type": "host", "host": {"sourcePath": source}}


def _container(
    task: Task, raw: Mapping[str, Any], override: Mapping[str, Any], definition: TaskDefinition
) -> dict[str, Any]:
    environment = {e["name"]: e.get("value", "") for e in raw.get("environment") or ()}
    environment |= {e["name"]: e.get("value", "") for e in override.get("environment") or ()}
    arn = next((c.arn for c in task.containers if c.name == raw["name"]), "")
    hard = override.get("memory") or raw.get("memory") or 0
    soft = override.get("memoryReservation") or raw.get("memoryReservation") or 0
    body: dict[str, Any] = {
        "name": raw["name"],
        "image": raw["image"],
        "command": override.get("command") or raw.get("command") or [],
        "entryPoint": raw.get("entryPoint") or [],
        "cpu": override.get("cpu") or raw.get("cpu") or 0,
        "memory": hard,
        "essential": raw["essential"],
        "environment": environment,
        "portMappings": [_port(p, definition.network_mode) for p in raw.get("portMappings") or ()],
        "mountPoints": [
            {"readOnly": False, **{k: v for k, v in m.items() if v is not None}}
            for m in raw.get("mountPoints") or ()
        ],
        "volumesFrom": [{"readOnly": False, **v} for v in raw.get("volumesFrom") or ()],
        "links": raw.get("links") or [],
        "dependsOn": raw.get("dependsOn") or [],
        "containerArn": arn,
        "overrides": "{}",
        "privileged": bool(raw.get("privileged")),
        "dockerConfig": {
            "version": DOCKER_API_VERSION,
            "config": json.dumps(_config(raw)),
            "hostConfig": json.dumps(_host_config(raw, definition.network_mode, soft, hard)),
        },
    }
    for name in ("startTimeout", "stopTimeout"):
        if raw.get(name) is not None:
            body[name] = raw[name]
    if (raw.get("restartPolicy") or {}).get("enabled"):
        body["restartPolicy"] = {"ignoredExitCodes": [], **raw["restartPolicy"]}
    if raw.get("healthCheck"):
        body["healthCheckType"] = "docker"
    return body


def _port(port: Mapping[str, Any], mode: str) -> dict[str, Any]:
    protocol = port.get("protocol") or "tcp"
    if port.get("containerPortRange"):
        return {"containerPortRange": port["containerPortRange"], "protocol": protocol}
    host = (port.get("hostPort") or 0) if mode == "bridge" else port["containerPort"]
    return {"containerPort": port["containerPort"], "hostPort": host, "protocol": protocol}


def _config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Docker's container Config."""
    config: dict[str, Any] = {}
    plain = {
        "user": "User",
        "workingDirectory": "WorkingDir",
        "hostname": "Hostname",
        "dockerLabels": "Labels",
        "interactive": "OpenStdin",
        "pseudoTerminal": "Tty",
        "disableNetworking": "NetworkDisabled",
    }
    for ours, theirs in plain.items():
        if raw.get(ours):
            config[theirs] = raw[ours]
    check = raw.get("healthCheck")
    if check:
        config["Healthcheck"] = {
            "Test": list(check["command"]),
            "Interval": check["interval"] * NANOSECONDS,
            "Timeout": check["timeout"] * NANOSECONDS,
            "Retries": check["retries"],
            "StartPeriod": (check.get("startPeriod") or 0) * NANOSECONDS,
        }
    return config


def _host_config(raw: Mapping[str, Any], mode: str, soft: int, hard: int) -> dict[str, Any]:
    """Docker's HostConfig. `soft`, `hard`: memory limits in MiB. An awsvpc task's network is the agent's to make."""
    host: dict[str, Any] = {} if mode == "awsvpc" else {"NetworkMode": mode}
    if soft:
        host["MemoryReservation"] = soft * MIB
    if raw.get("readonlyRootFilesystem"):
        host["ReadonlyRootfs"] = True
    if raw.get("privileged"):
        host["Privileged"] = True
    lists = {
        "dnsServers": "Dns",
        "dnsSearchDomains": "DnsSearch",
        "dockerSecurityOptions": "SecurityOpt",
    }
    for ours, theirs in lists.items():
        if raw.get(ours):
            host[theirs] = raw[ours]
    if raw.get("extraHosts"):
        host["ExtraHosts"] = [f"{h['hostname']}:{h['ipAddress']}" for h in raw["extraHosts"]]
    if raw.get("ulimits"):
        host["Ulimits"] = [
            {"Name": u["name"], "Soft": u["softLimit"], "Hard": u["hardLimit"]} for u in raw["ulimits"]
        ]
    if raw.get("systemControls"):
        host["Sysctls"] = {s["namespace"]: s["value"] for s in raw["systemControls"]}
    log = raw.get("logConfiguration")
    if log:
        host["LogConfig"] = {"Type": log["logDriver"], "Config": log.get("options") or {}}
    host |= _linux(raw.get("linuxParameters") or {}, hard)
    return host


_DEVICE = {"read": "r", "write": "w", "mknod": "m"}


def _linux(linux: Mapping[str, Any], hard: int) -> dict[str, Any]:
    host: dict[str, Any] = {}
    capabilities = linux.get("capabilities") or {}
    if capabilities.get("add"):
        host["CapAdd"] = capabilities["add"]
    if capabilities.get("drop"):
        host["CapDrop"] = capabilities["drop"]
    if linux.get("initProcessEnabled"):
        host["Init"] = True
    if linux.get("sharedMemorySize"):
        host["ShmSize"] = linux["sharedMemorySize"] * MIB
    if linux.get("devices"):
        host["Devices"] = [
            {
                "PathOnHost": d["hostPath"],
                "PathInContainer": d.get("containerPath") or d["hostPath"],
                "CgroupPermissions": "".join(_DEVICE[p] for p in d.get("permissions") or _DEVICE),
            }
            for d in linux["devices"]
        ]
    if linux.get("tmpfs"):
        host["Tmpfs"] = {
            t["containerPath"]: _tmpfs(t["size"], t.get("mountOptions") or ()) for t in linux["tmpfs"]
        }
    if linux.get("maxSwap") is not None and hard:
        host["MemorySwap"] = (hard + linux["maxSwap"]) * MIB
    if linux.get("swappiness") is not None:
        host["MemorySwappiness"] = linux["swappiness"]
    return host


def _tmpfs(size: int, options: Sequence[str]) -> str:
    return ",".join([f"size={size}m", *options])
