"""`moorwatch doctor`: the settings with where each came from, and what is wrong with its fix."""

from __future__ import annotations

from dataclasses import asdict, fields

import click

from monitor.cli import checks, render
from monitor.cli.checks import FAULT, FINE, NOTE, WARNING, Check
from monitor.cli.session import OK, PROBLEM, Session, begin, json_option, print_json, state_option
from monitor.config import Settings

_MARKS = {FINE: "✓", NOTE: "·", WARNING: "!", FAULT: "✗"}
_STYLES = {FINE: render.good, NOTE: render.weak, WARNING: render.warn, FAULT: render.bad}


@click.command()
@state_option
@json_option
def doctor(state: str | None, as_json: bool) -> int:
    """Look at settings, machine and running processes; say what is wrong and how to mend it.

    Exit code 0 when nothing is wrong (warnings are not), 1 when there is a problem.
    """
    session = begin(state)
    found = checks.run_all(session)
    has_fault = any(check.level == FAULT for check in found)
    if as_json:
        values = [{"name": n, "value": v, "origin": o} for n, v, o in settings_table(session)]
        print_json({"settings": values, "checks": [asdict(c) for c in found], "ok": not has_fault})
    else:
        click.echo("\n".join(lines(session, found)))
    return PROBLEM if has_fault else OK


def settings_table(session: Session) -> list[tuple[str, str, str]]:
    """(name, value, origin) of every setting; none of them is a secret."""
    settings = session.settings
    names = [item.name for item in fields(Settings) if item.name != "origins"]
    return [(n, str(getattr(settings, n)), settings.origins.get(n, "default")) for n in names]


def lines(session: Session, found: list[Check]) -> list[str]:
    rows = [(render.plain(n), render.plain(v) or "-", render.weak(o)) for n, v, o in settings_table(session)]
    drawn = [render.strong("settings"), *render.table(rows, ("NAME", "VALUE", "FROM")), ""]
    drawn.append(render.strong("checks"))
    width = max(len(check.name) for check in found)
    for check in found:
        mark = _STYLES[check.level](_MARKS[check.level])
        drawn.append(f"  {mark} {check.name:<{width}}  {render.plain(check.detail)}")
        if check.fix and check.level in (WARNING, FAULT):
            drawn.append(f"    {'':<{width}}  → {check.fix}")
    faults = sum(1 for check in found if check.level == FAULT)
    warnings = sum(1 for check in found if check.level == WARNING)
    drawn += ["", f"{_count(faults, 'problem')}, {_count(warnings, 'warning')}"]
    return drawn


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
