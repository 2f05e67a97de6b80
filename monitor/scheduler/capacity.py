"""Capacity provider strategies: which provider the next task goes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.model.capacity import Strategy, StrategyItem


def next_provider(strategy: Strategy, counts: Mapping[str, int]) -> str:
    """`counts`: provider → tasks it has. Base first, then the provider furthest below its share."""
    for item in strategy:
        if counts.get(item.provider, 0) < item.base:
            return item.provider
    weighed = [i for i in strategy if i.weight]
    best = min(weighed, key=lambda i: (counts.get(i.provider, 0) - i.base + 1) / i.weight)
    return best.provider


def check_strategy_items(items: Sequence[Mapping[str, Any]]) -> Strategy:
    return tuple(StrategyItem(i["capacityProvider"], i.get("weight") or 0, i.get("base") or 0) for i in items)
