"""Snapshot: what the scheduler may look at: the state, the time, and nothing else.

It is read in one go without giving way, so nothing changes under it; it must not be changed by the reader.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.model.state import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`healthy_after_seconds`: a task that has run this long was a start that worked."""

    state: State
    now: float
    task_retention_seconds: float = 30 * 86400.0
    inactive_retention_seconds: float = 3600.0
    healthy_after_seconds: float = 10.0
