"""What holds of every alarm: any datapoints, any text as a rule, any course of a composite alarm and its suppressor."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model.alarm import (
    ALARM,
    BY_ALARM,
    COMPOSITE,
    INSUFFICIENT_DATA,
    METRIC,
    NOT_BREACHING,
    OK,
    STATES,
    Alarm,
    Suppression,
)
from monitor.model.errors import ClientFault
from monitor.rules.alarm import Datapoint, evaluate, interval, is_due, updated, window
from monitor.rules.alarm_reason import COMPARISONS
from monitor.rules.alarm_rule import MOST_CHARACTERS, MOST_CHILDREN, Node, children, holds, parse
from monitor.rules.composite import cyclic, judge, order, suppression

NOW = 1_800_000_000.0
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
ANY_NUMBER = st.floats()  # NaN and infinities too
VALUES = st.one_of(st.none(), st.sampled_from([5.0, 10.0, 20.0]), ANY_NUMBER)


@st.composite
def metric_alarms(draw: st.DrawFn) -> Alarm:
    periods = draw(st.integers(1, 12))
    return Alarm(
        "arn:aws:cloudwatch:eu-west-1:1:alarm:a",
        "a",
        state=draw(st.sampled_from(STATES)),
        kind=METRIC,
        namespace=draw(st.sampled_from(["Shop", "AWS/DynamoDB"])),
        metric="Load",
        extended_statistic=draw(st.sampled_from(["p99", "p50", "p0", "p100", "tm90", "PR(1:2)", "p?"])),
        period=draw(st.sampled_from([10, 30, 60, 300, 3600, 86_400])),
        evaluation_periods=periods,
        datapoints_to_alarm=draw(st.integers(0, periods)),
        threshold=draw(st.one_of(st.none(), st.just(10.0), ANY_NUMBER)),
        comparison=draw(st.sampled_from([*COMPARISONS, "GreaterThanUpperThreshold"])),
        treat_missing_data=draw(st.sampled_from(["", *TREATMENTS])),
        evaluate_low_sample=draw(st.sampled_from(["", "evaluate", "ignore"])),
    )


@st.composite
def datapoints(draw: st.DrawFn, values: st.SearchStrategy[float | None] = VALUES) -> list[Datapoint]:
    found = draw(st.lists(st.tuples(values, st.one_of(st.none(), ANY_NUMBER)), max_size=20))
    start = draw(st.sampled_from([0.0, NOW]))
    return [Datapoint(start + 60 * n, value, samples) for n, (value, samples) in enumerate(found)]


# -- metric alarms -------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(metric_alarms(), datapoints())
def test_any_datapoints_give_one_of_three_states_and_texts_within_limits(
    alarm: Alarm, points: list[Datapoint]
) -> None:
    verdict = evaluate(alarm, points, NOW)
    assert verdict.state in STATES
    assert len(verdict.reason) <= 1023
    assert len(verdict.reason_data) <= 4000
    if verdict.reason_data:
        json.loads(verdict.reason_data, parse_constant=_refuse)
    after = updated(alarm, verdict, NOW)
    assert updated(after, evaluate(after, points, NOW), NOW) is after


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@settings(max_examples=120, deadline=None)
@given(metric_alarms(), datapoints())
def test_not_breaching_never_lacks_data(alarm: Alarm, points: list[Datapoint]) -> None:
    alarm = replace(alarm, treat_missing_data=NOT_BREACHING, state=OK)
    assert evaluate(alarm, points, NOW).state != INSUFFICIENT_DATA


@settings(max_examples=120, deadline=None)
@given(metric_alarms(), datapoints(st.floats(allow_nan=False, allow_infinity=False)))
def test_without_missing_datapoints_the_treatments_agree(alarm: Alarm, points: list[Datapoint]) -> None:
    short = alarm.evaluation_periods - len(points)
    points = [*points, *(Datapoint(NOW + 86_400 + 60 * n, 20.0) for n in range(short))]
    found = {evaluate(replace(alarm, treat_missing_data=t), points, NOW) for t in TREATMENTS}
    assert len({(v.state, v.reason, v.reason_data) for v in found}) == 1


@settings(max_examples=120, deadline=None)
@given(metric_alarms(), datapoints(st.one_of(st.none(), st.sampled_from([5.0, 20.0]))))
def test_breaching_alarms_wherever_another_treatment_does(alarm: Alarm, points: list[Datapoint]) -> None:
    alarm = replace(alarm, state=OK)
    found = {t: evaluate(replace(alarm, treat_missing_data=t), points, NOW).state for t in TREATMENTS}
    if ALARM in found.values():
        assert found["breaching"] == ALARM
    if found["notBreaching"] == ALARM:
        assert set(found.values()) == {ALARM}


@settings(max_examples=120, deadline=None)
@given(metric_alarms(), st.floats(0, 4e9), st.floats(0, 7200))
def test_windows_are_whole_and_over_and_due_times_never_too_rare(
    alarm: Alarm, now: float, later: float
) -> None:
    start, end, periods = window(alarm, now)
    assert end - start == periods * alarm.period_seconds
    assert end <= now < end + 300
    assert periods > alarm.evaluation_periods
    assert window(alarm, now + later)[1] >= end
    if later >= interval(alarm) + 1e-3:
        assert is_due(alarm, now, now + later)
    assert not is_due(alarm, now, now)


# -- composite alarms ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "with blank", 'q"uote', "back\\slash", "größe", "AND"])
WORDS = st.sampled_from(
    [
        *("ALARM", "OK", "INSUFFICIENT_DATA", "TRUE", "FALSE", "AND", "OR", "NOT", "AT_LEAST"),
        *("(", ")", ",", '"', "a", '"b c"', "\\", "50%", "2", " ", "\n", "\u00a0", "\x00"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=80), st.lists(WORDS, max_size=40).map(" ".join), st.lists(WORDS).map("".join)
)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


LEAVES = st.one_of(
    st.sampled_from(["TRUE", "FALSE"]),
    st.tuples(st.sampled_from(STATES), NAMES).map(lambda t: f"{t[0]}({_quoted(t[1])})"),
    st.tuples(st.integers(1, 3), st.sampled_from(STATES), st.lists(NAMES, min_size=1, max_size=3)).map(
        lambda t: f"AT_LEAST({t[0]}, {t[1]}, ({', '.join(map(_quoted, t[2]))}))"
    ),
)
RULES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        below.map(lambda one: f"NOT ({one})"),
        st.tuples(below, st.sampled_from(["AND", "OR"]), below).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=12,
)


def _read(text: str) -> Node | None:
    try:
        return parse(text)
    except ClientFault as fault:
        assert (fault.code, fault.status) == ("ValidationError", 400)
        assert 0 < len(fault.message) < 1000
        return None


def _steps(text: str) -> int:
    """Lines of Python run to read it: a measure of time that is the same on every machine."""
    count = 0

    def step(frame: object, event: str, _: object) -> object:
        nonlocal count
        count += event == "line"
        return step

    before = sys.gettrace()
    sys.settrace(step)  # type: ignore[arg-type]
    try:
        _read(text)
    finally:
        sys.settrace(before)
    return count


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_any_text_is_a_rule_or_a_refusal(text: str) -> None:
    rule = _read(text)
    if rule is not None:
        names = children(rule)
        assert len(names) == len(set(names)) <= MOST_CHILDREN
        assert holds(rule, dict.fromkeys(names, ALARM)) in (True, False)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=4).map("".join), st.sampled_from(["", "ALARM(", '"', "(", "NOT "])
)
def test_reading_takes_no_more_steps_than_the_text_is_long(part: str, start: str) -> None:
    text = (start + part * MOST_CHARACTERS)[:MOST_CHARACTERS]
    assert _steps(text) < 60 * MOST_CHARACTERS


@settings(max_examples=120, deadline=None)
@given(RULES, st.dictionaries(NAMES, st.sampled_from(STATES)))
def test_a_rule_means_the_same_in_brackets_and_the_contrary_after_not(
    text: str, states: dict[str, str]
) -> None:
    rule = parse(text)
    expected = holds(rule, states)
    assert holds(parse(f"({text})"), states) is expected
    assert holds(parse(f"NOT ({text})"), states) is not expected
    assert holds(parse(f"({text}) AND TRUE"), states) is expected
    assert holds(parse(f"({text}) OR FALSE"), states) is expected
    assert set(children(parse(f"NOT ({text})"))) == set(children(rule))


@settings(max_examples=200, deadline=None)
@given(RULES, st.dictionaries(NAMES, st.sampled_from(STATES)), st.sampled_from(STATES))
def test_a_verdict_on_a_composite_is_never_insufficient_data(
    text: str, states: dict[str, str], present: str
) -> None:
    alarm = Alarm("arn:both", "both", state=present, kind=COMPOSITE, rule=text)
    others = {name: Alarm(f"arn:{name}", name, state=state) for name, state in states.items()}
    verdict = judge(alarm, others, "created")
    assert verdict.state == (ALARM if holds(parse(text), states) else OK)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 12), max_size=4)))
def test_what_is_left_out_of_the_order_reaches_a_cycle_and_nothing_else_does(
    graph: dict[int, list[int]],
) -> None:
    composites = {str(name): [str(child) for child in found] for name, found in graph.items()}
    left = cyclic(composites)
    done = order(composites)
    assert sorted((*done, *left)) == sorted(composites)
    for place, name in enumerate(done):
        assert not set(composites[name]) & (left | set(done[place:]))
    for name in left:  # each goes on to another one that is left out: there is no end, so there is a cycle
        assert set(composites[name]) & left


@st.composite
def courses(draw: st.DrawFn) -> list[tuple[float, str, str]]:
    """(time, the alarm's state, its suppressor's), in the order of time."""
    steps = st.tuples(
        st.sampled_from([0.0, 1.0, 30.0, 60.0, 120.0]),
        st.sampled_from(STATES),
        st.sampled_from((*STATES, "")),
    )
    now, found = NOW, []
    for after, state, suppressor in draw(st.lists(steps, max_size=25)):
        now += after
        found.append((now, state, suppressor))
    return found


@settings(max_examples=200, deadline=None)
@given(courses(), st.sampled_from([0, 60]), st.sampled_from([0, 120]), st.booleans())
def test_suppression_asked_twice_changes_nothing_and_loses_nothing(
    course: list[tuple[float, str, str]], wait: int, extension: int, is_suppressed: bool
) -> None:
    alarm = Alarm(
        "arn:both",
        "both",
        state=OK,
        changed_at=NOW,
        kind=COMPOSITE,
        suppressor="quiet" if is_suppressed else "",
        suppressor_wait=wait,
        suppressor_extension=extension,
        suppression=Suppression(seen=OK, seen_at=NOW),
    )
    changes = acts = 0
    acted_on, now = OK, NOW
    for now, state, suppressor in course:
        if state != alarm.state:
            alarm, changes = replace(alarm, state=state, changed_at=now), changes + 1
        first = suppression(alarm, suppressor, now, alarm.suppression)
        again = suppression(alarm, suppressor, now, first.memory)
        assert (again.memory, again.acts) == (first.memory, False)
        memory = first.memory
        alarm = replace(alarm, suppression=memory)
        assert bool(first.reason) == bool(memory.by)
        assert not (first.acts and memory.by)
        if is_suppressed and suppressor == ALARM:
            assert memory.by == BY_ALARM
        if memory.by and memory.by != BY_ALARM:
            assert now < memory.until <= now + max(wait, extension)
        if first.acts:
            acts, acted_on = acts + 1, state
    assert acts <= changes
    last = suppression(alarm, OK, now, alarm.suppression)
    end = suppression(alarm, OK, max(now, last.memory.until), last.memory)
    assert not end.memory.owed
    assert end.memory.by == ""
    if acted_on != alarm.state:  # the change that nobody has heard of yet is told in the end
        assert last.acts or end.acts
