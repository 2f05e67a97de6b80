"""Nouns of CloudWatch alarms: what is watched, how it is judged, how it stands, and its history (CloudWatch API
reference, "MetricAlarm", "CompositeAlarm", "AlarmHistoryItem").

One noun for every kind, as deployments and auto scaling ask only how an alarm stands. Times are seconds since the
epoch. What a request left out is "" or 0 (`threshold`, the suppressor's periods: None): descriptions leave it out too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.model.metric import MetricKey

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
STATES = (OK, ALARM, INSUFFICIENT_DATA)

# Kinds: told by PutAlarmState alone; evaluated from a metric or an expression; evaluated from other alarms.
EXTERNAL, METRIC, COMPOSITE = "external", "metric", "composite"

MISSING, IGNORE, BREACHING, NOT_BREACHING = "missing", "ignore", "breaching", "notBreaching"

# What holds a composite alarm's actions back (ActionsSuppressedBy).
BY_ALARM, BY_WAIT, BY_EXTENSION = "Alarm", "WaitPeriod", "ExtensionPeriod"

CONFIGURATION_UPDATE, STATE_UPDATE, ACTION = "ConfigurationUpdate", "StateUpdate", "Action"


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """One element of a metric math alarm's Metrics: a metric with its statistic, or an expression.

    `dimensions`: (name, value) as given. `period`: seconds. `label`: None when none was given, which is not the empty
    one. `returns`: whether this is the one that is watched.
    """

    id: str
    expression: str = ""
    label: str | None = None
    returns: bool = True
    period: int = 0
    namespace: str = ""
    metric: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    stat: str = ""
    unit: str = ""
    account_id: str = ""

    @property
    def metric_key(self) -> MetricKey:
        return MetricKey.of(self.namespace, self.metric, self.dimensions)


@dataclass(frozen=True, slots=True)
class Suppression:
    """What a composite alarm remembers of its suppressor.

    `by`: what holds its actions back, "" for nothing; `until`: when a period ends. `owed`: it changed its state and
    has not acted on that yet. `seen`, `seen_at`: the newest change of its state that was taken notice of.
    """

    by: str = ""
    until: float = 0.0
    owed: bool = False
    seen: str = ""
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """`changed_at`: when the state last changed (StateTransitionedTimestamp), `state_updated_at`: when the state or
    `evaluation_state` was last written. `window_seconds`: period x evaluation periods, the bake time of deployments
    that watch it. `actions`: ARNs of scaling policies told by PutAlarmState. Policies act while it is in ALARM, by how
    far `value`, the newest datapoint, is from `threshold`.

    `statistic` or `extended_statistic` for one metric, `queries` for metric math, `rule` for a composite alarm.
    `suppressor_wait`, `suppressor_extension`: seconds.
    """

    arn: str
    name: str
    state: str = INSUFFICIENT_DATA
    changed_at: float = 0.0
    reason: str = ""
    window_seconds: float = 180.0
    actions: tuple[str, ...] = ()
    value: float | None = None
    threshold: float | None = 0.0
    kind: str = EXTERNAL
    description: str = ""
    actions_enabled: bool = True
    ok_actions: tuple[str, ...] = ()
    alarm_actions: tuple[str, ...] = ()
    insufficient_data_actions: tuple[str, ...] = ()
    namespace: str = ""
    metric: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str = ""
    extended_statistic: str = ""
    unit: str = ""
    period: int = 0
    evaluation_periods: int = 0
    datapoints_to_alarm: int = 0
    comparison: str = ""
    treat_missing_data: str = ""
    evaluate_low_sample: str = ""
    threshold_metric_id: str = ""
    queries: tuple[MetricQuery, ...] = ()
    rule: str = ""
    suppressor: str = ""
    suppressor_wait: int | None = None
    suppressor_extension: int | None = None
    suppression: Suppression = Suppression()
    reason_data: str = ""
    evaluation_state: str = ""
    created_at: float = 0.0
    configured_at: float = 0.0
    state_updated_at: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.arn

    @property
    def transitioned_at(self) -> float:
        """StateTransitionedTimestamp."""
        return self.changed_at

    @property
    def metric_key(self) -> MetricKey:
        """The metric of an alarm on one metric."""
        return MetricKey.of(self.namespace, self.metric, self.dimensions)

    @property
    def stat(self) -> str:
        """The statistic of an alarm on one metric."""
        return self.statistic or self.extended_statistic

    @property
    def period_seconds(self) -> int:
        """Of one datapoint. Metric math has the longest period of its queries (the guide asks for equal ones)."""
        return self.period or max((query.period for query in self.queries), default=0) or 60

    @property
    def breaches_needed(self) -> int:
        """M of "M out of N"; without DatapointsToAlarm it is N."""
        return self.datapoints_to_alarm or self.evaluation_periods

    @property
    def missing_data(self) -> str:
        """How missing data is treated. Alarms on AWS/DynamoDB ignore it unless they say otherwise (CloudWatch user
        guide, "Configuring how CloudWatch alarms treat missing data")."""
        return self.treat_missing_data or (IGNORE if self.namespace == "AWS/DynamoDB" else MISSING)

    @property
    def state_actions(self) -> tuple[str, ...]:
        """The ARNs of what is to be done on the change to its state; none while its actions are disabled."""
        if not self.actions_enabled:
            return ()
        of = {
            OK: self.ok_actions,
            ALARM: self.alarm_actions,
            INSUFFICIENT_DATA: self.insufficient_data_actions,
        }
        return of.get(self.state, ())

    @property
    def scaling_policies(self) -> tuple[str, ...]:
        """ARNs of the scaling policies that act as long as it is in ALARM."""
        named = [a for a in self.alarm_actions if ":scalingPolicy:" in a] if self.actions_enabled else []
        return tuple(dict.fromkeys((*self.actions, *named)))


@dataclass(frozen=True, slots=True)
class AlarmHistoryItem:
    """What happened to an alarm, kept for two weeks and longer than the alarm itself.

    `type`: ConfigurationUpdate, StateUpdate, Action. `data`: JSON text. `seq` grows by one with each item of the alarm:
    a change and its actions may have one and the same time.
    """

    alarm_arn: str
    at: float
    type: str
    summary: str
    data: str = ""
    seq: int = 0
    kind: str = METRIC

    @property
    def key(self) -> str:
        return f"{self.alarm_arn}/{self.seq}"

    @property
    def alarm_name(self) -> str:
        return alarm_name(self.alarm_arn)


def alarm_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"


def alarm_name(reference: str) -> str:
    """The name that a name or an ARN refers to: names may have colons too."""
    parts = reference.split(":", 6)
    is_arn = len(parts) == 7 and parts[0] == "arn" and parts[2] == "cloudwatch" and parts[5] == "alarm"
    return parts[6] if is_arn else reference
