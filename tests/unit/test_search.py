"""SEARCH against the rules and examples of "CloudWatch search expression syntax"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.metric import MetricKey
from monitor.rules import search

CPU = MetricKey.of("AWS/EC2", "CPUUtilization", {"InstanceId": "i-1234567890123456"})
MICRO = MetricKey.of("AWS/EC2", "CPUUtilization", {"InstanceType": "t2.micro"})
ALL = MetricKey.of("AWS/EC2", "CPUUtilization")
SERVICE = MetricKey.of("AWS/ECS", "CPUUtilization", {"ClusterName": "demo", "ServiceName": "web"})
COUNT = MetricKey.of("MyNamespace", "CustomCount1")
ERRORS = MetricKey.of("AWS/Lambda", "Errors", {"FunctionName": "ProjectA-get"})
INVOCATIONS = MetricKey.of("AWS/Lambda", "Invocations", {"FunctionName": "ProjectB-put"})
OTHER = MetricKey.of("AWS/Lambda", "Invocations", {"FunctionName": "other"})
READS = MetricKey.of("AWS/EBS", "VolumeReadOps", {"VolumeId": "vol-1"})
EVERY = [CPU, MICRO, ALL, SERVICE, COUNT, ERRORS, INVOCATIONS, OTHER, READS]


def named(name: str) -> MetricKey:
    return MetricKey.of("N", name)


@pytest.mark.parametrize(
    ("text", "whole", "parts"),
    [
        ("CustomCount1", "customcount1", ("custom", "count", "1")),
        ("SDBFailure", "sdbfailure", ("sdb", "failure")),
        ("Project2-trial333", "project2trial333", ("project", "2", "trial", "333")),
        ("Network-Errors_2", "networkerrors2", ("network", "errors", "2")),
        ("couNT", "count", ("cou", "nt")),
        ("--", "", ()),
    ],
)
def test_tokens(text: str, whole: str, parts: tuple[str, ...]) -> None:
    found = search.tokens(text)
    assert (found.whole, found.lower) == (whole, parts)


@pytest.mark.parametrize(
    "term", ["count", "Count", "COUNT", "CustomCount", "Count1", "customcount1", "1", "custom count"]
)
def test_partial_match(term: str) -> None:
    assert search.parse(term).matches(COUNT)


@pytest.mark.parametrize("term", ["couNT", "customcount", "count1", "Custo", "Count2", "1Count", "-"])
def test_no_partial_match(term: str) -> None:
    assert not search.parse(term).matches(COUNT)


@pytest.mark.parametrize("term", ["network/errors", "network+errors", "network-errors", "Network_Errors"])
@pytest.mark.parametrize("name", ["Network-Errors-2", "NetworkErrors2"])
def test_other_characters_join_tokens(term: str, name: str) -> None:
    assert search.parse(term).matches(named(name))


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('"CustomCount1"', "CustomCount1", True),
        ('"customcount1"', "CustomCount1", False),
        ('"Custom"', "CustomCount1", False),
        ('"Network-Errors-2"', "Network-Errors-2", True),
        ('"Network_Errors_2"', "Network-Errors-2", False),
        (r'"Europe\\France Traffic\(Network\)"', r"Europe\France Traffic(Network)", True),
        (r'"say \"hi\""', 'say "hi"', True),
        ('"Errors"', "ConnectionErrors", False),
        ("Errors", "ConnectionErrors", True),
    ],
)
def test_exact_match(text: str, name: str, expected: bool) -> None:
    assert search.parse(text).matches(named(name)) is expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (' {AWS/EC2,InstanceId} MetricName="CPUUtilization" ', [CPU]),
        (" {AWS/EC2,InstanceType} InstanceType=micro ", [MICRO]),
        ('{AWS/EC2, InstanceType}, InstanceType="t2.micro" MetricName="CPUUtilization"', [MICRO]),
        ('{AWS/EC2} MetricName="CPUUtilization"', [ALL]),
        ("{AWS/ECS, ServiceName, ClusterName}", [SERVICE]),
        ("{AWS/ECS, ClusterName}", []),
        ('MetricName="CPUUtilization" AND ("AWS/ECS" OR "AWS/ES")', [SERVICE]),
        ('"AWS/EC2" NOT i-1234567890123456', [ALL, MICRO]),
        ("NOT Namespace=AWS", [COUNT]),
        ("(EC2 OR EBS) MetricName=ReadOps", [READS]),
        ("(EC2 OR EBS) AND ReadOps AND ProjectA", []),
        ('{AWS/Lambda,FunctionName} MetricName="Errors" OR (MetricName="Invocations" AND (ProjectA OR ProjectB))',
         [ERRORS, INVOCATIONS]),
        ('MetricName="Invocations" NOT "ProjectA" NOT "ProjectB-put"', [OTHER]),
        ('"AWS/EC2" InstanceType = "t2.micro"', [MICRO]),
        (':aws.AccountId = "LOCAL" MetricName=Errors', [ERRORS]),
        (':aws.AccountId = ("1" OR "2") MetricName=Errors', [ERRORS]),
        ('InstanceType=("t2.micro" OR t3) InstanceId=(i OR x)', []),
        ('"InstanceType"=("t2.micro" OR "t3.micro")', [MICRO]),
        ('MetricName=(Errors OR "Invocations") FunctionName=(ProjectA OR NOT (ProjectB OR MetricName="Errors"))',
         [ERRORS, OTHER]),
        ('ClusterName=(demo OR x) web', [SERVICE]),
        ("demo", [SERVICE]),
        ("ClusterName=demo", [SERVICE]),
        ("Volume Reads", []),
    ],
)  # fmt: skip
def test_examples(text: str, found: list[MetricKey]) -> None:
    assert search.parse(text).among(EVERY) == sorted(found)


def test_schema_with_quotes() -> None:
    key = MetricKey.of("Custom-Namespace", "ErrorCount", {"Dimension Name With Spaces": "x"})
    assert search.parse('{"Custom-Namespace", "Dimension Name With Spaces"}, ErrorCount').matches(key)


def test_at_most_hundred() -> None:
    keys = [MetricKey.of("N", f"Count{n:03}") for n in range(150)]
    assert search.parse("count").among(reversed(keys)) == keys[:100]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 1024 characters"),
        ("x" * 1025, "1 to 1024 characters"),
        ("{AWS/EC2", "brace"),
        ("{}", "namespace"),
        ("{,A}", "namespace"),
        ("a OR", "term is expected"),
        ("AND a", "term is expected before AND"),
        ("(a", "parenthesis"),
        ("a)", "not expected"),
        ("a=", "value of 'a'"),
        ("a=(b", "parenthesis"),
        ("a=()", "term is expected"),
        ('"a', "not closed"),
        ("(" * 51 + "a" + ")" * 51, "nested deeper"),
        ("NOT " * 60 + "a", "nested deeper"),
    ],
)
def test_bad_search(text: str, why: str) -> None:
    with pytest.raises(search.BadSearch, match=why):
        search.parse(text)


@given(st.text(alphabet='{}(),="\\ \nabAB1-OR NTD:é', max_size=60))
def test_parse_raises_nothing_else(text: str) -> None:
    try:
        assert isinstance(search.parse(text).matches(CPU), bool)
    except search.BadSearch:
        return


@given(st.text(alphabet="abcABC123-_ ", min_size=1, max_size=20))
def test_any_name_finds_itself(name: str) -> None:
    assert search.Term(name, exact=True).matches(named(name))
    assert search.Term(name, exact=False).matches(named(name)) == bool(search.tokens(name).parts)
