"""What is told of a task and its containers: the SubmitTaskStateChange of what is known now.

Containers of the agent's own are never named; what befell them is the reason of those that needed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.agent import pause
from monitor.agent.held import Held
from monitor.agent.ports import span
from monitor.scheduler.host import CREATED, NONE, STOPPED

if TYPE_CHECKING:
    from monitor.agent.worker import Worker

REASON_LIMIT = 1024  # as Amazon's agent cuts reasons


def task_report(worker: Worker) -> dict[str, Any]:
    """SubmitTaskStateChange: everything known now."""
    body: dict[str, Any] = {
        "cluster": worker.cluster,
        "task": worker.arn,
        "status": STOPPED if worker.finished else _status(worker),
        "containers": _containers(worker),
    }
    times = {
        "pullStartedAt": worker.creation.pull_started_at,
        "pullStoppedAt": worker.creation.pull_stopped_at,
        "executionStoppedAt": worker.execution_stopped_at,
    }
    body |= {name: at for name, at in times.items() if at is not None}
    if not worker.held and worker.finished:
        body["reason"] = "Agent could not progress task's state to stopped"
    return body


def _status(worker: Worker) -> str:
    """STOPPED only at the very end, when every exit code is known."""
    if worker.status != STOPPED:
        return worker.status
    did_run = any(h.seen.did_run for h in worker.held.values() if not h.is_internal)
    return "RUNNING" if did_run else "PENDING"


def _containers(worker: Worker) -> list[dict[str, Any]]:
    mode = str(worker.payload.get("networkMode") or "")
    holder = worker.held.get(pause.holder(worker.payload))
    address = holder.view.address if holder is not None and holder.view is not None else ""
    found = (
        container_report(h, mode, worker.finished, address, worker.will_restart(name))
        for name, h in worker.held.items()
        if not h.is_internal
    )
    return [report for report in found if report is not None]


def container_report(
    h: Held, network_mode: str, finished: bool, address: str, will_restart: bool
) -> dict[str, Any] | None:
    """The container's part of a SubmitTaskStateChange; None before it was started. STOPPED is said only with the
    exit code, unless there will never be one; not at all of a container that its policy starts again."""
    if h.seen.phase in (NONE, CREATED) and not finished:
        return None
    has_ended = h.seen.phase == STOPPED and not will_restart
    if has_ended and h.seen.exit_code is None and not h.seen.error and not finished:
        has_ended = False
    body: dict[str, Any] = {"containerName": h.raw["name"], "status": "STOPPED" if has_ended else "RUNNING"}
    if h.id:
        body["runtimeId"] = h.id
    if has_ended and h.seen.exit_code is not None:
        body["exitCode"] = h.seen.exit_code
    if h.reason:
        body["reason"] = h.reason[:REASON_LIMIT]
    bindings = _bindings(h, network_mode, address)
    if bindings:
        body["networkBindings"] = bindings
    return body


def _bindings(h: Held, network_mode: str, address: str) -> list[dict[str, Any]]:
    """In awsvpc mode the task's address alone, without ports: reports have no other member that could carry it."""
    if network_mode == "awsvpc":
        return [{"bindIP": address}] if address else []
    mappings = h.raw.get("portMappings") or ()
    if network_mode == "host":
        return [
            {
                "bindIP": "0.0.0.0",
                "containerPort": p["containerPort"],
                "hostPort": p["containerPort"],
                "protocol": p.get("protocol") or "tcp",
            }
            for p in mappings
        ]
    found = [dict(p) for p in h.view.ports] if h.view else []
    for mapping in mappings:
        if mapping.get("containerPortRange"):
            found = _as_range(found, mapping["containerPortRange"], mapping.get("protocol") or "tcp")
    return found


def _as_range(found: list[dict[str, Any]], text: str, protocol: str) -> list[dict[str, Any]]:
    """The bindings of a range's ports as one for each address."""
    low, high = span(text)
    inside = [b for b in found if b["protocol"] == protocol and low <= b["containerPort"] <= high]
    ranges = []
    for address in dict.fromkeys(b["bindIP"] for b in inside):
        ports = [b["hostPort"] for b in inside if b["bindIP"] == address]
        ranges.append(
            {
                "bindIP": address,
                "containerPortRange": text,
                "hostPortRange": f"{min(ports)}-{max(ports)}",
                "protocol": protocol,
            }
        )
    return [*(b for b in found if b not in inside), *ranges]
