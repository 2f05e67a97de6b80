"""PutEvents, TestEventPattern, and the bus there is (EventBridge API reference)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.api.events.asked import DEFAULT_BUS, SERVICE, check_bus, validation
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model.errors import AwsError
from monitor.model.event import CUSTOM, Event
from monitor.model.rule import arn
from monitor.model.state import Change, Log
from monitor.rules import event_pattern, json_text

MOST_ENTRIES, MOST_BYTES = 10, 256 * 1024
_ENVELOPE = ("id", "account", "source", "time", "region", "resources", "detail-type")


@operation(SERVICE, "PutEvents")
def put_events(ctx: Context, params: Params) -> Outcome:
    """Each entry is taken or told why not. Answered when the events, and what rules make of them, are on disk."""
    entries = params["Entries"]
    if not 1 <= len(entries) <= MOST_ENTRIES:
        raise validation(
            f"1 validation error detected: Value '{len(entries)} entries' at 'entries' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MOST_ENTRIES}"
        )
    if sum(map(_size, entries)) > MOST_BYTES:
        raise validation("Total size of the entries in the request is over the limit.")
    told: list[dict[str, Any]] = []
    changes: list[Change] = []
    for entry in entries:
        problem = _problem(ctx, entry)
        if problem:
            told.append({"ErrorCode": problem[0], "ErrorMessage": problem[1]})
            continue
        event = _event(ctx, entry)
        changes.append(Log(event))
        told.append({"EventId": event.id})
    failed = sum("ErrorCode" in one for one in told)
    return Outcome(lambda _: {"FailedEntryCount": failed, "Entries": told}, tuple(changes))


def _size(entry: Mapping[str, Any]) -> int:
    texts = (
        entry.get("Source"),
        entry.get("DetailType"),
        entry.get("Detail"),
        *(entry.get("Resources") or ()),
    )
    return 14 + sum(len((text or "").encode()) for text in texts)


def _problem(ctx: Context, entry: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
    if entry["Source"].startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    try:
        check_bus(ctx, entry.get("EventBusName"))
        detail = json_text.loads(entry["Detail"])
    except AwsError as error:
        return "InvalidArgument", error.message
    except ValueError:
        return "MalformedDetail", "Detail is malformed."
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _event(ctx: Context, entry: Mapping[str, Any]) -> Event:
    at = entry.get("Time")
    return Event(
        id=ctx.ids.uuid(),
        at=ctx.now if at is None else float(at),
        kind=CUSTOM,
        cluster_arn="",
        message=f"{entry['Source']}: {entry['DetailType']}",
        detail_type=entry["DetailType"],
        detail=entry["Detail"],
        source=entry["Source"],
        subject=arn(ctx.scope, "event-bus", DEFAULT_BUS),
        resources=tuple(entry.get("Resources") or ()),
    )


@operation(SERVICE, "TestEventPattern")
def test_event_pattern(ctx: Context, params: Params) -> Outcome:  # noqa: ARG001 - an operation has both
    pattern = event_pattern.parse(params["EventPattern"])
    try:
        event = json_text.loads(params["Event"])
    except ValueError as error:
        raise validation("Parameter Event is not valid.") from error
    absent = [name for name in _ENVELOPE if not isinstance(event, dict) or name not in event]
    if absent:
        raise validation(f"Parameter Event is not valid. Reason: {', '.join(absent)} missing.")
    return answer({"Result": pattern.matches(event)})


# -- the bus -------------------------------------------------------------------------------------------------


def _bus(ctx: Context) -> dict[str, Any]:
    return {"Name": DEFAULT_BUS, "Arn": arn(ctx.scope, "event-bus", DEFAULT_BUS)}


@operation(SERVICE, "DescribeEventBus")
def describe_event_bus(ctx: Context, params: Params) -> Outcome:
    check_bus(ctx, params.get("Name"))
    return answer(_bus(ctx))


@operation(SERVICE, "ListEventBuses")
def list_event_buses(ctx: Context, params: Params) -> Outcome:
    is_meant = DEFAULT_BUS.startswith(params.get("NamePrefix") or "")
    return answer({"EventBuses": [_bus(ctx)] if is_meant else []})
