"""Capacity provider strategies: what is refused, and how tasks are shared out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.capacity import StrategyItem
from monitor.model.errors import AwsError
from monitor.scheduler.capacity import check_strategy_items, next_provider


def split(strategy: tuple[StrategyItem, ...], count: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for _ in range(count):
        counts[next_provider(strategy, counts)] += 1
    return dict(counts)


def test_base_first_and_the_rest_by_weight() -> None:
    strategy = (StrategyItem("a", 1, 2), StrategyItem("b", 4))
    assert split(strategy, 2) == {"a": 2}
    assert split(strategy, 12) == {"a": 4, "b": 8}
    assert split((StrategyItem("a", 0, 1), StrategyItem("b", 1)), 5) == {"a": 1, "b": 4}


@given(st.lists(st.integers(1, 10), min_size=1, max_size=4), st.integers(1, 60))
def test_shares_are_within_one_of_the_weights(weights: list[int], count: int) -> None:
    strategy = tuple(StrategyItem(str(n), weight) for n, weight in enumerate(weights))
    found = split(strategy, count)
    assert sum(found.values()) == count
    for item in strategy:
        assert abs(found.get(item.provider, 0) - count * item.weight / sum(weights)) < len(weights)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (
            [{"capacityProvider": "a", "weight": 1, "base": 1}, {"capacityProvider": "b", "base": 2}],
            "Only one",
        ),
        ([{"capacityProvider": "a"}], "weight above 0"),
        ([{"capacityProvider": "a", "weight": 1001}], "weight must be between"),
        ([{"capacityProvider": "a", "weight": 1, "base": -1}], "base between"),
        ([{"capacityProvider": "a", "weight": 1}] * 2, "twice"),
        ([{"capacityProvider": "", "weight": 1}], "cannot be empty"),
        ([{"capacityProvider": f"p{n}", "weight": 1} for n in range(21)], "at most 20"),
        (
            [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "own", "weight": 1}],
            "beside other",
        ),
    ],
)
def test_what_is_refused(items: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(AwsError, match=words) as raised:
        check_strategy_items(items)
    assert raised.value.code == "InvalidParameterException"
