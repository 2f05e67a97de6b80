"""A Docker daemon of our own, for a machine where none answers.

It has its own data root, socket, bridge and containerd namespace, all named after the state folder, so that it
neither finds nor disturbs another daemon. It keeps containers running while it is itself restarted; only
`stop_containers` ends them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from monitor.cli import bridge
from monitor.cli.docker_api import DEFAULT_HOST, DockerApi, DockerRefused, DockerUnreachable
from monitor.cli.process import ProcessIdentity, command_line, identify, stop
from monitor.cli.record import private_folder, write_private
from monitor.config import Settings

TASK_LABEL = "com.amazonaws.ecs.task-arn"
CONTAINERD_SECONDS = 5.0
_SOCKET_PATH_LIMIT = 100  # the kernel's is 108; Docker adds to it


class NoDocker(Exception):
    """There is no daemon to use and none can be started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class OwnDaemon:
    """Where our daemon keeps its things. `binary` is the dockerd program."""

    state: Path
    key: str
    run: Path
    binary: str = ""

    @property
    def data_root(self) -> Path:
        return self.state / "docker"

    @property
    def socket(self) -> Path:
        near = self.state / "docker.sock"
        return near if len(str(near)) < _SOCKET_PATH_LIMIT else self.run / "docker.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pidfile(self) -> Path:
        return self.run / "dockerd.pid"

    @property
    def config_file(self) -> Path:
        return self.state / "dockerd.json"

    @property
    def bridge(self) -> str:
        return f"mw{self.key}"

    @property
    def command(self) -> list[str]:
        spaces = (
            "--containerd-namespace",
            f"mw-{self.key}",
            "--containerd-plugins-namespace",
            f"mwp-{self.key}",
        )
        return [self.binary, "--config-file", str(self.config_file), *spaces]


def own_daemon(state: Path) -> OwnDaemon:
    key = hashlib.sha256(str(state).encode()).hexdigest()[:10]
    path = os.pathsep.join((os.environ.get("PATH", ""), bridge.SYSTEM_PATH))
    return OwnDaemon(state, key, Path("/run") / f"moorwatch-{key}", shutil.which("dockerd", path=path) or "")


def choose(settings: Settings) -> OwnDaemon | str:
    """Which daemon to use: one of our own, or the address of one that answers.

    An address that was set is used or refused, never replaced by another. Without one, a state folder that has
    had a daemon of its own keeps it (its containers are there). Raises NoDocker.
    """
    own = own_daemon(settings.state)
    configured = settings.docker_host
    if configured and configured != own.host:
        try:
            DockerApi(configured).ping()
        except DockerUnreachable as error:
            origin = settings.origins.get("docker_host", "")
            raise NoDocker(
                f"no Docker daemon answers at {error} ({origin}). Start it, correct the address, or take the "
                "setting away: then one is found or, as root, started."
            ) from error
        return configured
    may_start = os.geteuid() == 0 and bool(own.binary)
    had_own = configured == own.host or own.data_root.is_dir()
    if not (had_own and may_start):
        try:
            DockerApi(DEFAULT_HOST).ping()
            return DEFAULT_HOST
        except DockerUnreachable as error:
            if not may_start:
                raise NoDocker(_why_none(own, str(error))) from error
    return own


def _why_none(own: OwnDaemon, error: str) -> str:
    if os.geteuid() == 0:
        return f"no Docker daemon answers ({error}) and dockerd is not installed: run 'sh deploy/system.sh'"
    return (
        f"no Docker daemon answers ({error}), and only root can start one: run this as root, start Docker, or set "
        "DOCKER_HOST to a daemon you may use" + ("" if own.binary else " (dockerd is not installed either)")
    )


def prepare(own: OwnDaemon) -> list[str]:
    """Make folders, bridge and configuration for our daemon. Returns what the user should know.

    Raises ConfigError when a folder cannot be made.
    """
    for folder in (own.state, own.data_root, own.run):
        private_folder(folder)
    notes = []
    configuration: dict[str, object] = {
        "data-root": str(own.data_root),
        "exec-root": str(own.run / "exec"),
        "pidfile": str(own.pidfile),
        "hosts": [own.host],
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
    }
    try:
        bridge.ensure(own.bridge, int(own.key, 16))
        configuration["bridge"] = own.bridge
    except bridge.BridgeError as error:
        notes.append(f"{error}; our Docker daemon shares the bridge docker0 with any other on this machine")
    write_private(own.config_file, json.dumps(configuration, indent=1))
    _clear_after_crash(own)
    return notes


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """dockerd needs the system folders on its PATH (iptables, containerd), whoever starts it."""
    path = os.pathsep.join(filter(None, (environ.get("PATH", ""), bridge.SYSTEM_PATH)))
    dropped = ("DOCKER_HOST", "DOCKER_CONTEXT")
    return {k: v for k, v in environ.items() if k not in dropped} | {"PATH": path}


def running_process(own: OwnDaemon) -> ProcessIdentity | None:
    """Our daemon by its pidfile, when that process is indeed ours."""
    return _process_of(own.pidfile, str(own.config_file))


def _process_of(pidfile: Path, mark: str) -> ProcessIdentity | None:
    """The living process a pidfile names, when its command line has `mark` in it."""
    try:
        pid = int(pidfile.read_text())
    except (OSError, ValueError):
        return None
    process = identify(pid)
    return process if process is not None and any(mark in word for word in command_line(pid)) else None


def _clear_after_crash(own: OwnDaemon) -> None:
    """Take away what a killed daemon leaves in the way of its successor. Containers are not touched."""
    if running_process(own) is not None:
        return
    # dockerd refuses to start when any process at all has the pid in its file
    own.pidfile.unlink(missing_ok=True)
    # Its containerd is on its way out, or a zombie where pid 1 does not reap. A successor that takes either for
    # alive waits 15 s for an answer and gives up.
    pidfile = own.run / "exec" / "containerd" / "containerd.pid"
    containerd = _process_of(pidfile, str(own.run))
    if containerd is not None:
        stop(containerd, CONTAINERD_SECONDS)
    pidfile.unlink(missing_ok=True)


def containers(docker: DockerApi, task_prefix: str = "") -> list[str]:
    """Ids of running containers: all, or those of tasks whose ARN begins so."""
    found = docker.running(TASK_LABEL if task_prefix else "")
    return [
        str(container["Id"])
        for container in found
        if str((container.get("Labels") or {}).get(TASK_LABEL, "")).startswith(task_prefix)
    ]


def stop_containers(host: str, seconds: int, task_prefix: str = "") -> tuple[int, list[str]]:
    """Stop running containers (see `containers`) at once, each killed after `seconds`.

    Returns how many were stopped, and a line for each that was not. Raises DockerUnreachable, DockerRefused.
    """
    docker = DockerApi(host, timeout_seconds=20)
    ids = containers(docker, task_prefix)

    def stop_one(container_id: str) -> str:
        try:
            docker.stop(container_id, seconds)
        except (DockerUnreachable, DockerRefused) as error:
            return f"container {container_id[:12]} was not stopped: {error}"
        return ""

    with ThreadPoolExecutor(max_workers=16) as pool:
        problems = [line for line in pool.map(stop_one, ids) if line]
    return len(ids) - len(problems), problems


def clear(own: OwnDaemon, say: Callable[[str], None]) -> None:
    """Take away what a stopped daemon leaves outside its data root. Images and containers stay in it."""
    try:
        bridge.remove(own.bridge)
    except bridge.BridgeError as error:
        say(str(error))
    _unmount(own.run)
    _unmount(own.data_root)
    shutil.rmtree(own.run, ignore_errors=True)
    if own.socket.is_socket():
        own.socket.unlink()


def _unmount(folder: Path) -> None:
    """Undo a stopped daemon's mounts: network namespaces of containers, and its data root bound to itself.

    A folder with mounts in it cannot be removed.
    """
    program = shutil.which("umount", path=bridge.SYSTEM_PATH)
    if program is None:
        return
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in reversed(mounts):  # the newest first: mounts can lie on mounts
        if point == str(folder) or point.startswith(f"{folder}/"):
            subprocess.run([program, point], capture_output=True, check=False, timeout=30)
