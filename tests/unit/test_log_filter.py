"""Filter patterns against the guide's examples: "Filter pattern syntax for metric filters …"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.errors import AwsError
from monitor.rules import log_filter

EVENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "cluster.name": "c",
    "detail-type": "x",
    "latency": 512.5,
    "errorCode": 400,
    "account": "123456789012",
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3}],
    "actions": ["GET", "PUT", "DELETE"],
    "coordinates": [[0, 1, 2], [4, 5, 6]],
}
LINE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


def matches(pattern: str, message: str) -> bool:
    return log_filter.parse(pattern).matches(message)


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ('" "', "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "Exiting with ERRORCODE: -1", True),
        ("error", "[ERROR 400] BAD REQUEST", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[INFO] ARGUMENTS", True),
        ("?ERROR ?ARGUMENTS", "[INFO]", False),
        ("?ERROR ?ARGUMENTS REQUEST", "[INFO] REQUEST FAILED", True),
        ("?ERROR ?ARGUMENTS REQUEST", "[ERROR]", False),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL  SERVER ERROR", False),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", False),
        ('"ERROR" -"Exiting with"', "Exiting with ERRORCODE: -1", False),
        ('"a \\"b\\""', 'x a "b" y', True),
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("%^[hc]at%", "a cat", False),
        ("%colou?r%", "color", True),
        ("%a{3,5}b%", "aab", False),
        ("%^starting|^shutting down%", "shutting down now", True),
        (r"%10\.10\.0\.1%", "10010,051", False),
        (r"%\x28\d+\x29%", "f(12)", True),
        ("Fehler_ä", "ein Fehler_ä hier", True),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('$.eventType = "UpdateTrail"', True),
        ("$.eventType = UpdateTrail", True),
        ('$.eventType = "Update*"', True),
        ('$.eventType = "*ateT*"', True),
        ('$.eventType = "Up*ail"', False),  # inside a term a star is a star
        ("$.eventType != UpdateTrail", False),
        ("$.sourceIPAddress != 123.123.*", True),
        ("$.sourceIPAddress = 111.*", True),
        ('$.arrayKey[0] = "value"', True),
        ('$.arrayKey = "value"', False),
        ('$.arrayKey != "value"', False),
        ("$.arrayKey[*] = %val.{2}%", True),
        (r"$.* = %111\.111\.111\.1[0-9]{1,2}%", True),
        ("$.eventType = %^Trail%", False),
        ("$.objectList[1].id = 2", True),
        ("$.objectList[7].id = 2", False),
        ("$.SomeObject IS NULL", True),
        ("$.eventType IS NULL", False),
        ("$.gone IS NULL", False),
        ("$.SomeOtherObject NOT EXISTS", True),
        ("$.SomeObject NOT EXISTS", False),
        ("$.ThisFlag IS TRUE", True),
        ("$.ThisFlag IS FALSE", False),
        ("$.errorCode IS TRUE", False),
        ("$.['cluster.name'] = \"c\"", True),
        ('$.detail-type = "x"', True),
        ("$.latency >= 500", True),
        ("$.latency < 10e3", True),
        ("$.latency > +1000", False),
        ("$.latency < 512.5", False),
        ("$.latency <= 512.5", True),
        ("$.latency > -1", True),
        ("$.latency = *", True),
        ("$.errorCode = 400", True),
        ("$.errorCode = 4*", True),
        ("$.errorCode = 4e2", True),
        ("$.errorCode != 500", True),
        ("$.account = 123456789012", True),
        ("$.gone = 1", False),
        ("$.gone != 1", False),
        ("$.user = 1", False),
        ('($.user.id = 1) && ($.users[0].email = "John.Doe@example.com")', True),
        ('($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET"', False),
        ('$.user.email = "John*" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch', True),
        ('($.user.email = "John*" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch', False),
        ("$.coordinates[1][2]=6", True),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    assert matches("{ " + pattern + " }", json.dumps(EVENT)) is expected
    assert not matches("{ " + pattern + " }", "no JSON: " + json.dumps(EVENT))


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", LINE, True),
        (
            r"[ip=%127\.0\.0\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
            LINE,
            True,
        ),
        ("[..., request =*.html*, status_code = 4*, bytes]", LINE, True),
        ("[..., request=*.html*, status_code=4*,]", LINE, True),
        ("[..., status_code = 5*, bytes]", LINE, False),
        ("[ip, ..., bytes > 1000]", LINE, True),
        ("[ip, ..., bytes > 1534]", LINE, False),
        ("[ip, ...]", LINE, True),
        ("[a, b, ..., c, d, e, f, g, h]", LINE, False),
        ("[..., status_code = 404 || status_code = 410, bytes]", LINE, True),
        ("[..., status_code = 4* && status_code != 404, bytes]", LINE, False),
        ("[..., status_code = 4* && bytes > 1000, bytes]", LINE, True),
        ('[..., request="GET *", status_code, bytes]', LINE, True),
        ("[w1=ERROR, w2]", "ERROR message", True),
        ("[w1=ERROR, w2]", "ERROR 09/25/2014 12:00:02 Failed to process request", True),
        ("[w1=ERROR, w2]", "WARN message", False),
        ("[w1=ERROR, w2]", "ERROR", False),
        ("[w1=ERROR || w1=WARN, w2]", "WARN message", True),
        ("[w1!=ERROR && w1!=WARN, w2]", "INFO message", True),
        ("[w1=!ERROR&&w1=!WARN, w2]", "WARN message", False),
        ("[w1, w2=x]", "a x more", False),
        ("[a, b, c]", "one two", False),
    ],
)
def test_fields(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected


def test_what_is_extracted() -> None:
    found = log_filter.parse("[..., request=*.html*, status_code=4*,]")
    assert found.values(LINE) == {
        "$status_code": "404",
        "$request": "GET /index.html HTTP/1.0",
        "$7": "1534",
        "$4": "10/Oct/2000:13:25:15 -0700",
        "$3": "frank",
        "$2": "Prod",
        "$1": "127.0.0.1",
    }
    assert found.extract(LINE, "$status_code") == 404.0
    assert found.extract(LINE, "$request") is None
    assert found.extract(LINE, "$gone") is None
    assert found.dimension(LINE, "$3") == "frank"
    found = log_filter.parse("{ $.latency = * && $.eventType = * }")
    message = json.dumps(EVENT)
    assert found.values(message) == {"$.latency": "512.5", "$.eventType": "UpdateTrail"}
    assert found.extract(message, "$.latency") == 512.5
    assert found.extract(message, "$.account") == 123456789012.0
    assert found.extract(message, "$.eventType") is None
    assert found.extract(message, "$.user") is None
    assert found.dimension(message, "$.user.email") == "John.Stiles@example.com"
    assert log_filter.parse("ERROR").extract("an ERROR", "1") == 1.0
    assert log_filter.parse("ERROR").extract("an ERROR", "2.5") == 2.5
    assert log_filter.parse("ERROR").dimension("an ERROR", "$.x") is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a:b", "Invalid character(s) in term ':'"),
        ("ERROR (x", "Invalid character(s) in term '('"),
        ('"unfinished', "Invalid filter pattern"),
        ("%unfinished", "Invalid filter pattern"),
        ("%(a)%", "Invalid character(s) in term '('"),
        ("%something!%", "Invalid character(s) in term '!'"),
        ("%ä%", "Invalid character(s) in term 'ä'"),
        ("%*a%", "Invalid regex: nothing to repeat"),
        ("{ $.a = 1", "If a filter pattern starts with '{' it must end with '}'"),
        ("[a", "If a filter pattern starts with '[' it must end with ']'"),
        ("{}", "Invalid filter pattern"),
        ("{ $.a }", "Invalid filter pattern"),
        ("{ $.a = }", "Invalid filter pattern"),
        ("{ a = 1 }", "Invalid filter pattern"),
        ("{ $.a = 1 $.b = 2 }", "Invalid filter pattern"),
        ("{ $.eventType < UpdateTrail }", "Invalid filter pattern"),
        ('{ $.a < "1" }', "Invalid filter pattern"),
        ("{ $.a EXISTS }", "Invalid filter pattern"),
        ("{ $.a IS NOT NULL }", "Invalid filter pattern"),
        ('{ $."detail-type" = 1 }', "Invalid character(s) in term '$.'"),
        ("{ ($.a = 1 }", "Invalid filter pattern"),
        ("{ $.a[*][*] = 1 }", "A selector has at most one wildcard and a filter pattern 3"),
        ("{ $.a = %a% || $.a = %b% || $.a = %c% }", "A filter pattern has at most 2 regular expressions"),
        ("{" + "(" * 40 + "$.a = 1" + ")" * 40 + "}", "Invalid filter pattern"),
        ("[..., a, ...]", "Invalid filter pattern"),
        ("[a, a]", "Invalid filter pattern"),
        ("[a = 1 && b = 2]", "Invalid filter pattern"),
        ("[a = 1 &&]", "Invalid filter pattern"),
        ("[a = 1 ||]", "Invalid filter pattern"),
        ("[1a]", "Invalid filter pattern"),
        ("x" * 1025, "a pattern has at most 1024 characters"),
    ],
)
def test_refused(pattern: str, message: str) -> None:
    with pytest.raises(AwsError) as caught:
        log_filter.parse(pattern)
    assert caught.value.code == "InvalidParameterException"
    assert caught.value.message == message


def test_the_metric_filters_own_text() -> None:
    with pytest.raises(AwsError, match="Invalid metric filter pattern"):
        log_filter.parse("{ $.a < b }", "metric filter")


@pytest.mark.parametrize("part", ["[ ", " ", '"', '" ', "] [", '\\" ', "x"])
def test_long_lines_are_split_in_one_pass(part: str) -> None:
    # Going to the end of the line from each bracket or blank would take minutes here.
    assert matches("[w1, ...]", "a " + part * 100_000)
    assert not matches("[w1 = b, ...]", "a " + part * 100_000)


def test_brackets_and_quotes_that_nothing_ends_are_characters() -> None:
    assert log_filter.parse("[..., a, b]").values('[x y] [z "w') == {"$1": "x y", "$a": "[z", "$b": '"w'}


WORDS = st.text("abcXYZ019_", min_size=1, max_size=8)


@given(st.lists(WORDS, min_size=1, max_size=5), st.data())
def test_a_messages_own_words_match_it(words: list[str], data: st.DataObject) -> None:
    message = " ".join(words)
    picked = data.draw(st.lists(st.sampled_from(words), min_size=1))
    assert matches(" ".join(picked), message)
    assert matches(" ".join(f"?{one}" for one in ("Q", *picked)), message)
    assert not matches(f"{picked[0]} -{picked[0]}", message)
    assert matches("[" + ", ".join(f"w{n}={word}" for n, word in enumerate(words)) + "]", message)


@given(
    st.dictionaries(
        WORDS, st.one_of(st.text(max_size=6), st.integers(), st.booleans()), min_size=1, max_size=4
    )
)
def test_an_events_own_values_match_it(event: dict[str, Any]) -> None:
    def condition(name: str, value: Any) -> str:
        if isinstance(value, bool):
            return f"$.{name} IS {str(value).upper()}"
        return (
            f"$.{name} = {json.dumps(value, ensure_ascii=False) if isinstance(value, int) else quoted(value)}"
        )

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert matches("{" + " && ".join(condition(*one) for one in event.items()) + "}", json.dumps(event))


@given(
    st.one_of(
        st.text(max_size=40),
        st.builds("{{{}}}".format, st.text('$.ab[]*0()="&|!<>% ISNULTREXO', max_size=40)),
        st.builds("[{}]".format, st.text('ab0., =*"&|!<>% ', max_size=40)),
    ),
    st.text(max_size=20),
)
def test_any_text_is_a_pattern_or_refused_as_one(pattern: str, message: str) -> None:
    try:
        found = log_filter.parse(pattern)
    except AwsError as error:
        assert error.code == "InvalidParameterException"
    else:
        assert found.matches(message) in (True, False)
        assert found.matches('{"a": [1, {"b": "x"}]}') in (True, False)
