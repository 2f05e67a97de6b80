"""From Docker's records to log events. Pure.

A record is `TIME text`, with a line feed unless it is the first part of a long line. The place of a line is its time in
nanoseconds, one more than the line before where the clock says no more: the same output read again from the beginning
of a second gives the same places, so that the place of the last line stored is all that has to be remembered.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from monitor.rules.regex import Regex

MOST_LINE = 256 * 1024 - 26  # bytes; what is longer becomes several events, as Docker's own driver does
MOST_EVENTS, MOST_BYTES, OVERHEAD = 10_000, 1_048_576, 26
SPAN_MS = 86_400_000
SECOND_NS = 1_000_000_000
_RECORD = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """`place`: nanoseconds since the epoch, growing."""

    place: int
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """(milliseconds, message) ascending; `place`: of the last line in it."""

    events: tuple[tuple[int, str], ...]
    place: int


@dataclass(slots=True)
class Records:
    """Docker's records into lines."""

    _last: int = 0
    _begun_at: int = 0
    _begun: bytearray = field(default_factory=bytearray)
    _is_cut: bool = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """A chunk of Docker's stream: whole records, or pieces of one."""
        for piece in chunk.splitlines(keepends=True) if chunk.count(b"\n") > 1 else (chunk,):
            yield from self._piece(piece)

    def _piece(self, piece: bytes) -> Iterator[Line]:
        found = _RECORD.fullmatch(piece)
        if found is not None:
            at, text = _nanoseconds(found), found[8]
        else:
            at, text = self._begun_at or self._last, piece
        if not self._begun:
            if self._is_cut and not text.strip(b"\r\n"):  # the end of a line that was told already
                self._is_cut = False
                return
            self._begun_at = at
        self._begun += text
        self._is_cut = not text.endswith(b"\n") and len(self._begun) >= MOST_LINE
        if self._is_cut or text.endswith(b"\n"):
            yield from self.rest()

    def rest(self) -> Iterator[Line]:
        """The line that has begun, as long as it is."""
        text = bytes(self._begun).removesuffix(b"\n").removesuffix(b"\r")
        if not self._begun:
            return
        self._begun.clear()
        for first in range(0, max(len(text), 1), MOST_LINE):
            self._last = max(self._begun_at, self._last + 1)
            yield Line(self._last, text[first : first + MOST_LINE].decode("utf-8", "replace"))


def _nanoseconds(found: re.Match[bytes]) -> int:
    whole = timegm(tuple(int(found[n]) for n in range(1, 7)))
    return whole * SECOND_NS + int((found[7] or b"0").ljust(9, b"0"))


class Events:
    """Lines into batches of events. `starts_event`: where a new one begins; None: with every line."""

    def __init__(self, starts_event: Regex | None) -> None:
        self._starts = starts_event
        self._events: list[tuple[int, str]] = []
        self._bytes = 0
        self._place = 0  # of the last line in an event that is whole
        self._open: list[Line] = []
        self._open_bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self._events and not self._open

    def add(self, lines: Iterable[Line]) -> Iterator[Batch]:
        """The batches that are full."""
        for line in lines:
            length = len(line.text.encode())
            begins = self._starts is None or self._starts.search(line.text)
            if self._open and (begins or self._open_bytes + length + 1 > MOST_LINE):
                yield from self._close()
            self._open.append(line)
            self._open_bytes += length + 1
            if self._starts is None:
                yield from self._close()

    def _close(self) -> Iterator[Batch]:
        at = self._open[0].place // 1_000_000
        text = "\n".join(line.text for line in self._open)
        length = len(text.encode()) + OVERHEAD
        is_full = len(self._events) >= MOST_EVENTS or self._bytes + length > MOST_BYTES
        if self._events and (is_full or at - self._events[0][0] >= SPAN_MS):
            yield self._taken()
        self._events.append((at, text or " "))  # an event has a character at least
        self._bytes += length
        self._place = self._open[-1].place
        self._open.clear()
        self._open_bytes = 0

    def _taken(self) -> Batch:
        batch = Batch(tuple(self._events), self._place)
        self._events.clear()
        self._bytes = 0
        return batch

    def flush(self, is_whole: bool) -> Iterator[Batch]:
        """What there is. `is_whole`: the event that has begun, too."""
        if self._open and is_whole:
            yield from self._close()
        if self._events:
            yield self._taken()
