"""Periods: to which a point belongs, and which may be asked of old data (CloudWatch API reference, "GetMetricData" and
"GetMetricStatistics"). Times are seconds since the epoch."""

from __future__ import annotations

import math

HOUR, DAY = 3600, 86_400
SHORT_PERIODS = (1, 5, 10, 20, 30)  # of high-resolution metrics; any other is a multiple of a minute
# How old a start is (more than, seconds), what its clock is rounded down to and the finest period kept so long.
_AGES = ((63 * DAY, HOUR, HOUR), (15 * DAY, 300, 300), (3 * HOUR, 60, 60))


def is_period(period: int) -> bool:
    """1, 5, 10, 20, 30 or a multiple of 60."""
    return period in SHORT_PERIODS or (period > 0 and period % 60 == 0)


def bucket(at: float, period: int, origin: int = 0) -> int:
    """When the period that `at` falls into began: periods are counted from `origin`, which is the epoch."""
    return math.floor((at - origin) / period) * period + origin


def align(start: float, end: float, period: int, now: float) -> tuple[int, int]:
    """[start, end) of a request as whole seconds, to be read in periods.

    The start is rounded down to the minute, to 5 minutes when it is 15 to 63 days old, to the hour beyond; with a
    period below a minute to that period; and then to the period that it falls into, as points carry the start of
    theirs. No period starts at or after `end`.
    """
    clock = period if period < 60 else 60
    for age, rounded, _ in _AGES[:2]:
        if now - start > age:
            clock = rounded
            break
    return bucket(bucket(start, clock), period), math.ceil(end)


def usable_period(period: int, start: float, now: float) -> int:
    """`period`, or the next longer one for which there still are points as old as `start`.

    AWS answers no points for a period that is too fine for its age: a caller who wants that compares.
    """
    for age, _, finest in _AGES:
        if now - start > age:
            return -(-period // finest) * finest
    return period
