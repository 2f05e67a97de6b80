"""What every metric store answers, and the words for it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey, StatisticSet
from monitor.series.columns import Columns

HIGH, STANDARD = 1, 60  # StorageResolution, seconds
# Resolution → how long points of it are kept, seconds (CloudWatch user guide, "Metrics retention").
RETENTION: Mapping[int, int] = {1: 3 * 3600, 60: 15 * 86400, 300: 63 * 86400, 3600: 455 * 86400}
LISTED_SECONDS = 14 * 86400  # ListMetrics forgets a metric that long after its last point


class SeriesError(Exception):
    """The metric store cannot be written or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of an account and region in one unit: other units of the same metric are other series."""

    scope: Scope
    key: MetricKey
    unit: str = "None"


@dataclass(frozen=True, slots=True)
class Datum:
    """`at`: seconds since the epoch; `step`: HIGH or STANDARD."""

    series: Series
    at: float
    point: StatisticSet
    step: int = STANDARD


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list. `dimensions`: each must be there, with that value when one is given. `after`: the last one of the
    page before. `since`: had a point at that time or later."""

    scope: Scope
    since: float
    namespace: str = ""
    name: str = ""
    dimensions: tuple[tuple[str, str | None], ...] = ()
    after: MetricKey | None = None
    limit: int = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the store itself, for its gauges."""

    series: int
    points_written: int
    points_refused: int
    chunks_dropped: int
    size_bytes: int
    limit_bytes: int


class SeriesStore(Protocol):
    def append(self, data: Sequence[Datum]) -> Awaitable[None]:
        """Resolves when the points are on disk. Points of the same series and step become one. Raises SeriesError: none
        of them is kept then."""
        ...

    async def units(self, scope: Scope, keys: Sequence[MetricKey]) -> list[list[str]]:
        """For each metric the units it has come in, sorted."""
        ...

    async def select(
        self, series: Sequence[Series], start: int, end: int, period: int, in_detail: bool = False
    ) -> list[Columns]:
        """Of each series the points of [start, end) by `period`, whose multiple start is; `in_detail`: with what
        percentiles need, where it is still kept. Raises SeriesError."""
        ...

    async def metrics(self, wanted: Listing) -> list[MetricKey]:
        """In the order of namespace, name, dimensions. Raises SeriesError."""
        ...

    def facts(self) -> Facts: ...

    async def close(self) -> None: ...
