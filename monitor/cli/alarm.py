"""`moorwatch alarm`: tell the state of an alarm, for deployments that watch it."""

from __future__ import annotations

import click

from monitor.cli.session import OK, begin, state_option
from monitor.model.alarm import STATES


@click.command()
@click.argument("name")
@click.argument("value", metavar="STATE", type=click.Choice(STATES, case_sensitive=False))
@click.option("--reason", default="", help="Why, in a sentence.")
@state_option
def alarm(name: str, value: str, reason: str, state: str | None) -> int:
    """Set the state of alarm NAME to OK, ALARM or INSUFFICIENT_DATA.

    A deployment whose deploymentConfiguration names the alarm fails, and rolls back if asked to, once it is in
    ALARM. The alarm comes to be with its first state.
    """
    answer = (
        begin(state).api().own("PutAlarmState", {"alarmName": name, "state": value.upper(), "reason": reason})
    )
    click.echo(f"alarm {name} is {answer['state']}")
    return OK
