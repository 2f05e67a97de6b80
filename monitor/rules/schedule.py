"""Schedules: at(…), rate(…), cron(…) with a minute as the finest step (Application Auto Scaling user guide, "Schedule
recurring scaling actions using cron expressions"). Pure: local time is handed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.model.errors import ClientFault

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = {m: n for n, m in enumerate(re.findall("...", "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"), 1)}
_DAYS = {d: n for n, d in enumerate(re.findall("...", "SUNMONTUEWEDTHUFRISAT"), 1)}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))


def _bad(text: str, why: str) -> ClientFault:
    return ClientFault("ValidationException", f"Schedule expression {text[:128]!r}: {why}.")


@dataclass(frozen=True, slots=True)
class At:
    local: datetime

    def is_due(self, local: datetime, started: datetime) -> bool:
        return local == self.local.replace(second=0, microsecond=0) and local.tzinfo == started.tzinfo


@dataclass(frozen=True, slots=True)
class Rate:
    seconds: int

    def is_due(self, local: datetime, started: datetime) -> bool:
        """Counted from the start, to the minute."""
        passed = (local - started.replace(second=0, microsecond=0)) / timedelta(seconds=1)
        return passed > 0 and passed % self.seconds < 60


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field; None: any. `days` and `weekdays` may hold L, 15W and 6#3 forms."""

    minutes: frozenset[int] | None
    hours: frozenset[int] | None
    days: tuple[str, ...] | None
    months: frozenset[int] | None
    weekdays: tuple[str, ...] | None
    years: frozenset[int] | None

    def is_due(self, local: datetime, started: datetime) -> bool:
        plain = (
            (self.minutes, local.minute),
            (self.hours, local.hour),
            (self.months, local.month),
            (self.years, local.year),
        )
        if any(allowed is not None and value not in allowed for allowed, value in plain):
            return False
        return started.tzinfo == local.tzinfo and self._on_day(local)

    def _on_day(self, local: datetime) -> bool:
        if self.days is not None and not any(_is_day(token, local) for token in self.days):
            return False
        return self.weekdays is None or any(_is_weekday(token, local) for token in self.weekdays)


def parse(text: str) -> At | Rate | Cron:
    """Raises ValidationException."""
    kind, _, inner = text.strip().partition("(")
    if not inner.endswith(")") or kind not in ("at", "rate", "cron"):
        raise _bad(text, "write at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(six fields)")
    body = inner[:-1].strip()
    if kind == "at":
        try:
            return At(datetime.fromisoformat(body))
        except ValueError as error:
            raise _bad(text, "the time is like 2026-11-23T08:00:00") from error
    if kind == "rate":
        found = re.fullmatch(r"(\d{1,6}) (minute|hour|day)s?", body)
        if found is None or not int(found[1]):
            raise _bad(text, "a rate is like rate(5 minutes)")
        return Rate(int(found[1]) * _UNITS[found[2]])
    return _cron(text, body.upper().split())


def _cron(text: str, fields: list[str]) -> Cron:
    if len(fields) == 7:
        fields = fields[1:]  # with seconds: accepted, to the minute
    if len(fields) != 6:
        raise _bad(text, "cron has the fields minutes hours day-of-month month day-of-week year")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise _bad(text, "exactly one of day-of-month and day-of-week must be ?")
    minutes, hours, days, months, weekdays, years = fields

    def plain(field: str, position: int, names: dict[str, int] | None = None) -> frozenset[int] | None:
        values: set[int] = set()
        if field == "*":
            return None
        for token in field.split(","):
            values |= _values(text, token, *_RANGES[position], names or {})
        return frozenset(values)

    return Cron(
        plain(minutes, 0),
        plain(hours, 1),
        _days(text, days, 2, {}),
        plain(months, 3, _MONTHS),
        _days(text, weekdays, 4, _DAYS),
        plain(years, 5),
    )


def _values(text: str, token: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    """5, 1-5, */15, 10/15 or a name."""
    span, slash, step_text = token.partition("/")
    start_text, dash, end_text = span.partition("-")
    try:
        start = low if start_text == "*" else names.get(start_text) or int(start_text)
        end = (
            (names.get(end_text) or int(end_text))
            if dash
            else (high if slash or start_text == "*" else start)
        )
        step = int(step_text) if slash else 1
    except ValueError as error:
        raise _bad(text, f"{token!r} is not a value of its field") from error
    if not low <= start <= end <= high or step < 1:
        raise _bad(text, f"{token!r} is outside {low} to {high}")
    return set(range(start, end + 1, step))


def _days(text: str, field: str, position: int, names: dict[str, int]) -> tuple[str, ...] | None:
    """The tokens of a day field, each checked; plain ones as numbers."""
    if field in ("*", "?"):
        return None
    found: list[str] = []
    for token in field.split(","):
        special = r"L|LW|([1-9]|[12]\d|3[01])W" if position == 2 else r"L|[1-7]L|[1-7]#[1-5]"
        if re.fullmatch(special, token):
            found.append(token)
        else:
            found += [str(v) for v in sorted(_values(text, token, *_RANGES[position], names))]
    return tuple(found)


def _last(local: datetime) -> int:
    following = (local.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - timedelta(days=1)).day


def _is_day(token: str, local: datetime) -> bool:
    last = _last(local)
    if token == "L":
        return local.day == last
    if token.endswith("W"):
        wanted = last if token == "LW" else min(int(token[:-1]), last)
        return local.day == _workday(local.replace(day=wanted), last)
    return local.day == int(token)


def _workday(day: datetime, last: int) -> int:
    """The weekday nearest to `day`, in the same month."""
    if day.isoweekday() == 6:
        return day.day - 1 if day.day > 1 else day.day + 2
    if day.isoweekday() == 7:
        return day.day + 1 if day.day < last else day.day - 2
    return day.day


def _is_weekday(token: str, local: datetime) -> bool:
    number = local.isoweekday() % 7 + 1  # 1 is Sunday
    if token == "L":
        return number == 7
    if token.endswith("L"):
        return number == int(token[0]) and local.day + 7 > _last(local)
    if "#" in token:
        day, which = token.split("#")
        return number == int(day) and (local.day - 1) // 7 + 1 == int(which)
    return number == int(token)
