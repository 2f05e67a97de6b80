"""Nouns of EventBridge's default bus: rules and their targets, API destinations, archives and replays of the event log
(EventBridge API reference). Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model.arn import Scope

ENABLED, DISABLED = "ENABLED", "DISABLED"
STARTING, RUNNING, COMPLETED, CANCELLED, FAILED = "STARTING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED"


def arn(scope: Scope, kind: str, name: str) -> str:
    """`kind`: rule, event-bus, connection, api-destination, archive, replay."""
    return f"arn:aws:events:{scope.region}:{scope.account}:{kind}/{name}"


@dataclass(frozen=True, slots=True)
class Target:
    """`given`: the members of the request, as they are shown again."""

    id: str
    arn: str
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern`, `schedule`: "" for none. `fired_at`: the minute up to which the schedule was looked at."""

    arn: str
    name: str
    created_at: float
    pattern: str = ""
    schedule: str = ""
    state: str = ENABLED
    description: str = ""
    role_arn: str = ""
    targets: tuple[Target, ...] = ()
    fired_at: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class Connection:
    """`kind`: BASIC or API_KEY; `name`, `secret`: the user and password, or the header and its value. `secret` is never
    shown. `headers`: sent as well; those marked secret are in `hidden`."""

    arn: str
    name: str
    kind: str
    user: str
    secret: str
    created_at: float
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class ApiDestination:
    arn: str
    name: str
    connection_arn: str
    endpoint: str
    method: str
    created_at: float
    description: str = ""
    rate: int = 300

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class Archive:
    """A view of the event log from `created_at` on: the log is kept anyway. `retention_days`: 0 as long as the log."""

    arn: str
    name: str
    source_arn: str
    created_at: float
    pattern: str = ""
    description: str = ""
    retention_days: int = 0

    @property
    def key(self) -> str:
        return self.arn


@dataclass(frozen=True, slots=True)
class Replay:
    """`after`: the sequence number of the last event replayed, where a restart goes on. `rules`: ARNs; all if none."""

    arn: str
    name: str
    archive_arn: str
    start: float
    end: float
    started_at: float
    state: str = STARTING
    description: str = ""
    reason: str = ""
    rules: tuple[str, ...] = ()
    after: int = 0
    replayed_at: float | None = None  # the time of the last event
    ended_at: float | None = None

    @property
    def key(self) -> str:
        return self.arn
