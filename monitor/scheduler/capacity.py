"""Capacity provider strategies (ECS API reference, "CapacityProviderStrategyItem"): which provider the next task goes
to. Base first; what is beyond it is shared by weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.model.capacity import BUILT_IN, Strategy, StrategyItem
from monitor.model.errors import invalid_parameter

MOST_ITEMS = 20
MOST_WEIGHT, MOST_BASE = 1000, 100_000


def check_strategy_items(items: Sequence[Mapping[str, Any]]) -> Strategy:
    """A strategy as it comes over the wire. Raises InvalidParameterException."""
    if len(items) > MOST_ITEMS:
        raise invalid_parameter(f"A capacity provider strategy can have at most {MOST_ITEMS} providers.")
    strategy = tuple(
        StrategyItem(i.get("capacityProvider") or "", i.get("weight") or 0, i.get("base") or 0) for i in items
    )
    names = [i.provider for i in strategy]
    if "" in names:
        raise invalid_parameter("capacityProvider cannot be empty.")
    if len(set(names)) < len(names):
        raise invalid_parameter("A capacity provider strategy cannot name a provider twice.")
    for item in strategy:
        if not 0 <= item.weight <= MOST_WEIGHT or not 0 <= item.base <= MOST_BASE:
            raise invalid_parameter(
                f"Capacity provider {item.provider!r}: weight must be between 0 and {MOST_WEIGHT}, base between 0 and "
                f"{MOST_BASE}."
            )
    if sum(1 for i in strategy if i.base) > 1:
        raise invalid_parameter("Only one capacity provider of a strategy can have a base.")
    if strategy and not any(i.weight for i in strategy):
        raise invalid_parameter("At least one capacity provider of a strategy must have a weight above 0.")
    if len({name in BUILT_IN for name in names}) > 1:
        raise invalid_parameter(
            "A strategy cannot hold FARGATE or FARGATE_SPOT beside other capacity providers."
        )
    return strategy


def next_provider(strategy: Strategy, counts: Mapping[str, int]) -> str:
    """`counts`: provider → tasks it has. The provider that is furthest below its share by weight."""
    for item in strategy:
        if counts.get(item.provider, 0) < item.base:
            return item.provider
    weighed = [i for i in strategy if i.weight]
    best = min(weighed, key=lambda i: (counts.get(i.provider, 0) - i.base + 1) / i.weight)
    return best.provider
