"""What every log store answers, and the words for it (CloudWatch Logs API reference). Times are milliseconds since the
epoch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from monitor.model.arn import Scope


class LogsError(Exception):
    """The log store cannot be written or read; the message says what to do."""


class NoGroup(LookupError):
    """The specified log group does not exist."""


class NoStream(LookupError):
    """The specified log stream does not exist."""


class Exists(Exception):
    """The group or stream that was to be made is there."""


class LogEvent(NamedTuple):
    """`seq` grows with the order of arrival over all streams: (at, seq) is an event's place, and never changes."""

    at: int
    seq: int
    ingested: int
    message: str


Place = tuple[int, int]  # (at, seq)


@dataclass(frozen=True, slots=True)
class Group:
    """`retention_days`: 0 for ever. `stored_bytes`: of messages, with 26 for each event, as CloudWatch counts them."""

    name: str
    created: int
    retention_days: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    kind: str = "STANDARD"
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """`first`, `last`: the earliest and latest time of an event; None without any."""

    name: str
    created: int
    first: int | None = None
    last: int | None = None
    ingested: int | None = None
    resend: str = ""  # "source/number" of the newest batch that was numbered


@dataclass(frozen=True, slots=True)
class Resend:
    """Names a batch, so that it counts once however often it is sent: `number` grows with each batch of a `source`."""

    source: str
    number: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read: events of [start, end) of the group, of these `streams` (None: of all), those that `matches` takes.

    `after`: beyond that place in the direction of reading. At most `limit` events, and some more work than
    `budget_bytes` of text is not done in one go: then the page is not the last, and may be empty.
    """

    scope: Scope
    group: str
    streams: Sequence[str] | None = None
    prefix: str = ""
    start: int = 0
    end: int = 2**62
    after: Place | None = None
    limit: int = 10_000
    is_backward: bool = False
    matches: Callable[[str], bool] | None = None
    budget_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """`events`: (stream, event) in the direction of reading. `place`: where the next page goes on, None at the start of
    what has nothing. `is_last`: there is no more for now."""

    events: list[tuple[str, LogEvent]]
    place: Place | None
    is_last: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the store itself, for its gauges."""

    events_written: int
    events_refused: int
    events_dropped: int
    size_bytes: int
    limit_bytes: int


Follower = Callable[[Scope, str, str, Sequence[LogEvent]], None]  # scope, group, stream, events


class LogStore(Protocol):
    """Each coroutine raises LogsError; NoGroup and NoStream for what is not there, Exists for what is."""

    def create_group(self, scope: Scope, group: Group) -> Awaitable[None]: ...
    def delete_group(self, scope: Scope, name: str) -> Awaitable[None]: ...

    def change_group(self, scope: Scope, name: str, change: Callable[[Group], Group]) -> Awaitable[None]:
        """Retention and tags, that is."""
        ...

    def group(self, scope: Scope, name: str) -> Awaitable[Group]: ...

    def groups(
        self, scope: Scope, prefix: str = "", after: str = "", limit: int = 50
    ) -> Awaitable[list[Group]]:
        """By name, those after `after`."""
        ...

    def create_stream(self, scope: Scope, group: str, name: str, created: int) -> Awaitable[None]: ...
    def delete_stream(self, scope: Scope, group: str, name: str) -> Awaitable[None]: ...

    def streams(self, scope: Scope, group: str, prefix: str = "") -> Awaitable[list[Stream]]:
        """By name."""
        ...

    def put(
        self,
        scope: Scope,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
        resend: Resend | None = None,
    ) -> Awaitable[bool]:
        """(at, message), ascending. Resolves when they are on disk: whether they are new, and not a batch that was
        sent before."""
        ...

    def read(self, reading: Reading) -> Awaitable[Page]: ...

    def follow(self, follower: Follower) -> Callable[[], None]:
        """`follower` is called on the loop with what has just become durable. Returns what ends that."""
        ...

    def facts(self) -> Facts: ...

    async def close(self) -> None: ...
