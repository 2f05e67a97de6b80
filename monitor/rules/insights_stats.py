"""Aggregates of Logs Insights queries (CloudWatch Logs user guide, "stats").

Percentiles are the value at the nearest rank and the standard deviation is the population's: the guide does not say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from monitor.rules.insights_values import Number, Timestamp, Value, order, to_number, to_text

MOST_HELD = 1_000_000  # groups, distinct values and numbers of percentiles held at once, of one query

# Name (in lower case) → whether it takes a second argument.
AGGREGATES = {
    **dict.fromkeys(("count", "count_distinct", "sum", "avg", "min", "max", "median", "stddev"), False),
    **dict.fromkeys(("earliest", "latest", "sortsfirst", "sortslast"), False),
    **dict.fromkeys(("pct", "percentile"), True),
}


class QueryTooLarge(ValueError):
    """The query would hold more than it may; `str()` says of what."""


@dataclass(slots=True)
class Budget:
    most: int = MOST_HELD
    held: int = 0

    def take(self) -> None:
        self.held += 1
        if self.held > self.most:
            raise QueryTooLarge(
                f"The query holds more than {self.most:,} groups, distinct values or records to sort"
            )


@dataclass(slots=True)
class Group:
    """One aggregate's state over one group. Sums are kept compensated (Neumaier), so that order does not tell."""

    function: str
    percentile: float
    budget: Budget
    count: int = 0
    sum: float = 0.0
    lost: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    kept: Value = None
    kept_at: int = 0
    numbers: list[Number] = field(default_factory=list)
    distinct: set[str] = field(default_factory=set)

    def add(self, value: Value, at: Value) -> None:
        """`at`: the record's time, for earliest and latest."""
        if value is None:
            return
        function = self.function
        if function == "count":
            self.count += 1
        elif function == "count_distinct":
            text = to_text(value)
            if text not in self.distinct:
                self.budget.take()
                self.distinct.add(text)
        elif function in ("min", "max", "sortsfirst", "sortslast"):
            sign = -1 if function in ("min", "sortsfirst") else 1
            if self.kept is None or order(value, self.kept) == sign:
                self.kept = value
        elif function in ("earliest", "latest"):
            self._keep(value, at.milliseconds if isinstance(at, Timestamp) else 0)
        else:
            self._number(to_number(value))

    def _keep(self, value: Value, at: int) -> None:
        if self.kept is None or (at < self.kept_at if self.function == "earliest" else at >= self.kept_at):
            self.kept, self.kept_at = value, at

    def _number(self, number: Number | None) -> None:
        if number is None:
            return
        self.count += 1
        if self.function in ("median", "pct", "percentile"):
            self.budget.take()
            self.numbers.append(number)
        elif self.function == "stddev":
            before = number - self.mean
            self.mean += before / self.count
            self.spread += before * (number - self.mean)
        else:
            total = self.sum + number
            larger, smaller = (self.sum, number) if abs(self.sum) >= abs(number) else (number, self.sum)
            self.lost += (larger - total) + smaller
            self.sum = total

    def result(self) -> Value:
        function = self.function
        if function == "count":
            return self.count
        if function == "count_distinct":
            return len(self.distinct)
        if not self.count:
            return self.kept
        if function in ("median", "pct", "percentile"):
            return self._rank(50.0 if function == "median" else self.percentile)
        if function == "stddev":
            return math.sqrt(max(self.spread / self.count, 0.0))
        total = self.sum + self.lost
        return total / self.count if function == "avg" else total

    def _rank(self, percentile: float) -> Value:
        numbers = sorted(self.numbers)
        middle = len(numbers) // 2
        if self.function == "median" and len(numbers) % 2 == 0:
            return (numbers[middle - 1] + numbers[middle]) / 2
        return numbers[max(math.ceil(percentile / 100 * len(numbers)), 1) - 1]
