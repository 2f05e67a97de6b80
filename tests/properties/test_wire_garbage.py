"""Whatever arrives, the wire answers with an AwsError or a call it understood; nothing else comes out."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model.errors import AwsError
from monitor.wire import agent, answers, models, shapes
from monitor.wire.dispatch import MOORWATCH_TARGET, Call, Protocol, parse, render, render_error
from monitor.wire.http import Request
from tests.conformance.test_wire_operations import made, seen

ECS = "AmazonEC2ContainerServiceV20141113"
OURS = frozenset({"ExplainTask"})
unhurried = settings(deadline=None)  # a busy machine is no defect
_ecs_names = sorted(models.operation_names("ecs"))

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, -(2**63) - 1, 10**400, 1e300, 0.5, -1]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
_json = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def _spoilt(value: Any, chance: random.Random, garbage: list[Any]) -> Any:
    """The value with garbage in some places."""
    if chance.random() < 0.05:
        return chance.choice(garbage)
    if isinstance(value, dict):
        return {name: _spoilt(item, chance, garbage) for name, item in value.items()}
    if isinstance(value, list):
        return [_spoilt(item, chance, garbage) for item in value]
    return value


def understood(request: Request) -> Call | AwsError:
    try:
        return parse(request, OURS)
    except AwsError as error:
        return error


def answered(request: Request) -> None:
    """The request is understood, or refused with an error that can be rendered for it."""
    found = understood(request)
    if isinstance(found, Call):
        if found.protocol is Protocol.JSON:
            json.dumps(found.params, allow_nan=False, ensure_ascii=False).encode("utf-8")
        return
    assert 400 <= found.status < 500
    assert found.message
    response = render_error(None, found, request)
    if response.headers["content-type"] == "text/xml":
        assert ET.fromstring(response.body).find("Error/Code") is not None
    else:
        assert json.loads(response.body)["__type"] == found.code


@unhurried
@given(
    st.sampled_from(_ecs_names), st.lists(_json, min_size=1, max_size=5), st.randoms(use_true_random=False)
)
def test_spoilt_parameters(name: str, garbage: list[Any], chance: random.Random) -> None:
    params = seen(made(models.operation("ecs", name).input_shape, chance))
    body = json.dumps(_spoilt(params, chance, garbage)).encode()
    answered(Request("POST", "/", "", {"x-amz-target": f"{ECS}.{name}"}, body))


@unhurried
@given(
    st.one_of(
        st.sampled_from(
            [f"{ECS}.ListTasks", f"{ECS}.Nothing", ECS, ".", f"{MOORWATCH_TARGET}.ExplainTask", ""]
        ),
        st.text(max_size=40),
    ),
    st.one_of(
        st.binary(max_size=200),
        _json.map(lambda value: json.dumps(value).encode()),
        st.sampled_from([b'{"maxResults":1e999}', b"[NaN]", b'{"cluster":"\\ud800"}', b"{" * 100_000]),
    ),
    st.sampled_from(["GET", "POST", "PUT", "post", ""]),
)
def test_any_body_and_target(target: str, body: bytes, method: str) -> None:
    answered(Request(method, "/", "", {"x-amz-target": target}, body))


_field_names = st.one_of(
    st.sampled_from(
        ["Action", "Policy", "PolicyArns.member.1.arn", "PolicyArns.member", "PolicyArns", "Tags.member.x"]
    ),
    st.lists(st.sampled_from(["A", "member", "1", "99999", "", "PolicyArns", "arn"]), max_size=40).map(
        ".".join
    ),
)


@unhurried
@given(
    st.sampled_from(sorted(models.operation_names("sts"))),
    st.lists(st.tuples(_field_names, st.text(max_size=8)), max_size=6),
    st.text(max_size=40),
    st.sampled_from(["", "application/x-www-form-urlencoded; charset=utf-8"]),
)
def test_any_form(action: str, fields: list[tuple[str, str]], query: str, kind: str) -> None:
    body = urlencode([("Action", action), *fields]).encode()
    answered(Request("POST", "/", query, {"content-type": kind} if kind else {}, body))


@unhurried
@given(st.binary(max_size=200), st.text(max_size=60))
def test_any_bytes_as_form(body: bytes, query: str) -> None:
    answered(Request("POST", "/", query, {"content-type": "application/x-www-form-urlencoded"}, body))


@unhurried
@given(st.sampled_from(_ecs_names), st.randoms(use_true_random=False))
def test_decode_of_encode_is_the_same(name: str, chance: random.Random) -> None:
    """For every shape: requests decoded from what they encode to, and answers too."""
    operation = models.operation("ecs", name)
    for shape in (operation.input_shape, operation.output_shape):
        value = seen(made(shape, chance))
        assert shapes.decode(shape, json.loads(json.dumps(answers.encode(shape, value)))) == value


@unhurried
@given(st.sampled_from(_ecs_names), st.text(max_size=12))
def test_an_answer_with_a_member_the_model_does_not_know_is_a_defect(name: str, extra: str) -> None:
    shape = models.operation("ecs", name).output_shape
    if extra not in shape.members:
        with pytest.raises(answers.BadOutput):
            answers.encode(shape, {extra: 1})


@unhurried
@given(st.text())
def test_any_message_of_an_error_arrives(message: str) -> None:
    for headers in ({"x-amz-target": ECS}, {"content-type": "application/x-www-form-urlencoded"}):
        error = AwsError("ClientException", message)
        response = render_error(None, error, Request("POST", "/", "", headers))
        if "x-amz-target" in headers:
            assert json.loads(response.body)["message"] == message
        else:
            assert ET.fromstring(response.body).findtext("Error/Code") == "ClientException"


@unhurried
@given(_json.filter(lambda value: isinstance(value, dict)))
def test_our_own_operations_take_any_bounded_object(params: dict[str, Any]) -> None:
    request = Request(
        "POST", "/", "", {"x-amz-target": f"{MOORWATCH_TARGET}.ExplainTask"}, json.dumps(params).encode()
    )
    call = parse(request, OURS)
    assert call.params == params
    assert json.loads(render(call, call.params).body) == params


# -- the agent's messages ---------------------------------------------------------------------------------


@unhurried
@given(st.text(min_size=1, max_size=64), st.dictionaries(st.text(max_size=8), _json, max_size=4))
def test_agent_messages_come_back(kind: str, message: dict[str, Any]) -> None:
    assert agent.decode(agent.encode(kind, message)) == (kind, message)
    headers = {"Host": "127.0.0.1:4580", "X-Amz-Date": "20260102T030405Z"}
    assert agent.decode_tcs(agent.encode_tcs(kind, message, headers)) == (kind, message)


def read_frame(frame: str | bytes, is_telemetry: bool) -> tuple[str, dict[str, Any]] | agent.BadMessage:
    try:
        return agent.decode_tcs(frame) if is_telemetry else agent.decode(frame)
    except agent.BadMessage as error:
        return error


_frames = st.one_of(
    st.text(max_size=80),
    st.binary(max_size=80),
    _json.map(json.dumps),
    _json.map(lambda value: json.dumps({"type": "T", "message": value})),
    st.sampled_from(
        ['{"type":"T","message":{"at":1e999}}', '{"type":"T","message":{"\\udc00":NaN}}', "[" * 100_000]
    ),
)


@unhurried
@given(_frames, st.booleans())
def test_any_frame_is_a_message_or_bad(frame: str | bytes, is_telemetry: bool) -> None:
    found = read_frame(frame, is_telemetry)
    if isinstance(found, agent.BadMessage):
        assert str(found)
    else:
        kind, message = found
        json.dumps([kind, message], allow_nan=False, ensure_ascii=False).encode("utf-8")
