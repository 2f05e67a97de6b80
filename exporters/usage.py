"""Usage: a container's samples against what it may have. Pure.

Rates are taken between the newest sample and one from ten to twenty seconds before, so that a scrape sees neither
the noise of one second nor an average of the whole life.
"""

from __future__ import annotations

from typing import NamedTuple

from exporters.sample import ContainerIdentity, Sample

WINDOW_SECONDS = 10.0
UNITS_A_CORE = 1024
LEAST_SHARES = 2  # what Docker takes; ECS gives it to a container that reserved nothing


class Usage(NamedTuple):
    """Ratios, 1.0 = all of it; None where there is nothing to compare with."""

    cpu_limit_ratio: float | None
    cpu_reservation_ratio: float | None
    cpu_throttled_ratio: float | None
    memory_limit_ratio: float | None
    memory_reservation_ratio: float | None
    seen_at: float


class Window:
    """The newest sample and the one to compare it with."""

    __slots__ = ("_mark", "before", "newest")

    def __init__(self) -> None:
        self.newest: Sample | None = None
        self.before: Sample | None = None
        self._mark: Sample | None = None

    def add(self, sample: Sample) -> None:
        mark = self._mark
        if mark is None:
            self._mark = self.before = sample
        elif sample.at - mark.at >= WINDOW_SECONDS:
            self.before, self._mark = mark, sample
        self.newest = sample


def usage(who: ContainerIdentity, window: Window) -> Usage | None:
    """None before the first sample."""
    now, before = window.newest, window.before
    if now is None or before is None:
        return None
    cores = _rate(now.cpu_seconds, before.cpu_seconds, now.at - before.at)
    reserved = who.cpu_shares / UNITS_A_CORE if who.cpu_shares > LEAST_SHARES else 0.0
    limit = now.memory_limit_bytes if now.memory_limit_bytes is not None else who.memory_limit_bytes
    return Usage(
        _of(cores, who.cpu_quota_cores),
        _of(cores, reserved),
        _throttled(now, before),
        _of(now.memory_working_set_bytes, limit),
        _of(now.memory_working_set_bytes, who.memory_reservation_bytes),
        now.at,
    )


def _rate(now: float | None, before: float | None, seconds: float) -> float | None:
    """None also for a counter that went back: the cgroup was made anew."""
    if now is None or before is None or seconds <= 0 or now < before:
        return None
    return (now - before) / seconds


def _of(used: float | None, whole: float) -> float | None:
    return None if used is None or whole <= 0 else used / whole


def _throttled(now: Sample, before: Sample) -> float | None:
    if None in (now.cpu_periods, before.cpu_periods, now.cpu_throttled_periods, before.cpu_throttled_periods):
        return None
    periods = (now.cpu_periods or 0) - (before.cpu_periods or 0)
    held_back = (now.cpu_throttled_periods or 0) - (before.cpu_throttled_periods or 0)
    if periods <= 0:
        return 0.0 if now.cpu_periods else None
    return min(1.0, max(0, held_back) / periods)
