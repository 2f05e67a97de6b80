"""The agent's frames: what is read, what is refused, and how the header block of telemetry is cut off."""

from __future__ import annotations

import json
import math

import pytest

from monitor.wire import agent


def test_a_frame_as_the_protocol_has_it() -> None:
    frame = agent.encode("AckRequest", {"messageId": "m", "cluster": "c"})
    assert json.loads(frame) == {"type": "AckRequest", "message": {"messageId": "m", "cluster": "c"}}
    assert agent.decode(frame.encode()) == ("AckRequest", {"messageId": "m", "cluster": "c"})


@pytest.mark.parametrize(
    "frame", ['{"type":"T"}', '{"type":"T","message":null}', '{"type":"T","message":""}']
)
def test_a_message_may_be_missing(frame: str) -> None:
    assert agent.decode(frame) == ("T", {})


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"type":"T","message":{"at":NaN}}', "not JSON"),
        ('{"type":"T","message":{"at":1e999}}', "not finite"),
        ("[]", "no type"),
        ("{}", "no type"),
        ('{"type":1}', "no type"),
        ('{"type":"' + "T" * 129 + '"}', "no type"),
        ('{"type":"T","message":[1]}', "not an object"),
        ('{"type":"T","message":"text"}', "not an object"),
        ('{"type":"T","message":{"a":' + "[" * 41 + "]" * 41 + "}}", "levels deep"),
        ('{"type":"T","message":{"a":"' + "x" * agent.MAX_FRAME + '"}}', "larger than 1048576"),
    ],
)
def test_frames_that_are_no_message(frame: str | bytes, why: str) -> None:
    with pytest.raises(agent.BadMessage, match=why):
        agent.decode(frame)


def test_the_limit_of_a_frame_is_the_readers() -> None:
    frame = agent.encode("PayloadMessage", {"a": "x" * agent.MAX_FRAME})
    assert agent.decode(frame, most=2 * agent.MAX_FRAME)[0] == "PayloadMessage"
    with pytest.raises(agent.BadMessage, match="larger than 100"):
        agent.decode(frame, most=100)


def test_half_a_character_becomes_a_question_mark() -> None:
    assert agent.decode('{"type":"T","message":{"line":"a\\ud800b \\u00e9"}}') == ("T", {"line": "a?b é"})


def test_a_number_that_is_not_finite_leaves_as_null() -> None:
    frame = agent.encode("T", {"a": [math.nan, 1.5], "b": (math.inf,)})
    assert agent.decode(frame) == ("T", {"a": [None, 1.5], "b": [None]})


def test_telemetry_has_a_header_block() -> None:
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 …",
        "Host": "127.0.0.1:4580",
        "X-Amz-Date": "20260102T030405Z",
    }
    frame = agent.encode_tcs("PublishMetricsRequest", {"timestamp": 1.5, "taskMetrics": []}, headers)
    block, _, body = frame.partition("\r\n\r\n")
    assert block.split("\r\n") == [f"{name}: {value}" for name, value in headers.items()]
    assert json.loads(body)["type"] == "PublishMetricsRequest"
    for read in (frame, frame.encode(), body):
        assert agent.decode_tcs(read) == ("PublishMetricsRequest", {"timestamp": 1.5, "taskMetrics": []})


@pytest.mark.parametrize(
    "frame", ["", "Host: x", "Host: x\r\n\r\n", "Host: x\r\n\r\nnonsense", b"\xff\r\n\r\n{}"]
)
def test_telemetry_without_a_body(frame: str | bytes) -> None:
    with pytest.raises(agent.BadMessage):
        agent.decode_tcs(frame)
    with pytest.raises(agent.BadMessage, match="larger than"):
        agent.decode_tcs("H: x\r\n\r\n" + " " * agent.MAX_FRAME)
