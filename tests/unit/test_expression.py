"""Metric math against the tables and examples of "Using math expressions with CloudWatch metrics"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.rules import expression
from monitor.rules.expression import BadExpression, Request, Search, Series
from monitor.rules.expression_parse import Call, Find, Metrics, Name, Number, Operation, Word

MONDAY = 1_790_553_600  # 2026-09-28T00:00:00Z
_ = None
Values = Sequence[float | None]


def series(name: str, *values: float | None, period: int = 60) -> Series:
    points = tuple((float(MONDAY + i * period), float(v)) for i, v in enumerate(values) if v is not None)
    return Series(name, f"label of {name}", period, points)


def spread(found: Series, count: int = 5) -> list[float | None]:
    points = dict(found.points)
    return [points.pop(float(MONDAY + i * found.period), None) for i in range(count)] + list(points.values())


def result(
    text: str, *known: Series, minutes: int = 5, **more: Sequence[Series]
) -> Series | tuple[Series, ...]:
    request = Request(MONDAY, MONDAY + minutes * 60, 60, tuple(s.id for s in known))
    return expression.evaluate(expression.parse(text), {**{s.id: s for s in known}, **more}, request)


def one(text: str, *known: Series, minutes: int = 5) -> list[float | None]:
    found = result(text, *known, minutes=minutes)
    assert isinstance(found, Series)
    return spread(found, minutes)


def many(text: str, *known: Series, **more: Sequence[Series]) -> list[list[float | None]]:
    found = result(text, *known, **more)
    assert isinstance(found, tuple)
    return [spread(s) for s in found]


M1 = series("m1", 1, 2, 3, 4, 5)
M2 = series("m2", 10, _, 30, _, 50)
M3 = series("m3", 0, 5, _, _, 1)
EMPTY = series("m4")
ALL = (M1, M2, M3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1", [1, 2, 3, 4, 5]),
        ("5 * m1", [5, 10, 15, 20, 25]),
        ("m1 - m2", [-9, 2, -27, 4, -45]),  # a missing point counts as 0 where the other has one
        ("m2 + m3", [10, 5, 30, _, 51]),
        ("m1 / m3", [_, 0.4, _, _, 5]),  # divided by zero: dropped
        ("m3 / m3", [_, 1, _, _, 1]),
        ("100 / m1 ^ 2", [100, 25, 100 / 9, 6.25, 4]),
        ("-m1", [-1, -2, -3, -4, -5]),
        ("-m1 ^ 2", [-1, -4, -9, -16, -25]),
        ("2 ^ 3 ^ 2 + m1 * 0", [512] * 5),
        ("2 ^ -1 * m1", [0.5, 1, 1.5, 2, 2.5]),
        ("m1 - 2 - 1", [-2, -1, 0, 1, 2]),
        ("(0 - m1) ^ 0.5", [_] * 5),
        ("10 ^ (m1 * 100)", [1e100, 1e200, 1e300, _, _]),
        ("1 + 2 * m1", [3, 5, 7, 9, 11]),
        ("(1 + 2) * m1", [3, 6, 9, 12, 15]),
        ("1e-3 * m1 * .5e3", [0.5, 1, 1.5, 2, 2.5]),
        ("m1 > 2", [0, 0, 1, 1, 1]),
        ("m1 > 1 AND m1 < 4", [0, 1, 1, 0, 0]),
        ("m1 < 2 || m1 > 4 && 1 == 1", [1, 0, 0, 0, 1]),
        ("m1 != 2", [1, 0, 1, 1, 1]),
        ("m1 + 1 <= 3 OR m1 == 5", [1, 1, 0, 0, 1]),
        ("m1 * (3 > 2)", [1, 2, 3, 4, 5]),
        ("m1 - AVG(m1)", [-2, -1, 0, 1, 2]),
        ("MAX(m1) / m1", [5, 2.5, 5 / 3, 1.25, 1]),
        ("m1 - MIN(m2)", [-9, -8, -7, -6, -5]),
        ("SUM(m2) + m1 * 0", [90] * 5),
        ("m1 * 0 + STDDEV(m1)", [math.sqrt(2)] * 5),
        ("SUM(m2) / DATAPOINT_COUNT(m2) + m1", [31, 32, 33, 34, 35]),
        ("m1 / PERIOD(m1)", [1 / 60, 2 / 60, 3 / 60, 4 / 60, 5 / 60]),
        ("m1 / METRIC_COUNT(METRICS())", [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3]),
        ("SUM([m1, m2])", [11, 2, 33, 4, 55]),
        ("SUM(METRICS())", [11, 7, 33, 4, 56]),
        ("AVG(METRICS())", [11 / 3, 7 / 3, 11, 4 / 3, 56 / 3]),  # missing ones count as 0
        ("MIN([m1, m2])", [1, 2, 3, 4, 5]),
        ("MAX([m2, m3])", [10, 5, 30, _, 50]),
        ("DATAPOINT_COUNT(METRICS())", [3, 2, 2, 1, 3]),
        ("STDDEV([m1, m2])", [4.5, 0, 13.5, 0, 22.5]),
        ('SUM(METRICS("2"))', [10, _, 30, _, 50]),
        ("SUM(100 / [m1, m2])", [110, 50, 100 / 3 + 100 / 30, 25, 22]),
        ("AVG([m1, m2] / m1)", [5.5, 0.5, 5.5, 0.5, 5.5]),
        ("SUM(-[m1, m2])", [-11, -2, -33, -4, -55]),
        ("MIN(ABS([m1 - m2, m2]))", [9, 2, 27, 4, 45]),
        ("ABS(m1 - 3)", [2, 1, 0, 1, 2]),
        ("CEIL(m1 / 2)", [1, 1, 2, 2, 3]),
        ("FLOOR(m1 / 2)", [0, 1, 1, 2, 2]),
        ("LOG(m3)", [_, math.log(5), _, _, 0]),
        ("LOG10(m2)", [1, _, math.log10(30), _, math.log10(50)]),
        ("DIFF(m2)", [_, _, 20, _, 20]),
        ("DIFF_TIME(m2)", [_, _, 120, _, 120]),
        ("RATE(m2)", [_, _, 20 / 120, _, 20 / 120]),
        ("RUNNING_SUM(m2)", [10, _, 40, _, 90]),
        ("FILL(m2, 7)", [10, 7, 30, 7, 50]),
        ("FILL(m2, MIN(m2))", [10, 10, 30, 10, 50]),
        ("FILL(m2, REPEAT)", [10, 10, 30, 30, 50]),
        ("FILL(m2, LINEAR)", [10, 20, 30, 40, 50]),
        ("FILL(m2, m1)", [10, 2, 30, 4, 50]),
        ("FILL(m2, m3)", [10, 5, 30, _, 50]),
        ("FILL(m3, LINEAR)", [0, 5, 5 - 4 / 3, 5 - 8 / 3, 1]),
        ("FIRST(METRICS())", [1, 2, 3, 4, 5]),
        ("LAST(METRICS())", [0, 5, _, _, 1]),
        ("FIRST(SORT(METRICS(), AVG, DESC))", [10, _, 30, _, 50]),
        ("LAST(SLICE(METRICS(), 0, 2))", [10, _, 30, _, 50]),
        ("TIME_SERIES(3)", [3] * 5),
        ("TIME_SERIES(MAX(m1)) - m1", [4, 3, 2, 1, 0]),
        ("MINUTE(m2)", [0, 1, 2, 3, 4]),
        ("EPOCH(m2) - 1790553600", [0, 60, 120, 180, 240]),
        ("IF(m1 < 3, m1)", [1, 2, _, _, _]),
        ("IF(m1 > 3, 1, 0)", [0, 0, 0, 1, 1]),
        ("IF(HOUR(m1) == 0 AND DAY(m1) < 6, m1)", [1, 2, 3, 4, 5]),
        ("IF(FIRST(SORT(METRICS(), AVG, DESC)) > 20, 1, 0)", [0, _, 1, _, 1]),
        ("IF(AVG(m1) > 2, m1, m2)", [1, 2, 3, 4, 5]),
        ("IF(AVG(m1) > 4, m1, m2)", [10, _, 30, _, 50]),
        ("IF(AVG(m1) > 4, m1)", [_] * 5),
        ("IF(AVG(m1) > 4, m1, 7)", [7] * 5),
        ("IF(AVG(m1) > 2, 7, m2)", [7, _, 7, _, 7]),
    ],
)  # fmt: skip
def test_of_one_series(text: str, expected: Values) -> None:
    found = one(text, *ALL)
    assert [v is None for v in found] == [v is None for v in expected]
    assert [v for v in found if v is not None] == pytest.approx([v for v in expected if v is not None])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("METRICS() * 100", [[100, 200, 300, 400, 500], [1000, _, 3000, _, 5000], [0, 500, _, _, 100]]),
        ("[m1, [m2, m3]] > 4", [[0, 0, 0, 0, 1], [1, _, 1, _, 1], [0, 1, _, _, 0]]),
        ("SORT(METRICS(), MAX, DESC, 2)", [[10, _, 30, _, 50], [1, 2, 3, 4, 5]]),
        ("SLICE(SORT(METRICS(), AVG, ASC), 1)", [[1, 2, 3, 4, 5], [10, _, 30, _, 50]]),
        ("FILL([m2, m3], REPEAT)", [[10, 10, 30, 30, 50], [0, 5, 5, 5, 1]]),
        ("REMOVE_EMPTY([m2, m1 / 0])", [[10, _, 30, _, 50]]),
        ("IF([m1, m3] > 2, 9)", [[_, _, 9, 9, 9], [_, 9, _, _, _]]),
        ("DIFF([m2])", [[_, _, 20, _, 20]]),
    ],
)
def test_of_arrays(text: str, expected: list[Values]) -> None:
    assert many(text, *ALL) == expected


def test_comparison_table() -> None:
    metric1, metric2 = series("metric1", 30, 20, 0, 0), series("metric2", 20, _, 20, _)
    assert one("metric1 < metric2", metric1, metric2, minutes=4) == [0, 0, 1, 0]
    assert one("metric1 >= 30", metric1, minutes=4) == [1, 0, 0, 0]
    assert one("metric1 > 15 AND metric2 > 15", metric1, metric2, minutes=4) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IF(metric1, metric2, metric3)", [30, 0, 20, _, _]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, _, _]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, _]),
        ("IF(metric1, metric2)", [30, 0, _, _, _]),
        ("IF(0 - metric1, 5, metric3)", [5, 5, 20, _, _]),  # negative is true too
    ],
)
def test_if_tables(text: str, expected: Values) -> None:
    known = (
        series("metric1", 1, 1, 0, 0, _),
        series("metric2", 30, _, 0, 0, 30),
        series("metric3", 0, 0, 20, _, 20),
    )
    assert one(text, *known) == expected


def test_fill_has_the_whole_range_and_nothing_before_the_first() -> None:
    late = series("m1", _, 2, _, 4)
    assert one("FILL(m1, 0)", EMPTY.having(()), late) == [0, 2, 0, 4, 0]
    assert one("FILL(m1, REPEAT)", late) == [_, 2, 2, 4, 4]
    assert one("FILL(m1, LINEAR)", late) == [_, 2, 3, 4, _]
    assert one("FILL(m4, 0)", EMPTY) == [0] * 5
    assert one("FILL(m4, REPEAT)", EMPTY) == [_] * 5


def test_empty_series() -> None:
    assert one("m1 + AVG(m4)", M1, EMPTY) == [_] * 5
    assert one("m1 > MAX(m4)", M1, EMPTY) == [_] * 5
    assert one("m1 + SUM(m4)", M1, EMPTY) == [1, 2, 3, 4, 5]
    assert one("IF(AVG(m4), m1, m1)", M1, EMPTY) == [_] * 5
    assert one("TIME_SERIES(MIN(m4))", EMPTY) == [_] * 5
    assert [s.id for s in result("SORT(METRICS(), AVG, DESC)", EMPTY, M1)] == ["m1", "m4"]  # type: ignore[union-attr]


def test_times_of_a_day() -> None:
    day = series("m1", *[1] * 25, period=3600)
    found = result("[MINUTE(m1), HOUR(m1), DAY(m1), DATE(m1), MONTH(m1), YEAR(m1)]", day, minutes=25 * 60)
    assert isinstance(found, tuple)
    assert [[s.points[i][1] for s in found] for i in (0, 23, 24)] == [
        [0, 0, 1, 28, 9, 2026],
        [0, 23, 1, 28, 9, 2026],
        [0, 0, 2, 29, 9, 2026],
    ]


def test_labels_and_periods_stay() -> None:
    array = result("METRICS() * 2", *ALL)
    assert isinstance(array, tuple)
    assert [s.label for s in array] == ["label of m1", "label of m2", "label of m3"]
    assert [s.label for s in result("1 - METRICS()", *ALL)] == [s.label for s in array]  # type: ignore[union-attr]
    mixed = result("m1 + m9", M1, series("m9", 100, period=300))
    assert isinstance(mixed, Series)
    assert (mixed.period, spread(mixed)) == (60, [101, 2, 3, 4, 5])


def test_search_is_asked_for_what_is_written() -> None:
    asked: list[Search] = []

    def search(wanted: Search) -> list[Series]:
        asked.append(wanted)
        return [M1, M3]

    node = expression.parse(
        """SUM(SEARCH('{AWS/ECS,ServiceName} MetricName="CPUUtilization"', 'p99', 300)) + m2"""
    )
    found = expression.evaluate(node, {"m2": M2}, Request(MONDAY, MONDAY + 300, search=search))
    assert isinstance(found, Series)
    assert spread(found) == [11, 7, 33, 4, 56]
    assert [(s.namespace, s.statistic, s.period) for s in asked] == [("AWS/ECS", "p99", 300)]
    assert expression.searches_in(node) == tuple(asked)
    assert expression.evaluate(
        expression.parse("SUM(SEARCH('nothing', 'Sum'))"), {}, Request(0, 60)
    ) == Series("", "", 60)


def test_arrays_of_other_queries() -> None:
    assert many("e1 * 2", e1=[M1, M2]) == [[2, 4, 6, 8, 10], [20, _, 60, _, 100]]


def test_nodes() -> None:
    assert expression.parse("m1+2") == Operation("+", Name("m1"), Number(2))
    assert expression.parse("a&&b") == expression.parse("a AND b")
    assert expression.parse("SORT(METRICS('x'),AVG,DESC)") == Call(
        "SORT", (Metrics("x"), Word("AVG"), Word("DESC"))
    )
    found = expression.parse("""SEARCH('Name="it\\'s"', 'Sum')""")
    assert isinstance(found, Find)
    assert found.search.text == """Name="it's\""""
    assert expression.names_in(expression.parse("e2 + IF(m1 > e2, [m3], -m2)")) == (
        "e2", "m1", "m3", "m2",
    )  # fmt: skip
    assert expression.uses_metrics(expression.parse("1/SUM(METRICS())"))
    assert not expression.uses_metrics(expression.parse("m1"))


def test_order_of_evaluation() -> None:
    nodes = {
        "e1": expression.parse("e3 + e2"),
        "e2": expression.parse("m1"),
        "e3": expression.parse("e2 * 2"),
    }
    assert expression.order(nodes) == ("e2", "e3", "e1")
    with pytest.raises(BadExpression, match="cycle"):
        expression.order({"e1": Name("e2"), "e2": Name("e1")})
    with pytest.raises(BadExpression, match="cycle"):
        expression.order({"e1": Name("e1")})
    chain = {f"e{n}": expression.parse(f"e{n + 1}") for n in range(500)}
    assert expression.order(chain)[0] == "e499"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Invalid syntax"),
        ("m1 +", "Invalid syntax"),
        ("m1 m2", "Invalid syntax"),
        ("(m1", "Invalid syntax"),
        ("[m1", "Invalid syntax"),
        ("[]", "Invalid syntax"),
        ("SUM()", "Invalid syntax"),
        ("SUM(m1, m2)", "Invalid syntax"),
        ("SUM(m1 m2)", "Invalid syntax"),
        ("sum(m1)", "Invalid syntax"),
        ("MEDIAN(m1)", "Invalid syntax"),
        ("M1", "Invalid syntax"),
        ("'m1'", "Invalid syntax"),
        ("1e999 * m1", "Invalid syntax"),
        ("SORT(m1, RATE, ASC)", "Invalid syntax"),
        ("METRICS(m1)", "Invalid syntax"),
        ("m1 = 1", "Invalid syntax"),
        ("stats count(*) by bin(30s)", "Invalid syntax"),  # recorded of the service
        ("SEARCH('a')", "Invalid syntax"),
        ("SEARCH('(a', 'Sum')", "Invalid search: A closing parenthesis is missing."),
        (
            "SEARCH('a', 'Mean')",
            "Invalid search: The value Mean for parameter Stat is not a valid statistic.",
        ),
        ("SEARCH('a', 'Sum', 61)", "The period of SEARCH is 1, 5, 10, 20, 30 or a multiple of 60"),
        ("m1 + " + "1" * 2048, "An expression has at most 2048 characters"),
        ("-" * 60 + "m1", "An expression is nested at most 50 deep"),
        ("(" * 60 + "m1" + ")" * 60, "An expression is nested at most 50 deep"),
        ("ANOMALY_DETECTION_BAND(m1)", "ANOMALY_DETECTION_BAND is not supported: there are no anomaly"),
        ("SERVICE_QUOTA(m1)", "SERVICE_QUOTA is not supported"),
        ("INSIGHT_RULE_METRIC('a', 'Sum')", "INSIGHT_RULE_METRIC is not supported"),
        ("DB_PERF_INSIGHTS('a')", "DB_PERF_INSIGHTS is not supported"),
        ("LAMBDA('a')", "LAMBDA is not supported"),
    ],
)
def test_bad_syntax(text: str, reason: str) -> None:
    with pytest.raises(BadExpression) as caught:
        expression.parse(text)
    assert caught.value.reason.startswith(reason)
    assert caught.value.told("e1").startswith(f"Error in expression 'e1': {reason}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5", "must be a time series"),
        ("AVG(m1)", "must be a time series"),
        ("m9", "no query with the id 'm9'"),
        ("METRICS() + METRICS()", r"\+ does not take \(TS\[\], TS\[\]\)"),
        ("SUM(5)", r"SUM does not take \(S\)"),
        ("[m1, 5]", "An array does not take"),
        ("FIRST(m1)", r"FIRST does not take \(TS\)"),
        ("SLICE(m1, 0)", "SLICE does not take"),
        ("SLICE(METRICS(), 0 - 1)", "from 0 on"),
        ("SLICE(METRICS(), m1)", "SLICE does not take"),
        ("SORT(m1, AVG, ASC)", "SORT does not take"),
        ("RATE(5)", "RATE does not take"),
        ("HOUR(METRICS())", "HOUR does not take"),
        ("FILL(5, 5)", "FILL does not take"),
        ("FILL(m1, METRICS())", "FILL does not take"),
        ("TIME_SERIES(m1)", "TIME_SERIES does not take"),
        ("IF(METRICS(), METRICS(), 1)", "IF does not take"),
    ],
)
def test_bad_kinds(text: str, why: str) -> None:
    with pytest.raises(BadExpression, match=why):
        result(text, *ALL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1 + 1", "TS"),
        ("SUM(METRICS())", "TS"),
        ("IF(AVG(m1) > 2, m1, 5)", "TS"),
        ("m1 * e1", "TS[]"),
        ("SLICE(SEARCH('a', 'Sum'), 1)", "TS[]"),
        ("FIRST(e1)", "TS"),
    ],
)
def test_kind_is_known_without_data(text: str, expected: str) -> None:
    assert expression.kind(expression.parse(text), {"m1": "TS", "e1": "TS[]"}, ["m1"]) == expected


def test_kind_refuses_what_evaluation_would() -> None:
    for text in ("AVG(m1)", "m2", "SUM(5)", "IF(AVG(m1) > 2, 1, 2)"):
        with pytest.raises(BadExpression):
            expression.kind(expression.parse(text), {"m1": "TS"})


def test_long_chains_need_no_recursion() -> None:
    assert one("+".join(["m1"] * 680), M1)[:2] == [680, 1360]


def test_work_is_bounded() -> None:
    day = Series("m1", "", 1, tuple((float(at), 1.0) for at in range(86_400)))
    with pytest.raises(BadExpression, match="too many data points"):
        result("+".join(["m1"] * 680), day)
    with pytest.raises(BadExpression, match="too many data points"):
        result("FILL(m1, 0)", Series("m1", "", 1), minutes=10**9)
    with pytest.raises(BadExpression, match="too many data points"):
        result("TIME_SERIES(1)", minutes=10**9)


WORDS = st.sampled_from(
    [*"+-*/^()[],<>'", "m1", "m2", "m3", "1", "0.5", "==", "AND", "OR", "SUM(", "IF(", "FILL(", "METRICS()", "AVG",
     "SORT(", "DESC", "REPEAT", "SLICE(", "RATE(", "SEARCH('a b', 'Sum')", "TIME_SERIES(", "DAY(", ")", ")", ","]
)  # fmt: skip


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=40))
def test_nothing_but_bad_expression_is_raised(text: str) -> None:
    try:
        found = result(text, *ALL)
    except BadExpression as error:
        assert error.told("e1").startswith("Error in expression 'e1': ")
    else:
        for one_series in (found,) if isinstance(found, Series) else found:
            times = [at for at, _value in one_series.points]
            assert times == sorted(set(times))
            assert all(math.isfinite(value) for _, value in one_series.points)


points = st.lists(st.none() | st.floats(min_value=-1e6, max_value=1e6), min_size=5, max_size=5)


@given(points, points)
def test_sums_agree(a: Values, b: Values) -> None:
    first, second = series("m1", *a), series("m2", *b)
    assert one("m1 + m2", first, second) == one("SUM([m2, m1])", first, second)
    assert one("m1 + m2", first, second) == one("m2 + m1", first, second)


@given(points)
def test_fill_keeps_what_is_there(values: Values) -> None:
    known = series("m1", *values)
    for filler in ("0", "REPEAT", "LINEAR"):
        found = one(f"FILL(m1, {filler})", known)
        assert all(new == old for new, old in zip(found, values, strict=True) if old is not None)
    assert None not in one("FILL(m1, 0)", known)


@given(points)
def test_running_sum_undoes_diff(values: Values) -> None:
    known = series("m1", *values)
    last = [v for v in one("RUNNING_SUM(DIFF(m1))", known) if v is not None]
    first = [v for v in values if v is not None]
    assert last == pytest.approx([v - first[0] for v in first[1:]], abs=1e-6)
