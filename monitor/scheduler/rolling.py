"""Rolling deployment arithmetic (ECS developer guide, "minimumHealthyPercent and maximumPercent")."""

from __future__ import annotations

import math


def lower_bound(desired: int, minimum_healthy_percent: int) -> int:
    """Healthy tasks that must stay: rounded up."""
    return math.ceil(desired * minimum_healthy_percent / 100)


def upper_bound(desired: int, maximum_percent: int) -> int:
    """Tasks allowed at once, RUNNING and PENDING: rounded down."""
    return math.floor(desired * maximum_percent / 100)


def startable(missing: int, upper: int, alive: int) -> int:
    return max(0, min(missing, upper - alive))


def stoppable(healthy: int, lower: int) -> int:
    return max(0, healthy - lower)
