"""StartLiveTail (CloudWatch Logs API reference): an answer that goes on.

Clients put `stream-` (older ones `streaming-`) before the endpoint's host name; AWS_DISABLE_HOST_PREFIX_INJECTION=true
keeps them from that, or a name for which that resolves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from monitor.api.logs.asked import SERVICE, from_identifier, group_arn, missing, store_of
from monitor.api.operation import Context, Outcome, Params, Stream, Told, operation
from monitor.logs.base import NoGroup
from monitor.logs.tails import SessionTimeout, Tails, TooManySessions, Update, Wanted
from monitor.model.arn import Scope
from monitor.model.errors import ClientFault, invalid_parameter
from monitor.rules import log_filter

MOST_GROUPS, MOST_STREAMS = 10, 100


@operation(SERVICE, "StartLiveTail")
def start_live_tail(ctx: Context, params: Params) -> Outcome:
    """`sessionStart`, then a `sessionUpdate` each second, with at most 500 events."""
    wanted, shown = _wanted(ctx, params)
    store, tails = store_of(ctx), ctx.tails
    if tails is None:
        raise ClientFault("ServiceUnavailableException", "There is no log store.", 500)

    async def work() -> Stream:
        try:
            for group in wanted.groups:
                await store.group(ctx.scope, group)
            tails.check_room(ctx.scope)
        except NoGroup as error:
            raise missing("group") from error
        except TooManySessions as error:
            raise ClientFault("LimitExceededException", "Rate exceeded") from error
        start = {"requestId": ctx.ids.uuid(), "sessionId": ctx.ids.uuid(), **shown}
        return Stream(_told(tails, wanted, start))

    return Outcome(view=lambda _: {}, work=work)


def _wanted(ctx: Context, params: Params) -> tuple[Wanted, dict[str, Any]]:
    """What to follow, and how the session's start tells it. Raises InvalidParameterException."""
    identifiers = params["logGroupIdentifiers"]
    streams, prefixes = params.get("logStreamNames") or (), params.get("logStreamNamePrefixes") or ()
    if not 0 < len(identifiers) <= MOST_GROUPS:
        raise invalid_parameter(f"logGroupIdentifiers has 1 to {MOST_GROUPS} members.")
    if any(text.endswith("*") for text in identifiers):
        raise invalid_parameter("The ARN of a log group cannot end with an asterisk (*) here.")
    if streams and prefixes:
        raise invalid_parameter("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
    if max(len(streams), len(prefixes)) > MOST_STREAMS:
        raise invalid_parameter(f"There are at most {MOST_STREAMS} log streams, or prefixes of them.")
    if (streams or prefixes) and len(identifiers) > 1:
        raise invalid_parameter("Log streams can be chosen when logGroupIdentifiers has one member.")
    pattern = params.get("logEventFilterPattern") or ""
    wanted = Wanted(
        ctx.scope,
        frozenset(from_identifier(ctx, text) for text in identifiers),
        frozenset(streams),
        tuple(prefixes),
        log_filter.parse(pattern).matches if pattern else None,
    )
    shown: dict[str, Any] = {"logGroupIdentifiers": list(identifiers)}
    given = {"logStreamNames": list(streams), "logStreamNamePrefixes": list(prefixes)}
    shown |= {name: value for name, value in given.items() if value}
    return wanted, shown | ({"logEventFilterPattern": pattern} if pattern else {})


async def _told(tails: Tails, wanted: Wanted, start: dict[str, Any]) -> AsyncIterator[Told]:
    yield "sessionStart", start
    try:
        async for update in tails.session(wanted):
            yield "sessionUpdate", _view(wanted.scope, update)
    except SessionTimeout:
        yield "SessionTimeoutException", {"message": "The session has been open for three hours."}


def _view(scope: Scope, update: Update) -> dict[str, Any]:
    results = [
        {
            "logGroupIdentifier": group_arn(scope, group),
            "logStreamName": stream,
            "message": event.message,
            "timestamp": event.at,
            "ingestionTime": event.ingested,
        }
        for group, stream, event in update.found
    ]
    return {"sessionMetadata": {"sampled": update.is_sampled}, "sessionResults": results}
