"""The thousand hours get the machine's idle time: whatever else is tested goes before them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation.hours import Found, one

SEEDS = 84


@pytest.fixture
def histories() -> Iterator[Iterator[Found]]:
    """What each seed's hours came to."""
    first = int(os.environ.get("SEED", "0"))
    context = multiprocessing.get_context("spawn")
    workers = max(2, os.cpu_count() or 2)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=os.nice, initargs=(19,))
    yield pool.map(one, range(first, first + SEEDS))
    pool.shutdown(cancel_futures=True)
