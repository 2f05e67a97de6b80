"""Columns and chunks: what is packed is read back; merging is merging of sets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.rules.statistics import merge, of_values
from monitor.series.columns import BadChunk, Columns, bucketed, merged, of_points, pack, unpack

VALUE = st.floats(-1e9, 1e9) | st.integers(-5, 5).map(float)
POINT = st.lists(VALUE, min_size=1, max_size=4).map(lambda values: of_values(values, [1.0] * len(values)))
POINTS = st.lists(st.tuples(st.integers(0, 100_000), POINT), max_size=40)


def shown(columns: Columns) -> list[object]:
    return list(columns.points())


@given(POINTS.filter(bool))
def test_a_chunk_is_read_back_as_it_was(points: list[tuple[int, object]]) -> None:
    columns = of_points(points, 1)  # type: ignore[arg-type]
    assert shown(unpack(pack(columns))) == shown(columns)


@given(POINTS, POINTS)
def test_what_comes_in_two_parts_is_what_comes_at_once(one: list, other: list) -> None:  # type: ignore[type-arg]
    apart = merged(of_points(one, 60), of_points(other, 60))
    together = of_points([*one, *other], 60)
    assert list(apart.at) == list(together.at)
    for (_, a), (_, b) in zip(apart.points(), together.points(), strict=True):
        assert (a.sample_count, a.minimum, a.maximum, a.values) == (
            b.sample_count,
            b.minimum,
            b.maximum,
            b.values,
        )
        assert math.isclose(a.total, b.total, rel_tol=1e-9, abs_tol=1e-3)


@given(POINTS, st.sampled_from([60, 300, 3600]))
def test_a_bucket_holds_the_points_of_its_period(points: list, period: int) -> None:  # type: ignore[type-arg]
    found = bucketed(of_points(points, 1), period)
    assert all(at % period == 0 for at in found.at)
    assert list(found.at) == sorted({at - at % period for at, _ in points})
    assert math.isclose(sum(found.count), sum(p.sample_count for _, p in points))


def test_between_is_half_open() -> None:
    columns = of_points([(at, of_values([1.0, 2.0], [1.0, 1.0])) for at in (0, 60, 120, 180)], 60)
    part = columns.between(60, 180)
    assert list(part.at) == [60, 120]
    assert sorted(part.details) == [60, 120]


def test_the_known_values_of_a_set_survive_and_the_unknown_stay_unknown() -> None:
    known, one = of_values([1.0, 5.0], [2.0, 1.0]), of_values([3.0], [4.0])
    columns = unpack(pack(of_points([(0, known), (60, one)], 60)))
    assert columns.point(0) == known
    assert columns.point(1) == one
    unknown = merge([known, type(known)(2.0, 9.0, 4.0, 5.0, None)])
    assert unpack(pack(of_points([(0, unknown)], 60))).point(0).values is None


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x09" + bytes(30), pack(of_points([(0, of_values([1.0], [1.0]))], 1))[:-4]]
)
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    with pytest.raises(BadChunk):
        unpack(data)


def test_a_minute_of_a_steady_metric_costs_few_bytes() -> None:
    points = [(at * 60, of_values([float(at % 7)], [1.0])) for at in range(360)]
    assert len(pack(of_points(points, 60))) < 4 * 360
