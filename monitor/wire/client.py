"""A small client of our own API, for the agent (async) and the command line (sync).

It speaks JSON 1.1, signs by SigV4, goes through no proxy, and tells three ends apart: an answer, an AwsError
the server meant, and Unreachable. It repeats nothing by itself: whether a call may be made twice is the
caller's to know. An answer is bounded before it is parsed, for a stranger may listen on the port.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from monitor.model.errors import AwsError, ClientFault, ServerFault
from monitor.wire.dispatch import JSON_TYPE, MOORWATCH, MOORWATCH_TARGET
from monitor.wire.models import TARGET_PREFIXES, signing_name
from monitor.wire.signing import Key, sign

_TARGETS = {service: prefix for prefix, service in TARGET_PREFIXES.items()} | {MOORWATCH: MOORWATCH_TARGET}
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# Shorter than the 5 s after which uvicorn closes an idle connection: one that it is closing is never taken.
KEEP_ALIVE_SECONDS = 3.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_NetworkErrors = (httpx.HTTPError, httpx.InvalidURL, OSError)


class Unreachable(Exception):
    """No answer: nothing listens, the connection broke, or it took too long. The message names the endpoint."""


class _Exchange:
    """What the two clients share: a request's parts, and the reading of its answer."""

    def __init__(self, endpoint: str, key: Key, region: str) -> None:
        self.endpoint = endpoint.rstrip("/") + "/"
        self._key, self._region = key, region

    def request(self, operation: str, params: Mapping[str, Any], service: str) -> dict[str, Any]:
        """Arguments of httpx's `stream`."""
        body = json.dumps(params, allow_nan=False).encode()
        headers = {"Content-Type": JSON_TYPE, "X-Amz-Target": f"{_TARGETS[service]}.{operation}"}
        name = "ecs" if service == MOORWATCH else signing_name(service)
        signed = sign(self._key, "POST", self.endpoint, self._region, body, headers, name)
        return {"method": "POST", "url": self.endpoint, "content": body, "headers": signed}

    def grown(self, body: bytearray, chunk: bytes) -> None:
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Unreachable(f"{self.endpoint}: the answer is larger than {MAX_ANSWER_BYTES} bytes")

    def lost(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"{self.endpoint}: {error}" if str(error) else f"{self.endpoint}: {type(error).__name__}"
        )


def read_answer(status: int, body: bytes) -> dict[str, Any]:
    """The answer; one that is no JSON object becomes {"message": its text}. Raises AwsError, whose code is the HTTP
    status when the answer has none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        value = {"message": body[:300].decode("utf-8", "replace")}
    if 200 <= status < 300:
        return value
    code = str(value.get("__type") or status).rsplit("#", 1)[-1].split(":", 1)[0]
    message = str(value.get("message") or value.get("Message") or "")
    fault = ServerFault if status >= 500 else ClientFault
    raise fault(code, message, status)


def _options() -> dict[str, Any]:
    return {
        "timeout": httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        "limits": httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),
        "trust_env": False,
    }


class EcsClient:
    """Async; keeps its connections. Close it, or use it as a context."""

    def __init__(self, endpoint: str, key: Key, region: str) -> None:
        self._exchange = _Exchange(endpoint, key, region)
        self._http = httpx.AsyncClient(**_options())

    async def call(self, operation: str, params: Mapping[str, Any], service: str = "ecs") -> dict[str, Any]:
        """`service`: "moorwatch", or one that speaks JSON ("ecs", "logs" …). Raises AwsError, Unreachable."""
        body = bytearray()
        try:
            async with self._http.stream(**self._exchange.request(operation, params, service)) as response:
                async for chunk in response.aiter_bytes():
                    self._exchange.grown(body, chunk)
        except _NetworkErrors as error:
            raise self._exchange.lost(error) from error
        return read_answer(response.status_code, bytes(body))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> EcsClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class SyncEcsClient:
    """The same for a command line."""

    def __init__(self, endpoint: str, key: Key, region: str) -> None:
        self._exchange = _Exchange(endpoint, key, region)
        self._http = httpx.Client(**_options())

    def call(self, operation: str, params: Mapping[str, Any], service: str = "ecs") -> dict[str, Any]:
        """`service`: "moorwatch", or one that speaks JSON ("ecs", "logs" …). Raises AwsError, Unreachable."""
        body = bytearray()
        try:
            with self._http.stream(**self._exchange.request(operation, params, service)) as response:
                for chunk in response.iter_bytes():
                    self._exchange.grown(body, chunk)
        except _NetworkErrors as error:
            raise self._exchange.lost(error) from error
        return read_answer(response.status_code, bytes(body))

    def close(self) -> None:
        self._http.close()


__all__ = ["AwsError", "EcsClient", "Key", "SyncEcsClient", "Unreachable", "read_answer"]
