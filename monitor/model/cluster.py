"""Cluster and ContainerInstance: where tasks run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.resources import Resources

EXTERNAL_CAPABILITY = "ecs.capability.external"
FACTS_CAPABILITY = "moorwatch.capability.facts"
STANDBY_CAPABILITY = "moorwatch.capability.standby"
# An instance that also takes tasks of clusters that have no instance of their own: the one machine of a small
# installation. It stays registered, and counted, in its own cluster.
SHARED_ATTRIBUTE = "moorwatch.shared"


@dataclass(frozen=True, slots=True)
class Cluster:
    arn: str
    name: str
    created_at: float
    status: str = "ACTIVE"
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inactive_at: float | None = None

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class ContainerInstance:
    """`resources.ports` are the ports the instance keeps for itself.

    `lost_at` is the time from which a disconnected instance's tasks count as lost; None while connected.
    """

    arn: str
    cluster_arn: str
    registered_at: float
    resources: Resources
    status: str = "ACTIVE"
    attributes: Mapping[str, str] = field(default_factory=dict)
    agent_connected: bool = False
    connectivity_at: float = 0.0
    lost_at: float | None = None
    version: int = 1
    version_info: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""
    runtime_status: str = ""  # OK | IMPAIRED …, the agent's last check of its container runtime
    inactive_at: float | None = None
    client_token: str = ""

    @property
    def key(self) -> str:
        return self.arn

    @property
    def takes_tasks(self) -> bool:
        return self.status == "ACTIVE" and self.agent_connected

    def is_lost(self, now: float) -> bool:
        return self.lost_at is not None and now >= self.lost_at
