"""A container engine in memory: containers end when the test says so, and the daemon can be away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from monitor.agent import pause
from monitor.agent.engine import ContainerView, EngineInfo, EngineUnreachable, ImageMissing, Vanished
from monitor.agent.volumes import DockerVolume


@dataclass
class FakeContainer:
    view: ContainerView
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ignores: frozenset[str] = frozenset()  # signals it does not react to


class FakeEngine:
    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.images = {"busybox"}
        self.pullable: set[str] = set()
        self.volumes: dict[str, DockerVolume] = {}
        self.calls: list[str] = []
        self.is_away = False
        self.address = ""  # of containers that start
        self.errors: dict[str, Exception] = {}  # "start app" → what it raises

    def _call(self, what: str) -> None:
        if self.is_away:
            raise EngineUnreachable(f"away ({what})")
        self.calls.append(what)
        if what in self.errors:
            raise self.errors[what]

    def _get(self, container_id: str) -> FakeContainer:
        if container_id not in self.containers:
            raise Vanished(f"ContainerVanishedError: No such container: {container_id}")
        return self.containers[container_id]

    def name_of(self, container_id: str) -> str:
        return str(self._get(container_id).view.labels["com.amazonaws.ecs.container-name"])

    # -- what the test does -------------------------------------------------------------------------

    def by_name(self, name: str) -> FakeContainer:
        return next(c for i, c in self.containers.items() if self.name_of(i) == name)

    def end(self, name: str, exit_code: int, **known: Any) -> None:
        """The container's process ends."""
        found = self.by_name(name)
        found.view = replace(
            found.view, **{"status": "exited", "exit_code": exit_code, "finished_at": 2.0, **known}
        )
        found.over.set()

    # -- Engine -------------------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        return EngineInfo("fake", "1.41", 2, 2**32, "cgroupfs", "1", is_local=False)

    async def ping(self) -> None:
        self._call("ping")

    async def pull(self, image: str) -> None:
        self._call(f"pull {image}")
        self.images.add(image)

    async def make_pause_image(self) -> None:
        self._call("make pause image")
        self.images.add(pause.IMAGE)

    async def make_volume(self, volume: DockerVolume) -> None:
        self._call(f"volume {volume.name}")
        self.volumes[volume.name] = volume

    async def remove_volumes(self, label: str) -> None:
        key, _, value = label.partition("=")
        self.volumes = {n: v for n, v in self.volumes.items() if v.labels.get(key) != value}

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        container = config["Labels"]["com.amazonaws.ecs.container-name"]
        self._call(f"create {container}")
        if config["Image"] not in self.images:
            raise ImageMissing(f"No such image: {config['Image']}")
        container_id = f"id-{name}"
        view = ContainerView(container_id, name, "created", labels=config["Labels"])
        self.containers.setdefault(container_id, FakeContainer(view))
        return container_id

    async def start(self, container_id: str) -> ContainerView:
        found = self._get(container_id)
        self._call(f"start {self.name_of(container_id)}")
        if found.view.status != "running":
            view = replace(found.view, status="running", started_at=1.0, exit_code=None, finished_at=None)
            found.view = replace(view, address=self.address)
            found.over.clear()
        return found.view

    async def inspect(self, container_id: str) -> ContainerView:
        self._call("inspect")
        return self._get(container_id).view

    async def wait(self, container_id: str) -> ContainerView:
        if self.is_away:
            raise EngineUnreachable("away (wait)")
        found = self._get(container_id)
        await found.over.wait()
        return found.view

    async def signal(self, container_id: str, signal: str) -> None:
        name = self.name_of(container_id)
        self._call(f"{signal} {name}")
        if signal not in self._get(container_id).ignores:
            self.end(name, {"SIGKILL": 137}.get(signal, 143))

    async def remove(self, container_id: str) -> None:
        self.containers.pop(container_id, None)

    async def log_tail(self, container_id: str, lines: int) -> list[str]:
        return ["last words"]

    async def list_ids(self, label: str) -> list[str]:
        self._call("list")
        key, _, value = label.partition("=")
        labels = {i: c.view.labels for i, c in self.containers.items()}
        return [i for i, found in labels.items() if key in found and value in ("", found[key])]

    async def close(self) -> None:
        return
