"""PutLogEvents, GetLogEvents, FilterLogEvents (CloudWatch Logs API reference)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from monitor.api.logs import metric_filters
from monitor.api.logs.asked import SERVICE, bad_token, group_name, read_token, store_of, token, working
from monitor.api.operation import Context, Outcome, Params, operation
from monitor.logs.base import LogEvent, Place, Reading, Resend
from monitor.model.errors import invalid_parameter
from monitor.rules import log_filter
from monitor.series.base import SeriesError
from monitor.series.emf import data_of

log = logging.getLogger("moorwatch.api.logs")

MOST_EVENTS, MOST_BYTES, MOST_STREAMS = 10_000, 1_048_576, 100
OVERHEAD = 26  # bytes counted for each event beside its message
OLDEST_MS, NEWEST_MS, SPAN_MS = 14 * 86_400_000, 2 * 3_600_000, 86_400_000
# What our own agent numbers its batches with, in a member that AWS ignores by now.
_RESEND = re.compile(r"moorwatch/([A-Za-z0-9_.-]{1,128})/([0-9]{1,19})")
_PLACE = re.compile(r"([fb])/([0-9]{20})([0-9]{20})/s")


@operation(SERVICE, "PutLogEvents")
def put_log_events(ctx: Context, params: Params) -> Outcome:
    """Answered when the events are on disk. What is too old or too new is left out and told."""
    store, events = store_of(ctx), params["logEvents"]
    if not events:
        raise invalid_parameter(
            "1 validation error detected: Value '[]' at 'logEvents' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1"
        )
    if len(events) > MOST_EVENTS:
        raise invalid_parameter(
            f"The batch of log events has at most {MOST_EVENTS} events: it has {len(events)}."
        )
    # Half a character of a message becomes "?": it has no bytes.
    given = [(e["timestamp"], e["message"].encode("utf-8", "replace").decode()) for e in events]
    length = sum(len(message.encode()) + OVERHEAD for _, message in given)
    if length > MOST_BYTES:
        raise invalid_parameter(f"Upload too large: {length} bytes exceeds limit of {MOST_BYTES}")
    if any(later < earlier for (earlier, _), (later, _) in pairwise(given)):
        raise invalid_parameter("Log events in a single PutLogEvents request must be in chronological order.")
    if given[-1][0] - given[0][0] > SPAN_MS:
        raise invalid_parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    numbered = _RESEND.fullmatch(params.get("sequenceToken") or "")
    resend = Resend(numbered[1], int(numbered[2])) if numbered else None
    now = int(ctx.now * 1000)
    old = sum(1 for at, _ in given if at < now - OLDEST_MS)
    new = sum(1 for at, _ in given if at > now + NEWEST_MS)
    kept = given[old : len(given) - new]

    async def work() -> dict[str, Any]:
        group, stream = params["logGroupName"], params["logStreamName"]
        # A batch of which nothing is left still has to be for a stream that is there.
        if await store.put(ctx.scope, group, stream, kept, resend):
            await _measured(ctx, group, kept)
        body: dict[str, Any] = {"nextSequenceToken": "0"}
        rejected: dict[str, int] = {}
        if old:
            rejected["tooOldLogEventEndIndex"] = old
        if new:
            rejected["tooNewLogEventStartIndex"] = len(given) - new
        return body | ({"rejectedLogEventsInfo": rejected} if rejected else {})

    return working(work)


async def _measured(ctx: Context, group: str, events: Sequence[tuple[int, str]]) -> None:
    """Metrics that are written in the messages (embedded metric format), and those of the group's metric filters.

    The events are stored already: a metric store that cannot be written costs the metrics alone.
    """
    data, refused = data_of(ctx.scope, (message for _, message in events), ctx.now)
    filters = metric_filters.of_group(ctx.state, ctx.scope, group)
    data += metric_filters.data_of(filters, ctx.scope, events)
    for reason, count in refused.items():
        log.warning("scope=%s embedded_metrics=%d refused: %s", ctx.scope, count, reason)
    if data and ctx.series is not None:
        try:
            await ctx.series.append(data)
        except SeriesError as error:
            log.error("embedded_metrics=%d not kept: %s", len(data), error)


# -- one stream ----------------------------------------------------------------------------------------------


@operation(SERVICE, "GetLogEvents")
def get_log_events(ctx: Context, params: Params) -> Outcome:
    """A page, oldest first, at most 1 MiB. Both tokens are always told; at an end it is the one that was given."""
    store, group, stream = store_of(ctx), group_name(ctx, params), params["logStreamName"]
    start, end = params.get("startTime", 0), params.get("endTime", 2**62)
    limit = params.get("limit", MOST_EVENTS)
    is_backward, place = not params.get("startFromHead", False), None
    if given := params.get("nextToken"):
        is_backward, place = _read_place(given)
    reading = Reading(
        ctx.scope, group, [stream], start=start, end=end, after=place, limit=limit, is_backward=is_backward
    )

    async def work() -> dict[str, Any]:
        page = await store.read(reading)
        events = _within([event for _, event in page.events])
        if is_backward:
            events = events[::-1]
        first: Place = (events[0].at, events[0].seq) if events else place or (min(end, 2**62), 0)
        last: Place = (events[-1].at, events[-1].seq) if events else place or (start, 0)
        return {
            "events": [
                {"timestamp": e.at, "message": e.message, "ingestionTime": e.ingested} for e in events
            ],
            "nextForwardToken": _place_token("f", last),
            "nextBackwardToken": _place_token("b", first),
        }

    return working(work)


def _within(events: Sequence[LogEvent]) -> list[LogEvent]:
    """As many of them as go into one answer."""
    left = MOST_BYTES
    found: list[LogEvent] = []
    for event in events:
        left -= len(event.message.encode()) + OVERHEAD
        if left < 0 and found:
            break
        found.append(event)
    return found


def _place_token(way: str, place: Place) -> str:
    return f"{way}/{place[0]:020}{place[1]:020}/s"


def _read_place(text: str) -> tuple[bool, Place]:
    """(whether backward, place). Raises InvalidParameterException."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise bad_token()
    return found[1] == "b", (int(found[2]), int(found[3]))


# -- a group -------------------------------------------------------------------------------------------------


@operation(SERVICE, "FilterLogEvents")
def filter_log_events(ctx: Context, params: Params) -> Outcome:
    """Events of all streams, or of some, by time. A page can be empty while there is more: the token says so."""
    store, group = store_of(ctx), group_name(ctx, params)
    names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix") or ""
    if names and prefix:
        raise invalid_parameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
    if names and len(names) > MOST_STREAMS:
        raise invalid_parameter(f"logStreamNames has at most {MOST_STREAMS} members.")
    start, end = params.get("startTime", 0), params.get("endTime", 2**62 - 1)
    pattern = params.get("filterPattern") or ""
    matches = log_filter.parse(pattern).matches if pattern else None
    last = read_token(params, int, int)
    reading = Reading(
        ctx.scope,
        group,
        list(dict.fromkeys(names)) if names else None,
        prefix,
        start,
        end + 1,  # FilterLogEvents has its end inside, GetLogEvents outside
        (last[0], last[1]) if last else None,
        params.get("limit", MOST_EVENTS),
        matches=matches,
    )

    async def work() -> dict[str, Any]:
        page = await store.read(reading)
        shown = _within([event for _, event in page.events])
        events = [
            {
                "logStreamName": stream,
                "timestamp": e.at,
                "message": e.message,
                "ingestionTime": e.ingested,
                "eventId": f"{e.at:028}{e.seq:028}",
            }
            for stream, e in page.events[: len(shown)]
        ]
        body: dict[str, Any] = {"events": events, "searchedLogStreams": []}
        if len(shown) < len(page.events):
            body["nextToken"] = token(shown[-1].at, shown[-1].seq)
        elif not page.is_last and page.place is not None:
            body["nextToken"] = token(*page.place)
        return body

    return working(work)
