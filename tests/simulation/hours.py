"""One seed's hours."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tests.simulation.__main__ import HOURS_A_SEED, shown
from tests.simulation.actions import draw, failure_of, shrink


@dataclass(frozen=True, slots=True)
class Found:
    """`scenario`: what fails, at its shortest; "" when nothing does."""

    hours: float
    scenario: str = ""


def one(seed: int) -> Found:
    logging.disable(logging.CRITICAL)
    actions = draw(seed, HOURS_A_SEED)
    if not failure_of(actions, seed):
        return Found(HOURS_A_SEED)
    shortest = shrink(actions, seed)
    return Found(0.0, shown(shortest, seed, failure_of(shortest, seed)))
