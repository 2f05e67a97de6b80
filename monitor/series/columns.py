"""Columns: the statistic sets of one series over time, as arrays; how they are merged, and packed into a chunk's bytes.

A point is the statistic set of one step of time. `details` holds the (value, count) pairs of those points whose values
are known and do not follow from the set: percentiles need them.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from monitor.model.metric import StatisticSet
from monitor.rules.statistics import merge

Pairs = tuple[tuple[float, float], ...]
_FORMAT = 1
_LEVEL = 6
_DOUBLE = 8


class BadChunk(Exception):
    """Bytes that are no chunk of ours."""


@dataclass(slots=True)
class Columns:
    """`at`: seconds since the epoch, ascending, each once. All arrays are of one length."""

    at: array[int] = field(default_factory=lambda: array("q"))
    count: array[float] = field(default_factory=lambda: array("d"))
    total: array[float] = field(default_factory=lambda: array("d"))
    low: array[float] = field(default_factory=lambda: array("d"))
    high: array[float] = field(default_factory=lambda: array("d"))
    details: dict[int, Pairs] = field(default_factory=dict)  # by `at`

    def __len__(self) -> int:
        return len(self.at)

    def append(self, at: int, point: StatisticSet) -> None:
        """`at` is later than all before."""
        self.at.append(at)
        self.count.append(point.sample_count)
        self.total.append(point.total)
        self.low.append(point.minimum)
        self.high.append(point.maximum)
        if point.values is not None and len(point.values) > 1:
            self.details[at] = point.values

    def extend(self, other: Columns) -> None:
        """`other` begins after the end of this."""
        self.at.extend(other.at)
        self.count.extend(other.count)
        self.total.extend(other.total)
        self.low.extend(other.low)
        self.high.extend(other.high)
        self.details.update(other.details)

    def point(self, index: int) -> StatisticSet:
        low, high, count = self.low[index], self.high[index], self.count[index]
        values = self.details.get(self.at[index])
        if values is None and (low == high or count == 1):
            values = ((low, count),)
        return StatisticSet(count, self.total[index], low, high, values)

    def points(self) -> Iterator[tuple[int, StatisticSet]]:
        for index, at in enumerate(self.at):
            yield at, self.point(index)

    def between(self, start: int, end: int) -> Columns:
        """The points of [start, end)."""
        first, last = bisect_left(self.at, start), bisect_left(self.at, end)
        if first == 0 and last == len(self.at):
            return self
        part = slice(first, last)
        at = self.at[part]
        details = {a: v for a, v in self.details.items() if start <= a < end}
        return Columns(at, self.count[part], self.total[part], self.low[part], self.high[part], details)


def of_points(points: Iterable[tuple[int, StatisticSet]], step: int) -> Columns:
    """Points of any order, merged by steps of `step` seconds."""
    found: dict[int, list[StatisticSet]] = {}
    for at, point in points:
        found.setdefault(at - at % step, []).append(point)
    out = Columns()
    for at in sorted(found):
        both = merge(found[at])
        if both is not None:
            out.append(at, both)
    return out


def merged(one: Columns, other: Columns) -> Columns:
    """Both; where both have a point, the two as one set."""
    if not one or not other:
        return one or other
    if one.at[-1] < other.at[0]:
        out = Columns(one.at[:], one.count[:], one.total[:], one.low[:], one.high[:], dict(one.details))
        out.extend(other)
        return out
    return of_points([*one.points(), *other.points()], 1)


def bucketed(columns: Columns, period: int) -> Columns:
    """Points at multiples of `period` since the epoch."""
    if not any(map(period.__rmod__, columns.at)):
        return columns
    return of_points(columns.points(), period)


# -- bytes -------------------------------------------------------------------------------------------------


def pack(columns: Columns) -> bytes:
    """The points as a chunk. Doubles are packed best with their bytes apart: exponents beside exponents."""
    at = columns.at
    gaps = array("I", (b - a for a, b in pairwise(at)))
    same = columns.low == columns.high  # each point is one value, as often as it may be
    numbers = [columns.count, columns.total, columns.low] if same else [*_numbers(columns)]
    body = bytearray()
    body += _apart(gaps.tobytes(), gaps.itemsize)
    for column in numbers:
        body += _apart(column.tobytes(), _DOUBLE)
    details = array("I", (len(columns.details.get(a, ())) for a in at)) if columns.details else array("I")
    pairs = array("d", (n for a in at for pair in columns.details.get(a, ()) for n in pair))
    body += details.tobytes() + pairs.tobytes()
    head = bytes((_FORMAT, same, bool(columns.details))) + len(at).to_bytes(4, "little")
    return head + at[0].to_bytes(8, "little", signed=True) + zlib.compress(bytes(body), _LEVEL)


def unpack(data: bytes) -> Columns:
    """Raises BadChunk."""
    try:
        return _unpacked(data)
    except (IndexError, ValueError, zlib.error) as error:
        raise BadChunk(f"a chunk cannot be read: {error}") from error


def _unpacked(data: bytes) -> Columns:
    if data[0] != _FORMAT:
        raise BadChunk(f"a chunk is of format {data[0]}, this version reads {_FORMAT}")
    same, has_details, length = bool(data[1]), bool(data[2]), int.from_bytes(data[3:7], "little")
    body = memoryview(zlib.decompress(data[15:]))
    first, used = int.from_bytes(data[7:15], "little", signed=True), 4 * (length - 1)
    gaps = memoryview(_together(body[:used], 4)).cast("I")
    at = array("q", accumulate(gaps, initial=first))
    numbers = []
    for _ in range(3 if same else 4):
        column = array("d")
        column.frombytes(_together(body[used : used + _DOUBLE * length], _DOUBLE))
        used += _DOUBLE * length
        numbers.append(column)
    count, total, low = numbers[:3]
    out = Columns(at, count, total, low, low[:] if same else numbers[3])
    if has_details:
        sizes = body[used : used + 4 * length].cast("I")
        pairs = body[used + 4 * length :].cast("d")
        out.details = dict(_details(at, sizes.tolist(), pairs.tolist()))
    if not len(out.at) == len(out.count) == len(out.high) == length:
        raise BadChunk("a chunk is too short")
    return out


def _details(at: array[int], sizes: Sequence[int], numbers: Sequence[float]) -> Iterator[tuple[int, Pairs]]:
    used = 0
    for moment, size in zip(at, sizes, strict=True):
        if size:
            part = numbers[used : used + 2 * size]
            yield moment, tuple(zip(part[::2], part[1::2], strict=True))
            used += 2 * size


def _numbers(columns: Columns) -> tuple[array[float], ...]:
    return columns.count, columns.total, columns.low, columns.high


def _apart(data: bytes, size: int) -> bytes:
    """All first bytes, all second bytes, and so on."""
    return b"".join(data[i::size] for i in range(size))


def _together(data: memoryview, size: int) -> bytes:
    out, length = bytearray(len(data)), len(data) // size
    for i in range(size):
        out[i::size] = data[i * length : (i + 1) * length]
    return bytes(out)
