"""AlarmRule: what is read, what it means, and what is refused with which words."""

from __future__ import annotations

import pytest

from monitor.model.alarm import ALARM, INSUFFICIENT_DATA, OK, alarm_arn
from monitor.model.errors import ClientFault
from monitor.rules.alarm_rule import (
    All,
    AtLeast,
    Constant,
    Either,
    In,
    Node,
    Not,
    children,
    holds,
    parse,
)

STATES = {"a": ALARM, "b": OK, "c": INSUFFICIENT_DATA, "d": ALARM, "with blank": ALARM}
A, B, C = In(ALARM, "a"), In(ALARM, "b"), In(ALARM, "c")
OPERAND = "must be: '(', 'NOT', AT_LEAST, TRUE or FALSE, ALARM, OK, or INSUFFICIENT_DATA"


def refusal(text: str) -> str:
    with pytest.raises(ClientFault) as caught:
        parse(text)
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TRUE", Constant(True)),
        ("False", Constant(False)),
        ("ALARM(a)", A),
        ('ALARM("a")', A),
        ("OK(a)", In(OK, "a")),
        ("INSUFFICIENT_DATA(a)", In(INSUFFICIENT_DATA, "a")),
        ("ALARM ( a )", A),
        ("ALARM(\n\ta\n)", A),
        ('ALARM("with blank, (and) brackets")', In(ALARM, "with blank, (and) brackets")),
        (r'ALARM("a \"quoted\" name \\")', In(ALARM, 'a "quoted" name \\')),
        ('ALARM("AND")', In(ALARM, "AND")),
        ("ALARM(NOT)", In(ALARM, "NOT")),
        ("ALARM(größe)", In(ALARM, "größe")),
        (f"ALARM({alarm_arn('eu-west-1', '1', 'a')})", A),
        (f'ALARM("{alarm_arn("eu-west-1", "1", "x y")}")', In(ALARM, "x y")),
        ("NOT ALARM(a)", Not(A)),
        ("NOT NOT ALARM(a)", A),
        ("NOT (ALARM(a))", Not(A)),
        ("(((ALARM(a))))", A),
        ("ALARM(a) AND ALARM(b)", All((A, B))),
        ("ALARM(a)AND ALARM(b)", All((A, B))),
        ("ALARM(a) OR ALARM(b) OR ALARM(c)", Either((A, B, C))),
        ("ALARM(a) OR ALARM(b) AND ALARM(c)", Either((A, All((B, C))))),
        ("(ALARM(a) OR ALARM(b)) AND ALARM(c)", All((Either((A, B)), C))),
        ("NOT ALARM(a) AND ALARM(b)", All((Not(A), B))),
        ("AT_LEAST(2, ALARM, (a, b, c))", AtLeast(2, False, False, ALARM, ("a", "b", "c"))),
        ('AT_LEAST(50%, NOT OK, ("a", b))', AtLeast(50, True, True, OK, ("a", "b"))),
        ("AT_LEAST(100,OK,(a))", AtLeast(100, False, False, OK, ("a",))),
    ],
)
def test_read(text: str, expected: Node) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TRUE", True),
        ("FALSE OR FALSE", False),
        ("ALARM(a)", True),
        ("ALARM(b)", False),
        ("OK(b) AND INSUFFICIENT_DATA(c)", True),
        ("ALARM(a) AND ALARM(b)", False),
        ("ALARM(b) OR ALARM(a)", True),
        ("NOT ALARM(b)", True),
        ("ALARM(d) OR ALARM(b) AND ALARM(c)", True),  # AND binds
        ("(ALARM(d) OR ALARM(b)) AND ALARM(c)", False),
        ('ALARM("with blank")', True),
        ("ALARM(gone)", False),
        ("OK(gone) OR INSUFFICIENT_DATA(gone)", False),
        ("NOT ALARM(gone)", True),
        ("AT_LEAST(2, ALARM, (a, b, c, d))", True),
        ("AT_LEAST(3, ALARM, (a, b, c, d))", False),
        ("AT_LEAST(2, NOT ALARM, (a, b, c, d))", True),
        ("AT_LEAST(50%, ALARM, (a, b, c, d))", True),
        ("AT_LEAST(51%, ALARM, (a, b, c, d))", False),
        ("AT_LEAST(33%, ALARM, (a, b, c))", True),
        ("AT_LEAST(34%, ALARM, (a, b, c))", False),
        ("NOT AT_LEAST(1, ALARM, (b, c))", True),
    ],
)
def test_meant(text: str, expected: bool) -> None:
    assert holds(parse(text), STATES) is expected


def test_children_are_named_once_in_the_order_written() -> None:
    rule = parse("NOT OK(z) AND (ALARM(a) OR ALARM(z)) OR AT_LEAST(1, ALARM, (m, a)) OR TRUE")
    assert children(rule) == ("z", "a", "m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ALARM(a) XOR ALARM(b)", "[Unsupported token 'XOR' at char 9, must be: 'AND', 'OR' or the end]"),
        ("ALARM(a) ALARM(b)", "[Unsupported token 'ALARM' at char 9, must be: 'AND', 'OR' or the end]"),
        ("ALARM(a) and ALARM(b)", "[Unsupported token 'and' at char 9, must be: 'AND', 'OR' or the end]"),
        ("ALARM(a))", "[Unsupported token ')' at char 8, must be: 'AND', 'OR' or the end]"),
        ("ALARM(a) AND", f"[Unexpected end at char 12, {OPERAND}]"),
        ("AND ALARM(a)", f"[Unsupported token 'AND' at char 0, {OPERAND}]"),
        ("NOT", f"[Unexpected end at char 3, {OPERAND}]"),
        ("()", f"[Unsupported token ')' at char 1, {OPERAND}]"),
        ("a", f"[Unsupported token 'a' at char 0, {OPERAND}]"),
        ("alarm(a)", f"[Unsupported token 'alarm' at char 0, {OPERAND}]"),
        ('"TRUE"', f"""[Unsupported token '"TRUE"' at char 0, {OPERAND}]"""),
        ("(ALARM(a)", "[Unexpected end at char 9, must be: ')']"),
        ("ALARM", "[Unexpected end at char 5, must be: '(']"),
        ("ALARM(a", "[Unexpected end at char 7, must be: ')']"),
        ("ALARM(a b)", "[Unsupported token 'b' at char 8, must be: ')']"),
        ("ALARM(a, b)", "[Unsupported token ',' at char 7, must be: ')']"),
        ("ALARM()", "[Unsupported token ')' at char 6, must be: an alarm's name or ARN]"),
        ('ALARM("")', """[Unsupported token '""' at char 6, must be: an alarm's name or ARN]"""),
        ('ALARM("a)', """[Unsupported token '"' at char 6, must be: an alarm's name or ARN]"""),
        ("AT_LEAST(0, ALARM, (a))", "[Unsupported token '0' at char 9, must be: a number or a percentage]"),
        ("AT_LEAST(101%, ALARM, (a))", "must be: a number or a percentage]"),
        ("AT_LEAST(1.5, ALARM, (a))", "must be: a number or a percentage]"),
        ("AT_LEAST(-1, ALARM, (a))", "must be: a number or a percentage]"),
        ("AT_LEAST(x, ALARM, (a))", "must be: a number or a percentage]"),
        ("AT_LEAST(١, ALARM, (a))", "must be: a number or a percentage]"),
        ("AT_LEAST(1, TRUE, (a))", "must be: ALARM, OK, or INSUFFICIENT_DATA]"),
        ("AT_LEAST(1, ALARM, a)", "[Unsupported token 'a' at char 19, must be: '(']"),
        ("AT_LEAST(1, ALARM, ())", "must be: an alarm's name or ARN]"),
        ("AT_LEAST(1, ALARM, (a,))", "must be: an alarm's name or ARN]"),
        ("AT_LEAST(1, ALARM, (a)", "[Unexpected end at char 22, must be: ')']"),
    ],
)
def test_what_is_no_rule_is_told_with_its_place(text: str, message: str) -> None:
    found = refusal(text)
    assert found.startswith("Error in AlarmRule [")
    assert message in found


@pytest.mark.parametrize("text", ["", " ", " ALARM(a)", "ALARM(a)\n", "\u00a0TRUE"])
def test_blanks_around_a_rule_are_refused(text: str) -> None:
    assert refusal(text) == "AlarmRule must not contain leading or trailing whitespace or be null"


def test_a_long_token_is_not_repeated_as_a_whole() -> None:
    assert len(refusal("x" * 10_000)) < 300
    assert len(refusal("x" * 1_000_000)) < 300


# -- limits --------------------------------------------------------------------------------------------------


def test_characters() -> None:
    fitting = "ALARM(" + "a" * (10_240 - 7) + ")"
    assert children(parse(fitting)) == ("a" * 10_233,)
    assert (
        "'alarmRule' failed to satisfy constraint: Member must have length less than or equal to 10240"
        in (refusal(fitting.replace("(", "(a")))
    )


def test_alarms() -> None:
    fitting = " OR ".join(f"ALARM(n{n})" for n in range(100))
    assert len(children(parse(fitting))) == 100
    assert parse(f"{fitting} OR OK(n99)")
    assert refusal(f"{fitting} OR ALARM(x)") == "AlarmRule must not refer to more than 100 alarms"


@pytest.mark.parametrize("element", ["TRUE", "ALARM(a)", "(TRUE)"])
def test_elements(element: str) -> None:
    count = 500 // (1 + element.count("(T"))
    fitting = " OR ".join([element] * count)
    assert isinstance(parse(fitting), Either)
    assert refusal(f"{fitting} OR TRUE") == "AlarmRule must not have more than 500 elements"


def test_the_alarms_of_at_least_are_elements() -> None:
    names = ",".join(["a"] * 499)
    assert children(parse(f"AT_LEAST(1,OK,({names}))")) == ("a",)
    assert "500 elements" in refusal(f"AT_LEAST(1,OK,({names},a))")


def test_depth() -> None:
    assert parse("(" * 50 + "TRUE" + ")" * 50) == Constant(True)
    assert refusal("(" * 51 + "TRUE" + ")" * 51) == "AlarmRule must not be nested more than 50 deep"
    assert refusal("(" * 10_240) == "AlarmRule must not be nested more than 50 deep"


def test_brackets_beside_each_other_are_not_deep() -> None:
    assert isinstance(parse(" AND ".join(["(TRUE)"] * 200)), All)


def test_thousands_of_not_are_counted_and_not_nested() -> None:
    assert parse("NOT " * 2559 + "TRUE") == Not(Constant(True))
    assert parse("NOT " * 2558 + "TRUE") == Constant(True)
