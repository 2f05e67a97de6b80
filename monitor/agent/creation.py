"""From an order to a Docker container: its volumes, host ports and image first.

Each step may be repeated: what is there already is taken as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from monitor.agent import log_options, pause, volumes
from monitor.agent.engine import Engine, ImageMissing
from monitor.agent.log_options import Shipping
from monitor.agent.mapping import TaskLimits, container_name, create_body
from monitor.agent.ports import HostPorts
from monitor.clock import Clock

Limits = Callable[[Mapping[str, Any]], TaskLimits]
Environment = Callable[[str, str], Mapping[str, str]]  # (task ARN, container) → what the agent tells it
PrepareLogs = Callable[[Shipping], Awaitable[None]]  # raises EngineError where there is nowhere to ship to


async def unprepared(_: Shipping) -> None:
    """Nobody ships logs."""


class Creation:
    """Makes the containers of one task. `pull_*`: epoch seconds of the first and the last pull."""

    def __init__(
        self,
        payload: Mapping[str, Any],
        engine: Engine,
        clock: Clock,
        cluster: str,
        instance: str,
        limits: Limits,
        ports: HostPorts,
        environment: Environment,
        prepare_logs: PrepareLogs,
    ) -> None:
        self.pull_started_at: float | None = None
        self.pull_stopped_at: float | None = None
        self._payload, self._engine, self._clock = payload, engine, clock
        self._cluster, self._instance, self._limits, self._ports = cluster, instance, limits, ports
        self._environment, self._prepare_logs = environment, prepare_logs

    async def make(self, raw: Mapping[str, Any]) -> str:
        """The container's id. Raises BadPayload, EngineError, EngineUnreachable."""
        for volume in volumes.of_container(self._payload, raw):
            await self._engine.make_volume(volume)
        first_ports = {}
        if self._payload.get("networkMode") == "bridge":
            first_ports = await asyncio.to_thread(self._ports.choose, raw)
        limits = self._limits(self._payload)
        told = self._environment(str(self._payload["arn"]), str(raw["name"]))
        body = create_body(self._payload, raw, self._cluster, self._instance, limits, first_ports, told)
        await self._send_logs(raw, body)
        name = container_name(self._payload, raw)
        try:
            return await self._engine.create(name, body)
        except ImageMissing:
            await self._fetch(raw)
        return await self._engine.create(name, body)

    async def _send_logs(self, raw: Mapping[str, Any], body: dict[str, Any]) -> None:
        """Where the order asks for awslogs, Docker keeps the log and the agent ships it."""
        asked = (body.get("HostConfig") or {}).get("LogConfig") or {}
        task_id = str(self._payload["arn"]).rsplit("/", 1)[-1]
        shipping = log_options.of_order(asked, task_id, str(raw["name"]))
        if shipping is None:
            return
        await self._prepare_logs(shipping)
        body["HostConfig"]["LogConfig"] = log_options.for_docker(asked)
        body["Labels"][log_options.LABEL] = log_options.label_of(shipping)

    async def _fetch(self, raw: Mapping[str, Any]) -> None:
        if pause.is_internal(raw["name"]):
            await self._engine.make_pause_image()
            return
        self.pull_started_at = self.pull_started_at or self._clock.now()
        await self._engine.pull(raw["image"])
        self.pull_stopped_at = self._clock.now()
