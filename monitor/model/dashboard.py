"""A CloudWatch dashboard: a name and the JSON text that was put (CloudWatch API reference, "PutDashboard")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Of an account, not of a region. `body` is kept as it came."""

    arn: str
    body: str
    changed_at: float
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.arn

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.body.encode())


def prefix_of(account: str) -> str:
    """What the ARNs of an account's dashboards begin with."""
    return f"arn:aws:cloudwatch::{account}:dashboard/"


def dashboard_arn(account: str, name: str) -> str:
    return prefix_of(account) + name
