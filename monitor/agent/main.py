"""Composition root of the container agent.

Ends on SIGTERM or SIGINT without touching a container: they run on, and the next agent adopts them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any

from exporters import otlp
from exporters.host import raise_descriptor_limit
from exporters.shown import BadLabels, Shown, parse_labels
from monitor.agent import inputs
from monitor.agent.docker import DockerEngine
from monitor.agent.engine import EngineError, EngineInfo, EngineUnreachable
from monitor.agent.events import Events
from monitor.agent.local import LocalState, LocalStateError
from monitor.agent.logs import Logs
from monitor.agent.metadata import PORT, Metadata, listen, secret_of, serve, tags_of
from monitor.agent.metrics import AgentMetrics
from monitor.agent.reports import Reports
from monitor.agent.roster import Roster
from monitor.agent.session import VERSION, Session
from monitor.agent.task_cgroup import TaskCgroups
from monitor.agent.telemetry import Telemetry
from monitor.clock import SystemClock
from monitor.config import Settings
from monitor.credentials import CredentialsError, load
from monitor.instrument import set_up_logging
from monitor.wire.client import EcsClient
from monitor.wire.signing import Key

log = logging.getLogger("moorwatch.agent")

RETRY_SECONDS = 1.0


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code."""
    set_up_logging(settings.log_level)
    os.umask(0o077)
    try:
        return asyncio.run(_main(settings))
    except (BadLabels, LocalStateError, CredentialsError, OSError) as error:
        log.error("%s", error)
        return 1


async def _main(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    working = asyncio.create_task(_work(settings))
    await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
    if working.done() and not stop.is_set():
        stopping.cancel()
        working.result()
        return 1
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    log.info("stopped; containers run on")
    return 0


async def _key(settings: Settings) -> Key:
    """The key the control plane makes at its first start; waited for."""
    said = False
    while True:
        try:
            credentials = load(settings.credentials_file)
            return Key(credentials.access_key_id, credentials.secret_access_key)
        except FileNotFoundError:
            if not said:
                log.info("waiting for the control plane to make %s", settings.credentials_file)
                said = True
            await asyncio.sleep(RETRY_SECONDS / 4)


async def _info(engine: DockerEngine) -> EngineInfo:
    """What the daemon is; waited for."""
    while True:
        try:
            return await engine.info()
        except (EngineUnreachable, EngineError) as error:
            log.warning("waiting for Docker: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


async def _metadata_socket(
    settings: Settings, engine: DockerEngine, local: LocalState
) -> socket.socket | None:
    """None: switched off, or containers cannot reach this machine."""
    if not settings.metadata:
        return None
    try:
        gateway = await engine.gateway()
    except (EngineUnreachable, EngineError) as error:
        log.warning("task metadata is off: %s", error)
        return None
    if not gateway:
        log.info("task metadata is off: Docker has no default bridge")
        return None
    return await listen(gateway, PORT, local, "metadata_port")


async def _introspection_socket(settings: Settings) -> socket.socket | None:
    """None: switched off, or another agent of this machine has the port."""
    if not settings.introspection_port:
        return None
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", settings.introspection_port))
    except OSError as error:
        sock.close()
        log.info("introspection is off: port %d: %s", settings.introspection_port, error.strerror)
        return None
    return sock


async def _work(settings: Settings) -> None:
    clock = SystemClock()
    raise_descriptor_limit()  # each container keeps some fifteen files open
    metrics = AgentMetrics(clock, Shown(parse_labels(settings.metric_labels), settings.series_limit))
    sent = otlp.start(metrics.exporter, os.environ, "moorwatch-agent")
    engine = DockerEngine(settings.docker_host, metrics.docker_call)
    local = LocalState(settings.state / "agent.sqlite")
    key = await _key(settings)
    client = EcsClient(settings.endpoint, key, settings.region)
    info = await _info(engine)
    telemetry = Telemetry(metrics.exporter, metrics.track, info, clock)
    roster = Roster(
        engine,
        local,
        telemetry,
        clock,
        settings.cluster,
        TaskCgroups(info),
        settings.container_cleanup_seconds,
        settings.stop_timeout_seconds,
    )
    metadata = Metadata(lambda: roster.workers, metrics.exporter, await secret_of(local), tags_of(client))
    sock = await _metadata_socket(settings, engine, local)
    if sock is not None:
        metadata.address = "{}:{}".format(*sock.getsockname())
    roster.environment = metadata.environment
    session = Session(settings, key, client, local, roster, engine, info)
    roster.tell = session.tell
    session.on_heartbeat = telemetry.heartbeat
    regions = {settings.region: client}

    def client_of(region: str) -> EcsClient:
        name = region or settings.region
        if name not in regions:
            regions[name] = EcsClient(settings.endpoint, key, name)
        return regions[name]

    roster.logs = logs = Logs(engine, client_of)
    metrics.restarts = roster.restarts
    metrics.logs = logs.counts
    metrics.is_connected = session.connected.is_set
    reports = Reports(client, roster.acknowledged)
    events = Events(settings.docker_host, metrics, roster)
    try:
        # Docker is read before we register: the reports that follow tell the truth of this moment.
        await roster.restore()
        await session.register()
        zone = session.attribute("ecs.availability-zone")
        metadata.instance = {"cluster": settings.cluster, "arn": session.instance_arn, "zone": zone}
        metrics.is_agent(settings.cluster, session.instance_arn.rsplit("/", 1)[-1], VERSION, info.version)
        roster.reports = reports
        await logs.restore()
        for worker in list(roster.workers.values()):
            roster.changed(worker)
        loops: list[Coroutine[Any, Any, None]] = [
            session.run(),
            telemetry.sample_forever(),
            telemetry.publish_forever(session, roster, engine),
            roster.clean_forever(),
            events.run(),
            metrics.serve(settings.host, settings.agent_port),
        ]
        if sock is not None:
            loops.append(serve(metadata.containers_app(), sock))
        loops += await inputs.loops(settings, engine.gateway, client, clock, metrics.custom)
        introspection = await _introspection_socket(settings)
        if introspection is not None:
            loops.append(serve(metadata.introspection_app(), introspection))
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)
    finally:
        events.stop()
        await roster.close()
        await logs.close()
        await reports.close()
        for each in regions.values():
            await each.close()
        await local.close()
        await engine.close()
        if sent is not None:
            await asyncio.to_thread(sent.close)
