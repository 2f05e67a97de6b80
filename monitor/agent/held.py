"""Held: one container of a task as its worker knows it, and what is reported of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.agent.engine import ContainerView
from monitor.scheduler.host import CREATED, NONE, STOPPED, Seen

REASON_LIMIT = 1024  # as Amazon's agent cuts reasons


@dataclass(slots=True)
class Held:
    """One container of the task, as the worker knows it."""

    raw: Mapping[str, Any]
    seen: Seen = field(default_factory=Seen)
    id: str = ""
    view: ContainerView | None = None
    reason: str = ""
    stop_asked_at: float | None = None
    health_since: float = 0.0
    restarts: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def stopped(self, **known: Any) -> None:
        """The container is over."""
        self.seen = replace(self.seen, phase=STOPPED, **known)
        self.over.set()


def container_report(name: str, h: Held, network_mode: str, finished: bool) -> dict[str, Any] | None:
    """The container's part of a SubmitTaskStateChange; None before it was started. STOPPED is said only with the
    exit code, unless there will never be one."""
    if h.seen.phase in (NONE, CREATED) and not finished:
        return None
    has_ended = h.seen.phase == STOPPED
    if has_ended and h.seen.exit_code is None and not h.seen.error and not finished:
        has_ended = False
    body: dict[str, Any] = {"containerName": name, "status": "STOPPED" if has_ended else "RUNNING"}
    if h.id:
        body["runtimeId"] = h.id
    if has_ended and h.seen.exit_code is not None:
        body["exitCode"] = h.seen.exit_code
    if h.reason:
        body["reason"] = h.reason[:REASON_LIMIT]
    bindings = _bindings(h, network_mode)
    if bindings:
        body["networkBindings"] = bindings
    return body


def _bindings(h: Held, network_mode: str) -> list[dict[str, Any]]:
    if network_mode == "host":
        return [
            {
                "bindIP": "0.0.0.0",
                "containerPort": p["containerPort"],
                "hostPort": p["containerPort"],
                "protocol": p.get("protocol") or "tcp",
            }
            for p in h.raw.get("portMappings") or ()
        ]
    return [dict(p) for p in h.view.ports] if h.view else []
