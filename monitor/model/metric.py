"""Nouns of CloudWatch's data model: which metric, and what is known of its values in one period (CloudWatch user
guide, "Metrics concepts")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class MetricKey:
    """A metric: its namespace, its name and the exact set of its dimensions, sorted by name.

    Two sets of dimensions are two metrics; nothing is rolled up from one to the other.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls, namespace: str, name: str, dimensions: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> MetricKey:
        pairs = dimensions.items() if isinstance(dimensions, Mapping) else dimensions
        return cls(namespace, name, tuple(sorted(pairs)))

    def dimension(self, name: str) -> str | None:
        return next((value for found, value in self.dimensions if found == name), None)


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """What is known of the values of one period.

    `values`: (value, how often) sorted by value, or None when only the set is known (published as a set of different
    values, or rolled up to a longer period): then no percentile can be told.
    """

    sample_count: float
    total: float
    minimum: float
    maximum: float
    values: tuple[tuple[float, float], ...] | None = None
