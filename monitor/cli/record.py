"""What `moorwatch up` started, as STATE/up.json tells the other commands and the next `up`.

The file is replaced whole after each start, so that a supervisor that was killed leaves a true list behind.
The lock beside it is held as long as a supervisor lives: one supervisor per state folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from monitor.cli.process import ProcessIdentity, is_alive
from monitor.config import ConfigError, Settings

RECORD, LOCK = "up.json", "up.lock"
STARTING, UP, STOPPING, FAILED = "starting", "up", "stopping", "failed"
_MAX_BYTES = 64 * 1024


class AlreadyUp(Exception):
    """Another supervisor holds this state folder."""


@dataclass(frozen=True, slots=True)
class UpRecord:
    """`children` are by name: dockerd, control, agent. `problem` says why `phase` is failed."""

    phase: str
    supervisor: ProcessIdentity
    host: str
    port: int
    agent_port: int
    region: str
    account: str
    auth: str
    cluster: str
    docker_host: str
    docker_ours: bool
    children: Mapping[str, ProcessIdentity] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_running(self) -> bool:
        return is_alive(self.supervisor)

    @property
    def is_serving(self) -> bool:
        """Whether its control plane still runs, be it without a supervisor."""
        control = self.children.get("control")
        return self.is_running or (control is not None and is_alive(control))

    def with_child(self, name: str, process: ProcessIdentity) -> UpRecord:
        return replace(self, children={**self.children, name: process})


def private_folder(path: Path) -> None:
    """Make a folder that only we can read. Raises ConfigError."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        writable = os.access(path, os.W_OK | os.X_OK)
    except OSError as error:
        raise ConfigError(f"cannot make {path}: {error.strerror}; choose another with --state") from error
    if not writable:
        raise ConfigError(f"{path} is not ours to write; run as its owner, or choose another with --state")


def write_private(path: Path, text: str) -> None:
    """Replace a file by `text`, mode 0600, never seen half written."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def save(state: Path, record: UpRecord) -> None:
    write_private(state / RECORD, json.dumps(asdict(record), indent=1))


def load(state: Path) -> UpRecord | None:
    """The last record, None when there is none or it is not one of ours (then nothing can be said of it)."""
    try:
        with (state / RECORD).open("rb") as file:
            value = json.loads(file.read(_MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except PermissionError as error:
        raise ConfigError(f"cannot read {state / RECORD}: {error.strerror}; run as its owner") from error
    return _decode(value)


def _decode(value: Any) -> UpRecord | None:
    try:
        children = {name: ProcessIdentity(**who) for name, who in value["children"].items()}
        return UpRecord(
            **{**value, "supervisor": ProcessIdentity(**value["supervisor"]), "children": children}
        )
    except (TypeError, KeyError, AttributeError):
        return None


def forget(state: Path) -> None:
    (state / RECORD).unlink(missing_ok=True)


@contextmanager
def hold(state: Path) -> Iterator[None]:
    """Hold the state folder for one supervisor. Raises AlreadyUp."""
    fd = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyUp(f"moorwatch is up already on {state}; stop it with 'moorwatch down'") from error
        yield
    finally:
        os.close(fd)


def in_force(settings: Settings, record: UpRecord | None) -> Settings:
    """The settings that the running processes were given, where they differ from those read now."""
    if record is None or not record.is_serving:
        return settings
    running = {
        name: getattr(record, name)
        for name in ("host", "port", "agent_port", "region", "account", "auth", "cluster", "docker_host")
    }
    changed = {name: value for name, value in running.items() if getattr(settings, name) != value}
    origins = {**settings.origins, **dict.fromkeys(changed, "the running 'moorwatch up'")}
    return replace(settings, **changed, origins=origins)
