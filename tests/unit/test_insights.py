"""Logs Insights queries against the guide's descriptions and examples."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.errors import AwsError
from monitor.rules import insights, insights_stats

T0 = 1_767_323_045_000  # 2026-01-02 03:04:05
MINUTE = 60_000


def record(at: int, message: Any, stream: str = "web/1") -> dict[str, str | int | float]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {
        "@timestamp": T0 + at,
        "@message": text,
        "@logStream": stream,
        "@log": "000:demo",
        "@ptr": f"p{at}",
    }


REQUESTS = [
    record(0, {"status": 200, "ms": 10, "path": "/a", "user": {"id": "u1"}}),
    record(MINUTE, {"status": 404, "ms": 30, "path": "/b", "user": {"id": "u2"}}),
    record(
        6 * MINUTE,
        {"status": 500, "ms": 20, "path": "/a", "user": {"id": "u1"}, "error": "Timeout Exception"},
    ),
    record(7 * MINUTE, {"status": 200, "ms": 40, "path": "/c", "tags": ["x", "y"]}),
    record(8 * MINUTE, "plain user=ann, method:GET, latency := 12", "web/2"),
]


def run(query: str, records: Any = None, **bounds: int) -> list[dict[str, str]]:
    bounds = {"start": 0, "end": 10**14} | bounds
    return insights.parse(query).run(REQUESTS if records is None else records, **bounds)


def column(query: str, name: str, records: Any = None) -> list[str | None]:
    return [row.get(name) for row in run(query, records)]


def test_the_newest_first_with_their_pointer() -> None:
    rows = run("fields @timestamp, status | limit 2")
    assert rows == [
        {"@timestamp": "2026-01-02 03:12:05.000", "@ptr": f"p{8 * MINUTE}"},
        {"@timestamp": "2026-01-02 03:11:05.000", "status": "200", "@ptr": f"p{7 * MINUTE}"},
    ]
    assert list(run("filter status = 404")[0]) == ["@timestamp", "@message", "@ptr"]


def test_the_time_range_holds_both_ends() -> None:
    found = insights.parse("fields ms").execute(REQUESTS, T0 + MINUTE, T0 + 6 * MINUTE)
    assert [row["ms"] for row in found.rows] == ["20", "30"]
    assert (found.counts.scanned, found.counts.matched) == (2, 2)
    found = insights.parse("filter ms > 25").execute(REQUESTS, 0, 10**14)
    assert (found.counts.scanned, found.counts.matched) == (5, 2)
    assert found.counts.bytes == sum(len(str(one["@message"])) for one in REQUESTS)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("status = 404", ["30"]),
        ('status = "404"', ["30"]),
        ("status != 200", [None, "20", "30"]),
        ("status >= 400 and status < 500", ["30"]),
        ("(status = 404 or status = 500) and not path = '/a'", ["30"]),
        ("status in [404, 500]", ["20", "30"]),
        ('path not in ["/a", "/b"] and ispresent(path)', ["40"]),
        ('error like "Exception"', ["20"]),
        ("error like /(?i)exception$/", ["20"]),
        ("error =~ /^Time/", ["20"]),
        ("error not like /Exception/ and status = 200", ["40", "10"]),
        ("user.id = 'u1'", ["20", "10"]),
        ("tags.1 = 'y'", ["40"]),
        ("ms + 5 * 2 = 30", ["20"]),
        ("(ms + 5) * 2 = 50", ["20"]),
        ("ms % 20 = 0 and ms ^ 2 > 1000", ["40"]),
        ("-ms < -25", ["40", "30"]),
        ("ms / 0 = 1", []),
        ("strlen(path) = 2 and ms < 15", ["10"]),
        ("strcontains(error, 'Time')", ["20"]),
        ("@logStream = 'web/2'", [None]),
        ("isempty(error) and ms > 20", ["40", "30"]),
        ("toMillis(@timestamp) = 1767323045000", ["10"]),
        ("status < 'x'", []),
        ("gone = 1 or gone < 1", []),
        ("NOT ispresent(ms)", [None]),
    ],
)
def test_filter(condition: str, expected: list[str | None]) -> None:
    assert column(f"fields ms | filter {condition}", "ms") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("abs(-2.5)", "2.5"),
        ("ceil(1.2)", "2"),
        ("floor(1.8)", "1"),
        ("sqrt(16)", "4"),
        ("sqrt(-1)", None),
        ("log(1)", "0"),
        ("greatest(1, 3, 2)", "3"),
        ("least(3, 1.5, '2')", "1.5"),
        ("2 ^ 3 ^ 2", "512"),
        ("10 % 3", "1"),
        ("1 / 3", "0.3333"),
        ("7 - 2 - 1", "4"),
        ("9999999999 ^ 99999", None),
        ("concat('a', 1, 'b')", "a1b"),
        ("tolower('AbC')", "abc"),
        ("toupper('AbC')", "ABC"),
        ("trim('  x ')", "x"),
        ("trim('xyZfooxyZ', 'xyZ')", "foo"),
        ("ltrim('xyZfooxyZ', 'xyZ')", "fooxyZ"),
        ("rtrim('xyZfooxyZ', 'xyZ')", "xyZfoo"),
        ("substr('xyZfooxyZ', 3)", "fooxyZ"),
        ("substr('xyZfooxyZ', 3, 3)", "foo"),
        ("replace('foo', 'o', '0')", "f00"),
        ("strcontains('foo', 'x')", "0"),
        ("strlen('äöü')", "3"),
        ("coalesce(gone, error, 'none')", "none"),
        ("isblank('  ')", "1"),
        ("ispresent(gone)", "0"),
        ("fromMillis(0)", "1970-01-01 00:00:00.000"),
        ("datefloor(@timestamp, 1h)", "2026-01-02 03:00:00.000"),
        ("dateceil(@timestamp, 1h)", "2026-01-02 04:00:00.000"),
        ("bin(5m)", "2026-01-02 03:00:00.000"),
        ("bin(30 s)", None),
        ("isValidIp('10.0.0.1')", "1"),
        ("isIpv4InSubnet('10.0.1.7', '10.0.0.0/16')", "1"),
        ("isIpInSubnet('::1', 'no network')", "0"),
        ("true", "1"),
        ('"say \\"x\\""', 'say "x"'),
    ],
)
def test_functions(expression: str, expected: str | None) -> None:
    if expression == "bin(30 s)":  # the unit belongs to the number
        with pytest.raises(AwsError):
            run(f"fields {expression} as x")
    else:
        assert column(f"fields {expression} as x", "x", REQUESTS[:1]) == [expected]


def test_stats() -> None:
    assert run(
        "stats count(*) as n, count(ms), sum(ms), avg(ms), min(ms), max(ms), count_distinct(path)"
    ) == [
        {
            "n": "5",
            "count(ms)": "4",
            "sum(ms)": "100",
            "avg(ms)": "25",
            "min(ms)": "10",
            "max(ms)": "40",
            "count_distinct(path)": "3",
        }
    ]
    assert run(
        "stats pct(ms, 50) as p, pct(ms, 99) as q, median(ms) as m, stddev(ms) as s, sum(ms)/count(*) as r"
    ) == [{"p": "20", "q": "40", "m": "25", "s": "11.1803", "r": "20"}]
    assert run("stats earliest(path) as a, latest(path) as b") == [{"a": "/a", "b": "/c"}]
    assert run("filter ms > 99 | stats count(*) as n, avg(ms) as a") == [{"n": "0"}]


def test_groups() -> None:
    assert run("filter ispresent(path) | stats count(*) as n, max(ms) as m by path | sort n desc, path") == [
        {"path": "/a", "n": "2", "m": "20"},
        {"path": "/b", "n": "1", "m": "30"},
        {"path": "/c", "n": "1", "m": "40"},
    ]
    assert run("stats count(*) by bin(10m) | sort `bin(10m)`") == [
        {"bin(10m)": "2026-01-02 03:00:00.000", "count(*)": "2"},
        {"bin(10m)": "2026-01-02 03:10:00.000", "count(*)": "3"},
    ]
    assert column("stats count(*) by bin(5m) as t | sort count(*) desc | limit 1", "count(*)") == ["3"]
    assert run("stats count(*) as n by path, user.id as u | stats max(n) as most, count(*) as groups") == [
        {"most": "2", "groups": "4"}
    ]
    assert run("filter ms > 99 | stats count(*) by path") == []


def test_sort() -> None:
    assert column("fields ms | sort ms asc", "ms") == ["10", "20", "30", "40", None]
    assert column("fields ms | sort ms desc", "ms") == ["40", "30", "20", "10", None]
    assert column("fields ms | sort path desc, ms desc", "ms") == ["40", "30", "20", "10", None]
    assert column("fields ms | sort ms | filter ms > 15 | limit 2", "ms") == ["20", "30"]
    assert column("fields ms | limit 2 | sort ms", "ms") == ["40", None]


def test_parse() -> None:
    query = 'parse @message "user=*, method:*, latency := *" as @user, @method, @ms | filter @ms > 11'
    query += " | stats avg(@ms) by @method, @user"
    assert run(query) == [{"@method": "GET", "@user": "ann", "avg(@ms)": "12"}]
    query = (
        r"parse @message /user=(?<who>\w+), method:(?<how>\w+)/ | filter ispresent(who) | display who, how"
    )
    assert run(query) == [{"who": "ann", "how": "GET", "@ptr": f"p{8 * MINUTE}"}]
    query = 'parse "user=*," as who | parse who "*n*" as a, b | filter who = "ann" | display a, b, who'
    assert run(query) == [{"a": "a", "b": "n", "who": "ann", "@ptr": f"p{8 * MINUTE}"}]
    assert column("parse @logStream '*/*' as env, number | filter ms = 10 | display number", "number") == [
        "1"
    ]


def test_dedup() -> None:
    assert column("fields path | filter ispresent(path) | dedup path", "path") == ["/c", "/a", "/b"]
    assert column("fields ms | sort ms asc | dedup path | limit 2", "ms") == ["10", "30"]


def test_display_and_aliases() -> None:
    assert run("fields ms * 2 as twice, status | filter twice = 20 | display twice") == [
        {"twice": "20", "@ptr": "p0"}
    ]
    assert column("fields ms as x | fields status as x | filter ms = 10", "x") == ["200"]
    assert column("stats count(*) as n by bin(10m) | display bin(10m), n | sort n", "n") == ["2", "3"]
    assert column("fields `detail-type` as d", "d", [record(0, {"detail-type": "x"})]) == ["x"]
    assert column("# all of it\nfields ms # this\n| limit 1", "ms") == [None]


@pytest.mark.parametrize(
    ("query", "message", "at"),
    [
        ("", "unexpected end of query at line 1 and position 1", 0),
        ("bogus command", "unexpected symbol found bogus at line 1 and position 1", 0),
        ("fields", "unexpected end of query at line 1 and position 7", 6),
        ("fields a |", "unexpected end of query at line 1 and position 11", 10),
        ("fields a b", "unexpected symbol found b at line 1 and position 10", 9),
        ("fields a\n| filter >", "unexpected symbol found > at line 2 and position 10", 18),
        ("pattern @message", "pattern is not supported at line 1 and position 1", 0),
        ("filter like /x/", "unexpected symbol found like at line 1 and position 8", 7),
        ("filter a like x", "unexpected symbol found x at line 1 and position 15", 14),
        ("filter a like /(/", "invalid regular expression: unmatched ( at line 1 and position 15", 14),
        ("filter nope(a)", "unknown function nope at line 1 and position 8", 7),
        ("filter abs(a, b)", "abs takes 1 arguments at line 1 and position 17", 16),
        ("filter bin(a)", "bin takes a period at line 1 and position 14", 13),
        ("filter count(*) > 1", "count may stand in stats only at line 1 and position 8", 7),
        ("stats sum(max(a))", "max may stand in stats only at line 1 and position 11", 10),
        ("stats a", "stats takes aggregate functions at line 1 and position 8", 7),
        ("stats count(*) by", "unexpected end of query at line 1 and position 18", 17),
        ("stats pct(a, 101)", "unexpected symbol found 101) at line 1 and position 14", 13),
        ("limit 0", "limit takes a number from 1 to 10000 at line 1 and position 7", 6),
        ("limit x", "unexpected symbol found x at line 1 and position 7", 6),
        (
            "parse @message 'a*b*' as x",
            "parse takes as many names as the pattern has * at line 1 and position 27",
            26,
        ),
        ("parse @message /(a)/", "the regular expression has no named groups at line 1 and position 21", 20),
        ("dedup a | sort a", "unexpected symbol found sort at line 1 and position 11", 10),
        ("fields 'a", "unexpected symbol found 'a at line 1 and position 8", 7),
        ("filter a = 5x", "unexpected symbol found 5x at line 1 and position 12", 11),
    ],
)
def test_refused(query: str, message: str, at: int) -> None:
    with pytest.raises(AwsError) as caught:
        insights.parse(query)
    assert caught.value.code == "MalformedQueryException"
    assert caught.value.message == message
    error = caught.value.details["queryCompileError"]
    assert error["message"] == message
    assert error["location"]["startCharOffset"] == at


def test_limits() -> None:
    for query, part in (
        ("fields " + "a" * 10_000, "at most 10000 characters"),
        ("filter " + "(" * 60 + "a" + ")" * 60, "nested at most 50 deep"),
        ("filter " + "-" * 60 + "a", "nested at most 50 deep"),
        (" | ".join(["fields a"] * 51), "at most 50 commands"),
    ):
        with pytest.raises(AwsError, match=part):
            insights.parse(query)


def test_long_chains_are_not_deep() -> None:
    assert column("fields " + "+".join(["1"] * 4900) + " as x", "x", REQUESTS[:1]) == ["4900"]
    assert len(run("filter " + " or ".join(["ms = 10"] * 900))) == 1


def test_what_is_held_is_bounded() -> None:
    for query in (
        "stats count(*) by ms",
        "stats count_distinct(ms)",
        "stats pct(ms, 50)",
        "dedup ms",
        "sort ms | filter 1",
    ):
        with pytest.raises(insights_stats.QueryTooLarge, match="holds more than 3"):
            insights.parse(query).execute(REQUESTS, 0, 10**14, held=3)
    assert len(insights.parse("sort ms").execute(REQUESTS, 0, 10**14, held=3).rows) == 5


def test_a_query_gives_at_most_10000_rows() -> None:
    many = (record(n, "x") for n in range(10_050))
    found = run("fields @timestamp", many)
    assert len(found) == 10_000
    assert found[0]["@ptr"] == "p10049"
    assert len(run("fields @timestamp", limit=3)) == 3
    assert len(run("fields @timestamp | limit 2", limit=3)) == 2


NUMBERS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30)


@given(NUMBERS)
def test_aggregates_are_those_of_the_numbers(numbers: list[int]) -> None:
    records = [record(at, {"n": number}) for at, number in enumerate(numbers)]
    query = (
        "stats count(n) as c, sum(n) as s, min(n) as a, max(n) as z, count_distinct(n) as d, latest(n) as l"
    )
    assert run(query, records) == [
        {
            "c": str(len(numbers)),
            "s": str(sum(numbers)),
            "a": str(min(numbers)),
            "z": str(max(numbers)),
            "d": str(len(set(numbers))),
            "l": str(numbers[-1]),
        }
    ]
    assert column("fields n | sort n", "n", records) == [str(number) for number in sorted(numbers)]
    groups = run("stats count(*) as c by n % 7", records)
    assert sum(int(row["c"]) for row in groups) == len(numbers)


LANGUAGE = """fields filter stats sort limit parse dedup display by as and or not like in desc @message a b.c count(*)
    sum(a) bin(5m) abs( ) ( [ ] , | = != < + - * / ^ % =~ /a(?<b>.)/ 'x*' " ' ` 1 5m 1e9 #"""
WORDS = st.sampled_from([*LANGUAGE.split(), "\n"])


@given(st.one_of(st.text(max_size=30), st.builds(" ".join, st.lists(WORDS, max_size=14))))
def test_any_text_is_a_query_or_refused_as_one(text: str) -> None:
    try:
        found = insights.parse(text)
    except AwsError as error:
        assert error.code == "MalformedQueryException"
    else:
        for row in found.run(REQUESTS, 0, 10**14):
            assert all(isinstance(value, str) for value in row.values())


JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(JSONS, max_size=4))
def test_any_event_is_queried(events: list[Any]) -> None:
    records = [record(at, event) for at, event in enumerate(events)]
    query = "fields a + b as s, a.b like /x/, strlen(a) | filter a != 1 or b < 2 | sort a, b desc | dedup a"
    assert len(run(query, records)) <= len(events)
    assert len(run("stats count(*), sum(a), avg(b), pct(a, 5), max(b), stddev(a.a) by b", records)) <= len(
        events
    )
