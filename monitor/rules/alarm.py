"""How a metric alarm is judged (CloudWatch user guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat
missing data"). Pure: datapoints in, a verdict out.

More datapoints are read than the N that are evaluated, so that older ones can stand in for missing ones: the evaluation
range. The guide gives 5 for N = 3 and says only that it depends on the period; what is known of other alarms (one of
1 x 15 minutes that forgot its last datapoint after 46) fits N + 2 throughout, which is our rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitor.model.alarm import (
    ALARM,
    BREACHING,
    COMPOSITE,
    IGNORE,
    INSUFFICIENT_DATA,
    METRIC,
    MISSING,
    NOT_BREACHING,
    OK,
    Alarm,
    Suppression,
)
from monitor.rules import alarm_reason
from monitor.rules.alarm_check import check
from monitor.rules.alarm_reason import COMPARISONS, Datapoint, Evidence

__all__ = [
    "Datapoint",
    "Verdict",
    "check",
    "configured",
    "evaluate",
    "interval",
    "is_due",
    "updated",
    "window",
]

MORE_PERIODS = 2
DAY, OLD = 86_400, 15 * 86_400
EVALUATION_ERROR = "EVALUATION_ERROR"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`value`: the newest datapoint there is, for step scaling. `evaluation_state`: "" when all went well."""

    state: str
    reason: str
    reason_data: str = ""
    evaluation_state: str = ""
    value: float | None = None


# -- when ----------------------------------------------------------------------------------------------------


def interval(alarm: Alarm) -> int:
    """Seconds between evaluations: 10 for periods below a minute, an hour when N periods are more than a day."""
    if alarm.period_seconds < 60:
        return 10
    return 3600 if alarm.period_seconds * alarm.evaluation_periods > DAY else 60


def is_due(alarm: Alarm, last_evaluated: float | None, now: float) -> bool:
    """Once in each interval of the clock, so that neither a restart nor a late look moves the rhythm."""
    every = interval(alarm)
    return last_evaluated is None or now // every != last_evaluated // every


def window(alarm: Alarm, now: float) -> tuple[int, int, int]:
    """(start, end, periods) of the evaluation range: `periods` datapoints of `alarm.period_seconds` from `start`, in
    seconds since the epoch. It slides: at 12:06:40 a period of 5 minutes ends at 12:06, not at 12:05."""
    periods = max(alarm.evaluation_periods, 1) + MORE_PERIODS
    length = periods * alarm.period_seconds
    # Where only points of 5 minutes are kept, none may be cut in two.
    step = 10 if alarm.period_seconds < 60 else 60 if length < OLD - 300 else 300
    end = math.floor(now / step) * step
    return end - length, end, periods


# -- how it stands -------------------------------------------------------------------------------------------


def evaluate(alarm: Alarm, points: Sequence[Datapoint], now: float) -> Verdict:
    """`points`: the evaluation range, oldest first, a missing one with the value None. Never raises; an alarm that
    cannot be judged keeps its state."""
    if alarm.kind != METRIC:
        return kept(alarm)
    threshold = alarm.threshold
    if alarm.comparison not in COMPARISONS or threshold is None or not math.isfinite(threshold):
        return kept(alarm, EVALUATION_ERROR)
    evidence = _evidence(alarm, points)
    value = evidence.real[-1].value if evidence.real else None
    state = _state(alarm, evidence)
    if state in ("", alarm.state):  # nobody asks why nothing changed
        return replace(kept(alarm), value=value)
    return Verdict(
        state,
        _reason(alarm, state, evidence)[: alarm_reason.REASON_LIMIT],
        alarm_reason.data(alarm, evidence, now),
        value=value,
    )


def kept(alarm: Alarm, evaluation_state: str = "") -> Verdict:
    return Verdict(alarm.state, alarm.reason, alarm.reason_data, evaluation_state, alarm.value)


def _evidence(alarm: Alarm, points: Sequence[Datapoint]) -> Evidence:
    """The newest N datapoints that there are, with as few missing ones as N asks for."""
    of = max(alarm.evaluation_periods, 1)
    known: list[Datapoint] = []
    missing: list[Datapoint] = []
    for point in points[-(of + MORE_PERIODS) :]:
        is_known = point.value is not None and math.isfinite(point.value)
        (known if is_known else missing).append(point if is_known else Datapoint(point.at))
    real = tuple(known[-of:])
    is_crossing = COMPARISONS[alarm.comparison][0]
    threshold = alarm.threshold or 0.0
    crossing: list[Datapoint] = []
    calm: list[Datapoint] = []
    for point in real:
        (crossing if is_crossing(point.value or 0.0, threshold) else calm).append(point)
    filled = of - len(real)
    return Evidence(real, tuple(crossing), tuple(calm), tuple(missing[-filled:]) if filled else (), of)


def _state(alarm: Alarm, evidence: Evidence) -> str:
    """ "" keeps the present state."""
    needed, treatment = max(alarm.breaches_needed, 1), alarm.missing_data
    if not evidence.real:
        return {BREACHING: ALARM, NOT_BREACHING: OK, IGNORE: "", MISSING: INSUFFICIENT_DATA}.get(
            treatment, ""
        )
    if _has_few_samples(alarm, evidence.real):
        return ""
    breaching = len(evidence.crossing) + (evidence.filled if treatment == BREACHING else 0)
    if breaching >= needed:
        return ALARM
    if evidence.calm or treatment in (BREACHING, NOT_BREACHING):
        return OK
    # Some datapoints, all of them breaching, and fewer than M. The guide's "Avoiding premature transitions to alarm
    # state": one that is M periods old is an alarm. Before that its tables have no state of their own: an earlier
    # edition's row "- - - - X" counts the rest as unknown.
    if treatment == IGNORE:
        return ""
    oldest = min(point.at for point in evidence.real)
    newer = sum(point.at >= oldest for point in (*evidence.real, *evidence.missing))
    return ALARM if newer >= needed else INSUFFICIENT_DATA


def _has_few_samples(alarm: Alarm, real: Sequence[Datapoint]) -> bool:
    """Too few for a percentile to mean anything ("Percentile-based alarms and low data samples"), where the alarm asks
    to be left as it is then."""
    if alarm.evaluate_low_sample != "ignore" or not alarm.extended_statistic.startswith("p"):
        return False
    try:
        percentile = float(alarm.extended_statistic[1:]) / 100
    except ValueError:
        return False
    tail = 1 - percentile if percentile >= 0.5 else percentile
    if tail <= 0 or any(point.samples is None for point in real):
        return False  # the largest and the smallest of any number of samples are what they are
    # Rounded, as 10 / (1 - 0.99) is a hair more than 1,000.
    return sum(point.samples or 0.0 for point in real) < round(10 / tail, 6)


def _reason(alarm: Alarm, state: str, evidence: Evidence) -> str:
    if state == INSUFFICIENT_DATA:
        return alarm_reason.insufficient(evidence.filled)
    needed = max(alarm.breaches_needed, 1)
    if state == ALARM:
        is_filled = alarm.missing_data == BREACHING and len(evidence.crossing) < needed
    else:
        enough = len(evidence.calm) >= evidence.of - needed + 1
        is_filled = alarm.missing_data == NOT_BREACHING and not enough
    if is_filled or not evidence.real:
        return alarm_reason.treated(evidence, alarm.missing_data)
    return alarm_reason.crossed(alarm, state, evidence)


# -- what changes --------------------------------------------------------------------------------------------


def updated(alarm: Alarm, verdict: Verdict, now: float) -> Alarm:
    """The alarm after a verdict: the same object when there is nothing to store, which is the rule. `changed_at` moves
    only with the state; a value alone is stored only while scaling policies act on it."""
    if verdict.state != alarm.state:
        return replace(
            alarm,
            state=verdict.state,
            reason=verdict.reason,
            reason_data=verdict.reason_data,
            evaluation_state=verdict.evaluation_state,
            value=verdict.value,
            changed_at=now,
            state_updated_at=now,
        )
    if verdict.evaluation_state != alarm.evaluation_state:
        return replace(alarm, evaluation_state=verdict.evaluation_state, state_updated_at=now)
    if verdict.value != alarm.value and alarm.state == ALARM and alarm.scaling_policies:
        return replace(alarm, value=verdict.value)
    return alarm


def configured(known: Alarm | None, wanted: Alarm, now: float) -> Alarm:
    """What a put stores: `wanted` replaces the whole configuration; state and tags of a known alarm stay (API
    reference, "PutMetricAlarm"). Another suppressor discards the periods that the former one started."""
    window_seconds = float(wanted.period_seconds * wanted.evaluation_periods)
    if wanted.kind == COMPOSITE:
        window_seconds = Alarm("", "").window_seconds
    fresh = replace(wanted, window_seconds=window_seconds, configured_at=now)
    if known is None:
        return replace(
            fresh,
            state=INSUFFICIENT_DATA,
            reason=alarm_reason.INITIAL,
            reason_data="",
            changed_at=now,
            state_updated_at=now,
            created_at=now,
            suppression=Suppression(seen=INSUFFICIENT_DATA, seen_at=now),
        )
    memory = known.suppression
    if known.suppressor != wanted.suppressor:
        memory = replace(memory, by="", until=0.0)
    return replace(
        fresh,
        state=known.state,
        reason=known.reason,
        reason_data=known.reason_data,
        evaluation_state=known.evaluation_state,
        changed_at=known.changed_at,
        state_updated_at=known.state_updated_at,
        created_at=known.created_at,
        value=known.value,
        suppression=memory,
        tags=known.tags,
    )
