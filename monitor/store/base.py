"""Store: the protocol every backend answers.

A commit applies its changes to `state` at once, so that the next reader plans on them, and resolves when
they are on disk. Nothing may leave the process (an answer, an order to an agent) on the strength of a change
that is not durable yet: answers wait for `flushed`, and subscribers hear of changes only once they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from monitor.model.event import Event
from monitor.model.state import Change, State

Subscriber = Callable[[Sequence[Change]], None]
# What a commit is made into before it is applied: the changes with the events that follow from them. Given the state
# before and the changes.
Announce = Callable[[State, Sequence[Change]], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class Past:
    """Which events of the log on disk. `subject`: of one thing alone (a service, for its service events; an alarm, for
    its history); `about`: of all whose subject starts so. [since, until) in seconds since the epoch.
    `after`: beyond that sequence number in the direction of reading."""

    subject: str = ""
    about: str = ""
    since: float = 0.0
    until: float = inf
    after: int = 0
    limit: int = 1000
    is_newest_first: bool = False


class StoreError(Exception):
    """The store cannot be read or written; the message says which file and what to do."""


class Store(Protocol):
    state: State
    announce: Announce

    def commit(self, changes: Sequence[Change]) -> Awaitable[None]:
        """Apply now; the result resolves when durable. Raises StoreError when the store has failed, CodecError (with
        nothing applied) for what cannot be stored."""
        ...

    def flushed(self) -> Awaitable[None]:
        """Resolves when all that was committed up to now is durable."""
        ...

    def subscribe(self, subscriber: Subscriber) -> None:
        """`subscriber` is called on the loop, in commit order, with changes that are durable."""
        ...

    def on_commit(self, listener: Callable[[], None]) -> None:
        """`listener` is called within each commit, before it is durable: for who only plans further commits."""
        ...

    async def past(self, wanted: Past) -> list[Event]:
        """Events of the log, also those that have left memory, by their sequence numbers. Raises StoreError."""
        ...

    async def close(self) -> None: ...
