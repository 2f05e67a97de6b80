"""Delivery: one message on its way to one target, kept in the state until it has arrived or is given up.

Put into the very commit that is the reason for it (an alarm's change of state, an event that a rule matches, a
published message), so that a crash can neither lose nor invent one. At least once: a target may see one twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Delivery:
    """`target`: the ARN of a topic, a subscription, a log group, an API destination or a cluster (RunTask).

    `payload`: the message, text. `about`: what the kind of target needs beside it, as text: `Subject` for topics,
    `target` (JSON of the rule's target) for rules. `origin`: ARN of the alarm, rule or topic it comes from; when that
    is an alarm, its outcome is told in the alarm's history. `due_at`, `created_at`: seconds since the epoch.
    `attempts`: so many have failed, with `problem` last. It is given up after `most_retries`, or when the next attempt
    would come later than `most_age_seconds` after its creation, and goes to `dead_letter` then, an ARN.
    """

    id: str
    target: str
    payload: str
    created_at: float
    due_at: float
    origin: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 0
    problem: str = ""
    dead_letter: str = ""
    most_retries: int = 50
    most_age_seconds: float = 86_400.0

    @property
    def key(self) -> str:
        return self.id
