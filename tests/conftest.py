"""What tests on real things share: a Docker daemon, the busybox image, Prometheus, and the whole stack.

A test asks for what it needs and is skipped, with the reason, where that cannot be had. With root on Debian
(`make test` installs the parts) nothing is skipped. Whatever is started here is stopped here.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from monitor.cli import dockerd, image
from monitor.cli.bridge import SYSTEM_PATH
from monitor.cli.docker_api import DEFAULT_HOST, DockerApi
from monitor.cli.supervise import last_lines, open_log

START_SECONDS = 60.0

# A shell starts what it runs in the background with interrupts ignored, and every child inherits that: tests that
# interrupt a command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Without a deadline: machines are shared. On CI the same examples each time, so that a change is judged by itself; at a
# desk new ones, so that defects are found.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

TESTS = Path(__file__).parent
_NICE = 10


def _is_on_the_machine(item: pytest.Item) -> bool:
    """Whether it needs the machine's Docker, and so runs after the others that do."""
    return (TESTS / "integration") in item.path.parents


class _ByMachine(LoadScopeScheduling):  # type: ignore[misc]
    """What runs beside what: those that share the machine's Docker in one process; of the rest each file, whose tests
    share what they start, in the other."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder, _, name = path.rpartition("/")
        is_shared = folder == "tests/integration" and not name.startswith(("test_up_", "test_exporter_"))
        return "machine" if is_shared else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByMachine:
    return _ByMachine(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Those that wait for Docker and Prometheus go first when they have something to do."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        with contextlib.suppress(PermissionError):  # only root may take it back
            os.setpriority(os.PRIO_PROCESS, 0, 0 if _is_on_the_machine(item) else _NICE)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    """The condition's value once it is true; fails the test, saying `what`, when that takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)  # between two looks at something that cannot tell us


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A temporary folder with a path short enough for sockets (tmp_path can be too long)."""
    folder = Path(tempfile.mkdtemp(prefix="mw-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


# -- Docker ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def docker_url() -> Iterator[str]:
    """The address of a Docker daemon that has the image moorwatch/busybox:local."""
    for host in filter(None, (os.environ.get("DOCKER_HOST"), DEFAULT_HOST)):
        if DockerApi(host).answers():
            image.ensure_image(DockerApi(host, timeout_seconds=30))
            yield host
            return
    if os.geteuid() != 0:
        pytest.skip("no Docker daemon answers, and only root can start one")
    if not dockerd.own_daemon(Path("/")).binary:
        pytest.skip("no Docker daemon answers and dockerd is not installed (sh deploy/system.sh)")
    with _PrivateDockerd() as host:
        yield host


class _PrivateDockerd:
    """A daemon of our own for the test session, started and taken away as `moorwatch up` does it."""

    def __enter__(self) -> str:
        self.folder = Path(tempfile.mkdtemp(prefix="mw-dockerd-"))
        self.own = dockerd.own_daemon(self.folder)
        dockerd.prepare(self.own)
        log = self.folder / "dockerd.log"
        with open_log(log) as output:
            self.process = subprocess.Popen(
                self.own.command,
                env=dockerd.environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        docker = DockerApi(self.own.host, timeout_seconds=30)
        deadline = time.monotonic() + START_SECONDS
        while not docker.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                told = "\n".join(last_lines(log))
                self.__exit__()
                pytest.fail(f"a private Docker daemon does not start:\n{told}")
            time.sleep(0.05)
        image.ensure_image(docker)
        return self.own.host

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            dockerd.stop_containers(self.own.host, 1)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        dockerd.clear(self.own, lambda line: print(line, file=sys.stderr))
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def busybox_image(docker_url: str) -> str:
    """The name of a small image that is on the daemon at `docker_url`."""
    return image.IMAGE


# -- Prometheus --------------------------------------------------------------------------------------------


def _program(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), SYSTEM_PATH)))
    if found is None:
        pytest.skip(f"{name} is not installed (sh deploy/system.sh --tests)")
    return found


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    return _program("prometheus")


@pytest.fixture(scope="session")
def promtool_binary() -> str:
    return _program("promtool")


# -- boards, drawn ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def page() -> Path:
    """The built page's folder. Skips, with the reason, where this machine cannot draw."""
    from dashboards.drawing.build import DrawingUnavailable, build
    from dashboards.drawing.chromium import find_chromium

    try:
        find_chromium()
        return build()
    except DrawingUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def drawings() -> Path:
    """Where pictures are kept after the run, to be looked at: build/drawings."""
    folder = Path(__file__).parents[1] / "build/drawings"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# -- the whole stack ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """A running `moorwatch up` on a folder, ports and an account of its own."""

    state: Path
    port: int
    agent_port: int
    account: str
    docker_url: str
    environ: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def moorwatch(self, *arguments: str, timeout: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run a `moorwatch` command on this stack."""
        argv = [sys.executable, "-m", "monitor", *arguments]
        return subprocess.run(
            argv, env=dict(self.environ), capture_output=True, text=True, check=False, timeout=timeout
        )

    def client_environment(self) -> dict[str, str]:
        """What `moorwatch env` exports."""
        value: dict[str, str] = json.loads(self.moorwatch("env", "--json").stdout)
        return value

    def client(self, service: str = "ecs") -> Any:
        """A boto3 client that talks to this stack. The caller closes it."""
        import boto3

        found = self.client_environment()
        return boto3.client(
            service,
            endpoint_url=found["AWS_ENDPOINT_URL"],
            region_name=found["AWS_REGION"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        )

    @contextlib.contextmanager
    def another_agent(self, attributes: str = "", **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """A second container agent beside the stack's own: a container instance more, on the same Docker daemon.
        `attributes`: "name=value,…" for the instance."""
        folder = Path(tempfile.mkdtemp(prefix="mw-agent-"))
        shutil.copy2(self.state / "credentials.json", folder / "credentials.json")
        own = {
            "MOORWATCH_STATE": str(folder),
            "MOORWATCH_AGENT_PORT": str(free_port()),
            "MOORWATCH_ATTRIBUTES": attributes,
        }
        with open_log(folder / "agent.log") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "agent"],
                env={**self.environ, **own, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            shutil.rmtree(folder, ignore_errors=True)

    def pid(self, name: str) -> int:
        """The pid of "control", "agent" or "dockerd" as `up` recorded it."""
        record = json.loads((self.state / "up.json").read_text())
        return int(record["children"][name]["pid"])

    def log(self, name: str, lines: int = 40) -> str:
        return "\n".join(last_lines(self.state / "logs" / f"{name}.log", lines))


class _RunningStack:
    def __init__(self, docker_url: str, extra: Mapping[str, str]) -> None:
        state = Path(tempfile.mkdtemp(prefix="mw-stack-"))
        port, agent_port = free_port(), free_port()
        account = f"{random.randrange(10**11, 10**12)}"
        own = {
            "MOORWATCH_STATE": str(state),
            "MOORWATCH_PORT": str(port),
            "MOORWATCH_AGENT_PORT": str(agent_port),
            "MOORWATCH_ACCOUNT": account,
            "MOORWATCH_DOCKER_HOST": docker_url,
            "MOORWATCH_REGION": "us-east-1",
            "MOORWATCH_STOP_TIMEOUT_SECONDS": "5",  # many test containers do not listen to SIGTERM
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORWATCH_", "AWS_"))}
        self.stack = Stack(state, port, agent_port, account, docker_url, {**kept, **own, **extra})

    def __enter__(self) -> Stack:
        done = self.stack.moorwatch("up", "--detach", "--no-demo")
        if done.returncode != 0:
            told = f"{done.stdout}{done.stderr}\n{self.stack.log('control')}\n{self.stack.log('agent')}"
            self.__exit__()
            pytest.fail(f"the stack does not start:\n{told}")
        return self.stack

    def __exit__(self, *_: object) -> None:
        done = self.stack.moorwatch("down", "--stop-containers")
        _remove_containers(self.stack)
        shutil.rmtree(self.stack.state, ignore_errors=True)
        assert done.returncode == 0, f"the stack does not stop:\n{done.stdout}{done.stderr}"


def _remove_containers(stack: Stack) -> None:
    import docker

    client = docker.DockerClient(base_url=stack.docker_url)
    try:
        for container in client.containers.list(all=True, filters={"label": dockerd.TASK_LABEL}):
            if f":{stack.account}:" in container.labels.get(dockerd.TASK_LABEL, ""):
                container.remove(force=True, v=True)
    finally:
        client.close()


def running_stack(docker_url: str, extra: Mapping[str, str]) -> contextlib.AbstractContextManager[Stack]:
    """The whole stack, with these environment variables more."""
    return _RunningStack(docker_url, extra)


@pytest.fixture(scope="module")
def stack(docker_url: str) -> Iterator[Stack]:
    """The whole stack, one for a module's tests: name clusters and services apart."""
    with _RunningStack(docker_url, {}) as running:
        yield running


@pytest.fixture
def fresh_stack(docker_url: str) -> Iterator[Stack]:
    """The whole stack for one test, for those that kill parts of it."""
    with _RunningStack(docker_url, {}) as running:
        yield running


@pytest.fixture
def stack_without_auth(docker_url: str) -> Iterator[Stack]:
    """The whole stack with MOORWATCH_AUTH=none."""
    with _RunningStack(docker_url, {"MOORWATCH_AUTH": "none"}) as running:
        yield running
