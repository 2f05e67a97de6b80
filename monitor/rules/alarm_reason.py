"""StateReason and StateReasonData: why an alarm stands as it does, as CloudWatch words it.

An alarm with DatapointsToAlarm is told in the long form ("1 out of the last 3 datapoints …"), one without in the short.
Both name the datapoints that decided, newest first. The texts follow recorded replies, which name no document.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from monitor.model.alarm import ALARM, BREACHING, Alarm

INITIAL = "Unchecked: Initial alarm creation"
REASON_LIMIT, DATA_LIMIT = 1023, 4000  # characters: "MetricAlarm"
MOST_INLINE, MOST_RECENT = 4, 5  # datapoints listed in the sentence, or after it
MOST_VALUES, MOST_EVALUATED = 50, 20  # datapoints in the data, so that it keeps within its limit

COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Datapoint:
    """What is known of the period that starts `at`: the statistic's value (None: missing) and how many samples it is
    of (None: not known)."""

    at: float
    value: float | None = None
    samples: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an evaluation looked at. `real`: datapoints with a value, of which `crossing` are beyond the threshold and
    `calm` are not; `missing`: the ones that stand for missing data. All oldest first. `of`: N."""

    real: tuple[Datapoint, ...]
    crossing: tuple[Datapoint, ...]
    calm: tuple[Datapoint, ...]
    missing: tuple[Datapoint, ...]
    of: int

    @property
    def filled(self) -> int:
        return self.of - len(self.real)


def timestamp(at: float) -> str:
    """`2026-01-02T03:04:05.678+0000`, to the millisecond."""
    whole, thousandths = divmod(round(at * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{thousandths:03}+0000"


def number(value: float) -> str:
    """As Java writes a double, which CloudWatch does: `21.0`, `1.2345678E7`, `5.0E-4`."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    sign, digits, _ = Decimal(repr(float(value))).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0")
    exponent = Decimal(repr(float(value))).adjusted()
    return f"{'-' if sign else ''}{shown[0]}.{shown[1:] or '0'}E{exponent}"


def insufficient(unknown: int) -> str:
    return f"Insufficient Data: {_counted(unknown)} {_were(unknown)} unknown."


def treated(evidence: Evidence, treatment: str) -> str:
    """Missing data decided."""
    name = "Breaching" if treatment == BREACHING else "NonBreaching"
    real, filled = len(evidence.real), evidence.filled
    periods = f"{evidence.of} period{'' if evidence.of == 1 else 's'}"
    received = f"{_counted(real)} {_were(real)}" if real else "no datapoints were"
    return (
        f"Threshold Crossed: {received} received for {periods} and {filled} missing "
        f"datapoint{'' if filled == 1 else 's'} {_were(filled)} treated as [{name}]."
    )


def crossed(alarm: Alarm, state: str, evidence: Evidence) -> str:
    """Datapoints decided: those beyond the threshold for ALARM, the others for OK."""
    told = evidence.crossing if state == ALARM else evidence.calm
    count, needed = len(told), alarm.breaches_needed
    is_long = bool(alarm.datapoints_to_alarm)
    who = f"{count} out of the last {evidence.of} datapoints" if is_long else _counted(count)
    not_ = "" if state == ALARM else "not "
    words = COMPARISONS[alarm.comparison][1]
    what = f"{_were(count)} {not_}{words} the threshold ({number(alarm.threshold or 0.0)})"
    minimum = needed if state == ALARM else evidence.of - needed + 1
    way = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    end = f" (minimum {_counted(minimum)} for {way} transition)." if is_long else "."
    if count <= MOST_INLINE:
        return f"Threshold Crossed: {who} {_listed(told)} {what}{end}"
    recent = f"The most recent datapoints which crossed the threshold: {_listed(told[-MOST_RECENT:])}"
    return f"Threshold Crossed: {who} {what}. {recent}{end}"


def data(alarm: Alarm, evidence: Evidence, now: float) -> str:
    """StateReasonData: JSON, its datapoints evaluated newest first, `recentDatapoints` oldest first."""
    found: dict[str, Any] = {"version": "1.0", "queryDate": timestamp(now)}
    if evidence.real:
        found["startDate"] = timestamp(evidence.real[0].at)
    if alarm.unit:
        found["unit"] = alarm.unit
    if alarm.stat:
        found["statistic"] = alarm.stat
    newest = sorted((*evidence.real, *evidence.missing), key=lambda point: point.at, reverse=True)
    found |= {
        "period": alarm.period_seconds,
        "recentDatapoints": [point.value for point in evidence.real[-MOST_VALUES:]],
        "threshold": alarm.threshold,
        "evaluatedDatapoints": [_shown(point) for point in newest[:MOST_EVALUATED]],
    }
    return json.dumps(found, separators=(",", ":"))


def _shown(point: Datapoint) -> dict[str, Any]:
    found: dict[str, Any] = {"timestamp": timestamp(point.at)}
    if point.value is not None:
        if point.samples is not None and math.isfinite(point.samples):  # JSON has no other numbers
            found["sampleCount"] = point.samples
        found["value"] = point.value
    return found


def _listed(points: Sequence[Datapoint]) -> str:
    shown = (
        f"{number(point.value)} ({datetime.fromtimestamp(int(point.at), UTC):%d/%m/%y %H:%M:%S})"
        for point in reversed(points)
        if point.value is not None
    )
    return f"[{', '.join(shown)}]"


def _counted(count: int) -> str:
    return f"{count} datapoint{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
