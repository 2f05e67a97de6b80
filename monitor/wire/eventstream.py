"""Answers that go on: messages of application/vnd.amazon.eventstream (Amazon Transcribe developer guide, "Event stream
encoding"; Smithy, "Amazon Event Stream").

    total length u32 | headers' length u32 | CRC-32 of these 8 bytes | headers | payload | CRC-32 of all before it

All numbers are big-endian. A header is the length of its name (u8), the name, the type (7: string), the length of the
value (u16) and the value. A JSON service sends `initial_response` first, then events, and an exception ends the stream.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel, Shape, StructureShape

from monitor.wire import answers
from monitor.wire.answers import BadOutput

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MOST_PAYLOAD = 16 * 1024 * 1024  # bytes; clients take 24 MiB of a message at most, older ones 16
_STRING = 7
_PRELUDE, _CRC = struct.Struct("!II"), struct.Struct("!I")
_JSON = "application/json"


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Raises BadOutput for a payload over MOST_PAYLOAD, or a header too long for its length's field."""
    if len(payload) > MOST_PAYLOAD:
        raise BadOutput(f"a message of {len(payload)} bytes: at most {MOST_PAYLOAD}")
    head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(_PRELUDE.size + _CRC.size + len(head) + len(payload) + _CRC.size, len(head))
    body = prelude + _CRC.pack(zlib.crc32(prelude)) + head + payload
    return body + _CRC.pack(zlib.crc32(body))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    if not 0 < len(key) < 2**8 or len(text) >= 2**15:
        raise BadOutput(f"the header {name[:32]!r} is empty or too long")
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(text)) + text


def initial_response(operation: OperationModel, body: Mapping[str, Any]) -> bytes:
    """What a JSON service sends first: the members of the answer beside the stream. Raises BadOutput."""
    stream = _stream_name(operation)
    if stream in body:
        raise BadOutput(f"{stream} of {operation.name} is told by events")
    return _told("event", "initial-response", answers.encode(operation.output_shape, body))


def event(operation: OperationModel, kind: str, body: Mapping[str, Any]) -> bytes:
    """One event of the operation's stream, or the exception that ends it. `kind`: the member of the stream's shape,
    "sessionUpdate" say; `body`: as an operation's answer, checked against the member's shape. Raises BadOutput."""
    assert operation.output_shape is not None  # _stream_name looked
    member = _member(operation.output_shape.members[_stream_name(operation)], kind, operation.name)
    payload = answers.encode(member, body)
    return _told("exception" if member.metadata.get("exception") else "event", kind, payload)


def _told(message_type: str, kind: str, payload: Mapping[str, Any]) -> bytes:
    headers = {f":{message_type}-type": kind, ":content-type": _JSON, ":message-type": message_type}
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return message(headers, text.encode("utf-8", "replace"))  # half a character of a log line becomes "?"


def _stream_name(operation: OperationModel) -> str:
    name = operation.output_shape.event_stream_name if operation.output_shape is not None else None
    if name is None:
        raise BadOutput(f"{operation.name} answers no event stream")
    return str(name)


def _member(stream: Shape, kind: str, name: str) -> Shape:
    found: Shape | None = stream.members.get(kind) if isinstance(stream, StructureShape) else None
    if found is None:
        raise BadOutput(f"the stream of {name} has no event {kind!r}")
    return found
