"""The control plane's HTTP and websocket surface: bytes in and out, nothing decided here."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from monitor.api.gateway import Authenticator, Gateway
from monitor.api.sns.links import CONFIRM, UNSUBSCRIBE
from monitor.control.discovery import targets
from monitor.control.intake import Intake
from monitor.control.sessions import Sessions
from monitor.instrument import ControlMetrics
from monitor.model.errors import AwsError
from monitor.model.state import State
from monitor.wire import agent as wire
from monitor.wire import bodies, dispatch
from monitor.wire.http import Request, Response

log = logging.getLogger("moorwatch.web")

MOST_HEADER = 2000
LINGER_SECONDS, LINGER_BYTES = 3.0, 32 * 1024 * 1024
WELCOME = """Moorwatch control plane: the Amazon ECS API on this machine.

Point a client at it:  eval "$(moorwatch env)"  then  aws ecs list-services
Metrics:               /metrics
Scrape targets:        /sd/prometheus  (Prometheus's http_sd)
"""


class WebSocketChannel:
    """A Starlette websocket as the sessions' Socket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._closed = False

    async def send(self, text: str) -> None:
        await self._websocket.send_text(text)

    async def receive(self) -> str | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._closed = True
            return None
        return message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")

    async def close(self, code: int) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._websocket.close(code)
        except (RuntimeError, WebSocketDisconnect) as error:
            log.debug("closing a websocket that is closed: %s", error)


def application(
    gateway: Gateway,
    authenticator: Authenticator,
    sessions: Sessions,
    intake: Intake,
    metrics: ControlMetrics,
    state: State,
) -> Starlette:
    async def aws(request: HttpRequest) -> HttpResponse:
        most = bodies.most_bytes(request.headers)
        body = await _bounded_body(request, most)
        if body is None:
            refusal = dispatch.render_error(None, bodies.too_large(most), _raw(request, b""))
            return HttpResponse(refusal.body, status_code=refusal.status, headers=dict(refusal.headers))
        answer = await gateway.handle(_raw(request, body))
        if answer.stream is not None:
            return StreamingResponse(_whole(answer), answer.status, dict(answer.headers))
        return HttpResponse(answer.body, status_code=answer.status, headers=dict(answer.headers))

    async def welcome(request: HttpRequest) -> HttpResponse:
        asked = request.query_params
        action, arn = asked.get("Action", ""), asked.get("TopicArn") or asked.get("SubscriptionArn") or ""
        if action not in (CONFIRM, UNSUBSCRIBE):
            return PlainTextResponse(WELCOME)
        said = await gateway.link(action, arn[:MOST_HEADER], asked.get("Token", "")[:MOST_HEADER])
        if said is None:
            return PlainTextResponse("There is no such subscription, or the token is another's.\n", 404)
        return PlainTextResponse(said)

    async def scrape(request: HttpRequest) -> HttpResponse:
        asked = request.headers
        accept, encoding = asked.get("accept", ""), asked.get("accept-encoding", "")
        body, headers = await metrics.render(accept[:MOST_HEADER], encoding[:MOST_HEADER])
        return HttpResponse(body, headers=headers)

    async def discover(_: HttpRequest) -> HttpResponse:
        return JSONResponse(targets(state))

    async def healthz(_: HttpRequest) -> HttpResponse:
        return PlainTextResponse("ok\n")

    async def acs(websocket: WebSocket) -> None:
        arn = await _handshake(websocket, "containerInstanceArn")
        if arn is None:
            return
        await sessions.serve(arn, WebSocketChannel(websocket))

    async def tcs(websocket: WebSocket) -> None:
        arn = await _handshake(websocket, "containerInstance")
        if arn is None:
            return
        await _telemetry(WebSocketChannel(websocket), arn, intake)

    async def _handshake(websocket: WebSocket, parameter: str) -> str | None:
        """The instance's ARN when the caller may speak for it; else the refusal has been sent."""
        arn = websocket.query_params.get(parameter, "")
        try:
            caller = authenticator.caller(_raw(websocket, b""))
        except AwsError as error:
            await _refuse(websocket, 403, {"AccessDeniedException": error.message})
            return None
        instance = state.instances.get(arn)
        if instance is None or not arn.startswith(caller.scope.arn("")) or sessions.inactive(arn):
            await _refuse(
                websocket, 400, {"InactiveInstanceException": "The container instance is not registered."}
            )
            return None
        await websocket.accept()
        return arn

    return Starlette(
        routes=[
            Route("/", welcome, methods=["GET"]),
            Route("/", aws, methods=["POST"]),
            Route("/service/{service}/operation/{operation}", aws, methods=["POST"]),
            Route("/metrics", scrape),
            Route("/healthz", healthz),
            Route("/sd/prometheus", discover),
            WebSocketRoute("/acs/ws", acs),
            WebSocketRoute("/tcs/ws", tcs),
        ]
    )


async def _telemetry(channel: WebSocketChannel, instance_arn: str, intake: Intake) -> None:
    """Every frame is acknowledged; without that the agent closes and comes back."""
    answers = {
        "PublishMetricsRequest": "AckPublishMetric",
        "PublishHealthRequest": "AckPublishHealth",
        "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
    }
    while (frame := await channel.receive()) is not None:
        try:
            kind, message = wire.decode_tcs(frame)
        except wire.BadMessage as error:
            log.warning("container_instance=%s bad telemetry: %s", instance_arn, error)
            continue
        if kind == "PublishMetricsRequest":
            intake.metrics(instance_arn, message)
        elif kind == "PublishHealthRequest":
            await intake.health(instance_arn, message)
        elif kind == "PublishInstanceStatusRequest":
            await intake.instance_status(instance_arn, message)
        if kind in answers:
            await channel.send(wire.encode(answers[kind], {}))


async def _whole(answer: Response) -> AsyncIterator[bytes]:
    yield answer.body
    if answer.stream is not None:
        async for part in answer.stream:
            yield part


async def _refuse(websocket: WebSocket, status: int, body: dict[str, str]) -> None:
    response = HttpResponse(json.dumps(body), status_code=status, media_type="application/json")
    await websocket.send_denial_response(response)


async def _bounded_body(request: HttpRequest, most: int) -> bytes | None:
    """The body, or None when it is larger than we keep.

    The rest of one that is too large is read and thrown away, within bounds: a client that is still sending when the
    connection is closed never gets to see the refusal.
    """
    length = request.headers.get("content-length", "0")
    is_kept = not (length.isdecimal() and int(length) > most)
    body, seen = bytearray(), 0
    try:
        async with asyncio.timeout(None if is_kept else LINGER_SECONDS) as limit:
            async for chunk in request.stream():
                seen += len(chunk)
                if is_kept:
                    body += chunk
                if is_kept and len(body) > most:
                    is_kept, body = False, bytearray()
                    limit.reschedule(asyncio.get_running_loop().time() + LINGER_SECONDS)
                if seen > LINGER_BYTES:
                    break
    except ClientDisconnect:
        return b""
    except TimeoutError:
        return None
    return bytes(body) if is_kept else None


def _raw(request: HttpRequest | WebSocket, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    return Request(
        method=request.scope.get("method", "GET"),
        path=path.split(b"?")[0].decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
    )
