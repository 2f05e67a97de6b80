"""Answers compiled to closures: what an operation returns, as JSON-able values of its output shape.

Strict where decoding is lenient: a member or a type that the model does not know is a defect of ours and raises
BadOutput, so that a misspelt field fails in a test and never reaches a client as silence.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, ShapeResolver, StructureShape

Encode = Callable[[Any], Any]
_encoders: dict[tuple[ShapeResolver, str], Encode] = {}


class BadOutput(Exception):
    """We answer with something the model does not know: a defect of ours."""


def encode(shape: Shape | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-able values by member name: timestamps are epoch seconds in and out, blobs are bytes in and base64 out;
    None counts as absent. Raises BadOutput."""
    if shape is None:
        return {}
    encoded: dict[str, Any] = _encoder(shape)(value)
    return encoded


def _encoder(shape: Shape) -> Encode:
    key = (shape._shape_resolver, shape.name)
    found = _encoders.get(key)
    if found is None:
        # A shape may contain itself: the name is bound before its members are compiled.
        def later(value: Any) -> Any:
            return _encoders[key](value)

        _encoders[key] = later
        found = _encoders[key] = _compile(shape)
    return found


def _compile(shape: Shape) -> Encode:
    if isinstance(shape, StructureShape):
        return _document if shape.metadata.get("document") else _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    return _blob(shape.name) if shape.type_name == "blob" else _scalar(shape.type_name, shape.name)


def _structure(shape: StructureShape) -> Encode:
    members = {name: _encoder(member) for name, member in shape.members.items()}
    name_of = shape.name

    def run(value: Any) -> Any:
        if not isinstance(value, dict) and not isinstance(value, Mapping):
            raise BadOutput(f"{name_of} is a structure, not {value!r}")
        out = {}
        for name, item in value.items():
            member = members.get(name)
            if member is None:
                raise BadOutput(f"{name_of} has no member {name!r}")
            if item is not None:
                out[name] = member(item)
        return out

    return run


def _list(shape: ListShape) -> Encode:
    member, name_of = _encoder(shape.member), shape.name
    plain = frozenset(_PYTHON.get(shape.member.type_name, ()))
    are_numbers = float in plain

    def run(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise BadOutput(f"{name_of} is a list, not {value!r}")
        # A hundred thousand datapoints are looked at together; one by one only to name the one that does not fit.
        if plain.issuperset(map(type, value)) and not (are_numbers and not all(map(math.isfinite, value))):
            return list(value)
        return [member(item) for item in value]

    return run


def _map(shape: MapShape) -> Encode:
    member, name_of = _encoder(shape.value), shape.name

    def run(value: Any) -> Any:
        if not isinstance(value, dict) and not isinstance(value, Mapping):
            raise BadOutput(f"{name_of} is a map, not {value!r}")
        return {str(key): member(item) for key, item in value.items()}

    return run


def _document(value: Any) -> Any:
    return value


_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "timestamp": (float, int),
}


def _scalar(kind: str, name: str) -> Encode:
    expected = _PYTHON[kind]
    is_number = kind not in ("string", "character", "boolean")

    def run(value: Any) -> Any:
        fits = isinstance(value, expected)
        if is_number and fits:
            fits = not isinstance(value, bool) and math.isfinite(value)
        if not fits:
            raise BadOutput(f"{name} is a {kind}, not {value!r}")
        return value

    return run


def _blob(name: str) -> Encode:
    def run(value: Any) -> Any:
        if not isinstance(value, bytes):
            raise BadOutput(f"{name} is a blob, not {value!r}")
        return base64.b64encode(value).decode()

    return run
