"""Service and Deployment: a number of tasks to keep running.

Everything the scheduler must remember between two looks (failures, back-off, what it last complained of)
is a field here, so that any process can go on from the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.capacity import Strategy

REPLICA, DAEMON = "REPLICA", "DAEMON"
ECS, EXTERNAL = "ECS", "EXTERNAL"  # deployment controllers
ROLLING, BLUE_GREEN = "ROLLING", "BLUE_GREEN"
ACTIVE, DRAINING, INACTIVE = "ACTIVE", "DRAINING", "INACTIVE"
IN_PROGRESS, COMPLETED, FAILED = "IN_PROGRESS", "COMPLETED", "FAILED"


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """`kind`: COUNT (of `value` tasks), BOUNDED_PERCENT (of desiredCount, at least 3, at most 200) or
    UNBOUNDED_PERCENT (ECS API reference, "DeploymentCircuitBreaker")."""

    enable: bool = False
    rollback: bool = False
    kind: str = "BOUNDED_PERCENT"
    value: int = 50
    reset_on_healthy_task: bool = True


@dataclass(frozen=True, slots=True)
class DeploymentAlarms:
    names: tuple[str, ...] = ()
    enable: bool = False
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class PauseHook:
    """A lifecycle hook that waits for a person (ContinueServiceDeployment). `action`: CONTINUE or ROLLBACK once
    `timeout_minutes` have passed."""

    stages: tuple[str, ...]
    timeout_minutes: int = 1440
    action: str = "ROLLBACK"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A definition being rolled out, or a task set of the EXTERNAL controller (then `scale` and `external_id` count).

    `breaker_failures`: what the circuit breaker counts. `baking_since`: all tasks run, alarms are still watched.
    `alarms_watched`: False when one was in ALARM at the start. `stage` and what follows: blue/green only.
    """

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
    revision_arn: str = ""
    record_arn: str = ""  # its ServiceDeployment
    launch_type: str = ""
    strategy: Strategy = ()
    breaker_failures: int = 0
    baking_since: float | None = None
    alarms_watched: bool = True
    scale: float = 100.0
    external_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    stable_at: float | None = None  # task set: since when in STEADY_STATE
    stage: str = ""
    stage_since: float = 0.0
    hook_id: str = ""  # a hook that waits
    hooks_passed: tuple[str, ...] = ()


_NO_DEPLOYMENT = Deployment("", "", 0.0, 0.0)


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
    scheduling: str = REPLICA
    controller: str = ECS
    strategy: Strategy = ()  # capacity providers; launch_type is "" then
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    alarms: DeploymentAlarms = DeploymentAlarms()
    rollout: str = ROLLING
    bake_minutes: int | None = None
    hooks: tuple[PauseHook, ...] = ()
    rebalances: bool = False  # availabilityZoneRebalancing
    moving: str = ""  # ARN of the task that zone rebalancing is replacing
    completed: Deployment | None = None  # the newest deployment that completed: where a rollback goes

    @property
    def key(self) -> str:
        return self.arn

    @property
    def primary(self) -> Deployment:
        """The wanted deployment; an empty one for an EXTERNAL service without task sets."""
        return self.deployments[0] if self.deployments else _NO_DEPLOYMENT
