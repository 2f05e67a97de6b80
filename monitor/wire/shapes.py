"""Shapes compiled to closures that decode and check what clients send (answers.py is the way back).

botocore's own validator skips maxima and enums and words its findings for developers; this one checks what the
model names (types, required members, lengths, ranges, enums, unions; not patterns, which use Java's syntax) and
words it as AWS's front end does ("Value 'x' at 'member' failed to satisfy constraint: …"; ECS API reference,
Common Errors). Unknown members are ignored and nulls count as absent, as in AWS. Nothing goes deeper than MAX_DEPTH.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, ShapeResolver, StructureShape

from monitor.model.errors import AwsError, ClientFault

MAX_DEPTH = 32
MAX_FINDINGS = 10
MESSAGE = 1800  # characters
SHOWN = 64
LATEST = 253402300800.0  # the end of the year 9999, the last that datetime and RFC 3339 know

Findings = list[str]
# Where a value stands, as links to the root: spelt out only when there is something to complain about.
Path = tuple["Path", str | int] | None
Decode = Callable[[Any, Path, Findings, int], Any]


class Unreadable(Exception):
    """A value that cannot be read as what the model names; the message names the member."""


class WrongType(Unreadable):
    """A value of another JSON type than the model names."""

    def __init__(self, path: Path, expected: str, value: object) -> None:
        super().__init__(f"{_spell(path) or 'The request'} must be {expected}, got {_json_type(value)}.")


class NotFinite(WrongType):
    """Infinite, or no number: CBOR and Query can say so."""

    def __init__(self, path: Path, expected: str, value: object) -> None:
        super().__init__(path, expected, value)
        self.text = f"The value {_spell_number(value)} for parameter {_spell(path)} is invalid."


class TooDeep(Unreadable):
    def __init__(self, path: Path) -> None:
        where = ".".join(_spell(path).split(".")[:4])[:SHOWN]
        super().__init__(
            f"The value at {where or 'the request'} is nested more than {MAX_DEPTH} levels deep."
        )


def _spell_number(value: object) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value)[:SHOWN])


def _spell(path: Path) -> str:
    """As AWS spells it: "containerDefinitions.1.member.name"."""
    parts: list[str] = []
    while path is not None:
        path, step = path
        parts.append(f"{step}.member" if isinstance(step, int) else step[:SHOWN])
    return ".".join(reversed(parts))


def decode(shape: Shape | None, value: Any, not_finite: str = "SerializationException") -> dict[str, Any]:
    """The request's parameters, checked: numbers, strings, lists and dicts by member name; timestamps as epoch
    seconds (float), blobs as bytes.

    Raises AwsError: `not_finite` for a number that is none, SerializationException for a wrong JSON type,
    InvalidParameterException for values the model does not allow. AWS's front end calls the latter ValidationException,
    which no ECS client has a class for; InvalidParameterException is the code every ECS operation declares for a value
    that fails validation.
    """
    if shape is None:
        return {}
    findings: Findings = []
    try:
        decoded: dict[str, Any] = _decoder(shape)(value, None, findings, 0)
    except NotFinite as error:
        text = str(error) if not_finite == "SerializationException" else error.text
        raise ClientFault(not_finite, text) from error
    except Unreadable as error:
        raise ClientFault("SerializationException", str(error)) from error
    if findings:
        raise _invalid(findings)
    return decoded


def plain(value: Any) -> dict[str, Any]:
    """The parameters of an operation no model describes: a JSON object, bounded in depth, its numbers finite.
    Raises AwsError."""
    try:
        if not isinstance(value, dict):
            raise WrongType(None, "an object", value)
        _free_form(value, None, [], 0)
    except Unreadable as error:
        raise ClientFault("SerializationException", str(error)) from error
    return value


def _invalid(findings: Findings) -> AwsError:
    shown = findings[:MAX_FINDINGS]
    if len(findings) > len(shown):
        count = f"More than {len(shown)} validation errors"
    else:
        count = f"{len(findings)} validation error{'' if len(findings) == 1 else 's'}"
    text = f"{count} detected: {'; '.join(shown)}"
    return ClientFault("InvalidParameterException", text if len(text) <= MESSAGE else f"{text[:MESSAGE]}…")


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _fail(value: object, path: Path, findings: Findings, constraint: str) -> None:
    shown = str(value)[:SHOWN]
    if (
        len(findings) <= MAX_FINDINGS
    ):  # one more than is shown, so that a long list costs no more than a short one
        findings.append(
            f"Value '{shown}' at '{_spell(path)}' failed to satisfy constraint: Member must {constraint}"
        )


def _check_size(
    size: float,
    what: str,
    shown: object,
    path: Path,
    findings: Findings,
    low: float | None,
    high: float | None,
) -> None:
    """`what` is "length" or "value"."""
    if low is not None and size < low:
        _fail(shown, path, findings, f"have {what} greater than or equal to {low}")
    if high is not None and size > high:
        _fail(shown, path, findings, f"have {what} less than or equal to {high}")


# By resolver (one per service model) and name: shapes of two services may share a name.
_decoders: dict[tuple[ShapeResolver, str], Decode] = {}


def _decoder(shape: Shape) -> Decode:
    key = (shape._shape_resolver, shape.name)
    found = _decoders.get(key)
    if found is None:
        # A shape may contain itself: the name is bound before its members are compiled.
        def later(value: Any, path: Path, findings: Findings, depth: int) -> Any:
            return _decoders[key](value, path, findings, depth)

        _decoders[key] = later
        found = _decoders[key] = _compile_decoder(shape)
    return found


def _compile_decoder(shape: Shape) -> Decode:
    if isinstance(shape, StructureShape):
        return _free_form if shape.metadata.get("document") else _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    return _scalar(shape)


def _free_form(value: Any, path: Path, findings: Findings, depth: int) -> Any:
    """Any JSON value: what the model calls a document."""
    if depth > MAX_DEPTH:
        raise TooDeep(path)
    if isinstance(value, dict):
        for name, item in value.items():
            _free_form(item, (path, name), findings, depth + 1)
    elif isinstance(value, list):
        for i, item in enumerate(value, 1):
            _free_form(item, (path, i), findings, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise WrongType(path, "a number of 64 bits", value)
    return value


def _structure(shape: StructureShape) -> Decode:
    members = {name: _decoder(member) for name, member in shape.members.items()}
    required = tuple(shape.required_members)
    is_union = bool(shape.is_tagged_union)

    def run(value: Any, path: Path, findings: Findings, depth: int) -> Any:
        if not isinstance(value, dict):
            raise WrongType(path, "an object", value)
        if depth > MAX_DEPTH:
            raise TooDeep(path)
        out = {}
        for name, item in value.items():
            member = members.get(name)
            if member is not None and item is not None:
                out[name] = member(item, (path, name), findings, depth + 1)
        for name in required:
            if name not in out:
                _fail("null", (path, name), findings, "not be null")
        if is_union and len(out) > 1:
            _fail(", ".join(out), path, findings, "have exactly one of its members set")
        return out

    return run


def _list(shape: ListShape) -> Decode:
    member = _decoder(shape.member)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    is_bounded = low is not None or high is not None

    def run(value: Any, path: Path, findings: Findings, depth: int) -> Any:
        if not isinstance(value, list):
            raise WrongType(path, "a list", value)
        if depth > MAX_DEPTH:
            raise TooDeep(path)
        if is_bounded:
            _check_size(len(value), "length", f"{len(value)} items", path, findings, low, high)
        return [
            member(item, (path, i), findings, depth + 1)
            for i, item in enumerate(value, 1)
            if item is not None
        ]

    return run


def _map(shape: MapShape) -> Decode:
    key_of, member = _decoder(shape.key), _decoder(shape.value)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def run(value: Any, path: Path, findings: Findings, depth: int) -> Any:
        if not isinstance(value, dict):
            raise WrongType(path, "an object", value)
        if depth > MAX_DEPTH:
            raise TooDeep(path)
        _check_size(len(value), "length", f"{len(value)} entries", path, findings, low, high)
        return {
            key_of(key, (path, "key"), findings, depth + 1): member(item, (path, key), findings, depth + 1)
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
            return _float(low, high)
        case "boolean":
            return _boolean
        case "timestamp":
            return _timestamp
        case "blob":
            return _blob
    raise ValueError(f"no decoder for the shape type {shape.type_name}")


def _string(enum: tuple[str, ...], low: int | None, high: int | None) -> Decode:
    allowed = frozenset(enum)
    is_bounded = low is not None or high is not None

    def run(value: Any, path: Path, findings: Findings, _depth: int) -> Any:
        if not isinstance(value, str):
            raise WrongType(path, "a string", value)
        if allowed and value not in allowed:
            _fail(value, path, findings, f"satisfy enum value set: [{', '.join(enum)}]")
        if is_bounded:
            _check_size(len(value), "length", value, path, findings, low, high)
        return value

    return run


def _integer(low: int | None, high: int | None, bits: int) -> Decode:
    def run(value: Any, path: Path, findings: Findings, _depth: int) -> Any:
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise WrongType(path, "a whole number", value)
        number = int(value)
        if not -(2**bits) <= number < 2**bits:
            raise WrongType(path, f"a whole number of at most {bits + 1} bits", value)
        _check_size(number, "value", number, path, findings, low, high)
        return number

    return run


def _finite(value: Any, path: Path, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(path, expected, value)
    try:
        number = float(value)
    except OverflowError as error:
        raise WrongType(path, expected, value) from error
    if not math.isfinite(number):
        raise NotFinite(path, expected, value)
    return number


_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _float(low: float | None, high: float | None) -> Decode:
    def run(value: Any, path: Path, findings: Findings, _depth: int) -> Any:
        if isinstance(value, str):  # as JSON spells what it has no number for (Smithy, AWS JSON protocols)
            value = _NOT_FINITE.get(value, value)
        number = _finite(value, path, "a number of 64 bits")
        _check_size(number, "value", number, path, findings, low, high)
        return number

    return run


def _boolean(value: Any, path: Path, _findings: Findings, _depth: int) -> Any:
    if not isinstance(value, bool):
        raise WrongType(path, "a boolean", value)
    return value


def _timestamp(value: Any, path: Path, findings: Findings, _depth: int) -> Any:
    if isinstance(value, datetime):  # CBOR has a type of its own for times
        value = value.timestamp()
    seconds = _finite(value, path, "a timestamp (seconds since the epoch)")
    if not 0 <= seconds < LATEST:
        _fail(value, path, findings, "be a time between the years 1970 and 9999")
    return seconds


def _blob(value: Any, path: Path, _findings: Findings, _depth: int) -> Any:
    if isinstance(value, bytes):  # as CBOR has it
        return value
    if not isinstance(value, str):
        raise WrongType(path, "a base64 string", value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WrongType(path, "a base64 string", value) from error
