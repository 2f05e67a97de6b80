"""Alarm: what a deployment needs to know of a CloudWatch alarm: its name and its state."""

from __future__ import annotations

from dataclasses import dataclass

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
STATES = (OK, ALARM, INSUFFICIENT_DATA)


@dataclass(frozen=True, slots=True)
class Alarm:
    """`changed_at`: when the state last changed. `window_seconds`: period x evaluation periods. `actions`: ARNs of
    scaling policies that act while it is in ALARM, by how far `value` is from `threshold`."""

    arn: str
    name: str
    state: str = INSUFFICIENT_DATA
    changed_at: float = 0.0
    reason: str = ""
    window_seconds: float = 180.0
    actions: tuple[str, ...] = ()
    value: float | None = None
    threshold: float = 0.0

    @property
    def key(self) -> str:
        return self.arn


def alarm_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"
