from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from monitor.cli import process

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(60)"
)
WILLING = "import time; print('ready', flush=True); time.sleep(60)"


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


def test_own_process_is_alive() -> None:
    me = process.identify(os.getpid())
    assert me is not None
    assert process.is_alive(me)


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        fd = os.pidfd_open(child.pid)
        assert process.wait_end(fd, 10)
        os.close(fd)
        assert process.identify(child.pid) is None


def test_stop_ends_a_process_and_says_how() -> None:
    with running(WILLING) as child:
        who = process.identify(child.pid)
        assert who is not None
        assert process.stop(who, 10) == "stopped"
        assert child.wait() == -15
        assert process.stop(who, 10) == "gone"


def test_stop_kills_what_does_not_listen() -> None:
    with running(STUBBORN) as child:
        who = process.identify(child.pid)
        assert who is not None
        assert process.stop(who, 0.05) == "killed"
        assert child.wait() == -9


def test_a_recycled_pid_is_left_alone() -> None:
    with running(WILLING) as child:
        who = process.identify(child.pid)
        assert who is not None
        for other in (replace(who, started=who.started - 1), replace(who, boot="another boot")):
            assert not process.is_alive(other)
            assert process.stop(other, 0.05) == "gone"
        assert child.poll() is None


def test_command_line() -> None:
    with running(WILLING) as child:
        assert process.command_line(child.pid) == [sys.executable, "-c", WILLING]
    assert process.command_line(2**22 + 1) == []
