"""The `moorwatch` command: its commands, and what every error ends in.

A script can trust the exit codes; a person gets one sentence that says what to do, never a traceback for
something that is not a fault of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata

import click

from monitor.cli import alarm, alarms, doctor, events, failing, grafana, logs, push, run, status, why
from monitor.cli.api import ApiUnreachable
from monitor.cli.docker_api import DockerRefused, DockerUnreachable
from monitor.cli.dockerd import NoDocker
from monitor.cli.launch import UpFailed
from monitor.cli.record import AlreadyUp
from monitor.cli.session import PROBLEM, UNREACHABLE, USAGE, Failure
from monitor.config import ConfigError
from monitor.credentials import CredentialsError
from monitor.model.errors import AwsError

HELP = """Your own ECS that tells you why.

Moorwatch runs the ECS API on your own servers and keeps real containers alive on Docker. Start it with
`moorwatch up`, point any AWS CLI or SDK at it with `eval "$(moorwatch env)"`, and look with `moorwatch status`
and `moorwatch why`.

\b
Exit codes of every command:
  0  all is well
  1  a problem was found, or the request was refused
  2  wrong use, or a setting that cannot be used
  3  the control plane (or a Docker daemon) cannot be reached
"""

_CODES: dict[type[Exception], int] = {
    ConfigError: USAGE,
    CredentialsError: USAGE,
    ApiUnreachable: UNREACHABLE,
    NoDocker: UNREACHABLE,
    DockerUnreachable: UNREACHABLE,
    DockerRefused: PROBLEM,
    UpFailed: PROBLEM,
    AlreadyUp: PROBLEM,
    AwsError: PROBLEM,
}


@click.group(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(metadata.version("moorwatch"), prog_name="moorwatch")
def cli() -> None:
    pass


for command in (
    run.up,
    run.down,
    run.env,
    status.status,
    why.why,
    events.events,
    doctor.doctor,
    alarm.alarm,
    alarms.alarms,
    logs.logs,
    grafana.grafana,
    push.push,
    failing.demo,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: run a command and exit with its code."""
    sys.exit(run_command(arguments))


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    color = False if os.environ.get("NO_COLOR") else None  # None: only on a terminal
    try:
        result = cli.main(args=arguments, prog_name="moorwatch", standalone_mode=False, color=color)
    except click.exceptions.Exit as ending:
        return int(ending.exit_code)
    except click.ClickException as error:
        _complain(error.format_message())
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)
        return error.code if isinstance(error, Failure) else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # the reader had enough (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except tuple(_CODES) as error:
        _complain(_sentence(error))
        return next(code for kind, code in _CODES.items() if isinstance(error, kind))
    return int(result) if isinstance(result, int) else 0


def _sentence(error: Exception) -> str:
    if isinstance(error, ApiUnreachable):
        return (
            f"the control plane does not answer ({error}). Start it with 'moorwatch up'; if it is up, look at "
            "'moorwatch doctor'."
        )
    if isinstance(error, AwsError):
        return f"the control plane answered {error.code}: {error.message}"
    return str(error)


def _complain(message: str) -> None:
    click.echo(f"moorwatch: {message}", err=True)
