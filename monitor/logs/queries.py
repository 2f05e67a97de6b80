"""Logs Insights queries that run, and their results for an hour: in memory, bounded, each in a thread.

A restart forgets them, as results are there to be fetched, not kept; who asks for one is told that there is none.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from monitor.logs.base import LogsError, LogStore, NoGroup, Page, Reading
from monitor.model.arn import Scope
from monitor.rules import insights
from monitor.rules.insights import Counts
from monitor.rules.insights_rows import Record
from monitor.rules.insights_stats import QueryTooLarge

log = logging.getLogger("moorwatch.logs")

AT_ONCE, MOST_RUNNING, MOST_KEPT = 2, 30, 200
KEPT_SECONDS = 3600.0
SCHEDULED, RUNNING, COMPLETE = "Scheduled", "Running", "Complete"
FAILED, CANCELLED, TIMEOUT = "Failed", "Cancelled", "Timeout"
LONGEST_SECONDS = 900.0
PAGE_EVENTS = 5000


@dataclass(slots=True)
class Query:
    """`start`, `end`: seconds since the epoch, both inclusive."""

    id: str
    scope: Scope
    text: str
    groups: tuple[str, ...]
    start: int
    end: int
    limit: int
    created_at: float
    status: str = SCHEDULED
    rows: list[dict[str, str]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    problem: str = ""
    ended_at: float = 0.0
    is_stopped: threading.Event = field(default_factory=threading.Event)


class TooManyQueries(Exception):
    """As many run as may."""


class _Stopped(Exception):
    """By StopQuery, or because it took too long."""


class Queries:
    def __init__(self, logs: LogStore, now: Callable[[], float]) -> None:
        self._logs, self._now = logs, now
        self._known: OrderedDict[str, Query] = OrderedDict()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="logs-query")
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self, query: Query) -> None:
        """Raises TooManyQueries."""
        self._forget()
        if sum(q.status in (SCHEDULED, RUNNING) for q in self._known.values()) >= MOST_RUNNING:
            raise TooManyQueries
        self._known[query.id] = query
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._pool, self._run, query, loop)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def get(self, scope: Scope, query_id: str) -> Query | None:
        found = self._known.get(query_id)
        return found if found is not None and found.scope == scope else None

    def all(self, scope: Scope) -> list[Query]:
        """Newest first."""
        self._forget()
        return [q for q in reversed(self._known.values()) if q.scope == scope]

    def stop(self, query: Query) -> bool:
        """Whether it was still under way."""
        was = query.status in (SCHEDULED, RUNNING)
        query.is_stopped.set()
        return was

    def close(self) -> None:
        for query in self._known.values():
            query.is_stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _forget(self) -> None:
        old = self._now() - KEPT_SECONDS
        ended = [q for q in self._known.values() if q.ended_at]
        surplus = len(self._known) - MOST_KEPT
        for number, query in enumerate(ended):
            if query.ended_at < old or number < surplus:
                del self._known[query.id]

    # -- in a thread --------------------------------------------------------------------------------

    def _run(self, query: Query, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if query.is_stopped.is_set():
                raise _Stopped
            query.status = RUNNING
            parsed = insights.parse(query.text)
            records = self._records(query, loop)
            found = parsed.execute(records, query.start * 1000, query.end * 1000 + 999, query.limit)
            query.rows, query.counts, query.status = found.rows, found.counts, COMPLETE
        except _Stopped:
            query.status = CANCELLED if query.is_stopped.is_set() else TIMEOUT
        except (QueryTooLarge, LogsError, NoGroup) as error:
            query.problem, query.status = str(error), FAILED
            log.warning("query=%s failed: %s", query.id, error)
        except Exception:
            # The top of the thread: nobody else would ever hear of it.
            query.problem, query.status = "an error of our own: see the control plane's log", FAILED
            log.exception("query=%s", query.id)
        finally:
            query.ended_at = self._now()

    def _records(self, query: Query, loop: asyncio.AbstractEventLoop) -> Iterator[Record]:
        for group in query.groups:
            reading = Reading(
                query.scope, group, start=query.start * 1000, end=query.end * 1000 + 1000, limit=PAGE_EVENTS
            )
            while True:
                if query.is_stopped.is_set() or self._now() - query.created_at > LONGEST_SECONDS:
                    raise _Stopped
                page = asyncio.run_coroutine_threadsafe(self._page(reading), loop).result()
                yield from _as_records(query.scope, group, page)
                if page.is_last:
                    break
                reading = replace(reading, after=page.place)

    async def _page(self, reading: Reading) -> Page:
        return await self._logs.read(reading)


def _as_records(scope: Scope, group: str, page: Page) -> Iterator[Record]:
    for stream, event in page.events:
        yield {
            "@timestamp": event.at,
            "@message": event.message,
            "@logStream": stream,
            "@log": f"{scope.account}:{group}",
            "@ptr": f"{event.at}-{event.seq}",
            "@ingestionTime": event.ingested,
        }


def duration_ms(query: Query, now: float) -> int:
    return int(((query.ended_at or now) - query.created_at) * 1000)
