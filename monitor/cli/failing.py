"""`moorwatch demo`: a service that fails, so that a new user sees what is told of it."""

from __future__ import annotations

import click

from monitor.cli.demo import failing_definition
from monitor.cli.session import OK, begin, state_option
from monitor.model.errors import AwsError

NAME = "demo-leak"


@click.command()
@click.option("--stop", is_flag=True, help="Delete the failing service again.")
@state_option
def demo(stop: bool, state: str | None) -> int:
    """Create the service demo-leak, whose task wants more memory than it may have.

    It is killed, replaced, killed again: look at it by `moorwatch why demo-leak`, `moorwatch events -f`, and in
    Prometheus as EcsContainerOomKilled and EcsServiceCrashLooping.
    """
    session = begin(state)
    api, cluster = session.api(), session.settings.cluster
    if stop:
        api.ecs("DeleteService", {"cluster": cluster, "service": NAME, "force": True})
        click.echo(f"service {NAME} is deleted")
        return OK
    made = api.ecs("RegisterTaskDefinition", failing_definition(NAME))["taskDefinition"]["taskDefinitionArn"]
    wanted = {"cluster": cluster, "serviceName": NAME, "taskDefinition": made, "desiredCount": 1}
    try:
        api.ecs("CreateService", wanted)
    except AwsError as error:
        if "idempotent" not in error.message:
            raise
        click.echo(f"service {NAME} is there already")
        return OK
    click.echo(f"service {NAME} is created; it will fail. Look: moorwatch why {NAME}")
    return OK
