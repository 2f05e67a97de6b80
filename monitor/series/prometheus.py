"""A metric store over any back-end that takes Prometheus's remote write and answers PromQL.

Back-ends keep one sample a series and millisecond and never add up, so each write of a point takes the next free
millisecond of its step, its slot, and readers merge what the step holds: nothing is kept open here, and a kill loses
nothing that was acknowledged. A point's set is four samples in its slot (count, sum, min, max); where its values are
known and do not follow from the set, they are samples as well, in the slots from there on, so percentiles are as exact
as in the embedded store. Which slots a step has used is asked of the back-end the first time.

What the back-end decides: how long points are kept and how late they may come (VictoriaMetrics: within its retention;
Prometheus: out_of_order_time_window), when they are on disk (VictoriaMetrics: within seconds after it acknowledged),
how exact numbers are (VictoriaMetrics: about 12 digits). VictoriaMetrics must run with -dedup.minScrapeInterval=1ms, or
a write that is sent again after a lost answer counts twice. An append of more than REQUEST_BYTES is several
requests: when one of them fails, those before it are kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey, StatisticSet
from monitor.rules.statistics import merge
from monitor.series import labels, points, remote_write
from monitor.series.base import RETENTION, Datum, Facts, Listing, Series, SeriesError
from monitor.series.columns import Columns
from monitor.series.promql import Backend, Line, RefusedWrite
from monitor.series.slots import Slots

log = logging.getLogger("moorwatch.series")

MOST_WAITING = 500_000  # points; beyond, an append is refused at once
AT_ONCE = 20_000  # points a write
REQUEST_BYTES = (
    4 * 1024**2
)  # back-ends refuse bodies from 32 MiB on; a point with its values takes 50 KiB at most
KNOWN_SERIES = 100_000
_AN_EXACT_LISTING_SECONDS = 86_400
_AHEAD_SECONDS = 2 * 3600 + 60  # points may lie that far in the future (PutMetricData)

Placed = tuple[points.Fresh, int]  # with its first slot
Batch = tuple[Sequence[Datum], asyncio.Future[None]]


class PrometheusStore:
    """Made by `open` on a running loop. `now`: seconds since the epoch."""

    def __init__(self, backend: Backend, now: Callable[[], float]) -> None:
        self._backend, self._now = backend, now
        self._waiting: deque[Batch] = deque()
        self._waiting_points = 0
        self._more = asyncio.Event()
        self._slots = Slots(backend)
        self._labels: dict[tuple[Series, int], points.Encoded] = {}
        self._written = self._refused = 0
        self._is_closed = False
        self._writer = asyncio.create_task(self._write_forever(), name="series-writer")

    @classmethod
    async def open(cls, url: str, now: Callable[[], float], credentials_file: str = "") -> PrometheusStore:
        """A back-end that is away now is no error: it may come. Raises SeriesError for bad credentials."""
        return cls(await asyncio.to_thread(Backend, url, credentials_file), now)

    def append(self, data: Sequence[Datum]) -> Awaitable[None]:
        if self._is_closed:
            raise SeriesError(f"{self._backend.url} is closed")
        if self._waiting_points + len(data) > MOST_WAITING:
            self._refused += len(data)
            raise SeriesError(f"{self._backend.url} is too slow: {self._waiting_points} points wait for it")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda f: f.cancelled() or f.exception())
        self._waiting.append((data, done))
        self._waiting_points += len(data)
        self._more.set()
        return asyncio.shield(done)

    async def units(self, scope: Scope, keys: Sequence[MetricKey]) -> list[list[str]]:
        return await asyncio.gather(*(self._units(scope, key) for key in keys))

    async def _units(self, scope: Scope, key: MetricKey) -> list[str]:
        now = self._now()
        wanted = {"namespace": key.namespace, "metric": key.name, "stat": labels.COUNT}
        wanted["dimensions"] = labels.dimensions_text(key)
        found = await self._backend.series(
            labels.matchers(scope, wanted), now - RETENTION[3600], now + _AHEAD_SECONDS
        )
        return sorted({one.get("unit", "None") for one in found})

    async def select(
        self, series: Sequence[Series], start: int, end: int, period: int, in_detail: bool = False
    ) -> list[Columns]:
        window = points.Window(start, end, period, in_detail)
        by_id = {labels.identity(one): one for one in series}
        found: dict[str, Columns] = {}
        for asked in points.portions(list(by_id), window):
            found.update(await self._portion(asked, window))
        return [found.get(labels.identity(one), Columns()) for one in series]

    async def _portion(self, ids: Sequence[str], window: points.Window) -> dict[str, Columns]:
        if not window.is_rolled:
            lines: list[Line] = []
            for after, until in window.days():
                lines += await self._backend.raw(points.selector(ids), after, until)
            return await asyncio.to_thread(points.of_raw, lines, window)
        lines = []
        for first, last in window.stretches():
            queries = points.rolled_queries(ids, window.period)
            lines += [
                line for q in queries for line in await self._backend.evaluated(q, first, last, window.period)
            ]
        return await asyncio.to_thread(points.of_rolled, lines, window)

    async def metrics(self, wanted: Listing) -> list[MetricKey]:
        """Exact to the moment within a day; to the back-end's block or day where `since` lies further back."""
        names = {"namespace": wanted.namespace, "metric": wanted.name}
        chosen = {n: v for n, v in names.items() if v} | {"stat": labels.COUNT}
        selector = labels.matchers(wanted.scope, chosen)
        now = self._now()
        if now - wanted.since > _AN_EXACT_LISTING_SECONDS:
            found = await self._backend.series(selector, wanted.since, now + _AHEAD_SECONDS)
        else:
            until = int((now + _AHEAD_SECONDS) * 1000)
            query = f"count_over_time({selector}[{max(1, until - int(wanted.since * 1000))}ms])"
            found = [line.metric for line in await self._backend.evaluated(query, until, until, 60)]
        return await asyncio.to_thread(points.listed, found, wanted)

    def facts(self) -> Facts:
        """Of what this process wrote: the rest is the back-end's own to tell."""
        return Facts(len(self._labels), self._written, self._refused, 0, 0, 0)

    async def close(self) -> None:
        """Write what waits, within the time a write may take, then end."""
        self._is_closed = True
        self._more.set()
        await self._writer
        await self._backend.close()

    # -- writing ------------------------------------------------------------------------------------

    async def _write_forever(self) -> None:
        while not (self._is_closed and not self._waiting):
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
                continue
            batches = self._take()
            failure = await self._write(batches)
            if isinstance(failure, RefusedWrite) and len(batches) > 1:
                for batch in batches:  # one's bad point is not the others' fault
                    self._tell([batch], await self._write([batch]))
            else:
                self._tell(batches, failure)

    def _take(self) -> list[Batch]:
        count = 0
        batches: list[Batch] = []
        while self._waiting and (not batches or count + len(self._waiting[0][0]) <= AT_ONCE):
            batches.append(self._waiting.popleft())
            count += len(batches[-1][0])
        self._waiting_points -= count
        return batches

    async def _write(self, batches: Sequence[Batch]) -> SeriesError | None:
        try:
            fresh = [self._encoded(d, at, p) for d, at, p in _merged(d for data, _ in batches for d in data)]
            await self._slots.learn(fresh)
            placed: Sequence[Placed] = list(self._slots.given(fresh))
            while placed:
                body, placed = await asyncio.to_thread(_body, placed)
                await self._backend.write(body)
        except SeriesError as error:
            log.error("points=%d refused: %s", sum(len(data) for data, _ in batches), error)
            return error
        return None

    def _encoded(self, datum: Datum, at: int, point: StatisticSet) -> points.Fresh:
        known = self._labels.get((datum.series, datum.step))
        if known is None:
            while len(self._labels) >= KNOWN_SERIES:
                self._labels.pop(next(iter(self._labels)))
            known = points.Encoded.of(datum.series, datum.step)
            self._labels[datum.series, datum.step] = known
        return points.Fresh(known, datum.step, at, point)

    def _tell(self, batches: Sequence[Batch], failure: SeriesError | None) -> None:
        for data, done in batches:
            if failure is None:
                self._written += len(data)
            else:
                self._refused += len(data)
            if not done.done():
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)


def _merged(data: Iterable[Datum]) -> list[tuple[Datum, int, StatisticSet]]:
    """One point a series and step of time."""
    found: dict[tuple[Series, int, int], list[Datum]] = {}
    for d in data:
        at = int(d.at) - int(d.at) % d.step
        found.setdefault((d.series, d.step, at), []).append(d)
    out = []
    for (_, _, at), same in found.items():
        whole = merge([d.point for d in same])
        if whole is not None:
            out.append((same[0], at, whole))
    return sorted(out, key=lambda each: each[1])


def _body(placed: Sequence[Placed]) -> tuple[bytes, Sequence[Placed]]:
    """A request of the first of these, and those that found no room in it."""
    parts: list[bytes] = []
    size = used = 0
    for fresh, slot in placed:
        if size >= REQUEST_BYTES:
            break
        here = list(fresh.timeseries(slot))
        parts += here
        size += sum(map(len, here))
        used += 1
    return remote_write.request(parts), placed[used:]
