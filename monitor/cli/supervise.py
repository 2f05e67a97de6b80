"""Keep a few child processes running: start them, see them end, start them again.

One thread, no timers: every `step` waits on the children's pidfds and on signals, then does what is due. A
child that has lived long enough starts anew at once; one that keeps dying waits longer each time. Children
get their own session, so that Ctrl-C reaches only the supervisor, which ends them in order. Their output goes
to bounded log files.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from monitor.cli import process as processes
from monitor.cli.process import ProcessIdentity
from monitor.config import ConfigError

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, SETTLED_SECONDS = 0.2, 10.0, 30.0
LOG_BYTES, LOGS_KEPT = 5 * 1024 * 1024, 2
_ROTATE_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """`before` runs before each start and mends what a crash may have spoilt; it may raise ConfigError."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path
    before: Callable[[], object] | None = None


@dataclass(slots=True)
class Child:
    """`exit` is None while it runs, and for an adopted process (only its parent can know)."""

    spec: ChildSpec
    process: ProcessIdentity | None = None
    popen: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    started_at: float = 0.0
    delay: float = 0.0
    restart_at: float | None = None
    exit: int | None = None
    starts: int = 0
    wanted: bool = field(default=True)

    @property
    def is_running(self) -> bool:
        return self.pidfd >= 0


def next_delay(previous: float, lived_seconds: float) -> float:
    """How long to wait before the next start of a child that lived for `lived_seconds`."""
    if lived_seconds >= SETTLED_SECONDS or previous <= 0:
        return FIRST_DELAY_SECONDS
    return min(LONGEST_DELAY_SECONDS, previous * 2)


def describe_exit(code: int | None) -> str:
    if code is None:
        return "ended"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


class Supervisor:
    """`on_start` hears of every start (name, identity), `say` of every start and end in one line."""

    def __init__(
        self,
        say: Callable[[str], None],
        on_start: Callable[[str, ProcessIdentity], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.children: dict[str, Child] = {}
        self.stop_requested = False
        self._say = say
        self._on_start = on_start
        self._monotonic = monotonic
        self._rotate_at = 0.0
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)

    def close(self) -> None:
        self._wake.close()
        self._waker.close()
        for child in self.children.values():
            self._forget_process(child)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Within it SIGINT, SIGTERM and SIGHUP ask for a stop. Main thread only."""

        def ask(_number: int, _frame: FrameType | None) -> None:
            self.stop_requested = True

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, ask) for number in numbers}
        waker = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)

    # -- children -----------------------------------------------------------------------------------

    def start(self, spec: ChildSpec) -> Child:
        """Start a child and keep it running from now on. Raises OSError when it cannot be started at all."""
        child = self.children[spec.name] = Child(spec)
        self._spawn(child)
        return child

    def adopt(self, spec: ChildSpec, process: ProcessIdentity) -> bool:
        """Take over a process that runs already. False when it has ended."""
        fd = processes.open_alive(process)
        if fd is None:
            return False
        self.children[spec.name] = Child(
            spec, process=process, pidfd=fd, started_at=self._monotonic(), starts=1
        )
        self._on_start(spec.name, process)
        return True

    def stop(self, name: str, patience_seconds: float) -> str:
        """End a child for good. Returns "gone", "stopped" or "killed"."""
        child = self.children.get(name)
        if child is None:
            return "gone"
        child.wanted = False
        how = processes.stop(child.process, patience_seconds) if child.process is not None else "gone"
        if child.popen is not None:
            child.exit = child.popen.wait()
        self._forget_process(child)
        return how

    def step(self, seconds: float) -> None:
        """Wait up to `seconds` for an end, a signal or a restart that is due, and see to it."""
        now = self._monotonic()
        due = [c.restart_at for c in self.children.values() if c.restart_at is not None]
        wait = max(0.0, min([seconds, *(at - now for at in due)]))
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        for child in self.children.values():
            if child.is_running:
                poller.register(child.pidfd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(wait * 1000 + 1)}
        if self._wake.fileno() in ready:
            self._wake.recv(4096)
        for child in self.children.values():
            if child.pidfd in ready:
                self._ended(child)
        self._restart_due()
        self._rotate_logs()

    def wait_for(self, is_ready: Callable[[], bool], seconds: float, every_seconds: float = 0.1) -> bool:
        """Supervise until the condition holds. False after `seconds`, or once a stop is asked for."""
        deadline = self._monotonic() + seconds
        while not self.stop_requested:
            if is_ready():
                return True
            if self._monotonic() >= deadline:
                return False
            self.step(every_seconds)
        return False

    # -- inside -------------------------------------------------------------------------------------

    def _spawn(self, child: Child) -> None:
        spec = child.spec
        if spec.before is not None:
            spec.before()
        with open_log(spec.log) as log:
            child.popen = subprocess.Popen(
                spec.argv,
                env=dict(spec.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        child.restart_at = None
        child.exit = None
        child.starts += 1
        child.started_at = self._monotonic()
        child.pidfd = os.pidfd_open(child.popen.pid)
        child.process = processes.identify(child.popen.pid)
        if child.process is not None:  # else it has ended already: the pidfd says so at the next step
            self._on_start(spec.name, child.process)

    def _ended(self, child: Child) -> None:
        if child.popen is not None:
            child.exit = child.popen.wait()
        self._forget_process(child)
        if not child.wanted or self.stop_requested:
            return
        now = self._monotonic()
        child.delay = next_delay(child.delay, now - child.started_at)
        child.restart_at = now + child.delay
        self._say(
            f"{child.spec.name} {describe_exit(child.exit)}; starting it again in {child.delay:.1f} s "
            f"(see {child.spec.log})"
        )

    def _restart_due(self) -> None:
        now = self._monotonic()
        for child in self.children.values():
            if child.restart_at is None or child.restart_at > now or self.stop_requested:
                continue
            try:
                self._spawn(child)
            except (OSError, ConfigError) as error:
                child.delay = next_delay(child.delay, 0.0)
                child.restart_at = now + child.delay
                self._say(f"{child.spec.name} could not be started: {error}; next try in {child.delay:.1f} s")
            else:
                self._say(f"{child.spec.name} started again")

    def _forget_process(self, child: Child) -> None:
        if child.pidfd >= 0:
            os.close(child.pidfd)
        child.pidfd, child.process, child.popen, child.restart_at = -1, None, None, None

    def _rotate_logs(self) -> None:
        now = self._monotonic()
        if now >= self._rotate_at:
            self._rotate_at = now + _ROTATE_EVERY_SECONDS
            for child in self.children.values():
                rotate(child.spec.log)


# -- log files ---------------------------------------------------------------------------------------------


@contextmanager
def open_log(path: Path) -> Iterator[int]:
    """A file descriptor that appends to a log only we can read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def rotate(path: Path, limit_bytes: int = LOG_BYTES, kept: int = LOGS_KEPT) -> bool:
    """Move a full log aside. The writer keeps its descriptor, so the file is copied and cut, not renamed."""
    try:
        if path.stat().st_size <= limit_bytes:
            return False
    except FileNotFoundError:
        return False
    try:
        for number in range(kept - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        shutil.copy2(path, path.with_name(f"{path.name}.1"))  # with its mode
        os.truncate(path, 0)
    except OSError:  # a full disk, most likely: cutting the log is then what helps
        os.truncate(path, 0)
    return True


def last_lines(path: Path, count: int = 12, most_bytes: int = 16 * 1024) -> list[str]:
    """The end of a log, empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]
