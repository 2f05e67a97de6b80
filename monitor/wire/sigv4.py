"""Signature Version 4, checked (IAM user guide, "Create a signed AWS API request").

Works on the request as it came: header form, and presigned query form. What differs in any signed part does
not verify; method, path, query, body, host, time and operation always are signed parts. Comparison takes the
same time wherever the signatures differ. Secrets stay in here: no message holds one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, unquote_plus

from monitor.model.errors import AwsError, ClientFault
from monitor.wire.http import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 300
PRESIGNED_MOST_SECONDS = 7 * 86400
MAX_AUTHORIZATION = 8192  # characters of the header
_AT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Credential:
    """The credential scope of a signature."""

    access_key_id: str
    date: str
    region: str
    service: str


@dataclass(frozen=True, slots=True)
class Signature:
    credential: Credential
    signed_headers: tuple[str, ...]
    value: str
    at: str  # yyyymmddThhmmssZ
    is_presigned: bool
    expires: int = SKEW_SECONDS
    date_header: str = "x-amz-date"


def _incomplete(message: str) -> AwsError:
    return ClientFault("IncompleteSignatureException", message, 400)


def verify(request: Request, secret_for: Callable[[str], str | None], now: float) -> Credential:
    """The credential that signed the request. `secret_for` gives the secret of an access key id, None when it is not
    known; `now` is epoch seconds.

    Raises AwsError with the codes of JSON services: MissingAuthenticationTokenException,
    IncompleteSignatureException, UnrecognizedClientException, InvalidSignatureException.
    """
    signature = read_signature(request)
    if signature is None:
        raise ClientFault("MissingAuthenticationTokenException", "Missing Authentication Token", 400)
    secret = secret_for(signature.credential.access_key_id)
    if secret is None:
        raise ClientFault(
            "UnrecognizedClientException", "The security token included in the request is invalid.", 400
        )
    _check_time(signature, now)
    _check_signed_headers(request, signature)
    key, body_hash = _signing_key(secret, signature.credential), _payload_hash(request)
    for canonical_query in _canonical_queries(request.query, signature.is_presigned):
        text = _string_to_sign(request, signature, canonical_query, body_hash)
        expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), signature.value.encode()):
            return signature.credential
    raise ClientFault("InvalidSignatureException", _MISMATCH)


def _check_signed_headers(request: Request, signature: Signature) -> None:
    """What must not be changed on the way must be signed: the host, the operation, and the time unless the query
    holds it."""
    needed = ["host"] if signature.is_presigned else ["host", signature.date_header]
    if "x-amz-target" in request.headers:
        needed.append("x-amz-target")
    for name in needed:
        if name not in signature.signed_headers:
            raise ClientFault(
                "InvalidSignatureException",
                f"'{name.title()}' must be a 'SignedHeader' in the AWS Authorization.",
            )
    for name in signature.signed_headers:
        if name not in request.headers:
            raise ClientFault(
                "InvalidSignatureException", f"The signed header {name[:64]!r} is not in the request."
            )


def parse_scope(request: Request) -> Credential | None:
    """The credential scope as claimed, unverified; None when there is none that can be read."""
    try:
        signature = read_signature(request)
    except AwsError:
        return None
    return signature.credential if signature else None


def read_signature(request: Request) -> Signature | None:
    """The signature a request carries, or None. Raises AwsError when it is malformed."""
    header = request.headers.get("authorization", "")
    if header:
        return _from_header(request, header)
    pairs = dict(_query_pairs(request.query))
    if "X-Amz-Signature" in pairs:
        return _from_query(pairs)
    return None


def _from_header(request: Request, header: str) -> Signature:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM or len(header) > MAX_AUTHORIZATION:
        raise _incomplete(f"Authorization must use {ALGORITHM}.")
    parts = {}
    for piece in rest.split(","):
        name, _, value = piece.strip().partition("=")
        parts[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    at, date_header = _date(request)
    return Signature(
        _credential(parts["Credential"]),
        tuple(parts["SignedHeaders"].lower().split(";")),
        parts["Signature"],
        at,
        is_presigned=False,
        date_header=date_header,
    )


def _date(request: Request) -> tuple[str, str]:
    """When it was signed, and the header that says so: X-Amz-Date, else Date (an HTTP date there)."""
    at = request.headers.get("x-amz-date", "")
    if at:
        return at, "x-amz-date"
    at = request.headers.get("date", "")
    if not at:
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if _AT.fullmatch(at):
        return at, "date"
    try:
        parsed = parsedate_to_datetime(at[:64])
        return _stamp((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()), "date"
    except (ValueError, OverflowError) as error:
        raise _incomplete("Date must be an HTTP date, or in ISO-8601 'basic format'.") from error


def _from_query(pairs: Mapping[str, str]) -> Signature:
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"):
        if not pairs.get(name):
            raise _incomplete(f"AWS query-string parameters must include '{name}'.")
    expires = pairs["X-Amz-Expires"]
    if pairs["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(f"X-Amz-Algorithm must be {ALGORITHM}.")
    if not re.fullmatch("[0-9]{1,6}", expires) or int(expires) > PRESIGNED_MOST_SECONDS:
        raise _incomplete(
            f"X-Amz-Expires must be a number of seconds, at most {PRESIGNED_MOST_SECONDS} (a week)."
        )
    return Signature(
        _credential(pairs["X-Amz-Credential"]),
        tuple(pairs["X-Amz-SignedHeaders"].lower().split(";")),
        pairs["X-Amz-Signature"],
        pairs["X-Amz-Date"],
        is_presigned=True,
        expires=int(expires),
    )


def _credential(text: str) -> Credential:
    parts = text.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise _incomplete("Credential must have exactly 5 slash-delimited elements, ending in aws4_request.")
    if not re.fullmatch(r"\d{8}", parts[1]) or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", parts[2]):
        raise _incomplete("Credential has a malformed date or region.")
    return Credential(parts[0], parts[1], parts[2], parts[3])


def _check_time(signature: Signature, now: float) -> None:
    at = _epoch(signature.at)
    if not signature.at.startswith(signature.credential.date):
        raise ClientFault(
            "InvalidSignatureException", "Date in Credential scope does not match the request's date."
        )
    if now - at > signature.expires:
        what = f"{_stamp(at)} is now earlier than {_stamp(now - signature.expires)}"
        detail = f" ({_stamp(now)} - {signature.expires // 60} min.)"
        raise ClientFault("InvalidSignatureException", f"Signature expired: {what}{detail}")
    if at - now > SKEW_SECONDS:
        what = f"{_stamp(at)} is still later than {_stamp(now + SKEW_SECONDS)}"
        raise ClientFault(
            "InvalidSignatureException", f"Signature not yet current: {what} ({_stamp(now)} + 5 min.)"
        )


def _epoch(text: str) -> float:
    found = _AT.fullmatch(text)
    try:
        if found:
            year, month, day, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError as error:
        raise _incomplete("Date must be a time that exists.") from error
    raise _incomplete("Date must be in ISO-8601 'basic format', as 20261101T093000Z.")


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def _string_to_sign(request: Request, signature: Signature, canonical_query: str, body_hash: str) -> str:
    canonical = "\n".join(
        (
            request.method.upper(),
            _path(request.path),
            canonical_query,
            "".join(f"{name}:{_trimmed(request.headers[name])}\n" for name in signature.signed_headers),
            ";".join(signature.signed_headers),
            body_hash,
        )
    )
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    scope = signature.credential
    return f"{ALGORITHM}\n{signature.at}\n{scope.date}/{scope.region}/{scope.service}/aws4_request\n{digest}"


def _payload_hash(request: Request) -> str:
    """The hash of the body as received: one that the client names is taken only if it is true, so the body is a
    signed part always. (UNSIGNED-PAYLOAD and streaming are S3's.)"""
    actual = hashlib.sha256(request.body).hexdigest()
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed and claimed != actual:
        raise ClientFault(
            "InvalidSignatureException", "The x-amz-content-sha256 header is not the SHA-256 of the body."
        )
    return actual


def _path(path: str) -> str:
    """The canonical URI: dots and doubled slashes resolved, then encoded once more (all services but S3)."""
    absolute = path or "/"
    out: list[str] = []
    for segment in absolute.split("/"):
        if segment in ("", "."):
            continue
        if segment == "..":
            if out:
                out.pop()
            continue
        out.append(segment)
    text = "/" + "/".join(out)
    if out and absolute.endswith("/"):
        text += "/"
    return quote(text, safe="/~")


def _query_pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


def _canonical_queries(query: str, is_presigned: bool) -> tuple[str, ...]:
    """The canonical query string, in the two readings clients have.

    By the book: decoded, encoded anew, sorted ("+" is a space, as servers read it). Many signers, botocore's among
    them, take the query of a URL as already encoded and only sort it. Either covers every character of the query.
    """
    pieces = (piece.partition("=") for piece in query.split("&")) if query else ()
    sent = [
        (name, value)
        for name, _, value in pieces
        if not (is_presigned and unquote(name) == "X-Amz-Signature")
    ]
    encoded = [(_encoded(name), _encoded(value)) for name, value in sent if name or value]
    by_the_book = "&".join(f"{name}={value}" for name, value in sorted(encoded))
    as_sent = "&".join(f"{name}={value}" for name, value in sorted(sent))
    return (by_the_book,) if as_sent == by_the_book else (by_the_book, as_sent)


def _encoded(text: str) -> str:
    return quote(unquote_plus(text, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")


def _trimmed(value: str) -> str:
    return " ".join(value.split())


def _signing_key(secret: str, scope: Credential) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
