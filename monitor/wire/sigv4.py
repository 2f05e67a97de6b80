"""Signature Version 4, checked (AWS General Reference, "Signature Version 4 signing process").

Works on the request as it came: header form, and presigned query form. What differs in any signed part does
not verify; comparison takes the same time wherever it differs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from monitor.model.errors import AwsError, ClientFault
from monitor.wire.http import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS = 300
PRESIGNED_MOST_SECONDS = 7 * 86400
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
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


def _incomplete(message: str) -> AwsError:
    return ClientFault("IncompleteSignatureException", message, 400)


def verify(request: Request, secret_for: Callable[[str], str | None], now: float) -> Credential:
    """The credential that signed the request. Raises AwsError with AWS's codes; `now` is epoch seconds."""
    signature = read_signature(request)
    if signature is None:
        raise ClientFault("MissingAuthenticationTokenException", "Missing Authentication Token", 400)
    secret = secret_for(signature.credential.access_key_id)
    if secret is None:
        raise ClientFault(
            "UnrecognizedClientException", "The security token included in the request is invalid.", 400
        )
    _check_time(signature, now)
    if "host" not in signature.signed_headers:
        raise ClientFault(
            "InvalidSignatureException", "'Host' must be a 'SignedHeader' in the AWS Authorization."
        )
    expected = _sign(secret, signature, _string_to_sign(request, signature))
    if not hmac.compare_digest(expected.encode(), signature.value.encode()):
        raise ClientFault("InvalidSignatureException", _MISMATCH)
    return signature.credential


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
    if algorithm != ALGORITHM or len(header) > 8192:
        raise _incomplete(f"Authorization must use {ALGORITHM}.")
    parts = {}
    for piece in rest.split(","):
        name, _, value = piece.strip().partition("=")
        parts[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    at = request.headers.get("x-amz-date", "")
    if not at:
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    return Signature(
        _credential(parts["Credential"]),
        tuple(parts["SignedHeaders"].lower().split(";")),
        parts["Signature"],
        at,
        is_presigned=False,
    )


def _from_query(pairs: Mapping[str, str]) -> Signature:
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"):
        if not pairs.get(name):
            raise _incomplete(f"AWS query-string parameters must include '{name}'.")
    expires = pairs["X-Amz-Expires"]
    if (
        pairs["X-Amz-Algorithm"] != ALGORITHM
        or not expires.isdecimal()
        or int(expires) > PRESIGNED_MOST_SECONDS
    ):
        raise _incomplete("The presigned request is malformed, or valid for more than a week.")
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
    try:
        at = datetime.strptime(signature.at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise _incomplete("Date must be in ISO-8601 'basic format'.") from error
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


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def _string_to_sign(request: Request, signature: Signature) -> str:
    scope = signature.credential
    canonical = "\n".join(
        (
            request.method.upper(),
            _path(request.path),
            _canonical_query(request.query, signature.is_presigned),
            "".join(f"{name}:{_header(request, name)}\n" for name in signature.signed_headers),
            ";".join(signature.signed_headers),
            _payload_hash(request),
        )
    )
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{signature.at}\n{scope.date}/{scope.region}/{scope.service}/aws4_request\n{digest}"


def _payload_hash(request: Request) -> str:
    """The hash of the body as received: a hash the client names is taken only if it is true."""
    actual = hashlib.sha256(request.body).hexdigest() if request.body else _EMPTY_HASH
    claimed = request.headers.get("x-amz-content-sha256")
    if (claimed and claimed not in (actual, "UNSIGNED-PAYLOAD")) or claimed == "UNSIGNED-PAYLOAD":
        raise ClientFault(
            "InvalidSignatureException", "The x-amz-content-sha256 header does not match the body."
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
            pairs.append((unquote(name), unquote(value)))
    return pairs


def _canonical_query(query: str, is_presigned: bool) -> str:
    pairs = [
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in (piece.partition("=") for piece in query.split("&") if piece)
        if not (is_presigned and unquote(name) == "X-Amz-Signature")
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name)
    if value is None:
        raise ClientFault(
            "InvalidSignatureException", f"The signed header {name[:64]!r} is not in the request."
        )
    return " ".join(value.split())


def _sign(secret: str, signature: Signature, text: str) -> str:
    scope = signature.credential
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
