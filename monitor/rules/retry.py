"""When a delivery that failed is tried again. Pure: the same delivery waits the same time.

Twice as long each time, to five minutes; spread over half of the wait by the delivery's id, so that what failed
together does not come back together.
"""

from __future__ import annotations

from zlib import crc32

from monitor.model.delivery import Delivery

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
_DOUBLINGS = 16


def wait_seconds(delivery_id: str, attempts: int) -> float:
    """After so many failed attempts, at least 1."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, _DOUBLINGS))
    share = crc32(f"{delivery_id}/{attempts}".encode()) / 2**32
    return longest * (0.5 + share / 2)


def next_due(delivery: Delivery, now: float) -> float | None:
    """When to try again, after the attempt that `delivery.attempts` counts already. None: it is given up."""
    if delivery.attempts > delivery.most_retries:
        return None
    due = now + wait_seconds(delivery.id, delivery.attempts)
    return due if due - delivery.created_at <= delivery.most_age_seconds else None
