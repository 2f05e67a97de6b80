from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli import process, supervise
from monitor.cli.process import ProcessIdentity
from monitor.cli.supervise import ChildSpec, Supervisor
from monitor.config import ConfigError

FOREVER = "import time; time.sleep(60)"


class Log:
    """What a supervisor says and whom it starts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.started: list[tuple[str, ProcessIdentity]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def on_start(self, name: str, who: ProcessIdentity) -> None:
        self.started.append((name, who))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def supervisor(log: Log) -> Iterator[Supervisor]:
    made = Supervisor(log.say, log.on_start)
    yield made
    for name in made.children:
        made.stop(name, 1)
    made.close()


def spec(tmp_path: Path, code: str, name: str = "child") -> ChildSpec:
    argv = (sys.executable, "-c", code)
    return ChildSpec(name, argv, os.environ, tmp_path / f"{name}.log")


@pytest.mark.parametrize(
    ("previous", "lived", "delay"),
    [(0.0, 0.1, 0.2), (0.2, 0.1, 0.4), (6.4, 0.1, 10.0), (10.0, 5.0, 10.0), (10.0, 30.0, 0.2)],
)
def test_back_off_grows_and_forgets(previous: float, lived: float, delay: float) -> None:
    assert supervise.next_delay(previous, lived) == delay


def test_a_child_that_dies_is_started_again(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    child = supervisor.start(spec(tmp_path, "raise SystemExit(3)"))
    assert supervisor.wait_for(lambda: child.starts >= 3, 20)
    assert log.lines[0].startswith("child ended with exit code 3; starting it again in 0.2 s (see ")
    assert [line for line in log.lines if "in 0.4 s" in line]
    assert len({who.pid for _, who in log.started}) >= 2


def test_a_killed_child_is_told_by_its_signal(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    child = supervisor.start(spec(tmp_path, FOREVER))
    assert child.popen is not None
    child.popen.kill()
    assert supervisor.wait_for(lambda: child.starts == 2, 20)
    assert "was killed by SIGKILL" in log.lines[0]


def test_a_stopped_child_stays_stopped(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    child = supervisor.start(spec(tmp_path, FOREVER))
    assert supervisor.stop("child", 10) == "stopped"
    assert child.exit == -signal.SIGTERM
    supervisor.step(0)
    assert (child.starts, child.is_running, child.restart_at) == (1, False, None)
    assert supervisor.stop("child", 10) == "gone"
    assert supervisor.stop("nobody", 10) == "gone"
    assert log.lines == []


def test_a_stop_during_back_off_ends_the_back_off(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    child = supervisor.start(spec(tmp_path, "raise SystemExit(1)"))
    assert supervisor.wait_for(lambda: child.restart_at is not None, 20)
    supervisor.stop("child", 10)
    assert child.restart_at is None


def test_output_goes_to_a_private_log(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(spec(tmp_path, "import sys; print('out'); print('err', file=sys.stderr)"))
    assert supervisor.wait_for(lambda: not child.is_running, 20)
    assert sorted(supervise.last_lines(child.spec.log)) == ["err", "out"]
    assert child.spec.log.stat().st_mode & 0o777 == 0o600


def test_a_signal_asks_for_a_stop_and_wakes_the_wait(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    with supervisor.signals():
        supervisor.start(spec(tmp_path, code))
        assert not supervisor.wait_for(lambda: False, 30, every_seconds=30)
    assert supervisor.stop_requested


def test_an_adopted_process_is_watched_and_replaced(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", FOREVER]) as orphan:
        who = process.identify(orphan.pid)
        assert who is not None
        assert supervisor.adopt(spec(tmp_path, FOREVER), who)
        child = supervisor.children["child"]
        orphan.kill()
        assert supervisor.wait_for(lambda: child.starts == 2, 20)
    assert log.lines[0].startswith("child ended; starting it again")
    assert log.started[0] == ("child", who)
    assert log.started[1][1] != who


def test_a_process_that_is_gone_cannot_be_adopted(supervisor: Supervisor, tmp_path: Path) -> None:
    assert not supervisor.adopt(spec(tmp_path, FOREVER), ProcessIdentity(2**22 + 1, 1, "boot"))
    assert supervisor.children == {}


def test_a_start_that_cannot_be_prepared_is_tried_again(
    supervisor: Supervisor, log: Log, tmp_path: Path
) -> None:
    tries: list[int] = []

    def before() -> None:
        tries.append(1)
        if len(tries) == 2:
            raise ConfigError("the disk is full")

    argv = (sys.executable, "-c", "raise SystemExit(1)")
    child = supervisor.start(ChildSpec("child", argv, os.environ, tmp_path / "log", before=before))
    assert supervisor.wait_for(lambda: child.starts == 2, 20)
    assert any("could not be started: the disk is full" in line for line in log.lines)
    assert len(tries) == 3


def test_full_logs_are_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert not supervise.rotate(log)
    with supervise.open_log(log) as fd:
        for text in (b"first", b"second", b"third", b"fourth"):
            os.write(fd, text)
            assert supervise.rotate(log, limit_bytes=4, kept=2)
        os.write(fd, b"new")
        assert not supervise.rotate(log, limit_bytes=4, kept=2)
    names = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert names == {"x.log": b"new", "x.log.1": b"fourth", "x.log.2": b"third"}


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert supervise.last_lines(log) == []
    log.write_bytes(b"a\nb\n\xff\nd")
    assert supervise.last_lines(log, 3) == ["b", "\ufffd", "d"]
    assert supervise.last_lines(log, 3, most_bytes=1) == ["d"]


@pytest.mark.parametrize(("code", "words"), [(None, "ended"), (0, "ended with exit code 0"), (-9, "SIGKILL")])
def test_describe_exit(code: int | None, words: str) -> None:
    assert words in supervise.describe_exit(code)
