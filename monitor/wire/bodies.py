"""How large a request may be, as it came and as it was before its client compressed it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

from monitor.model.errors import ClientFault
from monitor.wire.http import MAX_BODY_BYTES, Request

# A batch of log events, or of events, is one MiB of text (PutLogEvents, PutEvents), which JSON may spell six times as
# long ("\u001b"), and each of the batch's entries has names around it.
MAX_BATCH_BYTES = 8 * 1024 * 1024
_BATCHES = frozenset(("Logs_20140328.PutLogEvents", "AWSEvents.PutEvents", "AWSEvents.TestEventPattern"))


def most_bytes(headers: Mapping[str, str]) -> int:
    """How many bytes a request with these headers (names in lower case) may have, compressed or not."""
    return MAX_BATCH_BYTES if headers.get("x-amz-target", "") in _BATCHES else MAX_BODY_BYTES


def too_large(limit: int) -> ClientFault:
    message = f"The request is larger than {limit} bytes: send less at once."
    return ClientFault("RequestEntityTooLarge", message, 413)


def checked(request: Request) -> Request:
    """The request with its body as the client had it before compressing: never more than a plain one may have.

    Raises ClientFault: RequestEntityTooLarge, SerializationException for what is not gzip.
    """
    limit = most_bytes(request.headers)
    if len(request.body) > limit:
        raise too_large(limit)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return request
    if encoding != "gzip":
        raise ClientFault("SerializationException", f"Content-Encoding {encoding[:32]!r} is not gzip.")
    return replace(request, body=_inflated(request.body, limit))


def _inflated(body: bytes, limit: int) -> bytes:
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = inflate.decompress(body, limit + 1)
    except zlib.error as error:
        raise ClientFault("SerializationException", f"The request is not valid gzip: {error}") from error
    if len(plain) > limit:
        raise too_large(limit)
    if not inflate.eof:
        raise ClientFault("SerializationException", "The request is not valid gzip: it is cut off.")
    # gzip allows further members; clients send one, and each would be a bound of its own
    if inflate.unused_data:
        raise ClientFault(
            "SerializationException", "The request is not valid gzip: there is more after its end."
        )
    return plain
