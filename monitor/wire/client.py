"""A small client of our own API, for the agent (async) and the command line (sync).

It speaks JSON 1.1, signs by SigV4, goes through no proxy, and tells three ends apart: an answer, an AwsError
the server meant, and Unreachable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from monitor.model.errors import AwsError, ClientFault, ServerFault
from monitor.wire.dispatch import JSON_TYPE, MOORWATCH_TARGET
from monitor.wire.models import TARGET_PREFIXES
from monitor.wire.signing import Key, sign

_ECS_TARGET = next(prefix for prefix, service in TARGET_PREFIXES.items() if service == "ecs")
_TARGETS = {"ecs": _ECS_TARGET, "moorwatch": MOORWATCH_TARGET}
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0


class Unreachable(Exception):
    """No answer: nothing listens, the connection broke, or it took too long."""


def _timeout() -> httpx.Timeout:
    return httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)


class _Requests:
    def __init__(self, endpoint: str, key: Key, region: str) -> None:
        self.endpoint = endpoint.rstrip("/") + "/"
        self._key, self._region = key, region

    def build(self, operation: str, params: Mapping[str, Any], service: str) -> tuple[bytes, dict[str, str]]:
        body = json.dumps(params).encode()
        headers = {"Content-Type": JSON_TYPE, "X-Amz-Target": f"{_TARGETS[service]}.{operation}"}
        return body, sign(self._key, "POST", self.endpoint, self._region, body, headers)


def _read(response: httpx.Response) -> dict[str, Any]:
    """The answer. Raises AwsError."""
    try:
        value = response.json()
    except ValueError:
        value = {"message": response.text[:300]}
    if not isinstance(value, dict):
        value = {}
    if response.status_code < 300:
        return value
    code = str(value.get("__type", response.status_code)).rsplit("#", 1)[-1]
    message = str(value.get("message", ""))
    fault = ServerFault if response.status_code >= 500 else ClientFault
    raise fault(code, message, response.status_code)


class EcsClient:
    """Async; keeps its connections. Close it, or use it as a context."""

    def __init__(self, endpoint: str, key: Key, region: str) -> None:
        self._requests = _Requests(endpoint, key, region)
        self._http = httpx.AsyncClient(timeout=_timeout(), trust_env=False)

    async def call(self, operation: str, params: Mapping[str, Any], service: str = "ecs") -> dict[str, Any]:
        """Raises AwsError, Unreachable."""
        body, headers = self._requests.build(operation, params, service)
        try:
            response = await self._http.post(self._requests.endpoint, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._requests.endpoint}: {error or type(error).__name__}") from error
        return _read(response)

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
        self._requests = _Requests(endpoint, key, region)
        self._http = httpx.Client(timeout=_timeout(), trust_env=False)

    def call(self, operation: str, params: Mapping[str, Any], service: str = "ecs") -> dict[str, Any]:
        """Raises AwsError, Unreachable."""
        body, headers = self._requests.build(operation, params, service)
        try:
            response = self._http.post(self._requests.endpoint, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._requests.endpoint}: {error or type(error).__name__}") from error
        return _read(response)

    def close(self) -> None:
        self._http.close()


__all__ = ["AwsError", "EcsClient", "Key", "SyncEcsClient", "Unreachable"]
