"""Docker's event stream, from its thread to the loop: health for the roster, everything for the exporter."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import exporters.docker
from exporters.beside import start_beside
from exporters.sample import ContainerIdentity, RuntimeEvent
from monitor.agent.metrics import AgentMetrics
from monitor.agent.roster import Roster


class Events:
    def __init__(self, docker_host: str, metrics: AgentMetrics, roster: Roster) -> None:
        self._docker_host, self._metrics, self._roster = docker_host, metrics, roster
        self._stop = threading.Event()

    async def run(self) -> None:
        """Follow the stream until `stop`."""
        loop = asyncio.get_running_loop()

        def on_event(event: RuntimeEvent) -> None:
            self._metrics.exporter.on_event(event)
            if event.kind == "health_status" and event.health and not loop.is_closed():
                loop.call_soon_threadsafe(self._roster.health, event.container_id, event.health.upper())
            elif event.kind == "die" and not loop.is_closed():
                loop.call_soon_threadsafe(self._roster.died, event.container_id)

        def on_snapshot(found: Sequence[ContainerIdentity]) -> None:
            self._metrics.exporter.replace(found)
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._roster.running, {i.id for i in found})

        thread = threading.Thread(
            target=exporters.docker.follow,
            args=(
                self._docker_host,
                on_event,
                on_snapshot,
                self._metrics.exporter.track,
                self._stop,
                self._metrics.exporter.set_docker_up,
            ),
            name="docker-events",
            daemon=True,
        )
        thread.start()
        start_beside(self._metrics.exporter, exporters.docker.Questions(self._docker_host), self._stop)
        await asyncio.Event().wait()

    def stop(self) -> None:
        self._stop.set()
