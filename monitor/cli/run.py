"""`moorwatch up`, `down` and `env`: start everything, stop it, point a client at it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from monitor import config
from monitor.cli import launch, record, render
from monitor.cli.record import FAILED, UP, UpRecord
from monitor.cli.session import OK, PROBLEM, Failure, Session, begin, json_option, print_json, state_option
from monitor.cli.supervise import last_lines, open_log, rotate
from monitor.config import Settings

SUPERVISOR_LOG = "supervisor.log"


# -- up ----------------------------------------------------------------------------------------------------


@click.command()
@state_option
@click.option("--detach", "-d", is_flag=True, help="Run in the background; return once all is up.")
@click.option("--no-demo", is_flag=True, help="Do not create the demo service.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the ECS API [default: 4580].")
@click.option(
    "--agent-port", type=click.IntRange(1, 65535), help="Port of the agent's metrics [default: 4581]."
)
@click.option("--region", help="The region that ARNs name [default: AWS_REGION, else us-east-1].")
@click.option("--cluster", help="The cluster this machine's agent joins [default: default].")
@click.option(
    "--docker-host",
    metavar="URL",
    help="The Docker daemon to use [default: DOCKER_HOST, else /var/run/docker.sock, else, as root, one of "
    "Moorwatch's own].",
)
@click.option("--supervisor", "is_supervisor", is_flag=True, hidden=True)
def up(state: str | None, detach: bool, no_demo: bool, is_supervisor: bool, **options: Any) -> int:
    """Run the control plane, this machine's agent and a demo service until Ctrl-C.

    When no Docker daemon answers and you are root, one of Moorwatch's own is started, and stopped again at the
    end together with its containers. A daemon that was there before keeps its containers when `up` ends.
    Processes that die are started again; their output is in the logs folder of the state folder.
    """
    settings = config.load(os.environ, {"state": state, **options})
    record.private_folder(settings.state)
    if settings.auth == "none":
        click.echo("moorwatch: auth = none: requests are not authenticated", err=True)
    if detach:
        return _up_detached(settings, no_demo=no_demo)
    with record.hold(settings.state):
        run = launch.Launch(settings, os.environ, _say, with_demo=not no_demo)
        run.run(lambda found: None if is_supervisor else _print_summary(settings, found, detached=False))
    if is_supervisor:
        return OK
    click.echo("stopped")
    return OK


def _say(line: str) -> None:
    click.echo(f"moorwatch: {line}")


def _up_detached(settings: Settings, *, no_demo: bool) -> int:
    with record.hold(settings.state):  # complain here, not in a log
        record.private_folder(settings.state / "logs")
        log = settings.state / "logs" / SUPERVISOR_LOG
        rotate(log)
        start = log.stat().st_size if log.exists() else 0
    argv = [sys.executable, "-P", "-m", "monitor", "up", "--supervisor", *(["--no-demo"] if no_demo else [])]
    environ = launch.child_environment(os.environ, settings)
    with open_log(log) as output:
        child = subprocess.Popen(
            argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    try:
        found = _await_up(settings.state, child, log, start)
    except KeyboardInterrupt:
        click.echo("moorwatch: stopping again", err=True)
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise
    if found is not None and found.phase == UP:
        _print_summary(settings, found, detached=True)
        return OK
    record.forget(settings.state)
    detail = found.problem if found is not None and found.problem else "\n  ".join(last_lines(log))
    raise Failure(f"could not be started: {detail}", PROBLEM)


def _await_up(state: Path, child: subprocess.Popen[bytes], log: Path, start: int) -> UpRecord | None:
    """Follow a supervisor until it is up or has ended, showing what it says. Returns its last record."""
    shown = start
    while True:
        try:
            child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            ended = False
        else:
            ended = True
        found = record.load(state)
        if found is not None and found.supervisor.pid != child.pid:
            found = None  # of an earlier run
        if ended and found is not None and found.phase == FAILED:
            return found  # its problem is about to be told; its log would tell it twice
        with log.open("rb") as file:
            file.seek(shown)
            text = file.read()
            shown += len(text)
        click.echo(text.decode(errors="replace"), nl=False)
        if ended or (found is not None and found.phase == UP):
            return found


def _print_summary(settings: Settings, found: UpRecord, *, detached: bool) -> None:
    running = record.in_force(settings, found)
    here = "" if found.docker_ours else "  (was there before; its containers stay when Moorwatch stops)"
    state = f" --state {shlex.quote(str(running.state))}" if running.origins.get("state") != "default" else ""
    program = _program()
    rows = [
        ("ECS API", running.endpoint),
        (
            "metrics",
            f"{running.endpoint}/metrics (control plane), {running.agent_metrics} (agent, containers)",
        ),
        ("Docker", f"{running.docker_host}{'  (our own)' if found.docker_ours else here}"),
        ("logs", str(running.state / "logs")),
        ("AWS CLI", f'eval "$({program} env{state})"   then: aws ecs list-services'),
        ("look", f"{program} status{state}"),
        ("stop", f"{program} down{state}" if detached else "Ctrl-C"),
    ]
    click.echo(render.strong("Moorwatch is up"))
    for name, value in rows:
        click.echo(f"  {name:<9}{value}")


def _program() -> str:
    """How this user can call us: by name when it is on the PATH, else by the path that was used."""
    called = Path(sys.argv[0])
    if called.name != "moorwatch":
        called = Path(sys.executable).with_name("moorwatch")
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and Path(folder) == called.absolute().parent:
            return "moorwatch"
    try:
        return str(called.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(called.absolute())


# -- down --------------------------------------------------------------------------------------------------


@click.command()
@state_option
@click.option(
    "--stop-containers",
    is_flag=True,
    help="Stop the containers of tasks too when the Docker daemon was there before Moorwatch. With a daemon of "
    "Moorwatch's own they are always stopped.",
)
@json_option
def down(state: str | None, stop_containers: bool, as_json: bool) -> int:
    """Stop what `moorwatch up` started, and nothing else.

    Also cleans up after an `up` that was killed. Services and tasks stay in the state folder: the next `up`
    brings them back. Exit code 1 when something could not be stopped.
    """
    settings = config.load(os.environ, {"state": state})
    say = (lambda line: click.echo(f"moorwatch: {line}", err=True)) if as_json else _say
    done = launch.take_down(settings, say, stop_foreign_containers=stop_containers)
    if as_json:
        print_json(
            {
                "stopped": list(done.stopped),
                "containersStopped": done.containers,
                "containersLeftRunning": done.left_running,
                "problems": list(done.problems),
            }
        )
        return PROBLEM if done.problems else OK
    for line in done.problems:
        click.echo(f"moorwatch: {line}", err=True)
    if not done.stopped and not done.containers:
        click.echo(f"nothing is running on {settings.state}")
    else:
        _print_down(done)
    if done.left_running:
        click.echo(
            f"{done.left_running} containers go on running on a Docker daemon that is not ours; "
            "'moorwatch down --stop-containers' ends them"
        )
    return PROBLEM if done.problems else OK


def _print_down(done: launch.Down) -> None:
    extra = f", and {done.containers} containers" if done.containers else ""
    click.echo(f"stopped: {', '.join(done.stopped) or 'no process'}{extra}")


# -- env ---------------------------------------------------------------------------------------------------


@click.command()
@state_option
@json_option
def env(state: str | None, as_json: bool) -> int:
    """Print what points an AWS CLI or SDK at Moorwatch, for eval "$(moorwatch env)".

    The output holds the secret key. DOCKER_HOST is among it when the Docker daemon is Moorwatch's own. Exit
    code 3 when nothing has been started on the state folder yet.
    """
    session = begin(state)
    variables = client_environment(session)
    if as_json:
        print_json(variables)
        return OK
    if session.record is None or not session.record.is_serving:
        click.echo("moorwatch: not running now; start it with 'moorwatch up'", err=True)
    # a session token of another account would be sent with our key and refused
    click.echo("unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return OK


def client_environment(session: Session) -> dict[str, str]:
    """The variables an AWS client needs. Raises Failure when there is no key yet."""
    key, settings = session.credentials(), session.settings
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    variables = {
        "AWS_ENDPOINT_URL": replace(settings, host=host).endpoint,
        "AWS_ACCESS_KEY_ID": settings.account if settings.auth == "none" else key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        # Else `aws logs start-live-tail` asks for the host `stream-127.0.0.1`.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }
    if session.own_docker:
        variables["DOCKER_HOST"] = session.own_docker
    return variables
