"""The commands against a real control plane without an agent: what they print, what they exit with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.cli.docker_api import DockerApi
from tests.conftest import Stack, free_port, wait_until


def environment(state: Path, **extra: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORWATCH_", "AWS_", "DOCKER_"))}
    ports = {"MOORWATCH_PORT": str(free_port()), "MOORWATCH_AGENT_PORT": str(free_port())}
    return {**kept, "MOORWATCH_STATE": str(state), **ports, **extra}


def command(state: Path, environ: dict[str, str]) -> Stack:
    port, agent_port = int(environ["MOORWATCH_PORT"]), int(environ["MOORWATCH_AGENT_PORT"])
    return Stack(state, port, agent_port, "000000000001", "", environ)


@contextmanager
def control_plane(stack: Stack) -> Iterator[subprocess.Popen[bytes]]:
    log = stack.state / "out.log"
    with log.open("wb") as output:
        argv = [sys.executable, "-m", "monitor", "control"]
        child = subprocess.Popen(argv, env=dict(stack.environ), stdout=output, stderr=output)
    try:
        wait_until(lambda: stack.moorwatch("status").returncode == 0, "the control plane answers")
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0, log.read_text()


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    state = tmp_path_factory.mktemp("state")
    state.chmod(0o700)
    stack = command(state, environment(state))
    with control_plane(stack):
        client = stack.client()
        client.create_cluster(clusterName="empty")
        container = {"name": "a", "image": "x", "memory": 32}
        client.register_task_definition(family="web", containerDefinitions=[container])
        client.create_service(cluster="empty", serviceName="web", taskDefinition="web", desiredCount=2)
        client.close()
        yield stack


def test_status_shows_a_service_that_lacks_tasks_and_exits_1(control: Stack) -> None:
    done = control.moorwatch("status")
    assert done.returncode == 1
    assert "cluster empty" in done.stdout
    assert "0/2" in done.stdout
    assert "No Container Instances were found in your cluster" in done.stdout
    assert "\x1b" not in done.stdout


def test_status_of_one_service_as_json(control: Stack) -> None:
    done = control.moorwatch("status", "web", "--cluster", "empty", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["service"]["desiredCount"] == 2
    assert found["tasks"] == []


@pytest.mark.parametrize("arguments", [("status", "nope"), ("why", "nope"), ("status", "--cluster", "nope")])
def test_what_is_not_there_is_said_with_where_to_look(control: Stack, arguments: tuple[str, ...]) -> None:
    done = control.moorwatch(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "'moorwatch status' lists them" in done.stderr


@pytest.mark.parametrize("subject", ["web", "arn:aws:ecs:us-east-1:000000000001:service/empty/web"])
def test_why_of_a_service(control: Stack, subject: str) -> None:
    done = control.moorwatch("why", subject, "--cluster", "empty")
    assert done.returncode == 0, done.stderr
    assert "0/2 running" in done.stdout
    assert "No Container Instances" in done.stdout
    found = json.loads(control.moorwatch("why", subject, "--cluster", "empty", "--json").stdout)
    assert (found["kind"], found["service"]["desired"]) == ("service", 2)


def test_events_are_lines_or_json_lines(control: Stack) -> None:
    done = control.moorwatch("events", "--service", "web")
    assert done.returncode == 0
    assert "unable to place a task" in done.stdout
    rows = [
        json.loads(row) for row in control.moorwatch("events", "--json", "--since", "1h").stdout.splitlines()
    ]
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert any(row["service"] == "web" for row in rows)
    assert control.moorwatch("events", "-n", "0").stdout == ""


def test_events_follow(control: Stack) -> None:
    argv = [sys.executable, "-m", "monitor", "events", "-f", "--json", "--service", "late"]
    with subprocess.Popen(argv, env=dict(control.environ), stdout=subprocess.PIPE, text=True) as follower:
        client = control.client()
        client.create_service(cluster="empty", serviceName="late", taskDefinition="web", desiredCount=1)
        client.close()
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["service"] == "late"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130


def test_demo_makes_a_service_that_fails_and_takes_it_away(control: Stack) -> None:
    for told in ("is created", "is there already"):
        done = control.moorwatch("demo")
        assert (done.returncode, told in done.stdout) == (0, True), done.stdout + done.stderr
    client = control.client()
    (service,) = client.describe_services(services=["demo-leak"])["services"]
    assert service["desiredCount"] == 1
    assert control.moorwatch("demo", "--stop").returncode == 0
    (service,) = client.describe_services(services=["demo-leak"])["services"]
    client.close()
    assert service["status"] in ("DRAINING", "INACTIVE")


def test_env_is_all_an_aws_cli_needs(control: Stack) -> None:
    aws = Path(sys.executable).with_name("aws")
    script = f"eval \"$('{sys.executable}' -m monitor env)\" && '{aws}' ecs list-clusters"
    done = subprocess.run(
        ["sh", "-c", script], env=dict(control.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cluster/empty" in done.stdout


def test_doctor_says_that_no_agent_is_there(control: Stack) -> None:
    done = control.moorwatch("doctor", "--json")
    found = json.loads(done.stdout)
    checks = {check["name"]: check for check in found["checks"]}
    assert (done.returncode, found["ok"]) == (1, False)
    assert checks["control plane"]["level"] == "ok"
    assert checks["clocks"]["level"] == "ok"
    assert checks["agents"]["level"] == "problem"
    assert checks["agents"]["fix"]
    origins = {row["name"]: row["origin"] for row in found["settings"]}
    assert (origins["port"], origins["region"]) == ("environment MOORWATCH_PORT", "default")
    secret = json.loads((control.state / "credentials.json").read_text())["secret_access_key"]
    assert secret not in done.stdout
    assert secret not in control.moorwatch("doctor").stdout


# -- without a control plane -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("status",), ("why", "x"), ("events",), ("env",)])
def test_nothing_started_exits_3_and_says_how_to_start(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = command(tmp_path, environment(tmp_path)).moorwatch(*arguments)
    assert done.returncode == 3
    assert "moorwatch up" in done.stderr
    assert done.stdout == ""


def test_a_control_plane_that_is_gone_exits_3(tmp_path: Path) -> None:
    stack = command(tmp_path, environment(tmp_path))
    with control_plane(stack):
        assert stack.moorwatch("status").returncode == 0
    done = stack.moorwatch("status")
    assert done.returncode == 3
    assert "Start it with 'moorwatch up'" in done.stderr


def test_another_program_on_the_port_is_told_apart(tmp_path: Path) -> None:
    stack = command(tmp_path, environment(tmp_path))
    with control_plane(stack):
        pass
    argv = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(stack.port)]
    with subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as other:
        try:
            wait_until(lambda: "not ours" in stack.moorwatch("status").stderr, "the stranger answers")
            assert stack.moorwatch("status").returncode == 3
            done = stack.moorwatch("up", "--no-demo")
            assert done.returncode == 2
            assert f"port = {stack.port}" in done.stderr
            assert "--port" in done.stderr
        finally:
            other.terminate()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"MOORWATCH_AUTH": "maybe"}, "'sigv4' or 'none'"),
        ({"MOORWATCH_AUTH": "none", "MOORWATCH_HOST": "0.0.0.0"}, "refused on 0.0.0.0"),
        ({"MOORWATCH_ACCOUNT": "me"}, "12 digits"),
    ],
)
@pytest.mark.parametrize("name", ["control", "agent", "status", "up"])
def test_wrong_settings_exit_2_and_are_named(
    tmp_path: Path, name: str, extra: dict[str, str], words: str
) -> None:
    done = command(tmp_path, environment(tmp_path, **extra)).moorwatch(name)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("up", "--port", "x"), ("why",), ("events", "--since", "soon")]
)
def test_wrong_use_exits_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = command(tmp_path, environment(tmp_path)).moorwatch(*arguments)
    assert done.returncode == 2
    assert "Try 'moorwatch" in done.stderr


def test_a_docker_address_that_does_not_answer_exits_3(tmp_path: Path) -> None:
    environ = environment(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    done = command(tmp_path, environ).moorwatch("up", "--no-demo")
    assert done.returncode == 3
    assert "environment DOCKER_HOST" in done.stderr
    assert not DockerApi(f"unix://{tmp_path}/docker.sock").answers()


def test_down_without_up_has_nothing_to_do(tmp_path: Path) -> None:
    done = command(tmp_path, environment(tmp_path)).moorwatch("down")
    assert done.returncode == 0
    assert "nothing is running" in done.stdout


@pytest.mark.parametrize("name", ["up", "down", "env", "status", "why", "events", "doctor"])
def test_every_command_has_help(tmp_path: Path, name: str) -> None:
    done = command(tmp_path, environment(tmp_path)).moorwatch(name, "--help")
    assert done.returncode == 0
    assert "--state" in done.stdout
