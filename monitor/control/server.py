"""Composition root of the control plane: builds every part, runs the loops in one TaskGroup.

One loopback port: AWS API at POST /, agents' websockets below /acs/ and /tcs/, /metrics, /healthz. The process
ends when its store fails: containers keep running, and a new process goes on from what is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import uvicorn

from monitor.api.announce import Announcer
from monitor.api.gateway import Authenticator, Gateway
from monitor.clock import Clock, Ids, SystemClock, SystemIds
from monitor.config import Settings
from monitor.control.alertmanager import Alertmanager
from monitor.control.bus import Bus, Router
from monitor.control.channels import Commands, Http, Mail
from monitor.control.deliver import Deliverer, Target
from monitor.control.evaluate import Evaluator
from monitor.control.intake import Intake
from monitor.control.notify import Notifier
from monitor.control.publish import Publisher
from monitor.control.scaling import Scaling
from monitor.control.schedule import Schedule
from monitor.control.sessions import Sessions
from monitor.control.targets import ApiDestinations, LogGroups, RunTask
from monitor.control.web import application
from monitor.credentials import CredentialsError, load_or_create
from monitor.instrument import ControlMetrics, set_up_logging
from monitor.logs.base import LogsError
from monitor.logs.embedded import EmbeddedLogs
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.cluster import Cluster
from monitor.model.delivery import Delivery
from monitor.model.state import Put
from monitor.series.base import SeriesError, SeriesStore
from monitor.series.embedded import EmbeddedStore
from monitor.series.observed import Observed
from monitor.series.prometheus import PrometheusStore
from monitor.store.base import StoreError
from monitor.store.sqlite import SqliteStore
from monitor.tracing import OFF, Tracing

log = logging.getLogger("moorwatch.control")


def run(settings: Settings, trace: Callable[[Clock], Tracing] = lambda _: OFF) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0, or 1 when it could not start or go on."""
    set_up_logging(settings.log_level)
    os.umask(0o077)
    clock = SystemClock()
    tracing = trace(clock)
    try:
        return asyncio.run(_main(settings, clock, SystemIds(), tracing))
    except (StoreError, SeriesError, LogsError, CredentialsError, OSError) as error:
        log.error("%s", error)
        return 1
    finally:
        tracing.close()


async def _main(settings: Settings, clock: Clock, ids: Ids, tracing: Tracing) -> int:
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    credentials = load_or_create(settings.credentials_file, settings.account)
    home = Scope(credentials.account, settings.region)
    keys = {credentials.access_key_id: (credentials.secret_access_key, credentials.account)}
    store = await SqliteStore.open(settings.database)
    router = Router(store.state, Announcer(clock, ids), clock, ids)
    store.announce = router
    series = logs = None
    try:
        series = await _series(settings, clock)
        logs = await EmbeddedLogs.open(settings.logs_file, clock.now, settings.logs_limit_bytes)
        await _ensure_cluster(store, settings.cluster, home, clock)
        metrics = ControlMetrics(store.state, home, clock.now)
        metrics.cloud.series, metrics.cloud.logs = series.facts, logs.facts
        store.on_durable = metrics.committed
        tracing.watch(store.state)
        schedule = Schedule(
            store,
            clock,
            ids,
            metrics,
            settings.task_retention_seconds,
            settings.healthy_after_seconds,
            tracing,
        )
        intake = Intake(store, clock, ids)
        intake.publisher = Publisher(store.state, series, clock)
        # Auto scaling follows what users put; what we publish ourselves it has from the agents.
        users_series = Observed(series, intake.recent.observe)
        sessions = Sessions(
            store, intake, clock, ids, settings.agent_silence_seconds, settings.agent_grace_seconds
        )
        await sessions.start()
        authenticator = Authenticator(settings.auth, home, keys.get, clock)
        gateway = Gateway(
            store, authenticator, clock, ids, metrics, settings.endpoint, tracing, users_series, logs
        )
        app = application(gateway, authenticator, sessions, intake, metrics, store.state)
        scaling = Scaling(store, intake.recent, clock, ids)
        evaluator = Evaluator(store, series, clock, ids, intake.publisher.settled)
        http = Http()
        mail = Mail(settings.smtp_url, settings.smtp_from, settings.smtp_password_file)
        notifier = Notifier(
            store.state, clock, ids, http, mail, Commands(settings.hooks_dir), settings.endpoint
        )
        destinations = ApiDestinations(store.state, http)
        targets: dict[str, Target] = {
            "sns": notifier,
            "events": destinations,
            "logs": LogGroups(logs, clock),
            "ecs": RunTask(store.state, gateway.context),
        }

        def lane(delivery: Delivery) -> str:
            is_rule_s = ":api-destination/" in delivery.target
            return destinations.lane(delivery) if is_rule_s else notifier.lane(delivery)

        deliverer = Deliverer(store, clock, ids, targets, lane, metrics.cloud)
        bus = Bus(store, router, clock, ids)
        loops = {
            "scheduling": schedule.run(),
            "auto scaling": scaling.run(),
            "publishing": intake.publisher.run(),
            "alarm": evaluator.run(),
            "delivery": deliverer.run(),
            "event bus": bus.run(),
        }
        if settings.alertmanager_url:
            told = Alertmanager(store.state, settings.alertmanager_url, http, clock)
            loops["Alertmanager"] = told.run()
        try:
            return await _serve(settings, app, store, sessions, gateway, loops)
        finally:
            gateway.close()
            await http.close()
    finally:
        await store.close()
        if logs is not None:
            await logs.close()
        if series is not None:
            await series.close()


async def _series(settings: Settings, clock: Clock) -> SeriesStore:
    """Raises SeriesError."""
    if settings.metrics_backend == "embedded":
        return await EmbeddedStore.open(settings.metrics_file, clock.now, settings.metrics_limit_bytes)
    secret = settings.metrics_backend_credentials_file
    return await PrometheusStore.open(settings.metrics_backend, clock.now, secret)


async def _ensure_cluster(store: SqliteStore, name: str, home: Scope, clock: Clock) -> None:
    arn = arns.cluster(home, name)
    cluster = store.state.clusters.get(arn)
    if cluster is None:
        await store.commit((Put(Cluster(arn=arn, name=name, created_at=clock.now())),))
    elif cluster.status != "ACTIVE":
        await store.commit((Put(replace(cluster, status="ACTIVE", inactive_at=None)),))


class _Server(uvicorn.Server):
    """Signals are ours: uvicorn's own handler would end the process from within."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


async def _serve(
    settings: Settings,
    app: object,
    store: SqliteStore,
    sessions: Sessions,
    gateway: Gateway,
    loops: Mapping[str, Coroutine[Any, Any, None]],
) -> int:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=1024 * 1024,
        ws_ping_interval=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = _Server(config)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings.auth == "none":
        log.warning("auth=none: every request is accepted as it is; listening on %s only", settings.host)
    serving = asyncio.create_task(server.serve())
    running = {name: asyncio.create_task(loop) for name, loop in loops.items()}
    stopping = asyncio.create_task(stop.wait())
    log.info(
        "endpoint=%s state=%s region=%s auth=%s",
        settings.endpoint,
        settings.state,
        settings.region,
        settings.auth,
    )
    ends: list[asyncio.Future[Any]] = [serving, stopping, store.failed, *running.values()]
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    code = 0 if stopping in done else 1
    ended = {name: task for name, task in running.items() if task in done}
    if store.failed in done:
        log.error("%s", store.failed.result())
    elif ended:
        for name, loop in ended.items():
            log.error("the %s loop ended: %r", name, loop.exception())
    elif serving in done and not server.started:
        log.error("cannot listen on %s:%s; is another Moorwatch running?", settings.host, settings.port)
    for task in (*running.values(), stopping):
        task.cancel()
    await sessions.close()
    gateway.close()  # an answer that goes on would be waited for
    server.should_exit = True
    await asyncio.gather(serving, stopping, *running.values(), return_exceptions=True)
    return code
