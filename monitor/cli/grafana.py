"""`moorwatch grafana`: boards, data source and alert rules for a Grafana, as files or by its HTTP API."""

from __future__ import annotations

from pathlib import Path

import click

from dashboards import provision, rules
from monitor.cli.session import OK, PROBLEM, USAGE, Failure

prometheus_option = click.option(
    "--prometheus",
    default=provision.DEFAULT_PROMETHEUS,
    show_default=True,
    metavar="URL",
    help="Where Grafana reaches the Prometheus that scrapes Moorwatch.",
)
runbooks_option = click.option(
    "--runbooks", default=rules.RUNBOOKS, metavar="URL", help="Where the runbooks are, for links in alerts."
)


@click.group()
def grafana() -> None:
    """Boards and alert rules for Grafana."""


@grafana.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--path",
    "seen_as",
    metavar="DIR",
    help="Where Grafana sees DIRECTORY, when that is another place (a mount).  [default: DIRECTORY]",
)
@prometheus_option
@runbooks_option
def export(directory: Path, seen_as: str | None, prometheus: str, runbooks: str) -> int:
    """Write DIRECTORY as Grafana's provisioning folder: boards, their provider, the data source, alert rules.

    Start Grafana with GF_PATHS_PROVISIONING=DIRECTORY, or copy what is in it to /etc/grafana/provisioning. Files of
    other names that are there are left alone.
    """
    files = provision.tree(prometheus, seen_as or str(directory.absolute()), runbooks)
    for name, text in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise Failure(f"cannot write {path}: {error.strerror}", PROBLEM) from error
        click.echo(f"{path}")
    return OK


@grafana.command()
@click.option("--url", required=True, metavar="URL", help="Grafana's root URL.")
@click.option(
    "--token",
    envvar="GRAFANA_TOKEN",
    metavar="TOKEN",
    help="Of a service account with the role Admin. Better in the environment, as GRAFANA_TOKEN: arguments of a "
    "command can be seen by others on the machine.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@prometheus_option
@runbooks_option
def push(url: str, token: str | None, dry_run: bool, prometheus: str, runbooks: str) -> int:
    """Bring folder, data source, boards and alert rules into a running Grafana.

    What is the same already is left alone; a second push changes nothing.
    """
    from dashboards.push import UNCHANGED, PushFailed  # its HTTP library takes long to load
    from dashboards.push import push as run

    if not token:
        raise Failure("no token: set GRAFANA_TOKEN, or give --token", USAGE)
    if not url.startswith(("http://", "https://")):
        raise Failure(f"--url {url!r} must begin with http:// or https://", USAGE)
    changed = same = 0
    try:
        for change in run(url, token, prometheus, dry_run, runbooks):
            if change.done == UNCHANGED:
                same += 1
                continue
            changed += 1
            click.echo(f"{'would be ' if dry_run else ''}{change.done:<8} {change.kind:<12} {change.name}")
    except PushFailed as error:
        raise Failure(str(error), PROBLEM) from error
    click.echo(f"{changed} {'to change' if dry_run else 'changed'}, {same} unchanged")
    return OK
