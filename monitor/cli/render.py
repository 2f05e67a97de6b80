"""How the commands draw things: tables, bars, ages, colours. Pure: values in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

FULL, EMPTY = "█", "░"
_CONTROL = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}


def plain(text: Any) -> str:
    """Text of a container or a user made safe for a terminal: no control characters, one line."""
    return str(text).replace("\n", " ").translate(_CONTROL)


def good(text: str) -> str:
    return click.style(text, fg="green")


def bad(text: str) -> str:
    return click.style(text, fg="red")


def weak(text: str) -> str:
    return click.style(text, dim=True)


def warn(text: str) -> str:
    return click.style(text, fg="yellow")


def strong(text: str) -> str:
    return click.style(text, bold=True)


def bar(running: int, desired: int, width: int = 10) -> str:
    """A block bar of `running` out of `desired`, never full before all run, never empty while one does."""
    if desired <= 0:
        return EMPTY * width
    filled = min(width, running * width // desired)
    if running > 0 and filled == 0:
        filled = 1
    return FULL * filled + EMPTY * (width - filled)


def table(rows: Sequence[Sequence[str]], header: Sequence[str], indent: int = 2) -> list[str]:
    """Columns as wide as they need; styled cells count by what is seen of them."""
    all_rows = [list(header), *(list(row) for row in rows)]
    widths = [max(len(click.unstyle(row[i])) for row in all_rows) for i in range(len(header))]
    lines = []
    for number, row in enumerate(all_rows):
        cells = [
            cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True)
        ]
        line = (" " * indent + "  ".join(cells)).rstrip()
        lines.append(weak(line) if number == 0 else line)
    return lines


def shortened(text: str, most: int = 72) -> str:
    """Cut for a column of a table; the whole text is shown where there is room."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def duration(seconds: float) -> str:
    """Seconds in the two largest units that say something: 42s, 3m 5s, 2h 10m, 4d 3h."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (left, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    first, *others = parts
    text = f"{first[0]}{first[1]}"
    return f"{text} {others[0][0]}{others[0][1]}" if others and others[0][0] else text


def age(at: float | None, now: float) -> str:
    return "-" if at is None else f"{duration(now - at)} ago"


def clock(at: float | None, now: float) -> str:
    """A time of day in the reader's zone, with the day when it is not today's."""
    if at is None:
        return "-"
    local, today = (datetime.fromtimestamp(moment, UTC).astimezone() for moment in (at, now))
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def size(count: float | None) -> str:
    """Bytes in binary units: 512 B, 31.9 MiB."""
    if count is None:
        return "-"
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:.1f} {units[0]}"


def last_part(arn: str) -> str:
    """What a person calls the thing an ARN names: the part behind the last slash."""
    return arn.rsplit("/", 1)[-1]
