"""The thousand hours begin when the tests are collected and run beside those that wait for Docker and Prometheus: idle
time of the machine is all they get. The test asks for what they found.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.simulation.hours import Found, one

SEEDS = 84
TEST = "test_a_thousand_hours_with_faults"
_POOL = pytest.StashKey[tuple[ProcessPoolExecutor, list["Future[Found]"]]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    chosen = any(item.name == TEST for item in session.items)
    if not chosen or session.config.option.collectonly:
        return
    first = int(os.environ.get("SEED", "0"))
    context = multiprocessing.get_context("spawn")
    workers = max(2, os.cpu_count() or 2)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=os.nice, initargs=(19,))
    futures = [pool.submit(one, seed) for seed in range(first, first + SEEDS)]
    session.config.stash[_POOL] = (pool, futures)


@pytest.fixture
def histories(request: pytest.FixtureRequest) -> Iterator[Found]:
    """What each seed's hours came to, as they end."""
    _, futures = request.config.stash[_POOL]
    return (future.result() for future in futures)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _POOL in config.stash:
        config.stash[_POOL][0].shutdown(cancel_futures=True)
