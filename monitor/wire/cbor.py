"""CBOR as Smithy's RPC v2 has it: one item in, one out; times are tag 1, blobs byte strings (Smithy RPC v2 CBOR)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import cbor2
from botocore.model import ListShape, MapShape, Shape, ShapeResolver, StructureShape

from monitor.model.errors import ClientFault

EPOCH = 1
Convert = Callable[[Any], Any]


def load(body: bytes) -> Any:
    """The body's one item; an empty body counts as {}. Raises ClientFault. Depth is bounded by the library, and again
    by the shapes, as are types beyond JSON's."""
    if not body:
        return {}
    try:
        return cbor2.loads(body)
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError) as error:
        raise ClientFault(
            "SerializationException", f"The request is not valid CBOR: {error}"[:300]
        ) from error


def dump(shape: Shape | None, encoded: Mapping[str, Any]) -> bytes:
    """`encoded`: as answers.encode gives it."""
    convert = _converter(shape) if shape is not None else None
    body: bytes = cbor2.dumps(convert(encoded) if convert is not None else encoded)
    return body


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
