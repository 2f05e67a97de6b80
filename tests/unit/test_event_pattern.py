"""Event patterns against the examples and tables of "Comparison operators for use in event patterns"."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.errors import AwsError
from monitor.rules import event_pattern
from monitor.rules.wildcard import plain

ECS = {
    "version": "0",
    "detail-type": "ECS Task State Change",
    "source": "aws.ecs",
    "resources": [
        "arn:aws:ecs:eu-west-1:111122223333:task/demo/1",
        "arn:aws:ecs:eu-west-1:111122223333:task/demo/2",
    ],
    "detail": {
        "lastStatus": "STOPPED",
        "count": 5,
        "ratio": 3.018e2,
        "empty": "",
        "nothing": None,
        "ok": True,
        "address": "10.0.1.77",
        "address6": "2001:db8::7",
        "file": "dir/a*b/photo.PNG",
        "containers": [
            {"name": "web", "exitCode": 137, "interfaces": [{"id": "a"}]},
            {"name": "side", "exitCode": 0, "reason": "told"},
        ],
    },
}


def matches(pattern: Any, event: dict[str, Any] = ECS) -> bool:
    return event_pattern.parse(json.dumps(pattern)).matches(event)


@pytest.mark.parametrize(
    ("field", "tests", "expected"),
    [
        ("lastStatus", ["STOPPED"], True),
        ("lastStatus", ["PENDING", "STOPPED"], True),
        ("lastStatus", ["stopped"], False),
        ("count", [5.0], True),
        ("count", ["5"], False),
        ("count", [True], False),
        ("ratio", [301.8], True),
        ("ok", [True], True),
        ("ok", [1], False),
        ("ok", [False], False),
        ("empty", [""], True),
        ("nothing", [None], True),
        ("absent", [None], False),
        ("empty", [None], False),
        ("lastStatus", [{"prefix": "STOP"}], True),
        ("lastStatus", [{"prefix": "stop"}], False),
        ("lastStatus", [{"prefix": {"equals-ignore-case": "sToP"}}], True),
        ("file", [{"suffix": ".PNG"}], True),
        ("file", [{"suffix": ".png"}], False),
        ("file", [{"suffix": {"equals-ignore-case": ".png"}}], True),
        ("count", [{"prefix": "5"}], False),
        ("lastStatus", [{"anything-but": "STOPPED"}], False),
        ("lastStatus", [{"anything-but": ["RUNNING", "PENDING"]}], True),
        ("lastStatus", [{"anything-but": {"prefix": "STOP"}}], False),
        ("lastStatus", [{"anything-but": {"suffix": ["ING", "PED"]}}], False),
        ("lastStatus", [{"anything-but": {"equals-ignore-case": ["stopped", "x"]}}], False),
        ("file", [{"anything-but": {"wildcard": "*/photo*"}}], False),
        ("file", [{"anything-but": {"wildcard": ["*.gif", "*.jpg"]}}], True),
        ("count", [{"anything-but": 5}], False),
        ("count", [{"anything-but": [6, 7]}], True),
        ("count", [{"anything-but": "5"}], True),
        ("absent", [{"anything-but": "x"}], False),
        ("count", [{"numeric": [">", 4, "<=", 5]}], True),
        ("count", [{"numeric": [">=", 0, "<", 5]}], False),
        ("count", [{"numeric": ["=", 5]}], True),
        ("ratio", [{"numeric": ["<", 300]}], False),
        ("lastStatus", [{"numeric": [">", 0]}], False),
        ("ok", [{"numeric": ["=", 1]}], False),
        ("count", [{"exists": True}], True),
        ("nothing", [{"exists": True}], True),
        ("absent", [{"exists": False}], True),
        ("count", [{"exists": False}], False),
        ("containers", [{"exists": True}], False),  # no leaf: an array of objects
        ("address", [{"cidr": "10.0.0.0/16"}], True),
        ("address", [{"cidr": "10.0.1.64/28"}], True),
        ("address", [{"cidr": "10.1.0.0/16"}], False),
        ("address6", [{"cidr": "2001:db8::/32"}], True),
        ("address", [{"cidr": "2001:db8::/32"}], False),
        ("lastStatus", [{"cidr": "10.0.0.0/16"}], False),
        ("lastStatus", [{"equals-ignore-case": "Stopped"}], True),
        ("file", [{"wildcard": "dir/*.PNG"}], True),
        ("file", [{"wildcard": "dir/a\\*b/*"}], True),
        ("file", [{"wildcard": "dir/a\\*c/*"}], False),
        ("lastStatus", ["RUNNING", {"prefix": "ST"}], True),
    ],
)
def test_operators(field: str, tests: list[Any], expected: bool) -> None:
    assert matches({"detail": {field: tests}}) is expected


def test_fields_are_joined_by_and() -> None:
    assert matches({"source": ["aws.ecs"], "detail": {"lastStatus": ["STOPPED"], "ok": [True]}})
    assert not matches({"source": ["aws.ec2"], "detail": {"lastStatus": ["STOPPED"]}})
    assert not matches({"detail": {"lastStatus": ["STOPPED"], "ok": [False]}})


def test_one_element_of_an_array_is_enough() -> None:
    assert matches({"resources": [{"suffix": "/2"}]})
    assert not matches({"resources": [{"suffix": "/3"}]})
    assert matches({"detail": {"containers": {"interfaces": {"id": ["a"]}}}})


def test_fields_below_an_array_are_found_in_one_element() -> None:
    assert matches({"detail": {"containers": {"name": ["web"], "exitCode": [137]}}})
    assert not matches({"detail": {"containers": {"name": ["side"], "exitCode": [137]}}})


def test_an_absence_holds_for_the_whole_event() -> None:
    assert not matches({"detail": {"containers": {"reason": [{"exists": False}]}}})
    assert matches({"detail": {"containers": {"image": [{"exists": False}]}}})
    assert matches({"detail": {"lastStatus": {"below": [{"exists": False}]}}})
    assert matches({"detail": {"containers": [{"exists": False}]}})


def test_or() -> None:
    either = {"$or": [{"lastStatus": ["RUNNING"]}, {"count": [{"numeric": [">", 4]}], "ok": [True]}]}
    assert matches({"detail": either})
    assert not matches({"detail": either | {"empty": ["x"]}})
    assert not matches({"$or": [{"source": ["aws.ec2"]}, {"detail": {"count": [1]}}]})
    nested = {"$or": [{"source": ["x"]}, {"$or": [{"source": ["y"]}, {"detail": {"count": [5]}}]}]}
    assert matches(nested)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"a": [NaN]}', "Invalid JSON"),
        ("[1]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"a": {}}', "Empty objects are not allowed"),
        ('{"a": []}', "Empty arrays are not allowed"),
        ('{"slug": "x"}', '"slug" must be an object or an array'),
        ('{"a": [["x"]]}', "Match value must be String, number, true, false, or null"),
        ('{"a": [{"exists": "true"}]}', "exists match pattern must be either true or false."),
        ('{"a": [{"like": "x"}]}', "Unrecognized match type like"),
        ('{"a": [{}]}', "Match expression name not found"),
        ('{"a": [{"prefix": "x", "suffix": "y"}]}', "Only one key allowed in match expression"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"suffix": {"wildcard": "x"}}]}', "Unsupported suffix pattern: wildcard"),
        ('{"a": [{"wildcard": "a**b"}]}', "Consecutive wildcard characters at pos 2"),
        ('{"a": [{"wildcard": "a\\\\b"}]}', "Invalid escape character at pos 2"),
        ('{"a": [{"numeric": 1}]}', "Value of numeric must be an array."),
        ('{"a": [{"numeric": []}]}', "Invalid member in numeric match: ]"),
        ('{"a": [{"numeric": ["!=", 1]}]}', "Unrecognized numeric range operator: !="),
        ('{"a": [{"numeric": [">", "25"]}]}', "Value of > must be numeric"),
        ('{"a": [{"numeric": ["="]}]}', "Value of equals must be numeric"),
        ('{"a": [{"numeric": ["<", 1, ">", 0]}]}', "Too many elements in numeric expression"),
        ('{"a": [{"numeric": [">", 1, ">", 2]}]}', "Bad numeric range operator: >"),
        ('{"a": [{"numeric": [">", 2, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"numeric": ["=", 6e9]}]}', "Value must be between -5.0E9 and 5.0E9, inclusive"),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
        ('{"a": [{"cidr": "10.0.0.0/33"}]}', "Malformed CIDR: 10.0.0.0/33"),
        (
            '{"a": [{"anything-but": null}]}',
            "Value of anything-but must be an array or single string/number value.",
        ),
        (
            '{"a": [{"anything-but": [true]}]}',
            "Inside anything but list, start|null|boolean is not supported.",
        ),
        (
            '{"a": [{"anything-but": ["x", 1]}]}',
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        ('{"a": [{"anything-but": {"cidr": "x"}}]}', "Unsupported anything-but pattern: cidr"),
        ('{"a": [{"anything-but": {"prefix": ""}}]}', "Null prefix/suffix not allowed"),
        ('{"$or": {"a": [1]}}', "It must be an Array followed with $or."),
        ('{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"$or": [1, 2]}', "Only JSON object is allowed in array of $or relationship."),
        (
            '{"$or": [{"prefix": [1]}, {"a": [1]}]}',
            "prefix is Ruler reserved fieldName which cannot be used inside $or.",
        ),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(AwsError) as caught:
        event_pattern.parse(text)
    assert caught.value.code == "InvalidEventPatternException"
    assert caught.value.message == f"Event pattern is not valid. Reason: {reason}"


def test_limits() -> None:
    branches = ",".join(f'{{"a": [{n}]}}' for n in range(4))
    many = "{" + ",".join(f'"f{n}": {{"$or": [{branches}]}}' for n in range(6)) + "}"
    for text, part in (
        ('{"a": ["' + "x" * 4096 + '"]}', "less than or equal to 4096"),
        ('{"a":' * 40 + "[1]" + "}" * 40, "nested more than 32 deep"),
        ("[" * 2000 + "]" * 2000, "Invalid JSON"),
        (many, "combinations"),
        ('{"a": [{"wildcard": "' + "*a" * 65 + '"}]}', "Rule is too complex"),
    ):
        with pytest.raises(AwsError) as caught:
            event_pattern.parse(text)
        assert part in caught.value.message


SCALARS = st.one_of(
    st.text(max_size=5), st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9), st.booleans(), st.none()
)
EVENTS = st.recursive(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), SCALARS, min_size=1, max_size=3),
    lambda inner: st.dictionaries(
        st.text("abc", min_size=1, max_size=2), st.one_of(inner, SCALARS), min_size=1, max_size=3
    ),
    max_leaves=8,
)


def as_pattern(event: dict[str, Any]) -> dict[str, Any]:
    return {name: as_pattern(value) if isinstance(value, dict) else [value] for name, value in event.items()}


@given(EVENTS)
def test_a_pattern_of_an_events_own_values_matches_it(event: dict[str, Any]) -> None:
    assert matches(as_pattern(event), event)


@given(EVENTS, SCALARS)
def test_anything_but_is_the_opposite_on_a_present_scalar(event: dict[str, Any], value: Any) -> None:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        event = event | {"z": value}
        assert not matches({"z": [{"anything-but": value}]}, event)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_wildcards_agree_with_fnmatch(pattern: str, text: str) -> None:
    assert plain(pattern).matches(text) is fnmatchcase(text, pattern)


@given(st.one_of(st.text(max_size=60), st.text('{}[]":,$or1\\ aexistsnumeric<>=*', max_size=60)))
def test_any_text_is_a_pattern_or_refused_as_one(text: str) -> None:
    try:
        assert event_pattern.parse(text).matches(ECS) in (True, False)
    except AwsError as error:
        assert error.code == "InvalidEventPatternException"


JSONS = st.recursive(
    st.one_of(SCALARS, st.sampled_from(["*", "=", "<", ">=", "1.2.3.4/5"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["a", "$or", "prefix", "numeric", "anything-but", "exists", "cidr", "wildcard"]),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=12,
)


@given(JSONS, JSONS)
def test_any_json_is_a_pattern_or_refused_as_one(read: Any, event: Any) -> None:
    try:
        found = event_pattern.parse(json.dumps(read))
    except AwsError as error:
        assert error.code == "InvalidEventPatternException"
    else:
        assert found.matches({"a": event}) in (True, False)
