"""CBOR as Smithy's RPC v2 has it: one item in, one out; times are tag 1, blobs byte strings (Smithy RPC v2 CBOR)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import cbor2
from botocore.model import ListShape, MapShape, Shape, ShapeResolver, StructureShape

from monitor.model.errors import ClientFault

EPOCH = 1
MAX_NESTING = 64  # of the bytes; what the shapes know is bounded again, more tightly, by shapes.MAX_DEPTH
Convert = Callable[[Any], Any]


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
    """`encoded`: as answers.encode gives it. Half a character, which has no bytes, becomes "?"."""
    convert = _converter(shape) if shape is not None else None
    value = convert(encoded) if convert is not None else encoded
    try:
        body: bytes = cbor2.dumps(value)
    except UnicodeEncodeError:
        body = cbor2.dumps(_whole_characters(value))
    return body


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_whole_characters(name): _whole_characters(item) for name, item in value.items()}
    return [_whole_characters(item) for item in value] if isinstance(value, list) else value


_converters: dict[tuple[ShapeResolver, str], Convert | None] = {}


def _converter(shape: Shape) -> Convert | None:
    """None where nothing of the shape is spelt otherwise than in JSON. Output shapes here do not contain themselves
    with times inside; one that contains itself counts as plain."""
    key = (shape._shape_resolver, shape.name)
    if key not in _converters:
        _converters[key] = None
        _converters[key] = _compiled(shape)
    return _converters[key]


def _compiled(shape: Shape) -> Convert | None:
    if isinstance(shape, StructureShape):
        members = {name: c for name, m in shape.members.items() if (c := _converter(m)) is not None}
        return _structure(members) if members else None
    if isinstance(shape, ListShape):
        item = _converter(shape.member)
        return None if item is None else lambda value: [item(v) for v in value]
    if isinstance(shape, MapShape):
        entry = _converter(shape.value)
        return None if entry is None else lambda value: {k: entry(v) for k, v in value.items()}
    if shape.type_name == "timestamp":
        return lambda value: cbor2.CBORTag(EPOCH, value)
    if shape.type_name == "blob":
        return base64.b64decode
    return None


def _structure(members: Mapping[str, Convert]) -> Convert:
    def run(value: Any) -> Any:
        return {k: members[k](v) if k in members else v for k, v in value.items()}

    return run
