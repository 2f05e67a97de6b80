"""OTLP/HTTP metrics in: POST /v1/metrics, protobuf or JSON, gzip or not."""

from __future__ import annotations

import asyncio
import zlib

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporters.otlp_read import JSON, PROTOBUF, BadOtlp, OtlpMetric, answer, read
from monitor.agent.custom import Count, Sender
from monitor.agent.otlp_points import Points
from monitor.clock import Clock
from monitor.rules.custom import Measured

NAME = "otlp"
MOST_BYTES = 4 * 1024 * 1024


class OtlpIn:
    def __init__(self, sender: Sender, clock: Clock, count: Count) -> None:
        self._sender, self._clock, self._count = sender, clock, count
        self._rejected = 0
        self._points = Points(clock.now(), self._refuse)
        self._reading = asyncio.Semaphore(2)

    def _refuse(self, reason: str) -> None:
        self._rejected += 1
        self._count(NAME, reason, 1)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/metrics", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (PROTOBUF, JSON):
            return Response(f"Content-Type must be {PROTOBUF} or {JSON}\n", 415)
        if self._sender.is_full:  # OTLP's word for: again later
            return Response("the control plane is away\n", 503, headers={"Retry-After": "10"})
        async with self._reading:
            try:
                body = _unpacked(await _body(request), request.headers.get("content-encoding", "identity"))
                metrics, unread = await asyncio.to_thread(read, body, kind)
            except BadOtlp as error:
                self._count(NAME, "request", 1)
                return Response(f"{error}\n", 400)
            rejected = self._put(metrics, unread)
        return Response(answer(kind, rejected), media_type=kind)

    def _put(self, metrics: list[OtlpMetric], unread: int) -> int:
        self._rejected = unread
        if unread:
            self._count(NAME, "kind", unread)
        now = self._clock.now()
        measured: list[Measured] = []
        for metric in metrics:
            measured += self._points.measured(metric, now)
        self._sender.put(NAME, measured, 60)
        return self._rejected


async def _body(request: Request) -> bytes:
    """Raises BadOtlp."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise BadOtlp(f"the body has more than {MOST_BYTES} bytes")
    return bytes(body)


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Raises BadOtlp."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise BadOtlp("Content-Encoding must be gzip, if anything")
    packed = zlib.decompressobj(wbits=31)
    try:
        out = packed.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise BadOtlp("the body is not gzip") from error
    if packed.unconsumed_tail or not packed.eof:
        raise BadOtlp(f"the body is cut short, or has more than {MOST_BYTES} bytes unpacked")
    return out
