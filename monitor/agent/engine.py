"""Engine: what the agent needs of a container engine, and the ways it can fail.

Each error carries ECS's prefix for container reasons and says what to do, where there is something to do.
Every call is idempotent: a caller that does not know whether it went through makes it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from monitor.agent.volumes import DockerVolume


class EngineError(Exception):
    """A call failed for good; `str` is the container's reason."""


class EngineUnreachable(Exception):
    """The daemon does not answer. Says nothing about any container."""


class ImageMissing(EngineError):
    """The image is not on this machine (yet)."""


class Vanished(EngineError):
    """The container does not exist."""


@dataclass(frozen=True, slots=True)
class ContainerView:
    """A container as the engine shows it. Times are epoch seconds; `pid` 0 when it does not run."""

    id: str
    name: str
    status: str  # created | running | paused | exited | dead | removing
    pid: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    health: str = "UNKNOWN"
    health_output: str = ""
    stop_signal: str = "SIGTERM"
    memory_limit_bytes: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Mapping[str, Any], ...] = ()
    address: str = ""  # its IPv4 address, "" where it has no network of its own
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.status in ("exited", "dead", "removing")


@dataclass(frozen=True, slots=True)
class EngineInfo:
    version: str
    api_version: str
    cpus: int
    memory_bytes: int
    cgroup_driver: str
    cgroup_version: str
    is_local: bool  # its containers' pids are processes of this machine


class Engine(Protocol):
    async def info(self) -> EngineInfo: ...
    async def ping(self) -> None: ...
    async def pull(self, image: str) -> None: ...
    async def make_pause_image(self) -> None:
        """Have the image of pause containers."""
        ...

    async def make_volume(self, volume: DockerVolume) -> None:
        """Have the volume; makes it unless it must exist."""
        ...

    async def remove_volumes(self, label: str) -> None: ...
    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        """The id of the new container, or of the one that has the name already. Raises ImageMissing."""
        ...

    async def start(self, container_id: str) -> ContainerView: ...
    async def inspect(self, container_id: str) -> ContainerView: ...
    async def wait(self, container_id: str) -> ContainerView:
        """The container after its end; waits for it."""
        ...

    async def signal(self, container_id: str, signal: str) -> None: ...
    async def remove(self, container_id: str) -> None: ...
    async def log_tail(self, container_id: str, lines: int) -> list[str]: ...
    async def list_ids(self, label: str) -> list[str]: ...
    async def close(self) -> None: ...
