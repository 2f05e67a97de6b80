"""Archives and replays over the event log (EventBridge user guide, "Archiving and replaying events").

The log keeps the newest 100,000 events whether or not there is an archive: one is a name for those of them that match
its pattern from its creation on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.announce import envelope
from monitor.api.events.asked import (
    DEFAULT_BUS,
    SERVICE,
    check_bus,
    check_name,
    missing,
    nothing,
    paged,
    validation,
)
from monitor.api.operation import Context, Outcome, Params, answer, awaited, operation
from monitor.model import arn as arns
from monitor.model.errors import ClientFault
from monitor.model.rule import CANCELLED, RUNNING, STARTING, Archive, Replay, arn
from monitor.model.state import Drop, Put
from monitor.rules import event_pattern
from monitor.store.base import Past

ENABLED = "ENABLED"
_READ_AT_ONCE = 2000


def _archive(ctx: Context, name: str) -> Archive:
    found = ctx.state.archives.get(arn(ctx.scope, "archive", name))
    if found is None:
        raise missing(f"Archive {name[:64]} does not exist.")
    return found


@operation(SERVICE, "CreateArchive")
def create_archive(ctx: Context, params: Params) -> Outcome:
    name = check_name(params["ArchiveName"])
    check_bus(ctx, params["EventSourceArn"])
    key = arn(ctx.scope, "archive", name)
    if key in ctx.state.archives:
        raise ClientFault("ResourceAlreadyExistsException", f"Archive {name} already exists.")
    pattern = params.get("EventPattern") or ""
    if pattern:
        event_pattern.parse(pattern)
    made = Archive(
        key,
        name,
        arn(ctx.scope, "event-bus", DEFAULT_BUS),
        ctx.now,
        pattern,
        params.get("Description") or "",
        params.get("RetentionDays") or 0,
    )
    return Outcome(lambda _: _told(made), (Put(made),))


def _told(archive: Archive) -> dict[str, Any]:
    return {"ArchiveArn": archive.arn, "State": ENABLED, "CreationTime": archive.created_at}


def _shown(archive: Archive) -> dict[str, Any]:
    return {
        "ArchiveName": archive.name,
        "EventSourceArn": archive.source_arn,
        "State": ENABLED,
        "RetentionDays": archive.retention_days,
        "CreationTime": archive.created_at,
    }


@operation(SERVICE, "DescribeArchive")
def describe_archive(ctx: Context, params: Params) -> Outcome:
    """Its events are counted when it is asked: there is no second copy of them."""
    archive = _archive(ctx, params["ArchiveName"])
    assert ctx.past is not None
    past, pattern = ctx.past, event_pattern.parse(archive.pattern) if archive.pattern else None

    async def work() -> dict[str, Any]:
        count = size = 0
        wanted = Past(since=archive.created_at, limit=_READ_AT_ONCE)
        while events := await past(wanted):
            for event in events:
                if not event.detail_type or arns.scope_of(event.cluster_arn or event.subject) != ctx.scope:
                    continue
                if pattern is None or pattern.matches(envelope(event)):
                    count, size = count + 1, size + len(event.detail)
            wanted = replace(wanted, after=events[-1].seq)
        shown = _shown(archive) | {"ArchiveArn": archive.arn, "EventCount": count, "SizeBytes": size}
        more = {"EventPattern": archive.pattern, "Description": archive.description}
        return shown | {name: value for name, value in more.items() if value}

    return awaited(work)


@operation(SERVICE, "ListArchives")
def list_archives(ctx: Context, params: Params) -> Outcome:
    own = {a.name: a for a in ctx.state.archives.values() if arns.scope_of(a.arn) == ctx.scope}
    prefix = params.get("NamePrefix") or ""
    page, token = paged([name for name in own if name.startswith(prefix)], params)
    return answer({"Archives": [_shown(own[name]) for name in page], **token})


@operation(SERVICE, "UpdateArchive")
def update_archive(ctx: Context, params: Params) -> Outcome:
    archive = _archive(ctx, params["ArchiveName"])
    pattern = params.get("EventPattern", archive.pattern)
    if pattern:
        event_pattern.parse(pattern)
    changed = replace(
        archive,
        pattern=pattern or "",
        description=params.get("Description", archive.description),
        retention_days=params.get("RetentionDays", archive.retention_days),
    )
    return Outcome(lambda _: _told(changed), (Put(changed),))


@operation(SERVICE, "DeleteArchive")
def delete_archive(ctx: Context, params: Params) -> Outcome:
    return Outcome(nothing, (Drop(_archive(ctx, params["ArchiveName"])),))


# -- replays -------------------------------------------------------------------------------------------------


def _replay(ctx: Context, name: str) -> Replay:
    found = ctx.state.replays.get(arn(ctx.scope, "replay", name))
    if found is None:
        raise missing(f"Replay {name[:64]} does not exist.")
    return found


@operation(SERVICE, "StartReplay")
def start_replay(ctx: Context, params: Params) -> Outcome:
    """Events of [EventStartTime, EventEndTime) of the archive go to the rules again, marked with `replay-name`."""
    name, start, end = check_name(params["ReplayName"]), params["EventStartTime"], params["EventEndTime"]
    archive = ctx.state.archives.get(params["EventSourceArn"])
    if archive is None or arns.scope_of(archive.arn) != ctx.scope:
        raise validation(
            f"Parameter EventSourceArn is not valid. Reason: Archive {params['EventSourceArn'][:256]} does not exist."
        )
    if start >= end:
        raise validation(
            "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."
        )
    key = arn(ctx.scope, "replay", name)
    if key in ctx.state.replays:
        raise ClientFault("ResourceAlreadyExistsException", f"Replay {name} already exists.")
    to: Mapping[str, Any] = params["Destination"]
    if to["Arn"] != archive.source_arn:
        raise validation(
            "Parameter Destination.Arn is not valid. Reason: Must contain the event bus of the archive."
        )
    made = Replay(
        key,
        name,
        archive.arn,
        start,
        end,
        ctx.now,
        description=params.get("Description") or "",
        rules=tuple(to.get("FilterArns") or ()),
    )
    body = {"ReplayArn": key, "State": STARTING, "ReplayStartTime": ctx.now}
    return Outcome(lambda _: body, (Put(made),))


def _replay_view(r: Replay) -> dict[str, Any]:
    shown = {
        "ReplayName": r.name,
        "EventSourceArn": r.archive_arn,
        "State": r.state,
        "StateReason": r.reason or None,
        "EventStartTime": r.start,
        "EventEndTime": r.end,
        "EventLastReplayedTime": r.replayed_at,
        "ReplayStartTime": r.started_at,
        "ReplayEndTime": r.ended_at,
    }
    return {name: value for name, value in shown.items() if value is not None}


@operation(SERVICE, "DescribeReplay")
def describe_replay(ctx: Context, params: Params) -> Outcome:
    r = _replay(ctx, params["ReplayName"])
    archive = ctx.state.archives.get(r.archive_arn)
    bus = archive.source_arn if archive else arn(ctx.scope, "event-bus", DEFAULT_BUS)
    to: dict[str, Any] = {"Arn": bus} | ({"FilterArns": list(r.rules)} if r.rules else {})
    return answer(_replay_view(r) | {"ReplayArn": r.arn, "Destination": to})


@operation(SERVICE, "ListReplays")
def list_replays(ctx: Context, params: Params) -> Outcome:
    own = {r.name: r for r in ctx.state.replays.values() if arns.scope_of(r.arn) == ctx.scope}
    prefix, state = params.get("NamePrefix") or "", params.get("State")
    names = [name for name, r in own.items() if name.startswith(prefix) and state in (None, r.state)]
    page, token = paged(names, params)
    return answer({"Replays": [_replay_view(own[name]) for name in page], **token})


@operation(SERVICE, "CancelReplay")
def cancel_replay(ctx: Context, params: Params) -> Outcome:
    r = _replay(ctx, params["ReplayName"])
    if r.state not in (STARTING, RUNNING):
        raise ClientFault("IllegalStatusException", f"Replay {r.name} is in state {r.state}.")
    changed = replace(r, state=CANCELLED, ended_at=ctx.now)
    return Outcome(lambda _: {"ReplayArn": r.arn, "State": CANCELLED}, (Put(changed),))
