"""Live Tail sessions: once a second, what has just become durable in some groups (CloudWatch Logs user guide, "Use Live
Tail to view logs in near real time"; API reference, StartLiveTail).

The store tells each batch on the event loop, where it is only put by; filters run once a second in a thread. A reader
who is slow, and lines that come faster than can be shown, cost lines of the session, never memory or the writer's time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from monitor.logs.base import LogEvent, LogStore
from monitor.model.arn import Scope

MOST_SESSIONS = 15  # of an account at once (CloudWatch Logs user guide, "CloudWatch Logs quotas")
MOST_SHOWN = 500  # of an update
LONGEST_SECONDS, EACH_SECONDS = 3 * 3600.0, 1.0
MOST_HELD, MOST_HELD_BYTES = 20_000, 8 * 1024 * 1024  # lines, and characters, that wait for the next update

Found = tuple[str, str, LogEvent]  # group, stream, event


class TooManySessions(Exception):
    """The account has as many as it may."""


class SessionTimeout(Exception):
    """The session was open for as long as one may be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Events of these groups, in streams of these names or with these prefixes (neither: in all), that `matches` takes
    (None: any)."""

    scope: Scope
    groups: frozenset[str]
    streams: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    matches: Callable[[str], bool] | None = None

    def takes(self, scope: Scope, group: str, stream: str) -> bool:
        if scope != self.scope or group not in self.groups:
            return False
        if self.streams:
            return stream in self.streams
        return not self.prefixes or stream.startswith(self.prefixes)


@dataclass(frozen=True, slots=True)
class Update:
    """`is_sampled`: there was more than is told."""

    found: Sequence[Found]
    is_sampled: bool


class _Held:
    """What waits for the next update; the oldest goes when it is too much."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._waiting: deque[Found] = deque()
        self._length, self._is_cut = 0, False

    def put(self, scope: Scope, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        if not self._wanted.takes(scope, group, stream):
            return
        self._waiting.extend((group, stream, event) for event in events)
        self._length += sum(len(event.message) for event in events)
        while len(self._waiting) > MOST_HELD or self._length > MOST_HELD_BYTES:
            self._length -= len(self._waiting.popleft()[2].message)
            self._is_cut = True

    def taken(self) -> tuple[list[Found], bool]:
        taken, is_cut = list(self._waiting), self._is_cut
        self._waiting.clear()
        self._length, self._is_cut = 0, False
        return taken, is_cut


def update_of(given: Sequence[Found], is_cut: bool, matches: Callable[[str], bool] | None) -> Update:
    """Of more than can be shown, each so many-th: a flood looks like what it is from end to end."""
    found = [one for one in given if matches is None or matches(one[2].message)]
    if len(found) > MOST_SHOWN:
        found, is_cut = [found[n * len(found) // MOST_SHOWN] for n in range(MOST_SHOWN)], True
    return Update(sorted(found, key=lambda one: (one[2].at, one[2].seq)), is_cut)


class Tails:
    def __init__(self, logs: LogStore) -> None:
        self._logs = logs
        self._open: dict[Scope, int] = {}
        self._closing = asyncio.Event()

    def check_room(self, scope: Scope) -> None:
        """Raises TooManySessions."""
        if self._open.get(scope, 0) >= MOST_SESSIONS:
            raise TooManySessions

    async def session(self, wanted: Wanted) -> AsyncIterator[Update]:
        """An update each second, until the reader closes it or `close` is called. Raises SessionTimeout."""
        loop, held = asyncio.get_running_loop(), _Held(wanted)
        stop_following = self._logs.follow(held.put)
        self._open[wanted.scope] = self._open.get(wanted.scope, 0) + 1
        try:
            due = loop.time()
            ends = due + LONGEST_SECONDS
            while (due := max(due + EACH_SECONDS, loop.time())) < ends:
                if await self._is_closed_by(due):
                    return
                yield await asyncio.to_thread(update_of, *held.taken(), wanted.matches)
            raise SessionTimeout
        finally:
            stop_following()
            self._open[wanted.scope] -= 1

    async def _is_closed_by(self, due: float) -> bool:
        try:
            async with asyncio.timeout_at(due):
                return await self._closing.wait()
        except TimeoutError:
            return False

    def close(self) -> None:
        """Sessions end."""
        self._closing.set()
