"""Processes that outlive the program that started them, named so that none is ever mistaken for another.

A pid alone is recycled; a pid with the start time the kernel gives it (and the boot it counts from) is not.
Only a process whose identity still holds is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields of /proc/PID/stat, counted behind the command's closing bracket


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """`started` is in clock ticks since the boot called `boot`."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a living process, None when there is none (a zombie is not living)."""
    try:
        raw = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    rest = raw[raw.rindex(")") + 1 :].split()
    if rest[_STATE] in "ZX":
        return None
    return ProcessIdentity(pid=pid, started=int(rest[_STARTED]), boot=boot_id())


def is_alive(process: ProcessIdentity) -> bool:
    return identify(process.pid) == process


def open_alive(process: ProcessIdentity) -> int | None:
    """A pidfd of the process, readable once it ends; None when it is gone. The caller closes it."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if is_alive(process):  # asked after the fd is held: from here on the pid cannot mean another
        return fd
    os.close(fd)
    return None


def wait_end(fd: int, seconds: float) -> bool:
    """Wait until the process behind a pidfd has ended."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(max(0.0, seconds) * 1000))


def stop(process: ProcessIdentity, patience_seconds: float) -> str:
    """End a process: SIGTERM, and SIGKILL when it has not ended in time.

    Returns "gone" (it had ended before), "stopped" or "killed".
    """
    fd = open_alive(process)
    if fd is None:
        return "gone"
    try:
        with contextlib.suppress(ProcessLookupError):  # it ended between the look and the signal
            signal.pidfd_send_signal(fd, signal.SIGTERM)
        if wait_end(fd, patience_seconds):
            return "stopped"
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        wait_end(fd, 10.0)
        return "killed"
    finally:
        os.close(fd)


def command_line(pid: int) -> list[str]:
    """The argv of a process, empty when it is gone or not ours to see."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]
