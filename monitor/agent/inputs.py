"""What takes users' own measurements, where the settings switch it on: StatsD, OTLP."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.applications import Starlette

from monitor.agent.custom import Count, Sender
from monitor.agent.engine import EngineError, EngineUnreachable
from monitor.agent.metadata import serve
from monitor.agent.otlp_in import OtlpIn
from monitor.agent.statsd import StatsD
from monitor.clock import Clock
from monitor.config import Settings
from monitor.wire.client import EcsClient

log = logging.getLogger("moorwatch.agent.inputs")

BRIDGE = "bridge"  # for custom_metrics_host: the machine's own address on Docker's default bridge


async def loops(
    settings: Settings, gateway: Callable[[], Awaitable[str]], client: EcsClient, clock: Clock, count: Count
) -> list[Coroutine[Any, Any, None]]:
    """To be run for ever. An address that cannot be had switches an input off, and is told in the log."""
    if not settings.statsd_port and not settings.otlp_port:
        return []
    host = settings.custom_metrics_host
    try:
        host = await gateway() if host == BRIDGE else host
    except (EngineUnreachable, EngineError) as error:
        log.warning("StatsD and OTLP are off: %s", error)
        return []
    if not host:
        log.warning("StatsD and OTLP are off: Docker has no default bridge")
        return []
    sender = Sender(client, settings.custom_metrics_namespace, count)
    found: list[Coroutine[Any, Any, None]] = []
    if settings.statsd_port:
        statsd = StatsD(sender, clock, settings.statsd_window_seconds, count)
        try:
            await statsd.listen(host, settings.statsd_port)
        except OSError as error:
            log.warning("StatsD is off: %s port %d: %s", host, settings.statsd_port, error.strerror)
        else:
            found.append(statsd.run())
    if settings.otlp_port:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, settings.otlp_port))
        except OSError as error:
            sock.close()
            log.warning("OTLP is off: %s port %d: %s", host, settings.otlp_port, error.strerror)
        else:
            found.append(_served(OtlpIn(sender, clock, count).app(), sock))
    return [*found, sender.run()] if found else []


async def _served(app: Starlette, sock: socket.socket) -> None:
    with sock:  # uvicorn leaves it open when it is cancelled
        await serve(app, sock)
