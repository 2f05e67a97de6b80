"""Statistics and periods against the definitions of the CloudWatch user guide and API reference."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.metric import MetricKey, StatisticSet
from monitor.rules import period, statistics

DAY = 86_400
NOW = 1_790_000_017.0
TEN = statistics.of_values([float(v) for v in range(1, 11)])  # 1 … 10

numbers = st.floats(min_value=0, max_value=1e9, allow_subnormal=False)
counts = st.integers(min_value=1, max_value=50).map(float)
pairs = st.lists(st.tuples(numbers, counts), min_size=1, max_size=30)
sets = pairs.map(lambda found: statistics.of_values([v for v, _ in found], [c for _, c in found]))


def close(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-6)


def test_key_sorts_dimensions() -> None:
    key = MetricKey.of("AWS/ECS", "CPUUtilization", {"ServiceName": "web", "ClusterName": "c"})
    assert key.dimensions == (("ClusterName", "c"), ("ServiceName", "web"))
    assert key.dimension("ServiceName") == "web"
    assert key.dimension("TaskId") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SampleCount", 10),
        ("Sum", 55),
        ("Average", 5.5),
        ("Minimum", 1),
        ("Maximum", 10),
        ("p0", 1),
        ("p50", 5.5),
        ("p90", 9.1),
        ("p99.9", 9.991),
        ("p100", 10),
        ("tm90", 5),  # the highest 10 % are left out
        ("TM(:90%)", 5),
        ("TM(10%:90%)", 5.5),
        ("TM(10%:)", 6),
        ("TM(2:4)", 3.5),  # the lower bound is exclusive, the upper inclusive
        ("tc90", 9),
        ("TC(80%:)", 2),
        ("TC(:5)", 5),
        ("TC(0.005:0.030)", 0),
        ("ts90", 45),
        ("TS(80%:)", 19),
        ("TS(5:)", 40),
        ("wm90", 5.41),  # 10 counts as the 90th percentile, 9.1
        ("WM(2:9)", 5.5),
        ("PR(:3)", 30),
        ("PR(3:7)", 40),
        ("PR(7:)", 30),
        ("IQM", 5.5),
    ],
)
def test_definitions(text: str, expected: float) -> None:
    found = statistics.parse(text).of(TEN)
    assert found is not None
    assert close(found, expected)


def test_trimmed_mean_of_nothing_is_unknown() -> None:
    assert statistics.parse("TM(100:200)").of(TEN) is None
    assert statistics.parse("tm90").of(statistics.of_values([7])) == 7


@pytest.mark.parametrize(
    "text",
    ["", "average", "P99", "p101", "p-1", "p", "p1e1", "tm(10%:90%)", "TM90", "TM(:)", "TM(10%:90)", "TM(90%:10%)",
     "TM(:101%)", "TM(%:90%)", "PR(10%:90%)", "IQM(1:2)", "p99.12345678901", "p9" * 99, "Sum "],
)  # fmt: skip
def test_bad_statistic(text: str) -> None:
    with pytest.raises(statistics.BadStatistic, match="is not a valid statistic") as caught:
        statistics.parse(text, "MetricDataQueries.member.1.MetricStat.Stat")
    assert str(caught.value).startswith("The value ")
    assert "MetricDataQueries.member.1.MetricStat.Stat" in str(caught.value)


@given(st.text(max_size=80))
def test_parse_raises_nothing_else(text: str) -> None:
    try:
        assert statistics.parse(text).text == text
    except statistics.BadStatistic:
        return


def test_a_set_tells_percentiles_only_when_its_values_are_known() -> None:
    p90 = statistics.parse("p90")
    assert p90.of(StatisticSet(2, 3, 1, 2)) is None
    assert p90.of(StatisticSet(1, 5, 5, 5)) == 5
    assert p90.of(StatisticSet(4, 20, 5, 5)) == 5
    assert p90.of(StatisticSet(4, 21, 5, 5)) is None  # the guide: the sum must agree
    assert statistics.parse("Average").of(StatisticSet(2, 3, 1, 2)) == 1.5
    assert statistics.parse("Average").of(StatisticSet(0, 0, 0, 0)) is None


def test_negative_values_have_no_percentiles() -> None:
    known = statistics.of_values([-1, 2])
    assert statistics.parse("p50").of(known) is None
    assert statistics.parse("Minimum").of(known) == -1


def test_counts_weigh_and_none_is_refused() -> None:
    known = statistics.of_values([5, 1, 5], [2, 1, 1])
    assert known == StatisticSet(4, 16, 1, 5, ((1, 1), (5, 3)))
    with pytest.raises(ValueError, match="needs a value"):
        statistics.of_values([1], [0])


def test_many_values_become_a_set() -> None:
    many = statistics.of_values([float(v) for v in range(1001)])
    assert many.values is None
    assert (many.sample_count, many.maximum) == (1001, 1000)
    parts = [statistics.of_values([float(v)]) for v in range(1001)]
    assert statistics.merge(parts) == many
    assert statistics.merge([]) is None


@given(sets, sets, sets)
def test_merge_is_associative_and_commutative(a: StatisticSet, b: StatisticSet, c: StatisticSet) -> None:
    def merged(*parts: StatisticSet) -> StatisticSet:
        found = statistics.merge(parts)
        assert found is not None
        return found

    left, right, turned = merged(merged(a, b), c), merged(a, merged(b, c)), merged(c, b, a)
    for other in (right, turned):
        assert close(left.total, other.total)
        assert (left.sample_count, left.minimum, left.maximum) == (
            other.sample_count, other.minimum, other.maximum,
        )  # fmt: skip
        assert left.values == other.values


@given(sets, st.floats(min_value=0, max_value=100), st.floats(min_value=0, max_value=100))
def test_percentiles_are_ordered_and_inside(known: StatisticSet, one: float, other: float) -> None:
    assert known.values is not None
    low, high = (statistics.percentile(known.values, p) for p in sorted((one, other)))
    slack = 1e-9 * (1 + known.maximum)
    assert known.minimum <= low <= high + slack <= known.maximum + 2 * slack


@given(sets, st.integers(min_value=0, max_value=100))
def test_trimmed_statistics_agree(known: StatisticSet, percent: int) -> None:
    mean, count, total = (statistics.parse(f"{kind}{percent}").of(known) for kind in ("tm", "tc", "ts"))
    assert count is not None
    assert total is not None
    assert 0 <= count <= known.sample_count
    assert (mean is None) == (count == 0)
    assert mean is None or close(mean * count, total)


@given(sets, numbers)
def test_ranks_split_in_two(known: StatisticSet, at: float) -> None:
    below, above = (statistics.parse(text).of(known) for text in (f"PR(:{at:.3f})", f"PR({at:.3f}:)"))
    assert below is not None
    assert above is not None
    assert close(below + above, 100)


@pytest.mark.parametrize(
    ("age", "seconds", "expected"),
    [
        (3600, 60, NOW - 3600 - 37),  # NOW is :37 past a minute
        (16 * DAY, 300, (NOW - 16 * DAY) // 300 * 300),
        (64 * DAY, 3600, (NOW - 64 * DAY) // 3600 * 3600),
        (20, 10, (NOW - 20) // 10 * 10),
        (20, 1, NOW - 20),
    ],
)
def test_start_is_rounded_by_age(age: float, seconds: int, expected: float) -> None:
    assert NOW % 60 == 37
    assert period.align(NOW - age, NOW, seconds, NOW) == (int(expected), int(NOW))


def test_align_starts_a_period() -> None:
    start, end = period.align(NOW - 700, NOW - 0.5, 300, NOW)
    assert start % 300 == 0
    assert start <= NOW - 700 < start + 300
    assert end == NOW


@given(st.floats(min_value=0, max_value=4e9), st.sampled_from([1, 5, 60, 300, 86_400]))
def test_bucket_holds_its_point(at: float, seconds: int) -> None:
    found = period.bucket(at, seconds)
    assert found % seconds == 0
    assert found <= at < found + seconds


def test_old_data_is_coarse() -> None:
    assert period.usable_period(1, NOW - 60, NOW) == 1
    assert period.usable_period(10, NOW - 4 * 3600, NOW) == 60
    assert period.usable_period(360, NOW - 16 * DAY, NOW) == 600
    assert period.usable_period(60, NOW - 64 * DAY, NOW) == 3600
    assert [p for p in (0, 1, 2, 30, 60, 90, 120, -60) if period.is_period(p)] == [1, 30, 60, 120]
