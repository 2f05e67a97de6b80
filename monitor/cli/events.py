"""`moorwatch events`: what the scheduler and the agents did, as it happens."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any

import click

from monitor.cli import render
from monitor.cli.api import LONGEST_WAIT_SECONDS, Api, ApiUnreachable
from monitor.cli.session import OK, begin, json_option, state_option
from monitor.clock import SystemClock

MOST, RETRY_SECONDS, SHORTEST_WAIT_SECONDS = 1000, 1.0, 0.5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Item = dict[str, Any]


def since(value: str | None, now: float) -> float | None:
    """A point in time in epoch seconds: 90s, 10m, 2h, 3d ago, or an ISO 8601 time (of the reader's zone unless
    it names one). Raises click.BadParameter.
    """
    if value is None:
        return None
    if short := re.fullmatch(r"(\d{1,9})([smhd])", value.strip()):
        return now - int(short[1]) * _UNITS[short[2]]
    try:
        return datetime.fromisoformat(value.strip()).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"'{value}' is neither like 90s, 10m, 2h, 3d nor like 2026-11-23T08:00", param_hint="--since"
        ) from error


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on showing events as they happen, until Ctrl-C.")
@click.option("--service", metavar="NAME", help="Only events of this service.")
@click.option("--task", metavar="ID", help="Only events of this task (an id, or the beginning of one).")
@click.option(
    "--eventbridge", is_flag=True, help="EventBridge's form, one JSON object a line: what ECS would publish."
)
@click.option("--cluster", metavar="NAME", help="Only events of this cluster [default: all].")
@click.option("--since", "since_text", metavar="TIME", help="Only later ones: 10m, 2h, or an ISO 8601 time.")
@click.option(
    "--limit", "-n", type=click.IntRange(0, MOST), default=50, show_default=True, help="At most so many."
)
@state_option
@json_option
def events(
    follow: bool,
    service: str | None,
    task: str | None,
    eventbridge: bool,
    cluster: str | None,
    since_text: str | None,
    limit: int,
    state: str | None,
    as_json: bool,
) -> int:
    """Show the newest events, oldest first; with -f go on as they happen.

    Service events have ECS's own wording. With --json each event is one JSON object on a line.
    """
    earliest = since(since_text, SystemClock().now())
    api = begin(state).api()
    only: Item = {}
    if service is not None:
        only["service"] = render.last_part(service)
    if cluster is not None:
        only["cluster"] = render.last_part(cluster)
    if task is not None:
        only["task"] = render.last_part(task)
    if eventbridge:
        only["format"], as_json = "eventbridge", True
    newest, last = _newest(api, only, earliest, limit)
    for event in newest:
        _show(event, as_json)
    if follow:
        _follow(api, only, last, as_json)
    return OK


def _newest(api: Api, only: Item, earliest: float | None, limit: int) -> tuple[list[Item], int]:
    """The newest `limit` events not before `earliest`, and the sequence number to go on from."""
    page = api.own("ListEvents", {"limit": MOST if earliest is not None else max(limit, 1), **only})
    found = [e for e in page.get("events") or () if earliest is None or _at(e) >= earliest]
    return found[len(found) - limit :] if limit < len(found) else found, int(page.get("last") or 0)


def _at(event: Item) -> float:
    if "time" in event:
        return datetime.fromisoformat(event["time"]).timestamp()
    return float(event["at"])


def _follow(api: Api, only: Item, after: int, as_json: bool) -> None:
    is_told = False
    while True:
        asked_at = time.monotonic()
        asked = {"after": after, "limit": MOST, "waitSeconds": LONGEST_WAIT_SECONDS, **only}
        try:
            page = api.own("ListEvents", asked)
        except ApiUnreachable as error:
            if not is_told:
                click.echo(f"moorwatch: {error}; waiting for it to come back", err=True)
            is_told = True
            time.sleep(RETRY_SECONDS)
            continue
        is_told = False
        found = page.get("events") or []
        if page.get("missed"):
            click.echo(f"moorwatch: {page['missed']} events were missed: they had left memory", err=True)
        seqs = [int(event["seq"]) for event in found]
        for event in found:
            _show(event, as_json)
        if not found and time.monotonic() - asked_at < SHORTEST_WAIT_SECONDS:
            time.sleep(SHORTEST_WAIT_SECONDS)  # the answer was not held back: do not ask without pause
        # `last` can go back: a control plane on a new state folder counts anew
        after = seqs[-1] if seqs else int(page.get("last", after))


def _show(event: Item, as_json: bool) -> None:
    if as_json:
        shown = {k: v for k, v in event.items() if k != "seq"} if "detail-type" in event else event
        click.echo(json.dumps(shown))
    else:
        click.echo(line(event, SystemClock().now()))


def line(event: Item, now: float) -> str:
    """One event for people: when, what kind, what it is about, the message."""
    about = render.last_part(render.plain(event.get("service") or event.get("task") or "-"))
    kind = render.plain(event.get("kind") or "-")
    return (
        f"{render.clock(event.get('at'), now)}  {render.weak(f'{kind:<18}')} {about}  "
        f"{render.plain(event.get('message') or '')}"
    )
