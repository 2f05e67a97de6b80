"""Samples against what a container may have."""

from __future__ import annotations

import pytest

from exporters.sample import ContainerIdentity, Sample
from exporters.usage import Usage, Window, usage

WHO = ContainerIdentity(
    id="a",
    name="a",
    image="i",
    pid=1,
    cpu_shares=512,
    cpu_quota_cores=2.0,
    memory_limit_bytes=1000,
    memory_reservation_bytes=200,
)


def window(*samples: Sample) -> Window:
    made = Window()
    for sample in samples:
        made.add(sample)
    return made


def at(seconds: float, cpu: float | None = None, **more: int) -> Sample:
    return Sample(at=seconds, container_id="a", cpu_seconds=cpu, **more)  # type: ignore[arg-type]


def test_cpu_and_memory_are_told_of_limit_and_reservation() -> None:
    found = usage(WHO, window(at(0, 1.0), at(5, 6.0, memory_working_set_bytes=100, memory_limit_bytes=400)))
    assert found == Usage(0.5, 2.0, None, 0.25, 0.5, 5)


def test_rates_cover_ten_to_twenty_seconds_not_the_whole_life() -> None:
    busy_then_idle = [at(s, min(s, 100)) for s in range(201)]  # one core for 100 s, then nothing
    found = usage(WHO, window(*busy_then_idle))
    assert found is not None
    assert found.cpu_limit_ratio == 0
    found = usage(WHO, window(*busy_then_idle[:100]))
    assert found is not None
    assert found.cpu_limit_ratio == 0.5


def test_nothing_to_compare_with_is_left_out() -> None:
    assert usage(WHO, window()) is None
    bare = ContainerIdentity(id="a", name="a", image="i", pid=1, cpu_shares=2)
    found = usage(bare, window(at(0, 1.0), at(5, 6.0, memory_working_set_bytes=100, memory_limit_bytes=0)))
    assert found == Usage(None, None, None, None, None, 5)


def test_a_counter_that_goes_back_is_no_rate() -> None:
    found = usage(WHO, window(at(0, 100.0), at(5, 1.0)))
    assert found is not None
    assert (found.cpu_limit_ratio, found.cpu_reservation_ratio) == (None, None)


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [((0, 0), (100, 25), 0.25), ((100, 50), (100, 50), 0.0), ((0, 0), (0, 0), None), ((9, 9), (10, 0), 0.0)],
)
def test_throttling(before: tuple[int, int], after: tuple[int, int], ratio: float | None) -> None:
    periods = [
        at(second, 0.0, cpu_periods=n, cpu_throttled_periods=t)
        for second, (n, t) in ((0, before), (5, after))
    ]
    found = usage(WHO, window(*periods))
    assert found is not None
    assert found.cpu_throttled_ratio == ratio
