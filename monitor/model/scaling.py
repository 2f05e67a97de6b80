"""Service auto scaling: targets, policies, scheduled actions and the log of what they did (Application Auto Scaling
API reference). Keys are our own: account/region/resource id, and the name below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ScalableTarget:
    """`resource_id`: service/<cluster>/<service>."""

    arn: str
    service_arn: str
    resource_id: str
    minimum: int
    maximum: int
    created_at: float
    suspended: Mapping[str, bool] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    role_arn: str = ""

    @property
    def key(self) -> str:
        return self.service_arn


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """`config`: the request's TargetTracking- or StepScalingPolicyConfiguration, defaults filled in. What the rules
    must remember between two evaluations is here too."""

    arn: str
    service_arn: str
    name: str
    kind: str  # TargetTrackingScaling | StepScaling
    created_at: float
    config: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.service_arn}/{self.name}"


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    arn: str
    service_arn: str
    name: str
    schedule: str
    created_at: float
    timezone: str = ""
    starts_at: float | None = None
    ends_at: float | None = None
    minimum: int | None = None
    maximum: int | None = None
    fired_at: float | None = None

    @property
    def key(self) -> str:
        return f"{self.service_arn}/{self.name}"


@dataclass(frozen=True, slots=True)
class ScalingActivity:
    id: str
    service_arn: str
    started_at: float
    description: str
    cause: str
    status: str  # Pending | InProgress | Successful | Overridden | Unfulfilled | Failed
    ended_at: float | None = None
    message: str = ""
    not_scaled: tuple[Mapping[str, Any], ...] = ()

    @property
    def key(self) -> str:
        return self.id
