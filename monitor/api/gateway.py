"""The gateway: one HTTP request in, one answer out, the same steps for every operation.

authenticate → scope → parse → operation → commit → wait until durable → render. Errors leave as modelled errors;
what is not modelled is logged with its request id and answered as ServerException, without inner details.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.api import alarms, autoscaling, moorwatch, refused, scaling_actions, sts
from monitor.api.cloudwatch import alarm_put, alarm_read, alarm_set, dashboards, data, image, put, read
from monitor.api.ecs import (
    agents,
    attributes,
    capacity,
    clusters,
    deployments,
    instances,
    protection,
    services,
    settings,
    tags,
    task_definitions,
    task_sets,
    tasks,
)
from monitor.api.events import archives, destinations, rules
from monitor.api.events import put as put_events
from monitor.api.logs import events, fields, groups, live_tail, metric_filters, queries, streams
from monitor.api.operation import OPERATIONS, Context, Outcome, Stream
from monitor.api.sns import links, publish, subscriptions, topics
from monitor.clock import Clock, Ids
from monitor.config import LOOPBACK
from monitor.instrument import ControlMetrics
from monitor.logs.base import LogsError, LogStore
from monitor.logs.queries import Queries
from monitor.logs.tails import Tails
from monitor.model.arn import Scope
from monitor.model.errors import AwsError, ClientFault, ServerFault
from monitor.model.state import Change
from monitor.series.base import SeriesError, SeriesStore
from monitor.store.base import Store, StoreError
from monitor.tracing import OFF, RequestSpan, Tracing
from monitor.wire import dispatch, sigv4
from monitor.wire.http import Request, Response

log = logging.getLogger("moorwatch.api")

# Importing a family's module registers its operations.
FAMILIES = (
    archives,
    destinations,
    put_events,
    rules,
    agents,
    alarm_put,
    alarm_read,
    alarm_set,
    alarms,
    attributes,
    autoscaling,
    capacity,
    clusters,
    dashboards,
    data,
    deployments,
    events,
    groups,
    image,
    instances,
    live_tail,
    metric_filters,
    moorwatch,
    protection,
    publish,
    put,
    queries,
    fields,
    read,
    scaling_actions,
    services,
    settings,
    streams,
    sts,
    subscriptions,
    tags,
    task_definitions,
    task_sets,
    tasks,
    topics,
)

Secrets = Callable[[str], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and in which region: both from the request's signature."""

    access_key_id: str
    scope: Scope
    service: str


class Authenticator:
    """SigV4 against our keys; with auth = none any key, a 12-digit access key id being the account."""

    def __init__(self, mode: str, home: Scope, key_of: Secrets, clock: Clock) -> None:
        self._mode, self._home, self._key_of, self._clock = mode, home, key_of, clock

    def caller(self, request: Request) -> Caller:
        """Raises AwsError with AWS's own codes."""
        if self._mode == "none":
            return self._trusting(request)
        credential = sigv4.verify(request, self._secret, self._clock.now())
        known = self._key_of(credential.access_key_id)
        account = known[1] if known else self._home.account
        return Caller(credential.access_key_id, Scope(account, credential.region), credential.service)

    def _secret(self, access_key_id: str) -> str | None:
        known = self._key_of(access_key_id)
        return known[0] if known else None

    def _trusting(self, request: Request) -> Caller:
        # Any page in the user's browser can reach loopback by a name of its own (DNS rebinding): names are refused.
        host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]")
        if host and host not in LOOPBACK:
            raise ClientFault(
                "AccessDeniedException", f"Host {host[:64]!r} is not served without authentication.", 403
            )
        credential = sigv4.parse_scope(request)
        if credential is None:
            return Caller("anonymous", self._home, "")
        key = credential.access_key_id
        account = key if len(key) == 12 and key.isdecimal() else self._home.account
        known = self._key_of(key)
        if known:
            account = known[1]
        return Caller(key, Scope(account, credential.region), credential.service)


class Gateway:
    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        clock: Clock,
        ids: Ids,
        metrics: ControlMetrics,
        endpoint: str,
        tracing: Tracing = OFF,
        series: SeriesStore | None = None,
        logs: LogStore | None = None,
    ) -> None:
        self._series, self._logs = series, logs
        self._queries = Queries(logs, clock.now) if logs is not None else None
        self._tails = Tails(logs) if logs is not None else None
        self._store, self._authenticator, self._clock, self._ids = store, authenticator, clock, ids
        self._metrics, self._endpoint, self._tracing = metrics, endpoint, tracing
        self._waiting: set[asyncio.Future[None]] = set()
        store.subscribe(self._wake)

    def _wake(self, _: Sequence[Change]) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def _until_ready(self, outcome: Outcome) -> None:
        """Wait for what the operation waits for; changes are told by the store's feed, nothing is polled."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + outcome.wait_seconds
        while outcome.is_ready is not None and not outcome.is_ready(self._store.state):
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.add(waiter)
            try:
                await asyncio.wait((waiter,), timeout=max(0.0, ends - loop.time()))
            finally:
                self._waiting.discard(waiter)
            if loop.time() >= ends:
                return

    def close(self) -> None:
        """Queries that run end, and answers that go on."""
        if self._queries is not None:
            self._queries.close()
        if self._tails is not None:
            self._tails.close()

    async def link(self, action: str, arn: str, token: str) -> str | None:
        """A subscription's link was opened. What to say; None: there is none of it."""
        found = links.follow(self._store.state, action, arn, token)
        if found is None:
            return None
        await self._store.commit(found[1])
        return found[0]

    async def handle(self, request: Request) -> Response:
        with self._tracing.request(request.headers) as span:
            return await self._answer(request, span)

    async def _answer(self, request: Request, span: RequestSpan) -> Response:
        started = time.perf_counter()
        call: dispatch.Call | None = None
        name, code, problem = "unknown", "200", ""
        try:
            caller = self._authenticator.caller(request)
            call = dispatch.parse(request, moorwatch_operations())
            name = call.operation
            span.parsed(call.service, name, call.request_id)
            body = await self._run(call, caller, request, span)
            if isinstance(body, Stream):
                return dispatch.render_stream(call, body.events)
            return dispatch.render(call, body)
        except AwsError as error:
            code, problem = str(error.status), error.code
            return dispatch.render_error(call, error, request)
        except (StoreError, SeriesError, LogsError) as error:
            log.error("operation=%s: %s", name, error)  # no traceback: with a full disk each put ends here
            code, problem = "500", "ServerException"
            return dispatch.render_error(call, ServerFault("ServerException", str(error)), request)
        except Exception:
            request_id = call.request_id if call else "-"
            log.exception("operation=%s request_id=%s failed", name, request_id)
            code, problem = "500", "ServerException"
            fault = ServerFault(
                "ServerException", f"Internal error; see the control plane's log, {request_id}."
            )
            return dispatch.render_error(call, fault, request)
        finally:
            self._metrics.request(name, code, time.perf_counter() - started)
            span.answered(int(code), problem)

    def _address(self, request: Request) -> str:
        """Where agents find us: as configured, or as this caller did when we listen on every address."""
        if any(f"//{wildcard}:" in self._endpoint for wildcard in ("0.0.0.0", "[::]")):
            return f"http://{request.headers.get('host', '')}"
        return self._endpoint

    def context(self, scope: Scope, caller: str = "moorwatch", endpoint: str = "") -> Context:
        """What an operation is handed: of a request, or of a rule that runs tasks."""
        return Context(
            state=self._store.state,
            scope=scope,
            now=self._clock.now(),
            ids=self._ids,
            caller=caller,
            endpoint=endpoint or self._endpoint,
            series=self._series,
            past=self._store.past,
            logs=self._logs,
            queries=self._queries,
            tails=self._tails,
        )

    async def _run(
        self, call: dispatch.Call, caller: Caller, request: Request, span: RequestSpan
    ) -> dict[str, Any] | Stream:
        function = OPERATIONS.get((call.service, call.operation))
        if function is None:
            raise refused.refusal(call.service, call.operation)
        context = self.context(caller.scope, caller.access_key_id, self._address(request))
        outcome = function(context, call.params)
        if outcome.wait_seconds:
            await self._until_ready(outcome)
            outcome = function(context, call.params)
        if outcome.missed_events:
            self._metrics.events_missed(outcome.missed_events)
        if outcome.check is not None:
            await outcome.check()
        if outcome.changes:
            span.caused(outcome.changes)
            committed = self._store.commit(outcome.changes)
            body = outcome.view(self._store.state)
            await committed
        else:
            body = outcome.view(self._store.state)
            await self._store.flushed()
        return body if outcome.work is None else await outcome.work()


def moorwatch_operations() -> frozenset[str]:
    return frozenset(name for service, name in OPERATIONS if service == "moorwatch")
