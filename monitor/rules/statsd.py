"""StatsD: lines of text over UDP, with DogStatsD's tags and packed values (DogStatsD, "Datagram format"). Pure: the
time is handed in, and what does not fit is counted by one word of REASONS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from monitor.rules.custom import LARGEST, Labels, Measured, is_name, labels_of

LONGEST_LINE, MOST_SERIES, MOST_VALUES, MOST_MEMBERS, MOST_PACKED = 8192, 10_000, 1500, 10_000, 1000
REASONS = ("line", "name", "value", "tags", "kind", "series", "values")
_UNITS = {"c": "Count", "ms": "Milliseconds", "s": "Count"}
KINDS = ("c", "g", "ms", "h", "d", "s")


@dataclass(frozen=True, slots=True)
class Sample:
    """`value`: a number, for a set (`s`) its member. `rate`: the share of occurrences that was sent. `is_relative`: a
    gauge that goes up or down."""

    name: str
    kind: str
    value: float | str
    rate: float = 1.0
    labels: Labels = ()
    is_relative: bool = False


def parse(line: str) -> list[Sample] | str:
    """`name:value[:value…]|kind[|@rate][|#tag:value,tag]`; else the reason why it is none. Never raises."""
    if len(line) > LONGEST_LINE or line.startswith(("_e{", "_sc|")):
        return "line"
    head, *fields = line.split("|")
    name, colon, values = head.partition(":")
    if not colon or not fields:
        return "line"
    if not is_name(name):
        return "name"
    kind = fields[0]
    if kind not in KINDS:
        return "kind"
    rate = 1.0
    labels: Labels = ()
    for part in fields[1:]:
        if part.startswith("@"):
            found = _number(part[1:])
            if found is None or not 0 < found <= 1:
                return "value"
            rate = found
        elif part.startswith("#"):
            tags = _tags(part[1:])
            if tags is None:
                return "tags"
            labels = tags
    # A member of a set may hold a colon itself.
    words = [values] if kind == "s" else values.split(":", MOST_PACKED)
    out = []
    for word in words:
        value: float | str | None = word[:LONGEST_LINE] if kind == "s" else _number(word)
        if value is None or word == "":
            return "value"
        out.append(Sample(name, kind, value, rate, labels, kind == "g" and word[0] in "+-"))
    return out


def _tags(text: str) -> Labels | None:
    """A tag without a value is there: true."""
    pairs = (tag.partition(":") for tag in text.split(",") if tag)
    return labels_of((name, value or "true") for name, _, value in pairs)


def _number(text: str) -> float | None:
    if len(text) > 64 or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= LARGEST else None


_Key = tuple[str, str, Labels]


@dataclass(slots=True)
class Window:
    """The samples of one window. Gauges are remembered over windows, for those that go up or down."""

    refused: dict[str, int] = field(default_factory=dict)
    _counters: dict[_Key, float] = field(default_factory=dict)
    _gauges: dict[_Key, float] = field(default_factory=dict)
    _changed: set[_Key] = field(default_factory=set)
    _timers: dict[_Key, dict[float, float]] = field(default_factory=dict)
    _sets: dict[_Key, set[str]] = field(default_factory=dict)

    def datagram(self, data: bytes) -> None:
        for line in data.decode("utf-8", "replace").split("\n"):
            if text := line.strip():
                found = parse(text)
                if isinstance(found, str):
                    self.refuse(found)
                    continue
                for sample in found:
                    self.add(sample)

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def add(self, sample: Sample) -> None:
        key = (sample.name, sample.kind, sample.labels)
        is_known = key in self._counters or key in self._gauges or key in self._timers or key in self._sets
        if not is_known and self.series >= MOST_SERIES:
            self.refuse("series")
            return
        if isinstance(sample.value, str):
            members = self._sets.setdefault(key, set())
            if len(members) >= MOST_MEMBERS and sample.value not in members:
                self.refuse("values")
                return
            members.add(sample.value)
        elif sample.kind == "c":
            self._counters[key] = self._counters.get(key, 0.0) + sample.value / sample.rate
        elif sample.kind == "g":
            base = self._gauges.get(key, 0.0) if sample.is_relative else 0.0
            self._gauges[key] = base + sample.value
            self._changed.add(key)
        else:
            self._time(key, sample.value, 1 / sample.rate)

    def _time(self, key: _Key, value: float, count: float) -> None:
        values = self._timers.setdefault(key, {})
        if value not in values and len(values) >= MOST_VALUES:
            value = float(f"{value:.2g}")  # near enough, where thousands of different ones are known
            if value not in values and len(values) >= 2 * MOST_VALUES:
                self.refuse("values")
                return
        values[value] = values.get(value, 0.0) + count

    @property
    def series(self) -> int:
        return len(self._counters) + len(self._gauges) + len(self._timers) + len(self._sets)

    def close(self, at: float) -> list[Measured]:
        """What the window measured, told at `at` (its beginning, seconds since the epoch); the next begins empty."""
        out = []
        for key, total in self._counters.items():
            out.append(_one(key, at, total))
        for key in sorted(self._changed):
            out.append(_one(key, at, self._gauges[key]))
        for key, members in self._sets.items():
            out.append(_one(key, at, float(len(members))))
        for (name, kind, labels), values in self._timers.items():
            out.append(Measured(name, labels, _UNITS.get(kind, "None"), at, tuple(sorted(values.items()))))
        if len(self._gauges) > MOST_SERIES // 2:  # those long silent make room
            self._gauges = {key: value for key, value in self._gauges.items() if key in self._changed}
        self._counters, self._timers, self._sets, self._changed = {}, {}, {}, set()
        return out


def _one(key: _Key, at: float, value: float) -> Measured:
    name, kind, labels = key
    return Measured(name, labels, _UNITS.get(kind, "None"), at, ((min(LARGEST, max(-LARGEST, value)), 1.0),))
