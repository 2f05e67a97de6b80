"""Regular expressions in linear time: the same answers as `re` gives, wherever both can."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.rules import regex
from monitor.rules.regex_program import BadRegex


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("Exception", "an Exception", True),
        ("(?i)exception", "an EXCEPTION", True),
        ("^(?i)exception$", "Exception", True),
        ("^(?i)exception$", "Exceptions", False),
        ("(?i)[a-c]x", "BX", True),
        ("(?i)[^a]", "A", False),
        ("(a(?i)b)c", "aBc", True),
        ("(a(?i)b)c", "aBC", False),
        (r"2\d\d", "code 204", True),
        (r"2\d\d", "code 2x4", False),
        (r"\bcat\b", "a cat.", True),
        (r"\bcat\b", "concat", False),
        (r"\Bcat", "concat", True),
        ("a{2,3}b", "aab", True),
        ("^a{2}$", "aaa", False),
        ("^a{2,}$", "aaaa", True),
        ("gr[ae]y|blue", "grey", True),
        ("[^0-9]", "123", False),
        ("[-a]", "-", True),
        ("[a-]", "-", True),
        (r"[\d.]+$", "1.2", True),
        (r"\x41\u0042", "AB", True),
        (".", "\n", False),
        ("(?s).", "\n", True),
        ("", "", True),
        ("(a*)*$", "aaa", True),
        ("$^", "", True),
    ],
)
def test_search(pattern: str, text: str, expected: bool) -> None:
    assert regex.parse(pattern).search(text) is expected


def test_named_groups() -> None:
    found = regex.parse(
        r"(?<time>[0-9]{10}\.[0-9]{1,3}) .* (?<code>[A-Z_]+\/[0-9]{3}) (?<url>[a-zA-Z.]+:[0-9]{1,5})"
    )
    assert found.names == ("time", "code", "url")
    assert found.groups("1286536309.586 921 192.168.0.68 TCP_MISS/200 example.com:443 -") == {
        "time": "1286536309.586",
        "code": "TCP_MISS/200",
        "url": "example.com:443",
    }
    assert found.groups("nothing of it") is None
    assert regex.parse("(?<a>x)|(?<b>y)").groups("y") == {"b": "y"}
    assert regex.parse("(?<a>.*?)-(?<b>.*)").groups("x-y-z") == {"a": "x", "b": "y-z"}


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("(", "unmatched ("),
        (")", "unmatched )"),
        ("*a", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("a**", "quantifiers"),
        ("a++", "quantifiers"),
        (r"(a)\1", "back-references"),
        ("(?=a)", "ahead or behind"),
        ("(?<!a)b", "ahead or behind"),
        ("(?x)a", "not supported"),
        (r"\p{L}", "not supported"),
        ("[a", "unfinished class"),
        ("[]a]", "empty class"),
        ("[b-a]", "bad range"),
        ("[a&&b]", "classes in classes"),
        ("a{2,1}", "bad repetition"),
        ("a{", "bad repetition"),
        ("(?<1>a)", "bad name"),
        ("(?<a>x)(?<a>y)", "same name"),
        ("a\\", "unfinished escape"),
        ("((a{100}){100})", "too complex"),
        ("(" * 40 + ")" * 40, "nested"),
        ("x" * 1025, "at most 1024"),
    ],
)
def test_refused(pattern: str, part: str) -> None:
    with pytest.raises(BadRegex, match=re.escape(part)):
        regex.parse(pattern)


def test_what_is_exponential_in_re_is_answered() -> None:
    # `re` would not answer within the age of the universe.
    assert not regex.parse("^(a+)+$").search("a" * 5000 + "b")
    assert not regex.parse("(x+x+)+y").search("x" * 5000)
    assert regex.parse("^(a|a)*(?<end>b)$").groups("a" * 2000 + "b") == {"end": "b"}


def test_of_a_long_text_only_the_start_is_looked_at() -> None:
    assert regex.parse("b").search("a" * 250_000 + "b")
    assert not regex.parse("b").search("a" * regex.MOST_TEXT + "b")
    assert not regex.parse("a$").search("a" * (regex.MOST_TEXT + 1))
    assert regex.parse("(?<x>b)").groups("a" * 16_000 + "b") == {"x": "b"}
    assert regex.parse("(?<x>b)").groups("a" * regex.MOST_GROUPED_TEXT + "b") is None
    assert regex.parse("(?<x>a)$").groups("a" * (regex.MOST_GROUPED_TEXT + 1)) is None
    # An expression of many instructions looks at less.
    assert regex.parse("(?<x>(?:a?){500}b)").groups("a" * 1000 + "b") is None


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\b", "^", "$"])
PATTERNS = st.recursive(
    st.builds("".join, st.lists(ATOMS, max_size=3)),
    lambda inner: st.one_of(
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["?", "*", "+", "{1,2}", "*?", "??"])),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=5,
)


@given(PATTERNS, st.text("ab ", max_size=7))
def test_it_finds_what_re_finds(pattern: str, text: str) -> None:
    # `re` also lets $ stand before a last line's end: there is none here.
    assert regex.parse(pattern).search(text) is (re.search(pattern, text) is not None)


@given(
    st.lists(st.sampled_from(["a", "b", ".", "[ab]", "a*", "a+?", "b?", ".*", ".*?", "(?:a|ab)"]), max_size=4)
)
def test_groups_are_those_of_re(parts: list[str]) -> None:
    pattern = "".join(f"(?P<g{n}>{part})" for n, part in enumerate(parts))
    for text in ("", "a", "ab", "aabb", "babab"):
        expected = re.search(pattern, text)
        assert regex.parse(pattern).groups(text) == (expected.groupdict() if expected else None)


@given(
    st.one_of(st.text(max_size=20), st.text("ab(){}[]?*+|\\^$.<>:-,12i&", max_size=20)), st.text(max_size=10)
)
def test_any_text_is_an_expression_or_refused(pattern: str, text: str) -> None:
    try:
        found = regex.parse(pattern)
    except BadRegex as error:
        assert str(error)
    else:
        assert found.search(text) is (found.groups(text) is not None)
