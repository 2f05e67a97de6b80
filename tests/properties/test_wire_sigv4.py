"""Signatures: what botocore signs verifies, and nothing changed on the way does."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitor.model.errors import AwsError
from monitor.wire import sigv4
from monitor.wire.http import Request

KEY, SECRET = "AKIAMOORWATCH0000001", "a/secret+of=ours"
REGION, SERVICE = "eu-west-1", "ecs"
HOST = "127.0.0.1:4580"
unhurried = settings(deadline=None)  # a busy machine is no defect

_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
# as clients encode: by the book, leniently, and not at all
_encoded = st.one_of(
    _text.map(lambda text: quote(text, safe="-_.~")),
    _text.map(lambda text: quote(text, safe="-_.~:/,+")),
    st.text("abcXYZ019-_.~:/+,%", max_size=8).filter(lambda text: "%" not in text),
    st.sampled_from(["a%2fb", "%7e", "%FF%FE", "a+b"]),
)
_segments = st.lists(
    st.one_of(st.sampled_from(["", ".", "..", "ws"]), _encoded.map(lambda s: s.replace("?", "")))
)
_paths = _segments.map(lambda segments: "/" + "/".join(segments))
_queries = st.lists(st.tuples(_encoded, st.one_of(st.none(), _encoded)), max_size=6).map(
    lambda pairs: "&".join(name if value is None else f"{name}={value}" for name, value in pairs)
)
_names = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True).filter(lambda name: not name.startswith("x-amz"))
_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
_headers = st.dictionaries(_names, _values, max_size=4)
_methods = st.sampled_from(["GET", "POST", "PUT"])
_bodies = st.binary(max_size=64)


def signed(
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    secret: str = SECRET,
    date: str = "",
) -> Request:
    """The request as it arrives, signed by botocore in its headers."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    given_headers = {**headers, "Date": date} if date else headers
    request = AWSRequest(method=method, url=url, data=body, headers=given_headers)
    SigV4Auth(Credentials(KEY, secret), SERVICE, REGION).add_auth(request)
    found = {name.lower(): value for name, value in request.headers.items()}
    parts = urlsplit(url)
    return Request(method, parts.path, parts.query, {**found, "host": HOST}, body)


def presigned(method: str, path: str, query: str, expires: int) -> Request:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url)
    SigV4QueryAuth(Credentials(KEY, SECRET), SERVICE, REGION, expires).add_auth(request)
    parts = urlsplit(request.url)
    return Request(method, parts.path, parts.query, {"host": HOST})


def signed_at(request: Request) -> float:
    signature = sigv4.read_signature(request)
    assert signature is not None
    return sigv4._epoch(signature.at)


def verified(request: Request, later: float = 0.0, at: float | None = None) -> sigv4.Credential:
    return sigv4.verify(request, {KEY: SECRET}.get, (signed_at(request) if at is None else at) + later)


@unhurried
@given(_methods, _paths, _queries, _headers, _bodies, st.floats(-300, 300))
def test_what_botocore_signs_verifies(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, later: float
) -> None:
    found = verified(signed(method, path, query, headers, body), later)
    assert (found.access_key_id, found.region, found.service) == (KEY, REGION, SERVICE)


@unhurried
@given(_paths, _headers, _bodies)
def test_a_date_header_will_do(path: str, headers: dict[str, str], body: bytes) -> None:
    request = signed("POST", path, "", headers, body, date="now")
    assert "x-amz-date" not in request.headers
    assert verified(request).access_key_id == KEY


@unhurried
@given(_paths, _queries, st.integers(1, sigv4.PRESIGNED_MOST_SECONDS), st.floats(0, 1))
def test_what_botocore_presigns_verifies_until_it_expires(
    path: str, query: str, expires: int, part: float
) -> None:
    request = presigned("GET", path, query, expires)
    assert verified(request, expires * part).region == REGION
    with pytest.raises(AwsError, match="Signature expired"):
        verified(request, expires + 1)


def _changed(request: Request, what: str, data: st.DataObject) -> Request:
    """The same request with one thing changed that means something else."""
    headers: dict[str, str] = dict(request.headers)
    fields: dict[str, Any] = {}
    match what:
        case "method":
            fields["method"] = "DELETE"
        case "path":
            fields["path"] = request.path.rstrip("/") + "/other"
        case "query":
            fields["query"] = f"{request.query}&extra=1"
        case "body":
            fields["body"] = request.body + data.draw(st.binary(min_size=1, max_size=4))
        case "host":
            headers["host"] = "elsewhere:4580"
        case "header":
            name = data.draw(st.sampled_from(sorted(n for n in headers if n.startswith("x-"))))
            headers[name] += "!"
        case "absent header":
            del headers[data.draw(st.sampled_from(sorted(headers)))]
        case "scope":
            one, other = data.draw(
                st.sampled_from([(REGION, "us-east-1"), ("/ecs/", "/sts/"), (KEY, "AKIAOTHER")])
            )
            headers["authorization"] = headers["authorization"].replace(one, other)
        case "signature":
            start, _, value = headers["authorization"].rpartition("=")
            at = data.draw(st.integers(0, 63))
            digit = data.draw(st.sampled_from("0123456789abcdef").filter(lambda d: d != value[at]))
            headers["authorization"] = f"{start}={value[:at]}{digit}{value[at + 1 :]}"
    return dataclasses.replace(request, headers=headers, **fields)


@unhurried
@given(
    _methods,
    _paths,
    _queries,
    _headers,
    _bodies,
    st.sampled_from(
        ["method", "path", "query", "body", "host", "header", "absent header", "scope", "signature"]
    ),
    st.data(),
)
def test_nothing_signed_can_be_changed(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, what: str, data: st.DataObject
) -> None:
    request = signed(method, path, query, headers, body)
    at = signed_at(request)
    with pytest.raises(AwsError):
        verified(_changed(request, what, data), at=at)


def _read(query: str) -> list[tuple[str, str]]:
    """What a server makes of a query; the order means nothing, nor do pairs without name and value."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    return sorted(pair for pair in pairs if pair != ("", ""))


_REWRITTEN = [
    ("+", "%2B"),
    ("+", "%20"),
    ("%2B", "+"),
    ("/", "%2F"),
    ("=", "%3D"),
    ("&", "%26"),
    ("%", "%25"),
    ("%F", "%E"),
    ("", "b"),
]


@unhurried
@given(_paths, _queries, st.one_of(_queries, st.sampled_from(_REWRITTEN)))
def test_another_query_never_passes(path: str, one: str, change: str | tuple[str, str]) -> None:
    """Two queries that a server would read apart never share a signature."""
    other = change if isinstance(change, str) else one.replace(*change, 1)
    request = dataclasses.replace(signed("GET", path, one, {}, b""), query=other)
    if _read(one) != _read(other):
        with pytest.raises(AwsError, match="does not match"):
            verified(request, at=signed_at(request))


@unhurried
@given(_paths, _queries, st.sampled_from(["X-Amz-Expires", "X-Amz-Date", "X-Amz-Credential"]))
def test_a_presigned_request_cannot_be_stretched(path: str, query: str, name: str) -> None:
    request = presigned("GET", path, query, 60)
    assume(name not in query)
    values = {"X-Amz-Expires": "600", "X-Amz-Date": "20990101T000000Z", "X-Amz-Credential": "AKIA%2Fother"}
    start, _, rest = request.query.partition(f"{name}=")
    stretched = f"{start}{name}={values[name]}&{rest.partition('&')[2]}"
    for changed in (stretched, f"{request.query}&{name}={values[name]}"):
        with pytest.raises(AwsError):
            verified(dataclasses.replace(request, query=changed), at=signed_at(request))


@unhurried
@given(_bodies, st.text(min_size=1, max_size=40).filter(lambda text: text != SECRET and text.isprintable()))
def test_another_secret_never_passes(body: bytes, secret: str) -> None:
    with pytest.raises(AwsError, match="does not match"):
        verified(signed("POST", "/", "", {}, body, secret))


_header_text = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=80)
_pieces = st.sampled_from(
    [
        "AWS4-HMAC-SHA256 ",
        f"Credential={KEY}/20260102/eu-west-1/ecs/aws4_request, ",
        "Credential=////, ",
        "SignedHeaders=host;x-amz-date, ",
        "SignedHeaders=;;, ",
        "Signature=" + "0" * 64,
        ",",
        "=",
    ]
)


@unhurried
@given(
    st.one_of(_header_text, st.lists(_pieces, max_size=6).map("".join)),
    st.one_of(
        st.sampled_from(["", "20260102T030405Z", "20269999T999999Z", "00000101T000000Z"]), _header_text
    ),
    st.one_of(_header_text, _queries, st.just("X-Amz-Signature=1&X-Amz-Expires=" + "9" * 5000)),
    st.one_of(_header_text, st.sampled_from(["Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 0 Jan 0000"])),
)
def test_garbage_is_refused_and_nothing_else(authorization: str, at: str, query: str, date: str) -> None:
    headers = {"authorization": authorization, "x-amz-date": at, "date": date, "host": HOST}
    request = Request("POST", "/", query, headers, b"{}")
    assert sigv4.parse_scope(request) is None or sigv4.parse_scope(request).region  # type: ignore[union-attr]
    with pytest.raises(AwsError):
        sigv4.verify(request, {KEY: SECRET}.get, 1_800_000_000.0)


@unhurried
@given(_header_text)
def test_a_scope_is_read_from_presigned_garbage_or_not_at_all(text: str) -> None:
    query = "&".join(
        f"{name}={quote(text)}" for name in ("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Expires")
    )
    found = sigv4.parse_scope(Request("GET", "/", query, {}))
    assert found is None
