"""ServiceRevision and ServiceDeployment: the record of what a service was told to run, and how each change went.

The deployment that is under way lives in the service (monitor/model/service.py); these records are what people look up
afterwards. While it runs, counts are read from the tasks; at its end they are frozen here (ECS API reference,
"ServiceDeployment", "ServiceRevision").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.capacity import Strategy

PENDING, IN_PROGRESS, SUCCESSFUL = "PENDING", "IN_PROGRESS", "SUCCESSFUL"
STOP_REQUESTED, STOPPED = "STOP_REQUESTED", "STOPPED"
ROLLBACK_REQUESTED, ROLLBACK_IN_PROGRESS = "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"
ROLLBACK_SUCCESSFUL, ROLLBACK_FAILED = "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"
FINAL = frozenset((SUCCESSFUL, STOPPED, ROLLBACK_SUCCESSFUL, ROLLBACK_FAILED))


@dataclass(frozen=True, slots=True)
class ServiceRevision:
    """Immutable. `images`: (container name, image, digest or "")."""

    arn: str
    service_arn: str
    cluster_arn: str
    definition_arn: str
    created_at: float
    launch_type: str = ""
    strategy: Strategy = ()
    images: tuple[tuple[str, str, str], ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class Share:
    """A revision's part in a deployment. Counts: (requested, running, pending), None while they are read live."""

    revision_arn: str
    counts: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    reason: str
    started_at: float
    revision_arn: str


@dataclass(frozen=True, slots=True)
class ServiceDeployment:
    """`deployment_id` names the deployment of the service while it is under way."""

    arn: str
    service_arn: str
    cluster_arn: str
    deployment_id: str
    target: Share
    sources: tuple[Share, ...]
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    updated_at: float = 0.0
    status: str = PENDING
    reason: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)  # deploymentConfiguration as it was
    breaker_status: str = "DISABLED"  # MONITORING | MONITORING_COMPLETE | TRIGGERED | DISABLED
    breaker_failures: int = 0
    breaker_threshold: int = 0
    alarm_status: str = "DISABLED"
    alarms_triggered: tuple[str, ...] = ()
    lifecycle_stage: str = ""
    rollback: Rollback | None = None

    @property
    def key(self) -> str:
        return self.arn

    @property
    def is_final(self) -> bool:
        return self.status in FINAL
