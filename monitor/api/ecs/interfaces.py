"""The network of a task as the API shows it: port bindings, or in awsvpc mode an interface with an address.

Our agent reports the address of an awsvpc task as a binding that has a bindIP and no port; it is shown as what ECS
shows for an elastic network interface. The attachment's id follows from the task's, so that it never changes.
"""

from __future__ import annotations

import uuid
from typing import Any

from monitor.model.task import STOPPED, Container, Task
from monitor.model.task_definition import TaskDefinition

_ATTACHMENTS = uuid.UUID("6d6f6f72-7761-7463-8800-656e69000000")


def attachment_id(task: Task) -> str:
    return str(uuid.uuid5(_ATTACHMENTS, task.arn))


def _address(c: Container) -> str:
    found = (b for b in c.network_bindings if not b.get("containerPort") and not b.get("containerPortRange"))
    return next((str(b["bindIP"]) for b in found if b.get("bindIP")), "")


def bindings(c: Container) -> list[dict[str, Any]]:
    return [] if _address(c) else [dict(b) for b in c.network_bindings]


def interfaces(task: Task, c: Container) -> list[dict[str, Any]]:
    address = _address(c)
    return [{"attachmentId": attachment_id(task), "privateIpv4Address": address}] if address else []


def attachments(task: Task, definition: TaskDefinition | None) -> list[dict[str, Any]]:
    """One ElasticNetworkInterface for an awsvpc task."""
    if definition is None or definition.network_mode != "awsvpc":
        return []
    address = next(filter(None, map(_address, task.containers)), "")
    status = "DELETED" if task.last == STOPPED else "ATTACHED" if address else "PRECREATED"
    details = [{"name": "privateIPv4Address", "value": address}] if address else []
    return [
        {
            "id": attachment_id(task),
            "type": "ElasticNetworkInterface",
            "status": status,
            "details": details,
        }
    ]
