"""Prometheus remote write 1.0: samples as protobuf in snappy's block format ("Prometheus Remote-Write 1.0").

Three messages of two or three fields each are written here without a compiled schema, so that the labels of a series,
most of the bytes, are encoded once and kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import cramjam

HEADERS: Mapping[str, str] = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
}
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_DOUBLE = struct.Struct("<d")
_VALUE, _TIME = bytes((1 << 3 | _FIXED64,)), bytes((2 << 3 | _VARINT,))


def labels(pairs: Mapping[str, str]) -> bytes:
    """The labels of a TimeSeries, sorted as receivers require."""
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, pairs[name].encode())) for name in sorted(pairs)
    )


def timeseries(encoded: bytes, samples: Sequence[tuple[int, float]]) -> bytes:
    """`encoded`: what `labels` gave. `samples`: (milliseconds since the epoch, value), ascending."""
    body = [encoded]
    for at, value in samples:
        body.append(_field(2, _VALUE + _DOUBLE.pack(value) + _TIME + _varint(at)))
    return _field(1, b"".join(body))


def request(series: Iterable[bytes]) -> bytes:
    """The body of a WriteRequest."""
    return bytes(cramjam.snappy.compress_raw(b"".join(series)))


def _field(number: int, body: bytes) -> bytes:
    return bytes((number << 3 | _BYTES,)) + _varint(len(body)) + body


@lru_cache(maxsize=4096)
def _varint(number: int) -> bytes:
    if number < 0:
        number += 1 << 64  # int64 before 1970: ten bytes, as protobuf has it
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
