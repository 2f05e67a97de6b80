"""CBOR as Smithy's RPC v2 has it: one item in, one out; times are tag 1, blobs byte strings (Smithy RPC v2 CBOR)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from functools import partial
from struct import Struct
from typing import Any, NoReturn

import cbor2
from botocore.model import ListShape, MapShape, Shape, ShapeResolver, StructureShape

from monitor.model.errors import ClientFault

EPOCH = 1
MAX_NESTING = 64  # of the bytes; what the shapes know is bounded again, more tightly, by shapes.MAX_DEPTH


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """What is made of tags: seconds of tag 1, and a refusal of every other one. The library would make regular
    expressions, MIME messages, fractions, numbers of any size and references of them, at the sender's choice."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        return _refused


def _refused(_value: Any, _immutable: bool) -> NoReturn:
    raise ValueError("the only tag taken here is 1, seconds since the epoch")


def _seconds(value: Any, _immutable: bool) -> int | float:
    # left as a number: whether it is a time that can be told is for shapes.decode, which knows the member's name
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("tag 1 must hold a number of seconds")
    return value


_TAGS = _Tags({EPOCH: _seconds})


def load(body: bytes) -> Any:
    """The body's one item; an empty body counts as {}.

    Raises ClientFault: SerializationException for bytes that are not CBOR, are cut off or go on after the item, nest
    more than MAX_NESTING levels, name a member twice, name one by anything but text, or hold a tag other than 1.
    """
    if not body:
        return {}
    stream = io.BytesIO(body)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refused,
        semantic_decoders=_TAGS,
        max_depth=MAX_NESTING,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError) as error:
        raise _malformed(str(error)) from error
    if stream.tell() != len(body):
        raise _malformed("there is more after its end")
    return value


def _malformed(why: str) -> ClientFault:
    return ClientFault("SerializationException", f"The request is not valid CBOR: {why}"[:300])


def dump(shape: Shape | None, encoded: Mapping[str, Any]) -> bytes:
    """`encoded`: as answers.encode gives it; without a shape, plain values. Half a character, which has no bytes,
    becomes "?"."""
    if shape is None:
        return bytes(cbor2.dumps(_whole_characters(encoded)))
    out = bytearray()
    _writer(shape)(encoded, out)
    return bytes(out)


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_whole_characters(name): _whole_characters(item) for name, item in value.items()}
    return [_whole_characters(item) for item in value] if isinstance(value, list) else value


# Writers are compiled from shapes: the library would first need a tagged object of each time, of which an answer has a
# hundred thousand. How items begin: RFC 8949, section 3.

Write = Callable[[Any, bytearray], None]
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(6)
_FALSE, _TRUE, _DOUBLE, _TIME = 0xF4, 0xF5, 0xFB, 0xC1FB
_pack_double, _pack_time = Struct(">Bd").pack, Struct(">Hd").pack
_writers: dict[tuple[ShapeResolver, str], Write] = {}


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes((major << 5 | number,))
    for more, size in enumerate((1, 2, 4, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | 24 + more,)) + number.to_bytes(size, "big")
    raise OverflowError(f"{number} does not fit into 8 bytes")


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    return _head(_TEXT, len(data)) + data


def _writer(shape: Shape) -> Write:
    key = (shape._shape_resolver, shape.name)
    found = _writers.get(key)
    if found is None:
        # A shape may contain itself: the name is bound before its members are compiled.
        def later(value: Any, out: bytearray) -> None:
            _writers[key](value, out)

        _writers[key] = later
        found = _writers[key] = _compiled(shape)
    return found


def _compiled(shape: Shape) -> Write:
    if isinstance(shape, StructureShape):
        return _document if shape.metadata.get("document") else _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    match shape.type_name:
        case "timestamp":
            return _one(lambda value: _pack_time(_TIME, value))
        case "float" | "double":
            return _one(lambda value: _pack_double(_DOUBLE, value))
        case "integer" | "long":
            return _one(lambda value: _head(*((_UNSIGNED, value) if value >= 0 else (_NEGATIVE, -1 - value))))
        case "boolean":
            return _one(lambda value: bytes((_TRUE if value else _FALSE,)))
        case "blob":
            return _one(lambda value: _bytes(base64.b64decode(value)))
    return _one(_text)


def _one(spell: Callable[[Any], bytes]) -> Write:
    def run(value: Any, out: bytearray) -> None:
        out += spell(value)

    return run


def _bytes(value: bytes) -> bytes:
    return _head(_BYTES, len(value)) + value


def _document(value: Any, out: bytearray) -> None:
    out += cbor2.dumps(_whole_characters(value))


def _structure(shape: StructureShape) -> Write:
    members = {name: (_text(name), _writer(member)) for name, member in shape.members.items()}

    def run(value: Any, out: bytearray) -> None:
        out += _head(_MAP, len(value))
        for name, item in value.items():
            key, write = members[name]
            out += key
            write(item, out)

    return run


def _list(shape: ListShape) -> Write:
    write = _writer(shape.member)
    at_once = {
        "timestamp": partial(_pack_time, _TIME),
        "double": partial(_pack_double, _DOUBLE),
    }.get(shape.member.type_name)

    def run(value: Any, out: bytearray) -> None:
        out += _head(_ARRAY, len(value))
        if at_once is not None:
            out += b"".join(map(at_once, value))
            return
        for item in value:
            write(item, out)

    return run


def _map(shape: MapShape) -> Write:
    write = _writer(shape.value)

    def run(value: Any, out: bytearray) -> None:
        out += _head(_MAP, len(value))
        for key, item in value.items():
            out += _text(key)
            write(item, out)

    return run
