"""When is an agent silent? Pure rules for the heartbeat loop.

A socket that closes says the process ended but its host still answers: the agent gets the grace period to
come back. A socket that stays open with nothing on it may mean the host is gone: its tasks count as lost at
once. If our own loop overslept, silence proves nothing and the clock starts again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds between heartbeats, and without any frame until the agent counts as silent."""

    heartbeat_seconds: float
    silence_seconds: float


def rhythm(is_ours: bool, silence_seconds: float) -> Rhythm:
    """Our agent answers cheaply; Amazon's runs a health check of its Docker daemon on every heartbeat."""
    if is_ours:
        return Rhythm(min(silence_seconds / 3, 15.0), silence_seconds)
    return Rhythm(15.0, max(45.0, silence_seconds))


def overslept(rhythm: Rhythm, woke_at: float, due_at: float) -> bool:
    return woke_at - due_at > rhythm.silence_seconds / 2


def is_silent(rhythm: Rhythm, now: float, heard_at: float) -> bool:
    return now - heard_at > rhythm.silence_seconds
