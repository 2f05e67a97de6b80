"""TaskDefinition: what to run. Immutable once registered, but for its status.

`document` is the definition in wire form, defaults filled in, and is what Describe returns; the typed
fields beside it are the part the scheduler and the payload builder reason about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.resources import Resources


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """CPU in units, memory in MiB; 0 where the definition sets none."""

    name: str
    image: str
    essential: bool
    cpu: int
    memory: int
    memory_reservation: int
    has_health_check: bool


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    arn: str
    family: str
    revision: int
    status: str  # ACTIVE | INACTIVE | DELETE_IN_PROGRESS | DELETED (kept for its number only, never shown)
    network_mode: str
    containers: tuple[ContainerDefinition, ...]
    needs: Resources
    document: Mapping[str, Any]
    registered_at: float
    registered_by: str = ""
    deregistered_at: float | None = None
    delete_requested_at: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.arn

    @property
    def name(self) -> str:
        return f"{self.family}:{self.revision}"

    def container(self, name: str) -> ContainerDefinition | None:
        return next((c for c in self.containers if c.name == name), None)
