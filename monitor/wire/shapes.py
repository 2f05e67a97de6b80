"""Shapes compiled to closures: decode and check what clients send, encode what we answer.

botocore's own validator skips maxima and enums and words its findings for developers; this one checks what the
model names and words them as AWS's front end does ("Value 'x' at 'member' failed to satisfy constraint: …").
Unknown members are ignored and nulls count as absent, as in AWS. Depth is bounded by the shapes themselves:
the only recursion the models have is cut off at MAX_DEPTH.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from monitor.model.errors import AwsError, ClientFault

MAX_DEPTH = 32
MAX_FINDINGS = 10
SHOWN = 64

Findings = list[str]
Decode = Callable[[Any, str, Findings, int], Any]
Encode = Callable[[Any, int], Any]


class WrongType(Exception):
    """A value of another JSON type than the model names."""

    def __init__(self, path: str, expected: str, value: object) -> None:
        super().__init__(f"{path or 'the request'} must be {expected}, got {_json_type(value)}")


class BadOutput(Exception):
    """We answer with something the model does not know: a defect of ours."""


def decode(shape: Shape | None, value: Any) -> dict[str, Any]:
    """The request's parameters, checked. Raises AwsError: SerializationException for wrong JSON types,
    InvalidParameterException for values the model does not allow."""
    if shape is None:
        return {}
    findings: Findings = []
    try:
        decoded: dict[str, Any] = _decoder(shape)(value, "", findings, 0)
    except WrongType as error:
        raise ClientFault("SerializationException", str(error)) from error
    if findings:
        raise _invalid(findings)
    return decoded


def encode(shape: Shape | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """Our answer as JSON-able values. Raises BadOutput."""
    if shape is None:
        return {}
    encoded: dict[str, Any] = _encoder(shape)(value, 0)
    return encoded


def _invalid(findings: Findings) -> AwsError:
    shown = "; ".join(findings[:MAX_FINDINGS])
    plural = "" if len(findings) == 1 else "s"
    return ClientFault(
        "InvalidParameterException", f"{len(findings)} validation error{plural} detected: {shown}"
    )


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _fail(value: object, path: str, findings: Findings, constraint: str) -> None:
    shown = str(value)[:SHOWN]
    findings.append(f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must {constraint}")


# -- decoding -----------------------------------------------------------------------------------------

_decoders: dict[tuple[int, str], Decode] = {}
_encoders: dict[tuple[int, str], Encode] = {}


def _decoder(shape: Shape) -> Decode:
    key = (id(shape._shape_resolver), shape.name)
    found = _decoders.get(key)
    if found is None:
        # A shape may contain itself: the name is bound before its members are compiled.
        def later(value: Any, path: str, findings: Findings, depth: int) -> Any:
            return _decoders[key](value, path, findings, depth)

        _decoders[key] = later
        found = _decoders[key] = _compile_decoder(shape)
    return found


def _compile_decoder(shape: Shape) -> Decode:
    if isinstance(shape, StructureShape):
        return _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    return _scalar(shape)


def _structure(shape: StructureShape) -> Decode:
    members = {name: _decoder(member) for name, member in shape.members.items()}
    required = tuple(shape.required_members)

    def run(value: Any, path: str, findings: Findings, depth: int) -> Any:
        if not isinstance(value, dict) or depth > MAX_DEPTH:
            raise WrongType(path, "an object", value)
        out = {}
        prefix = f"{path}." if path else ""
        for name, item in value.items():
            member = members.get(name)
            if member is not None and item is not None:
                out[name] = member(item, prefix + name, findings, depth + 1)
        for name in required:
            if name not in out:
                _fail("null", prefix + name, findings, "not be null")
        return out

    return run


def _list(shape: ListShape) -> Decode:
    member = _decoder(shape.member)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def run(value: Any, path: str, findings: Findings, depth: int) -> Any:
        if not isinstance(value, list) or depth > MAX_DEPTH:
            raise WrongType(path, "a list", value)
        if (low is not None and len(value) < low) or (high is not None and len(value) > high):
            _fail(f"{len(value)} items", path, findings, f"have length between {low or 0} and {high}")
        return [
            member(item, f"{path}.{i + 1}.member", findings, depth + 1)
            for i, item in enumerate(value)
            if item is not None
        ]

    return run


def _map(shape: MapShape) -> Decode:
    member = _decoder(shape.value)

    def run(value: Any, path: str, findings: Findings, depth: int) -> Any:
        if not isinstance(value, dict) or depth > MAX_DEPTH:
            raise WrongType(path, "an object", value)
        return {
            key: member(item, f"{path}.{key}", findings, depth + 1)
            for key, item in value.items()
            if item is not None
        }

    return run


def _scalar(shape: Shape) -> Decode:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "string" | "character":
            return _string(tuple(getattr(shape, "enum", None) or ()), low, high)
        case "integer" | "long":
            bits = 31 if shape.type_name == "integer" else 63
            return _integer(low, high, bits)
        case "float" | "double":
            return _float
        case "boolean":
            return _boolean
        case "timestamp":
            return _timestamp
        case "blob":
            return _blob
    raise ValueError(f"no decoder for the shape type {shape.type_name}")


def _string(enum: tuple[str, ...], low: int | None, high: int | None) -> Decode:
    allowed = frozenset(enum)

    def run(value: Any, path: str, findings: Findings, _depth: int) -> Any:
        if not isinstance(value, str):
            raise WrongType(path, "a string", value)
        if allowed and value not in allowed:
            _fail(value, path, findings, f"satisfy enum value set: [{', '.join(enum)}]")
        if (low is not None and len(value) < low) or (high is not None and len(value) > high):
            _fail(value, path, findings, f"have length between {low or 0} and {high}")
        return value

    return run


def _integer(low: int | None, high: int | None, bits: int) -> Decode:
    def run(value: Any, path: str, findings: Findings, _depth: int) -> Any:
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise WrongType(path, "a whole number", value)
        number = int(value)
        if not -(2**bits) <= number < 2**bits:
            raise WrongType(path, f"a whole number of at most {bits + 1} bits", value)
        if low is not None and number < low:
            _fail(number, path, findings, f"have value greater than or equal to {low}")
        if high is not None and number > high:
            _fail(number, path, findings, f"have value less than or equal to {high}")
        return number

    return run


def _float(value: Any, path: str, _findings: Findings, _depth: int) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(path, "a number", value)
    try:
        return float(value)
    except OverflowError as error:
        raise WrongType(path, "a number of 64 bits", value) from error


def _boolean(value: Any, path: str, _findings: Findings, _depth: int) -> Any:
    if not isinstance(value, bool):
        raise WrongType(path, "a boolean", value)
    return value


def _timestamp(value: Any, path: str, findings: Findings, _depth: int) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(path, "a timestamp (seconds since the epoch)", value)
    try:
        seconds = float(value)
    except OverflowError as error:
        raise WrongType(path, "a timestamp (seconds since the epoch)", value) from error
    if not math.isfinite(seconds) or not 0 <= seconds < 1e11:
        _fail(value, path, findings, "be a time between 1970 and the year 5138")
    return seconds


def _blob(value: Any, path: str, _findings: Findings, _depth: int) -> Any:
    if not isinstance(value, str):
        raise WrongType(path, "a base64 string", value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongType(path, "a base64 string", value) from error


# -- encoding -----------------------------------------------------------------------------------------


def _encoder(shape: Shape) -> Encode:
    key = (id(shape._shape_resolver), shape.name)
    found = _encoders.get(key)
    if found is None:

        def later(value: Any, depth: int) -> Any:
            return _encoders[key](value, depth)

        _encoders[key] = later
        found = _encoders[key] = _compile_encoder(shape)
    return found


def _compile_encoder(shape: Shape) -> Encode:
    if isinstance(shape, StructureShape):
        members = {name: _encoder(member) for name, member in shape.members.items()}
        name_of = shape.name

        def structure(value: Any, depth: int) -> Any:
            try:
                return {
                    name: members[name](item, depth + 1) for name, item in value.items() if item is not None
                }
            except KeyError as error:
                raise BadOutput(f"{name_of} has no member {error}") from error

        return structure
    if isinstance(shape, ListShape):
        item_encoder = _encoder(shape.member)
        return lambda value, depth: [item_encoder(item, depth + 1) for item in value]
    if isinstance(shape, MapShape):
        value_encoder = _encoder(shape.value)
        return lambda value, depth: {key: value_encoder(item, depth + 1) for key, item in value.items()}
    return _encode_scalar(shape.type_name, shape.name)


_PYTHON: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "character": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "boolean": bool,
    "timestamp": (int, float),
}


def _encode_scalar(kind: str, name: str) -> Encode:
    if kind == "blob":
        return lambda value, _: base64.b64encode(value).decode()
    expected = _PYTHON[kind]

    def scalar(value: Any, _depth: int) -> Any:
        if not isinstance(value, expected):
            raise BadOutput(f"{name} is a {kind}, not {value!r}")
        return value

    return scalar
