"""Deliveries of rules to log groups, API destinations and clusters (EventBridge user guide, "Event bus targets")."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from monitor.api.events.destinations import header_of
from monitor.api.operation import OPERATIONS, Context
from monitor.clock import Clock
from monitor.control.channels import Failed, Http
from monitor.logs.base import Exists, LogsError, LogStore, NoGroup, NoStream
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.delivery import Delivery
from monitor.model.errors import AwsError
from monitor.model.state import Change, State

_RUN_TASK = {
    "TaskDefinitionArn": "taskDefinition",
    "LaunchType": "launchType",
    "Group": "group",
    "PlatformVersion": "platformVersion",
    "PropagateTags": "propagateTags",
    "EnableECSManagedTags": "enableECSManagedTags",
}
_STARTED_BY = 36  # characters (ECS API reference, "RunTask")


class LogGroups:
    def __init__(self, logs: LogStore, clock: Clock) -> None:
        self._logs, self._clock = logs, clock

    async def __call__(self, delivery: Delivery) -> Sequence[Change]:
        """One event of the stream that is named by the rule, or by what was given up."""
        scope = arns.scope_of(delivery.target)
        group = delivery.target.split(":log-group:", 1)[-1].removesuffix(":*")
        is_dead = "problem" in delivery.about
        stream = f"{'dead-letters/' if is_dead else ''}{delivery.about.get('rule') or 'events'}"
        text = json.dumps(_dead(delivery), ensure_ascii=False) if is_dead else delivery.payload
        try:
            await self._put(scope, group, stream, text)
        except NoGroup as error:
            raise Failed(f"the log group {group} does not exist", is_final=True) from error
        except LogsError as error:
            raise Failed(str(error)) from error
        return ()

    async def _put(self, scope: Scope, group: str, stream: str, text: str) -> None:
        now = int(self._clock.now() * 1000)
        try:
            await self._logs.put(scope, group, stream, [(now, text)])
        except NoStream:
            with contextlib.suppress(Exists):  # another delivery made it
                await self._logs.create_stream(scope, group, stream, now)
            await self._logs.put(scope, group, stream, [(now, text)])


def _dead(delivery: Delivery) -> dict[str, str]:
    """What a dead letter says (EventBridge user guide, "Using dead-letter queues")."""
    return {
        "RULE_ARN": delivery.origin,
        "TARGET_ARN": delivery.about.get("target_arn", ""),
        "ERROR_MESSAGE": delivery.about["problem"],
        "ATTEMPTS": delivery.about.get("attempts", ""),
        "EVENT": delivery.payload,
    }


class ApiDestinations:
    def __init__(self, state: State, http: Http) -> None:
        self._state, self._http = state, http

    def _key(self, delivery: Delivery) -> str:
        """Without the unique part that EventBridge's own ARNs end in."""
        head, _, rest = delivery.target.partition(":api-destination/")
        return f"{head}:api-destination/{rest.split('/')[0]}"

    def lane(self, delivery: Delivery) -> str:
        found = self._state.api_destinations.get(self._key(delivery))
        return urlsplit(found.endpoint).netloc if found else delivery.target

    async def __call__(self, delivery: Delivery) -> Sequence[Change]:
        found = self._state.api_destinations.get(self._key(delivery))
        connection = self._state.connections.get(found.connection_arn) if found else None
        if found is None or connection is None:
            raise Failed("the API destination or its connection is gone", is_final=True)
        given: Mapping[str, Any] = json.loads(delivery.about.get("target", "{}")).get("HttpParameters") or {}
        url = found.endpoint
        for value in given.get("PathParameterValues") or ():
            url = url.replace("*", quote(value, safe=""), 1)
        if query := given.get("QueryStringParameters"):
            url += ("&" if "?" in url else "?") + urlencode(query)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Moorwatch/ApiDestinations",
            **(given.get("HeaderParameters") or {}),
            **header_of(connection),
        }
        await self._http.send(found.method, url, delivery.payload.encode("utf-8", "replace"), headers)
        return ()


class RunTask:
    """`context`: of a request of its own, in a scope."""

    def __init__(self, state: State, context: Callable[[Scope], Context]) -> None:
        self._state, self._context = state, context

    async def __call__(self, delivery: Delivery) -> Sequence[Change]:
        """The tasks are part of the commit that drops the delivery: they are started once."""
        given: Mapping[str, Any] = json.loads(delivery.about.get("target", "{}"))
        ecs: Mapping[str, Any] = given.get("EcsParameters") or {}
        params: dict[str, Any] = {
            "cluster": delivery.target,
            "count": ecs.get("TaskCount") or 1,
            "startedBy": f"events-rule/{delivery.about.get('rule', '')}"[:_STARTED_BY],
            **{ours: ecs[theirs] for theirs, ours in _RUN_TASK.items() if ecs.get(theirs) is not None},
        }
        if given.get("Input") or given.get("InputTransformer"):
            overrides = json.loads(delivery.payload)
            if isinstance(overrides, dict) and "containerOverrides" in overrides:
                params["overrides"] = overrides
        try:
            outcome = OPERATIONS["ecs", "RunTask"](self._context(arns.scope_of(delivery.target)), params)
        except AwsError as error:
            raise Failed(f"{error.code}: {error.message}", is_final=error.status < 500) from error
        if not outcome.changes:
            failures = outcome.view(self._state).get("failures") or [{"reason": "nothing was started"}]
            raise Failed(f"no task was placed: {failures[0].get('reason')}")
        return outcome.changes
