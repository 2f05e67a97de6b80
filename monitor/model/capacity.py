"""CapacityProvider: a named share of the container instances, and strategies over several.

An instance belongs to the providers that its attribute `moorwatch.capacity-provider` names (blank-separated): the
operator marks machines, as an Auto Scaling group would by membership. FARGATE and FARGATE_SPOT exist everywhere and
hold the instances marked with those names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.cluster import ContainerInstance

PROVIDER_ATTRIBUTE = "moorwatch.capacity-provider"
FARGATE, FARGATE_SPOT = "FARGATE", "FARGATE_SPOT"
BUILT_IN = (FARGATE, FARGATE_SPOT)


@dataclass(frozen=True, slots=True)
class CapacityProvider:
    """`config` is the request's autoScalingGroupProvider (or other kind) with its defaults, kept and echoed."""

    arn: str
    name: str
    created_at: float
    status: str = "ACTIVE"  # ACTIVE | INACTIVE
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inactive_at: float | None = None

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class StrategyItem:
    """One entry of a capacity provider strategy."""

    provider: str
    weight: int = 0
    base: int = 0


Strategy = tuple[StrategyItem, ...]


def providers_of(instance: ContainerInstance) -> frozenset[str]:
    """The capacity providers the instance is marked for."""
    return frozenset(instance.attributes.get(PROVIDER_ATTRIBUTE, "").split())
