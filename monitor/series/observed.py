"""A metric store whose new points somebody else hears of, once they are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.series.base import Datum, Facts, Listing, Series, SeriesStore
from monitor.series.columns import Columns


class Observed:
    def __init__(self, store: SeriesStore, observe: Callable[[Sequence[Datum]], None]) -> None:
        self._store, self._observe = store, observe

    def append(self, data: Sequence[Datum]) -> Awaitable[None]:
        kept = self._store.append(data)

        async def told() -> None:
            await kept
            self._observe(data)

        return told()

    async def units(self, scope: Scope, keys: Sequence[MetricKey]) -> list[list[str]]:
        return await self._store.units(scope, keys)

    async def select(
        self, series: Sequence[Series], start: int, end: int, period: int, in_detail: bool = False
    ) -> list[Columns]:
        return await self._store.select(series, start, end, period, in_detail)

    async def metrics(self, wanted: Listing) -> list[MetricKey]:
        return await self._store.metrics(wanted)

    def facts(self) -> Facts:
        return self._store.facts()

    async def close(self) -> None:
        await self._store.close()
