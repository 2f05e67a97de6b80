"""`moorwatch up` with a Docker daemon of its own: started, kept alive, taken away without a trace. Root only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli import bridge, dockerd, process
from monitor.cli.docker_api import DockerApi
from tests.conftest import Stack, free_port, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def home(short_tmp: Path) -> Iterator[Stack]:
    """A state folder whose `up` starts a Docker daemon of its own."""
    own = dockerd.own_daemon(short_tmp)
    if os.geteuid() != 0 or not own.binary:
        pytest.skip("only root can start a Docker daemon, and dockerd must be installed")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORWATCH_", "AWS_", "DOCKER_"))}
    port, agent_port = free_port(), free_port()
    mine = {"MOORWATCH_PORT": str(port), "MOORWATCH_AGENT_PORT": str(agent_port)}
    # its own socket, named: so that no daemon that happens to run on this machine is found instead
    environ = {**kept, **mine, "MOORWATCH_STATE": str(short_tmp), "MOORWATCH_DOCKER_HOST": own.host}
    stack = Stack(short_tmp, port, agent_port, "000000000001", own.host, environ)
    yield stack
    done = stack.moorwatch("down")
    assert done.returncode == 0, done.stderr


def up(home: Stack, *options: str) -> str:
    done = home.moorwatch("up", "--detach", *options)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{home.log('control')}\n{home.log('agent')}"
    return done.stdout


def containers(home: Stack) -> set[str]:
    docker = DockerApi(home.docker_url)
    return {str(c["Id"]) for c in docker.running()} if docker.answers() else set()


def assert_no_trace(home: Stack) -> None:
    own = dockerd.own_daemon(home.state)
    assert not own.run.exists()
    assert not own.socket.exists()
    assert not bridge.exists(own.bridge)
    assert not (home.state / "up.json").exists()
    left = [pid for pid in _pids() if any(own.key in word or str(home.state) in word for word in _words(pid))]
    assert left == []


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _words(pid: int) -> list[str]:
    return process.command_line(pid) if pid != os.getpid() else []


def test_up_runs_the_demo_and_down_leaves_no_trace(home: Stack) -> None:
    told = up(home)
    assert "Moorwatch is up" in told
    assert "(our own)" in told
    assert home.endpoint in told
    wait_until(lambda: len(containers(home)) == 2, "the demo's two containers run")
    assert home.client_environment()["DOCKER_HOST"] == home.docker_url
    done = home.moorwatch("status")
    assert (done.returncode, "2/2" in done.stdout) == (0, True), done.stdout
    assert json.loads(home.moorwatch("doctor", "--json").stdout)["ok"] is True

    refused = home.moorwatch("up", "--detach")
    assert refused.returncode == 1
    assert "is up already" in refused.stderr
    assert home.moorwatch("up").returncode == 1

    done = home.moorwatch("down")
    assert (done.returncode, done.stderr) == (0, "")
    assert_no_trace(home)


def test_what_was_deleted_stays_deleted_and_the_rest_comes_back(home: Stack) -> None:
    up(home)
    client = home.client()
    definition = client.describe_services(services=["demo"])["services"][0]["taskDefinition"]
    client.create_service(serviceName="mine", taskDefinition=definition, desiredCount=1)
    client.delete_service(service="demo", force=True)
    client.get_waiter("services_stable").wait(services=["mine"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    client.close()
    assert home.moorwatch("down").returncode == 0
    up(home)
    client = home.client()
    client.get_waiter("services_stable").wait(services=["mine"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    client.close()
    wait_until(lambda: len(containers(home)) == 1, "just the one service's container runs")


def test_killed_parts_come_back_and_containers_run_on(home: Stack) -> None:
    up(home)
    before = wait_until(lambda: len(containers(home)) == 2 and containers(home), "the demo runs")
    for name in ("agent", "control", "dockerd"):
        pid = home.pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda name=name, pid=pid: home.pid(name) != pid, f"{name} is started again")
    wait_until(lambda: home.moorwatch("doctor").returncode == 0, "all is well again")
    wait_until(lambda: home.moorwatch("status").returncode == 0, "the demo is whole")
    assert containers(home) == before


def test_what_a_killed_supervisor_left_is_taken_over(home: Stack) -> None:
    up(home)
    before = wait_until(lambda: len(containers(home)) == 2 and containers(home), "the demo runs")
    old = {name: home.pid(name) for name in ("control", "agent", "dockerd")}
    _kill_supervisor(home)
    assert home.moorwatch("status").returncode == 0  # the orphans go on serving
    assert home.moorwatch("doctor").returncode == 1
    told = up(home)
    assert f"stopped control (pid {old['control']})" in told
    assert f"stopped agent (pid {old['agent']})" in told
    assert home.pid("dockerd") == old["dockerd"]
    assert containers(home) == before


def test_down_cleans_up_after_a_killed_supervisor(home: Stack) -> None:
    up(home)
    wait_until(lambda: len(containers(home)) == 2, "the demo runs")
    _kill_supervisor(home)
    done = home.moorwatch("down", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["problems"]) == (0, [])
    assert set(found["stopped"]) == {"agent", "control", "dockerd"}
    assert found["containersStopped"] == 2
    assert_no_trace(home)


def _kill_supervisor(home: Stack) -> None:
    pid = int(json.loads((home.state / "up.json").read_text())["supervisor"]["pid"])
    who = process.identify(pid)
    assert who is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process.is_alive(who), "the supervisor is gone")


def test_ctrl_c_in_the_foreground_leaves_no_trace(home: Stack) -> None:
    argv = [sys.executable, "-m", "monitor", "up"]
    with subprocess.Popen(argv, env=dict(home.environ), stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        lines = []
        for line in foreground.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        assert any("Moorwatch is up" in line for line in lines), "".join(lines)
        foreground.send_signal(signal.SIGINT)
        rest = foreground.stdout.read()
        assert foreground.wait(120) == 0, rest
    assert "nothing is left running" in rest
    assert rest.endswith("stopped\n")
    assert_no_trace(home)


def test_ctrl_c_while_starting_leaves_no_trace(home: Stack) -> None:
    argv = [sys.executable, "-m", "monitor", "up"]
    with subprocess.Popen(argv, env=dict(home.environ), stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        assert "Docker daemon of our own" in foreground.stdout.readline()
        foreground.send_signal(signal.SIGINT)
        rest = foreground.stdout.read()
        assert foreground.wait(120) == 0, rest
    assert "stopped before everything was up" in rest
    assert_no_trace(home)
