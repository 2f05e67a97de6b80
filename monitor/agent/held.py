"""Held: one container of a task as its worker knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.agent import pause
from monitor.agent.engine import ContainerView
from monitor.scheduler.host import RUNNING, STOPPED, Seen


@dataclass(slots=True)
class Held:
    """One container of the task, as the worker knows it."""

    raw: Mapping[str, Any]
    seen: Seen = field(default_factory=Seen)
    id: str = ""
    view: ContainerView | None = None
    reason: str = ""
    stop_asked_at: float | None = None
    restarts: int = 0  # by its restart policy
    restarts_published: int = 0
    health_since: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_internal(self) -> bool:
        return pause.is_internal(str(self.raw["name"]))

    def stopped(self, **known: Any) -> None:
        """The container is over."""
        self.seen = replace(self.seen, phase=STOPPED, **known)
        self.over.set()

    def runs(self, view: ContainerView, now: float) -> None:
        """The container runs, for the first time or again."""
        started_at = view.started_at or now
        self.seen = Seen(RUNNING, health=view.health, started_at=started_at)
        if self.over.is_set():
            self.over = asyncio.Event()
