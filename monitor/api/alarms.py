"""PutAlarmState: tell the state of an alarm that something else watches (target prefix Moorwatch_20261101).

Deployments read alarms from the state (ECS developer guide, "CloudWatch alarms and deployments"). Whatever evaluates
them, Alertmanager or a script, tells the outcome here.
"""

from __future__ import annotations

from monitor.api.operation import Context, Outcome, Params, operation
from monitor.model.alarm import EXTERNAL, STATES, Alarm, alarm_arn
from monitor.model.errors import invalid_parameter
from monitor.model.state import Put

NAME_LIMIT, REASON_LIMIT, WINDOW_LIMIT = 255, 1023, 86400


def _number(params: Params, name: str, default: float | None) -> float | None:
    value = params.get(name, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise invalid_parameter(f"{name} must be a number.")
    return None if value is None else float(value)


@operation("moorwatch", "PutAlarmState")
def put_alarm_state(ctx: Context, params: Params) -> Outcome:
    """`alarmName`, `state` (OK, ALARM, INSUFFICIENT_DATA), `reason`, and `windowSeconds`: how long its evaluation
    takes, which is the bake time of deployments that watch it; `actions` (ARNs of step scaling policies), the metric's
    `value` and the `threshold`. An alarm comes to be with its first state."""
    name, state, reason = params.get("alarmName"), params.get("state"), params.get("reason") or ""
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_LIMIT:
        raise invalid_parameter(f"alarmName must be a string of 1 to {NAME_LIMIT} characters.")
    if state not in STATES:
        raise invalid_parameter(f"state should be one of [{', '.join(STATES)}].")
    if not isinstance(reason, str) or len(reason) > REASON_LIMIT:
        raise invalid_parameter(f"reason must be a string of at most {REASON_LIMIT} characters.")
    arn = alarm_arn(ctx.scope.region, ctx.scope.account, name)
    known = ctx.state.alarms.get(arn)
    if known is not None and known.kind != EXTERNAL:
        raise invalid_parameter(
            f"{name} is a {known.kind} alarm and evaluated here: for a while, `aws cloudwatch set-alarm-state` sets it."
        )
    window = params.get("windowSeconds", known.window_seconds if known else Alarm(arn, name).window_seconds)
    if isinstance(window, bool) or not isinstance(window, int | float) or not 0 <= window <= WINDOW_LIMIT:
        raise invalid_parameter(f"windowSeconds must be a number from 0 to {WINDOW_LIMIT}.")
    actions = params.get("actions", list(known.actions) if known else [])
    if (
        not isinstance(actions, list)
        or len(actions) > 5
        or not all(isinstance(a, str) and a for a in actions)
    ):
        raise invalid_parameter("actions must be a list of at most 5 ARNs.")
    value = _number(params, "value", None)
    threshold = _number(params, "threshold", known.threshold if known else 0.0)
    changed_at = known.changed_at if known is not None and known.state == state else ctx.now
    alarm = Alarm(
        arn, name, str(state), changed_at, reason, float(window), tuple(actions), value, threshold or 0.0
    )
    view = {"alarmArn": arn, "state": alarm.state}
    return Outcome(lambda _: view, (Put(alarm),) if alarm != known else ())
