"""What every command begins with: settings, the running `up` if there is one, and a way to ask it.

Also the exit codes, in one place, as --help promises them to scripts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from monitor import config, credentials
from monitor.cli import dockerd, record
from monitor.cli.api import Api
from monitor.cli.record import UpRecord
from monitor.config import Settings

OK, PROBLEM, USAGE, UNREACHABLE = 0, 1, 2, 3


class Failure(click.ClickException):
    """An end of the command with a message for people and an exit code for scripts."""

    def __init__(self, message: str, code: int = PROBLEM) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Session:
    """`configured` is what files and environment say, `settings` what the running processes were given."""

    configured: Settings
    settings: Settings
    record: UpRecord | None

    @property
    def is_up(self) -> bool:
        return self.record is not None and self.record.is_running

    @property
    def own_docker(self) -> str:
        """The address of our own Docker daemon while it runs, else empty."""
        own = dockerd.own_daemon(self.settings.state)
        return own.host if dockerd.running_process(own) is not None else ""

    def credentials(self) -> credentials.Credentials:
        try:
            return credentials.load(self.settings.credentials_file)
        except FileNotFoundError as error:
            raise Failure(
                f"nothing has been started on {self.settings.state}: start it with 'moorwatch up'",
                UNREACHABLE,
            ) from error

    def api(self) -> Api:
        return Api(self.settings, self.credentials())


def begin(state: str | None, **overrides: Any) -> Session:
    """Read settings and record. Raises config.ConfigError."""
    configured = config.load(os.environ, {"state": state, **overrides})
    found = record.load(configured.state)
    return Session(configured, record.in_force(configured, found), found)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, sort_keys=False))


Command = Callable[..., Any]


def state_option(command: Command) -> Command:
    return click.option(
        "--state",
        metavar="FOLDER",
        help="Where Moorwatch keeps its state [default: /var/lib/moorwatch for root, else "
        "~/.local/state/moorwatch; environment MOORWATCH_STATE].",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead.")(command)


def cluster_option(command: Command) -> Command:
    return click.option("--cluster", metavar="NAME", help="The cluster to look in [default: 'default'].")(
        command
    )
