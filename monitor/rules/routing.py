"""Which rules an event is for, and what their targets are given of it (EventBridge user guide, "Event patterns", "Input
transformation"). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from monitor.model.delivery import Delivery
from monitor.model.rule import ENABLED, Rule, Target
from monitor.rules import event_pattern, input_transform

MOST_RETRIES, MOST_AGE_SECONDS = 185, 86_400.0  # EventBridge's own


def sources(pattern: str) -> tuple[str, ...]:
    """The only values that `source` can have in events that match; () for any."""
    tests = json.loads(pattern).get("source")
    if isinstance(tests, list) and all(isinstance(test, str) for test in tests):
        return tuple(tests)
    return ()


class Table:
    """The enabled rules with a pattern, found by the source of an event."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_source: dict[str, list[Rule]] = {}
        self._any: list[Rule] = []
        for rule in rules:
            if rule.state != ENABLED or not rule.pattern or not rule.targets:
                continue
            for source in sources(rule.pattern) or ("",):
                (self._by_source.setdefault(source, []) if source else self._any).append(rule)

    @property
    def is_empty(self) -> bool:
        return not self._by_source and not self._any

    def matching(self, event: Mapping[str, Any]) -> list[Rule]:
        """`event`: the envelope."""
        found = (*self._by_source.get(str(event["source"]), ()), *self._any)
        return [rule for rule in found if event_pattern.parse(rule.pattern).matches(event)]


@lru_cache(maxsize=4096)
def _input(target_id: str, given: str) -> input_transform.TargetInput:
    read = json.loads(given)
    transformer = read.get("InputTransformer") or {}
    return input_transform.parse(
        target_id,
        text=read.get("Input"),
        path=read.get("InputPath"),
        paths=transformer.get("InputPathsMap"),
        template=transformer.get("InputTemplate"),
    )


def check_input(target_id: str, given: Mapping[str, Any]) -> None:
    """Raises ValidationException."""
    _input(target_id, _inputs(given))


def _inputs(given: Mapping[str, Any]) -> str:
    names = ("Input", "InputPath", "InputTransformer")
    return json.dumps({name: given[name] for name in names if given.get(name) is not None}, sort_keys=True)


def delivery(
    delivery_id: str, rule: Rule, target: Target, event: Mapping[str, Any], ingested: str, now: float
) -> Delivery:
    """One event on its way to one target. `ingested`: ISO 8601."""
    told = input_transform.Delivery(rule.arn, rule.name, ingested)
    retry = target.given.get("RetryPolicy") or {}
    return Delivery(
        delivery_id,
        target.arn,
        _input(target.id, _inputs(target.given)).render(event, told),
        now,
        now,
        origin=rule.arn,
        about={"rule": rule.name, "target": json.dumps(dict(target.given), default=str)},
        dead_letter=(target.given.get("DeadLetterConfig") or {}).get("Arn") or "",
        most_retries=retry.get("MaximumRetryAttempts", MOST_RETRIES),
        most_age_seconds=float(retry.get("MaximumEventAgeInSeconds", MOST_AGE_SECONDS)),
    )
