"""What log lines say in the embedded metric format → points of the metric store."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.model.arn import Scope
from monitor.rules.emf import read
from monitor.rules.statistics import of_values
from monitor.series.base import Datum, Series

PAST_SECONDS, AHEAD_SECONDS = 14 * 86_400, 2 * 3600  # as for PutMetricData


def data_of(scope: Scope, messages: Iterable[str], now: float) -> tuple[list[Datum], dict[str, int]]:
    """(points to append, reason → parts left out); neither for lines that are no EMF. `now`: epoch seconds."""
    data: list[Datum] = []
    refused: dict[str, int] = {}
    for message in messages:
        document = read(message)
        if document is None:
            continue
        for reason in document.refused:
            refused[reason] = refused.get(reason, 0) + 1
        for found in document.data:
            at = found.timestamp / 1000
            if not now - PAST_SECONDS <= at <= now + AHEAD_SECONDS:
                refused["timestamp"] = refused.get("timestamp", 0) + 1
                continue
            series = Series(scope, found.key, found.unit)
            data.append(Datum(series, at, of_values(list(found.values)), found.resolution))
    return data, refused
