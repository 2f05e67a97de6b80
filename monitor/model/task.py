"""Task and Container: one run of a task definition on one container instance.

`desired` is written by users and the scheduler, `last` by what the agent reports; `last` never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.resources import Resources

PROVISIONING, PENDING, ACTIVATING, RUNNING = "PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"
DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED = "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"

ORDER = {
    name: rank
    for rank, name in enumerate(
        (PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED)
    )
}

TASK_FAILED_TO_START = "TaskFailedToStart"
ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
USER_INITIATED = "UserInitiated"
SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
SPOT_INTERRUPTION = "SpotInterruption"
INFRASTRUCTURE_HEALTH = "InfrastructureHealth"
TERMINATION_NOTICE = "TerminationNotice"

HEALTHY, UNHEALTHY, UNKNOWN = "HEALTHY", "UNHEALTHY", "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Facts:
    """What our agent tells about a container's end beyond ECS's protocol; an extra that may be missing."""

    oom_killed: bool = False
    memory_at_death_bytes: int | None = None
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    log_tail: tuple[str, ...] = ()
    health_output: str = ""
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Container:
    arn: str
    name: str
    image: str
    essential: bool = True
    last: str = PENDING
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    health: str = UNKNOWN
    has_health_check: bool = False
    network_bindings: tuple[Mapping[str, Any], ...] = ()
    image_digest: str = ""
    cpu: int = 0
    memory: int = 0
    memory_reservation: int = 0
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Times are seconds since the epoch; `needs` is what it takes from its instance."""

    arn: str
    cluster_arn: str
    definition_arn: str
    instance_arn: str
    created_at: float
    containers: tuple[Container, ...]
    needs: Resources
    group: str
    service_arn: str = ""
    deployment_id: str = ""
    started_by: str = ""
    launch_type: str = "EC2"
    desired: str = RUNNING
    last: str = PENDING
    version: int = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    stop_code: str = ""
    stopped_reason: str = ""
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    settled: bool = False  # its end has been counted by the scheduler
    faulted: bool = False  # it failed its health checks, and that has been counted
    standby: bool = False  # created ahead on its instance, not started, not shown by the API
    replaces: str = ""  # ARN of the task whose place it took
    client_token: str = ""
    request_digest: str = ""
    reference_id: str = ""
    capacity_provider: str = ""
    protected_until: float | None = None  # scale-in protection
    execute_command: bool = False

    @property
    def key(self) -> str:
        return self.arn

    @property
    def is_live(self) -> bool:
        return self.last != STOPPED

    @property
    def is_wanted(self) -> bool:
        """Meant to run and, as far as is known, not ended."""
        return self.desired == RUNNING and self.last != STOPPED

    @property
    def health(self) -> str:
        """ECS: essential containers with a check; any UNHEALTHY, else any UNKNOWN, else HEALTHY."""
        states = [c.health for c in self.containers if c.essential and c.has_health_check]
        if UNHEALTHY in states:
            return UNHEALTHY
        if not states or UNKNOWN in states:
            return UNKNOWN
        return HEALTHY

    @property
    def has_health_check(self) -> bool:
        return any(c.essential and c.has_health_check for c in self.containers)

    @property
    def is_healthy(self) -> bool:
        """RUNNING and, where an essential container has a check, HEALTHY."""
        if self.last != RUNNING or self.desired != RUNNING:
            return False
        return not self.has_health_check or self.health == HEALTHY

    def is_protected(self, now: float) -> bool:
        return self.protected_until is not None and now < self.protected_until

    @property
    def is_given_up(self) -> bool:
        """Its instance was lost and it has been replaced: whether it runs, nobody knows."""
        return self.last != STOPPED and self.desired == STOPPED and self.stop_code == INFRASTRUCTURE_HEALTH
