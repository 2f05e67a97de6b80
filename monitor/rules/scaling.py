"""Service auto scaling: what a policy asks for (Application Auto Scaling user guide, "Target tracking", "Step
scaling"). Pure: metric values in, a capacity out; what must be remembered is in the policy's `memory`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.model.errors import ClientFault

HIGH_POINTS, LOW_POINTS = 3, 15  # minutes in a row above the target, below LOW_SHARE of it
LOW_SHARE = 0.9
COOLDOWN_SECONDS = 300  # ECS's default, both ways
MOST_STEPS = 20
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True)
class Wish:
    """The capacity a policy asks for, and why. `high` and `low` are its alarms' states (target tracking)."""

    capacity: int | None = None
    cause: str = ""
    high: str = OK
    low: str = OK

    def is_out(self, current: int) -> bool:
        return self.capacity is not None and self.capacity > current


def validation(message: str) -> ClientFault:
    return ClientFault("ValidationException", message)


def clamp(value: int, minimum: int, maximum: int) -> int:
    return min(max(value, minimum), maximum)


# -- target tracking ---------------------------------------------------------------------------------------


def track(config: Mapping[str, Any], minutes: Sequence[float | None], current: int) -> Wish:
    """`minutes`: the metric's last values, oldest first, None where there was none.

    Out in proportion to the metric over the target, rounded up. In only after a long quiet, in proportion too, and
    never so far that the metric would pass the target again. Too little data: no change either way.
    """
    target = float(config["TargetValue"])
    high, low = (
        _state(minutes, HIGH_POINTS, lambda v: v > target),
        _state(minutes, LOW_POINTS, lambda v: v < LOW_SHARE * target),
    )
    if high == ALARM:
        value = minutes[-1]
        wanted = math.ceil(current * value / target) if value and target > 0 else current + 1
        return Wish(max(current + 1, wanted), "AlarmHigh", high, low)
    if low == ALARM and not config.get("DisableScaleIn"):
        peak = max(v for v in minutes[-LOW_POINTS:] if v is not None)
        wanted = math.ceil(current * peak / target) if target > 0 else current
        if wanted < current:
            return Wish(wanted, "AlarmLow", high, low)
    return Wish(high=high, low=low)


def _state(minutes: Sequence[float | None], points: int, breaches: Any) -> str:
    """M out of M: every one of the last points is there and breaches. A hole is no breach; none at all is no data."""
    last = list(minutes[-points:])
    known = [v for v in last if v is not None]
    if not known:
        return INSUFFICIENT_DATA
    return ALARM if len(known) == points and all(breaches(v) for v in known) else OK


# -- step scaling ------------------------------------------------------------------------------------------


def check_steps(config: Mapping[str, Any]) -> None:
    """Raises ValidationException for steps with gaps, overlaps or open ends where none may be."""
    steps = config.get("StepAdjustments") or ()
    if not 1 <= len(steps) <= MOST_STEPS:
        raise validation(f"StepAdjustments must have 1 to {MOST_STEPS} entries.")
    bounds = sorted(
        (_bound(s, "MetricIntervalLowerBound", -math.inf), _bound(s, "MetricIntervalUpperBound", math.inf))
        for s in steps
    )
    for low, high in bounds:
        if low == -math.inf and high == math.inf and len(bounds) > 1:
            raise validation("A step without bounds must be the only one.")
        if low >= high:
            raise validation("A step's lower bound must be below its upper bound.")
    for (_, end), (start, _) in itertools.pairwise(bounds):
        if end != start:
            raise validation("Steps must follow one another without a gap or an overlap.")
    if bounds[0][0] != -math.inf and bounds[0][0] < 0:
        raise validation("A negative lower bound needs a step without a lower bound.")
    if bounds[-1][1] != math.inf and bounds[-1][1] > 0:
        raise validation("A positive upper bound needs a step without an upper bound.")
    kinds = ("ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity")
    if config.get("AdjustmentType") not in kinds:
        raise validation(f"AdjustmentType should be one of {list(kinds)}.")


def _bound(step: Mapping[str, Any], name: str, default: float) -> float:
    value = step.get(name)
    return default if value is None else float(value)


def step_to(config: Mapping[str, Any], current: int, value: float, threshold: float) -> int:
    """The capacity the step that holds `value` asks for; `current` when none does."""
    offset = value - threshold
    for step in config["StepAdjustments"]:
        low = _bound(step, "MetricIntervalLowerBound", -math.inf)
        high = _bound(step, "MetricIntervalUpperBound", math.inf)
        holds = low <= offset < high if offset >= 0 else low < offset <= high
        if holds:
            return adjusted(config, current, float(step["ScalingAdjustment"]))
    return current


def adjusted(config: Mapping[str, Any], current: int, adjustment: float) -> int:
    kind = config.get("AdjustmentType")
    if kind == "ExactCapacity":
        return int(adjustment)
    if kind == "ChangeInCapacity":
        return current + int(adjustment)
    change = rounded(current * adjustment / 100)
    least = int(config.get("MinAdjustmentMagnitude") or 0)
    if least and change and abs(change) < least:
        change = least if change > 0 else -least
    return current + change


def rounded(change: float) -> int:
    """12.7 → 12, 0.67 → 1, -0.58 → -1, -6.67 → -6."""
    if 0 < change < 1:
        return 1
    if -1 < change < 0:
        return -1
    return int(change)


# -- together ----------------------------------------------------------------------------------------------


def largest(wishes: Iterable[Wish], current: int, tracking: int) -> Wish | None:
    """Out if any policy wants out; in only if all that track a target (`tracking` of them) want in. The largest
    capacity wins."""
    found = [w for w in wishes if w.capacity is not None and w.capacity != current]
    out = [w for w in found if w.is_out(current)]
    if out:
        return max(out, key=lambda w: w.capacity or 0)
    if found and len(found) >= tracking:
        return max(found, key=lambda w: w.capacity or 0)
    return None


def cooled(
    memory: Mapping[str, Any], config: Mapping[str, Any], wish: int, current: int, now: float
) -> int | None:
    """The capacity that cooldowns leave of a wish; None when it has to wait.

    Out: what the last change added counts as there, so that only a larger wish goes further. In: blocked until the
    last activity is over; a change outwards ends that wait.
    """
    out_seconds = float(config.get("ScaleOutCooldown", config.get("Cooldown", COOLDOWN_SECONDS)))
    in_seconds = float(config.get("ScaleInCooldown", config.get("Cooldown", COOLDOWN_SECONDS)))
    last_at, last_kind = float(memory.get("at", 0.0)), memory.get("kind", "")
    if wish > current:
        waits = last_kind == "out" and now < last_at + out_seconds
        return wish if not waits or wish > int(memory.get("to", current)) else None
    return None if last_kind and now < last_at + in_seconds else wish
