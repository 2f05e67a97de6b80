"""Requests as clients send them, usual and unusual, to calls; and answers and errors in their protocol."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from monitor.model.errors import AwsError, ClientFault, ServerFault
from monitor.wire.dispatch import Call, Protocol, parse, render, render_error
from monitor.wire.http import MAX_BODY_BYTES, Request

ECS = "AmazonEC2ContainerServiceV20141113"
OURS = frozenset({"ExplainTask"})
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


def scoped(service: str) -> dict[str, str]:
    """Headers that claim a signature for the service."""
    scope = f"AKIAMOORWATCH0000001/20260102/eu-west-1/{service}/aws4_request"
    value = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    return {"authorization": value, "x-amz-date": "20260102T030405Z"}


def asked(target: str, body: bytes = b"", method: str = "POST", **headers: str) -> Request:
    return Request(method, "/", "", {"x-amz-target": target, **headers}, body)


def refusal(request: Request) -> AwsError:
    with pytest.raises(AwsError) as refused:
        parse(request, OURS)
    return refused.value


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"{}", b" { } "])
@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "application/json"}, {"transfer-encoding": "chunked"}]
)
def test_an_empty_body_and_any_content_type_will_do(body: bytes, headers: dict[str, str]) -> None:
    call = parse(asked(f"{ECS}.ListClusters", body, **headers))
    assert (call.service, call.operation, call.params) == ("ecs", "ListClusters", {})
    assert len(call.request_id) == 36


def test_request_ids_differ() -> None:
    request = asked(f"{ECS}.ListClusters")
    assert parse(request).request_id != parse(request).request_id


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON"),
        (b'{"cluster":}', "not valid JSON"),
        (b'{"cluster":NaN}', "NaN is not JSON"),
        (b'{"cluster":"\xff"}', "not valid UTF-8"),
        (b'{"cluster":"\\ud800"}', "not valid UTF-8"),
        (b'{"\\uDFFF":1}', "not valid UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"maxResults":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[]", "must be an object"),
        (b'"text"', "must be an object"),
        (b"null", "must be an object"),
    ],
)
def test_malformed_json(body: bytes, message: str) -> None:
    error = refusal(asked(f"{ECS}.ListTasks", body))
    assert (error.code, error.status) == ("SerializationException", 400)
    assert message in error.message
    assert len(error.message) <= 300


def test_whole_characters_may_be_escaped() -> None:
    assert parse(asked(f"{ECS}.ListTasks", b'{"cluster":"\\ud83d\\ude00\\u00e9"}')).params == {
        "cluster": "😀é"
    }


def test_a_big_body_is_refused_before_it_is_read() -> None:
    body = b'{"cluster":"' + b"a" * MAX_BODY_BYTES + b'"}'
    error = refusal(asked(f"{ECS}.ListTasks", body))
    assert (error.code, error.status) == ("RequestEntityTooLarge", 413)
    assert "1048576 bytes" in error.message


def test_unknown_members_may_nest_as_deep_as_they_like() -> None:
    body = b'{"unknown":' + b"[" * 500 + b"]" * 500 + b"}"
    assert parse(asked(f"{ECS}.ListTasks", body)).params == {}


@pytest.mark.parametrize(
    "target",
    [f"{ECS}.Nothing", f"{ECS}", f"{ECS}.", "Other.ListTasks", ".", f"{ECS}.ListTasks.", "ecs.ListTasks"],
)
def test_unknown_operations(target: str) -> None:
    error = refusal(asked(target, b"{}"))
    assert (error.code, error.status) == ("UnknownOperationException", 400)
    assert repr(target) in error.message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_wrong_method(method: str) -> None:
    error = refusal(asked(f"{ECS}.ListTasks", b"{}", method))
    assert (error.code, error.status) == ("UnknownOperationException", 405)
    assert "ListTasks is called with the method POST" in error.message
    assert refusal(Request("PUT", "/", "Action=GetCallerIdentity", {})).status == 405


def test_nothing_named_at_all() -> None:
    error = refusal(Request("POST", "/", "", {}, b'{"cluster":"a"}'))
    assert error.code == "UnknownOperationException"
    assert "X-Amz-Target" in error.message


def test_a_signature_counts_for_its_service_only() -> None:
    assert parse(asked(f"{ECS}.ListTasks", **scoped("ecs"))).operation == "ListTasks"
    error = refusal(asked(f"{ECS}.ListTasks", **scoped("sts")))
    assert error.code == "InvalidSignatureException"
    assert error.message == "Credential should be scoped to correct service: 'ecs'."
    form = Request("POST", "/", "", FORM | scoped("ecs"), b"Action=GetCallerIdentity")
    assert refusal(form).message == "Credential should be scoped to correct service: 'sts'."


# -- the operations of our own ----------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["ecs", "moorwatch"])
def test_our_own_operations_are_plain_json(service: str) -> None:
    call = parse(
        asked("Moorwatch_20261101.ExplainTask", b'{"task":"x","n":[1,null]}', **scoped(service)), OURS
    )
    assert (call.service, call.operation) == ("moorwatch", "ExplainTask")
    assert call.params == {"task": "x", "n": [1, None]}
    assert json.loads(render(call, {"any": {"thing": [1]}}).body) == {"any": {"thing": [1]}}


def test_our_own_operations_are_bounded_too() -> None:
    target = "Moorwatch_20261101.ExplainTask"
    assert refusal(asked(target, b"[]")).code == "SerializationException"
    assert refusal(asked(target, b'{"a":' * 40 + b"1" + b"}" * 40)).code == "SerializationException"
    assert refusal(asked(target, b'{"a":1e999}')).code == "SerializationException"
    assert refusal(asked("Moorwatch_20261101.DropAll", b"{}")).code == "UnknownOperationException"
    assert refusal(asked(target, **scoped("sts"))).code == "InvalidSignatureException"


# -- Query ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/", "", FORM | scoped("sts"), b"Action=GetCallerIdentity&Version=2011-06-15"),
        Request("POST", "/", "", {}, b"Version=2011-06-15&Action=GetCallerIdentity"),
        Request("GET", "/", "Action=GetCallerIdentity&Version=2011-06-15", {}),
    ],
)
def test_get_caller_identity(request_: Request) -> None:
    call = parse(request_)
    assert (call.service, call.operation, call.protocol) == ("sts", "GetCallerIdentity", Protocol.QUERY)
    response = render(call, {"Account": "123456789012", "Arn": "a&b<c>", "UserId": "u"})
    assert response.headers["content-type"] == "text/xml"
    root = ET.fromstring(response.body)
    space = "{https://sts.amazonaws.com/doc/2011-06-15/}"
    assert root.tag == f"{space}GetCallerIdentityResponse"
    assert root.findtext(f"{space}GetCallerIdentityResult/{space}Arn") == "a&b<c>"
    assert root.findtext(f"{space}ResponseMetadata/{space}RequestId") == call.request_id


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=Nothing", "InvalidAction"),
        (b"Action=ListClusters", "InvalidAction"),
        (b"Action=AssumeRole&RoleArn=" + b"a" * 20, "InvalidParameterException"),
        (b"Action=AssumeRole&DurationSeconds=soon", "SerializationException"),
        (b"Action=AssumeRole&Tags.member.1.Key=a&Tags.member.1.Key.x=b", "MalformedQueryString"),
        (b"Action=AssumeRole&Tags.member.1=a", "SerializationException"),
        (b"Action=AssumeRole&" + b"A." * 40 + b"x=1", "MalformedQueryString"),
        (b"Action=AssumeRole&\xff\xfe=1", "MalformedQueryString"),
        (b"Action=AssumeRole&a=1" + b"&a=1" * 10_001, "MalformedQueryString"),
    ],
)
def test_bad_forms(body: bytes, code: str) -> None:
    request = Request("POST", "/", "", FORM, body)
    error = refusal(request)
    assert error.code == code
    response = render_error(None, error, request)
    assert response.status == 400
    assert ET.fromstring(response.body).findtext("Error/Type") == "Sender"


# -- errors -----------------------------------------------------------------------------------------------


def test_a_json_error() -> None:
    request = asked(f"{ECS}.ListTasks")
    response = render_error(
        parse(request), ClientFault("ClusterNotFoundException", "Cluster not found."), request
    )
    assert response.status == 400
    assert response.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(response.headers["x-amzn-RequestId"]) == 36
    assert json.loads(response.body) == {
        "__type": "ClusterNotFoundException",
        "message": "Cluster not found.",
    }


@pytest.mark.parametrize(
    ("code", "query_code", "status"),
    [
        ("InvalidSignatureException", "SignatureDoesNotMatch", 403),
        ("UnrecognizedClientException", "InvalidClientTokenId", 403),
        ("MissingAuthenticationTokenException", "MissingAuthenticationToken", 403),
        ("IncompleteSignatureException", "IncompleteSignature", 400),
        ("InvalidParameterException", "ValidationError", 400),
        ("ServerException", "InternalFailure", 500),
    ],
)
def test_query_has_its_own_codes(code: str, query_code: str, status: int) -> None:
    error = (ServerFault if status == 500 else ClientFault)(code, 'Say "what" <to> do\x00 & how.')
    response = render_error(None, error, Request("POST", "/", "", {}, b"Action=GetCallerIdentity"))
    assert response.status == status
    root = ET.fromstring(response.body)
    assert root.findtext("Error/Code") == query_code
    assert root.findtext("Error/Message") == 'Say "what" <to> do\ufffd & how.'
    assert root.findtext("Error/Type") == ("Receiver" if status == 500 else "Sender")


def test_half_a_character_in_an_answer_is_no_reason_not_to_answer() -> None:
    call = Call("moorwatch", "ExplainTask", Protocol.JSON, {}, "request-1")
    assert json.loads(render(call, {"line": "a\ud800b"}).body) == {"line": "a?b"}
