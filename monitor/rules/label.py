"""Labels of GetMetricData's results: the default ones, and what stands in ${…} (CloudWatch user guide, "Use dynamic
labels"; API reference, "MetricDataQuery"). How numbers and times are written is ours: the guide does not say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from monitor.model.metric import MetricKey

MOST_DYNAMIC = 6  # live values in one label; properties are not counted
MOST_CHARACTERS = 2048
_HOLE = re.compile(r"\$\{([A-Z_]{1,32}|PROP\('([^'{}]{1,300})'\))\}")
_TIMEZONE = re.compile(r"([+-])(\d\d)(\d\d)")

Points = Sequence[tuple[float, float]]


class BadLabel(ValueError):
    """Too many values, or ${LABEL} twice; or a time zone that is none."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a metric query shows."""

    key: MetricKey
    statistic: str
    period: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when the labels are made: PROP('AccountId'), PROP('Region'); relative times count from `now`;
    `timezone` is +0130 for an hour and a half ahead of UTC."""

    account: str
    region: str
    now: float
    timezone: str = "+0000"


def default_labels(sources: Sequence[Source]) -> list[str]:
    """Of metric queries: the metric's name; where several ask for one metric, with what differs between them."""
    found = []
    for source in sources:
        same = [other for other in sources if other.key == source.key]
        found.append(" ".join((source.key.name, *_differing(source, same))))
    return found


def found_labels(sources: Sequence[Source]) -> list[str]:
    """Of what a search found: only what differs, dimensions' values first; the name where nothing does."""
    names = {source.key.name for source in sources}
    spaces = {source.key.namespace for source in sources}
    values: dict[str, set[str | None]] = {name: set() for s in sources for name, _ in s.key.dimensions}
    for name, known in values.items():
        known.update(source.key.dimension(name) for source in sources)
    labels = []
    for source in sources:
        parts = [value for name, value in source.key.dimensions if len(values[name]) > 1]
        parts += [source.key.namespace] if len(spaces) > 1 else []
        parts += [source.key.name] if len(names) > 1 or not parts else []
        labels.append(" ".join((*parts, *_differing(source, sources))))
    return labels


def _differing(source: Source, among: Sequence[Source]) -> list[str]:
    parts = [source.statistic] if len({one.statistic for one in among}) > 1 else []
    return parts + ([str(source.period)] if len({one.period for one in among}) > 1 else [])


def is_dynamic(label: str) -> bool:
    return _HOLE.search(label) is not None


def of_expression(query_id: str, label: str | None, inner: Sequence[str]) -> list[str]:
    """Labels of an expression's results before ${…}: `inner` has the series' own, one for each of an array.

    A label of the user's goes before the own one, or says itself with ${…} where that goes; an empty one is not shown.
    """
    if len(inner) == 1 and not inner[0]:
        return [query_id if label is None else label]
    if label is None:
        return list(inner)
    if is_dynamic(label):
        return [label] * len(inner)
    return [f"{label} {own}".strip() for own in inner]


def expand(label: str, default: str, points: Points, place: Place, source: Source | None = None) -> str:
    """A label with its ${…} filled in from the points shown. `default` is ${LABEL}; `source` is None for what an
    expression computed, whose PROP is empty. Unknown ones are left as written; a value that no point tells is `--`.

    Raises BadLabel.
    """
    if len(label) > MOST_CHARACTERS:
        raise BadLabel(f"A label has at most {MOST_CHARACTERS} characters")
    holes = [match[1] for match in _HOLE.finditer(label)]
    live = [hole for hole in holes if hole != "LABEL" and not hole.startswith("PROP")]
    if len(live) > MOST_DYNAMIC:
        raise BadLabel(f"A label has at most {MOST_DYNAMIC} dynamic values")
    if holes.count("LABEL") > 1:
        raise BadLabel("A label has ${LABEL} at most once")
    zone = parse_timezone(place.timezone)

    def filled(match: re.Match[str]) -> str:
        if match[2] is not None:
            return _property(match[2], place, source)
        if match[1] == "LABEL":
            return default
        return _live(match[1], points, place.now, zone) or match[0]

    return _HOLE.sub(filled, label)


def parse_timezone(text: str) -> timezone:
    """+0130 → an hour and a half ahead. Raises BadLabel."""
    found = _TIMEZONE.fullmatch(text)
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        raise BadLabel("The time zone is + or - and four digits: hours and minutes ahead of UTC")
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(ahead if found[1] == "+" else -ahead)


def _property(name: str, place: Place, source: Source | None) -> str:
    if name in ("AccountId", "AccountLabel"):
        return place.account
    if name == "Region":
        return place.region
    if source is None:
        return ""
    if name.startswith("Dim."):
        return source.key.dimension(name[4:]) or ""
    known = {
        "MetricName": source.key.name,
        "Namespace": source.key.namespace,
        "Period": str(source.period),
        "Stat": source.statistic,
    }
    return known.get(name, "")


# -- live values -------------------------------------------------------------------------------------------

_PICKS: Mapping[str, Callable[[Points], tuple[float, float]]] = {
    "FIRST": lambda points: points[0],
    "LAST": lambda points: points[-1],
    "MIN": lambda points: min(points, key=lambda point: point[1]),
    "MAX": lambda points: max(points, key=lambda point: point[1]),
}
_RANGES = {"FIRST_LAST": ("FIRST", "LAST"), "MIN_MAX": ("MIN", "MAX")}
_WHOLE: Mapping[str, Callable[[Points], float]] = {
    "AVG": lambda points: math.fsum(v for _, v in points) / len(points),
    "SUM": lambda points: math.fsum(v for _, v in points),
}


def _live(name: str, points: Points, now: float, zone: timezone) -> str | None:
    """None for a name that there is not."""
    if name == "DATAPOINT_COUNT":
        return str(len(points))
    if name in _WHOLE:
        return number(_WHOLE[name](points)) if points else "--"
    for suffix in ("_TIME_RANGE", "_RANGE"):
        pair = _RANGES.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if pair:
            if not points:
                return "--"
            (at, value), (until, other) = (_PICKS[one](points) for one in pair)
            return duration(abs(until - at)) if suffix == "_TIME_RANGE" else number(abs(other - value))
    pick = _PICKS.get(name.removesuffix("_RELATIVE").removesuffix("_TIME"))
    if pick is None:
        return None
    if not points:
        return "--"
    at, value = pick(points)
    if name.endswith("_TIME_RELATIVE"):
        return duration(abs(now - at))
    if name.endswith("_TIME"):
        return datetime.fromtimestamp(at, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    return None if name.endswith("_RELATIVE") else number(value)


def number(value: float) -> str:
    """Up to four decimals, none that are 0; very large and very small ones with an exponent."""
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.5g}"
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def duration(seconds: float) -> str:
    """5m 30s: the two largest units."""
    rest, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
