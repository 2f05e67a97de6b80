"""Each way a signature can be wrong, with AWS's code and words; and the secret that never shows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from monitor.model.errors import AwsError
from monitor.wire import sigv4
from monitor.wire.http import Request
from monitor.wire.signing import Key, sign

KEY = Key("AKIAMOORWATCH0000001", "a/secret+of=ours")
URL = "http://127.0.0.1:4580/"
TARGET = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListTasks"}


def signed(
    body: bytes = b"{}", url: str = URL, method: str = "POST", host: str = "127.0.0.1:4580"
) -> Request:
    headers = sign(KEY, method, url, "eu-west-1", body, TARGET if method == "POST" else {})
    path, _, query = url.partition("://")[2].partition("/")[2].partition("?")
    return Request(
        method, f"/{path}", query, {**{k.lower(): v for k, v in headers.items()}, "host": host}, body
    )


def at(request: Request) -> float:
    signature = sigv4.read_signature(request)
    assert signature is not None
    return sigv4._epoch(signature.at)


def verified(request: Request, now: float) -> sigv4.Credential:
    return sigv4.verify(request, {KEY.access_key_id: KEY.secret_access_key}.get, now)


def refusal(request: Request, now: float = 1_767_323_045.0) -> tuple[str, str]:
    with pytest.raises(AwsError) as refused:
        verified(request, now)
    assert KEY.secret_access_key not in str(refused.value)
    return refused.value.code, refused.value.message


def with_headers(request: Request, **changes: str | None) -> Request:
    headers: dict[str, Any] = {**request.headers, **{k.replace("_", "-"): v for k, v in changes.items()}}
    return dataclasses.replace(request, headers={k: v for k, v in headers.items() if v is not None})


def test_a_good_signature() -> None:
    request = signed()
    found = verified(request, at(request))
    assert (found.access_key_id, found.region, found.service) == (KEY.access_key_id, "eu-west-1", "ecs")
    assert found == sigv4.parse_scope(request)


def test_spaces_within_a_header_are_one() -> None:
    headers = sign(KEY, "POST", URL, "eu-west-1", b"", {"X-Note": "  a   b  "})
    request = Request(
        "POST", "/", "", {k.lower(): v for k, v in headers.items()} | {"host": "127.0.0.1:4580"}
    )
    assert request.headers["x-note"] == "  a   b  "
    assert verified(request, at(request)).service == "ecs"
    assert verified(with_headers(request, x_note="a b"), at(request)).service == "ecs"


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:4580/acs/ws?a=b%20c+d", "http://127.0.0.1:4580/acs/ws?a=b%20c+d"]
)
def test_a_websocket_upgrade(url: str) -> None:
    request = signed(b"", url, "GET")
    assert verified(request, at(request)).service == "ecs"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a=%FF", "a=%FE"),
        ("a=%EF%BF%BD", "a=%FF"),
        ("a=%2B", "a=+"),
        ("a=%20", "a=%2B"),
        ("a=b%26c", "a=b&c"),
        ("a=%253D", "a=%3D"),
        ("a=1", "A=1"),
    ],
)
def test_queries_that_read_apart_are_signed_apart(one: str, other: str) -> None:
    request = signed(b"", f"http://127.0.0.1:4580/acs/ws?{one}", "GET")
    assert verified(request, at(request)).service == "ecs"
    changed = dataclasses.replace(request, query=other)
    assert refusal(changed, at(request))[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("signed_as", "sent_as"), [("a=b%20c", "a=b+c"), ("a=%2F&b=2", "b=2&a=/"), ("a=%2F", "a=%2f")]
)
def test_queries_that_read_alike_are_signed_alike(signed_as: str, sent_as: str) -> None:
    """A proxy or an HTTP library may spell a query anew on the way."""
    request = signed(b"", f"http://127.0.0.1:4580/acs/ws?{signed_as}", "GET")
    changed = dataclasses.replace(request, query=sent_as)
    assert verified(changed, at(request)).service == "ecs"


@pytest.mark.parametrize(
    ("url", "host"),
    [("ws://moor.example:80/acs/ws", "moor.example"), ("wss://moor.example:443/acs/ws", "moor.example"),
     ("http://[::1]:4580/", "[::1]:4580")],
)  # fmt: skip
def test_the_host_is_signed_as_it_is_sent(url: str, host: str) -> None:
    request = signed(b"", url, "GET", host)
    assert verified(request, at(request)).service == "ecs"


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_five_minutes_either_way(seconds: int) -> None:
    request = signed()
    assert verified(request, at(request) + seconds).access_key_id == KEY.access_key_id


def test_too_old_and_too_new() -> None:
    request = signed()
    stamp = request.headers["x-amz-date"]
    code, message = refusal(request, at(request) + 301)
    assert code == "InvalidSignatureException"
    assert message.startswith(f"Signature expired: {stamp} is now earlier than ")
    assert message.endswith(" - 5 min.)")
    code, message = refusal(request, at(request) - 301)
    assert code == "InvalidSignatureException"
    assert message.startswith(f"Signature not yet current: {stamp} is still later than ")
    assert message.endswith(" + 5 min.)")


def test_no_signature() -> None:
    assert refusal(Request("POST", "/", "", {})) == (
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    )
    assert sigv4.parse_scope(Request("POST", "/", "", {})) is None


def test_unknown_key_and_wrong_secret() -> None:
    request = signed()
    with pytest.raises(AwsError, match=r"The security token included in the request is invalid\.") as unknown:
        sigv4.verify(request, {}.get, at(request))
    assert unknown.value.code == "UnrecognizedClientException"
    with pytest.raises(AwsError, match="Check your AWS Secret Access Key and signing method") as wrong:
        sigv4.verify(request, {KEY.access_key_id: "another"}.get, at(request))
    assert wrong.value.code == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Basic dXNlcjpwYXNz", "Authorization must use AWS4-HMAC-SHA256."),
        ("AWS4-HMAC-SHA256", "requires 'Credential' parameter"),
        ("AWS4-HMAC-SHA256 Credential=a/20260102/r/ecs/aws4_request", "requires 'SignedHeaders' parameter"),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260102/r/ecs/aws4_request, SignedHeaders=host",
            "requires 'Signature'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "exactly 5 slash-delimited elements",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/x/r/ecs/aws4_request, SignedHeaders=host, Signature=0",
            "malformed date",
        ),
        ("AWS4-HMAC-SHA256 " + "x" * 10_000, "Authorization must use"),
    ],
)
def test_an_incomplete_signature(authorization: str, message: str) -> None:
    code, found = refusal(Request("POST", "/", "", {"authorization": authorization, "x-amz-date": "x"}))
    assert code == "IncompleteSignatureException"
    assert message in found


@pytest.mark.parametrize(
    "date", [None, "yesterday", "20261341T000000Z", "20260102T030405", "2026-01-02T03:04:05Z"]
)
def test_no_date_or_none_that_is_one(date: str | None) -> None:
    assert refusal(with_headers(signed(), x_amz_date=date))[0] == "IncompleteSignatureException"


def test_the_scope_has_the_date_of_the_request() -> None:
    request = signed()
    stamp = request.headers["x-amz-date"]
    moved = with_headers(request, x_amz_date="20200101" + stamp[8:])
    code, message = refusal(moved, at(moved))
    assert (code, message) == (
        "InvalidSignatureException",
        "Date in Credential scope does not match the request's date.",
    )


@pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-target"])
def test_what_must_be_signed(name: str) -> None:
    """Host, time and operation: a signature that leaves one out is refused whatever its value is."""
    request = signed()
    names = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    fewer = ";".join(n for n in names.split(";") if n != name)
    changed = with_headers(request, authorization=request.headers["authorization"].replace(names, fewer))
    code, message = refusal(changed, at(request))
    assert code == "InvalidSignatureException"
    assert message == f"'{name.title()}' must be a 'SignedHeader' in the AWS Authorization."


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", "0" * 64, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
def test_a_body_that_is_not_signed(claimed: str) -> None:
    request = with_headers(signed(), x_amz_content_sha256=claimed)
    code, message = refusal(request, at(request))
    assert code == "InvalidSignatureException"
    assert "x-amz-content-sha256" in message


@pytest.mark.parametrize("expires", ["0x10", "-1", "604801", "9" * 5000, "٣", "1e3"])
def test_presigned_for_too_long_or_for_nothing(expires: str) -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260102/r/ecs/aws4_request&X-Amz-Date=20260102T030405Z"
        f"&X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Expires={expires}"
    )
    code, message = refusal(Request("GET", "/", query, {"host": "h"}))
    assert code == "IncompleteSignatureException"
    assert "X-Amz-Expires" in message


def test_a_key_does_not_show_its_secret() -> None:
    assert KEY.secret_access_key not in repr(KEY)
    assert not any(KEY.secret_access_key in value for value in signed().headers.values())
