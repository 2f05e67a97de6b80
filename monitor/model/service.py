"""Service and Deployment: a number of tasks to keep running.

Everything the scheduler must remember between two looks (failures, back-off, what it last complained of)
is a field here, so that any process can go on from the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACTIVE, DRAINING, INACTIVE = "ACTIVE", "DRAINING", "INACTIVE"
IN_PROGRESS, COMPLETED, FAILED = "IN_PROGRESS", "COMPLETED", "FAILED"


@dataclass(frozen=True, slots=True)
class Deployment:
    id: str  # ecs-svc/<19 digits>
    definition_arn: str
    created_at: float
    updated_at: float
    status: str = "PRIMARY"  # PRIMARY | ACTIVE
    rollout_state: str = IN_PROGRESS
    rollout_reason: str = ""
    failed_tasks: int = 0
    backoff_step: int = 0  # failed rounds in a row
    step_at: float = 0.0  # start of the present round: failures of older tasks do not count again
    retry_at: float = 0.0  # no start before this time
    owed: tuple[str, ...] = ()  # ended tasks whose place is still empty, oldest first


@dataclass(frozen=True, slots=True)
class Service:
    arn: str
    name: str
    cluster_arn: str
    desired_count: int
    definition_arn: str
    created_at: float
    deployments: tuple[Deployment, ...]
    launch_type: str = "EC2"
    status: str = ACTIVE
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    health_check_grace_seconds: int = 0
    placement_constraints: tuple[Mapping[str, str], ...] = ()
    placement_strategy: tuple[Mapping[str, str], ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)  # members that are kept and echoed only
    tags: Mapping[str, str] = field(default_factory=dict)
    created_by: str = ""
    steady_at: float | None = None  # last steady state message; None while unsteady
    complaint: str = ""  # last placement or start problem told, so that it is told once
    complaint_at: float = 0.0
    inactive_at: float | None = None
    warm_standby: int = 0  # tasks created ahead, not started

    @property
    def key(self) -> str:
        return self.arn

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]
