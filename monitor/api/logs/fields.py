"""GetLogGroupFields (CloudWatch Logs API reference): the fields that a query of the log group may name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from monitor.api.logs.asked import SERVICE, group_name, store_of, working
from monitor.api.operation import Context, Outcome, Params, operation
from monitor.logs.base import LogEvent, Reading
from monitor.rules.insights_rows import discovered

AROUND_SECONDS, LATEST_SECONDS = 8 * 60, 15 * 60
SAMPLE = 1000  # events: a share in percent needs no more
MOST_FIELDS = 1000
OF_EACH = ("@timestamp", "@message", "@logStream", "@log", "@ptr", "@ingestionTime")


@operation(SERVICE, "GetLogGroupFields")
def get_log_group_fields(ctx: Context, params: Params) -> Outcome:
    """Of a sample of the last 15 minutes, or of 8 minutes before and after `time` (seconds since the epoch); those
    that most events have first."""
    group, store, at = group_name(ctx, params), store_of(ctx), params.get("time")
    start, end = (
        (ctx.now - LATEST_SECONDS, ctx.now + 1) if at is None else (at - AROUND_SECONDS, at + AROUND_SECONDS)
    )
    reading = Reading(ctx.scope, group, start=int(start * 1000), end=int(end * 1000), limit=SAMPLE)

    async def work() -> dict[str, Any]:
        sample: list[LogEvent] = []
        page = await store.read(reading)
        sample += (event for _, event in page.events)
        while len(sample) < SAMPLE and not page.is_last:
            page = await store.read(replace(reading, after=page.place, limit=SAMPLE - len(sample)))
            sample += (event for _, event in page.events)
        shares = await asyncio.to_thread(_shares, sample)
        return {"logGroupFields": [{"name": name, "percent": percent} for name, percent in shares]}

    return working(work)


def _shares(sample: Sequence[LogEvent]) -> list[tuple[str, int]]:
    counts = Counter({name: len(sample) for name in OF_EACH} if sample else {})
    for event in sample:
        counts.update(discovered(event.message).keys())
    return [(name, round(100 * count / len(sample))) for name, count in counts.most_common(MOST_FIELDS)]
