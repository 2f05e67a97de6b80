"""A metric filter: what log events of a group count as (CloudWatch Logs API reference, "MetricFilter")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.model.arn import Scope


@dataclass(frozen=True, slots=True)
class Transformation:
    """`value`: a number, or the field that has it. `default`: told of a batch without a match; None: nothing is."""

    namespace: str
    metric: str
    value: str
    default: float | None = None
    unit: str = "None"
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricFilter:
    account: str
    region: str
    group: str
    name: str
    pattern: str
    created_at: float
    transformations: tuple[Transformation, ...]

    @property
    def key(self) -> str:
        return f"{self.account}/{self.region}/{self.group}:{self.name}"  # a group's name has no colon

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)
