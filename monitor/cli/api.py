"""How the commands ask the control plane: ECS operations, and ours for what ECS has no word for.

Both go to the one endpoint, signed with the key of the state folder. Our own are plain JSON operations behind
the target prefix `Moorwatch_20261101` (ExplainTask, ExplainService, ListEvents).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from monitor.config import Settings
from monitor.credentials import Credentials
from monitor.model.errors import AwsError
from monitor.wire import signing

ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
OWN_TARGET = "Moorwatch_20261101"
_MAX_ANSWER = 64 * 1024 * 1024


class ApiUnreachable(Exception):
    """The control plane gave no answer we can read; the message says at which address and why."""


class Api:
    """A connection to one control plane. `date` is what its clock said in the last answer, in epoch seconds."""

    def __init__(self, settings: Settings, credentials: Credentials, timeout_seconds: float = 10.0) -> None:
        self.endpoint = settings.endpoint
        self.date: float | None = None
        self._region = settings.region
        # without authentication the access key id names the account, as local emulators have it
        self._key = settings.account if settings.auth == "none" else credentials.access_key_id
        self._secret = credentials.secret_access_key
        self._http = httpx.Client(timeout=timeout_seconds, trust_env=False)  # no proxy: this is loopback

    def close(self) -> None:
        self._http.close()

    def ecs(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call an ECS operation. Raises AwsError, ApiUnreachable."""
        return self._call(f"{ECS_TARGET}.{operation}", parameters, None)

    def own(self, operation: str, parameters: dict[str, Any], wait_seconds: float = 0.0) -> dict[str, Any]:
        """Call an operation of our own; `wait_seconds` is how long it may hold the answer back on purpose."""
        return self._call(f"{OWN_TARGET}.{operation}", parameters, wait_seconds)

    def pages(self, operation: str, parameters: dict[str, Any], member: str) -> Iterator[Any]:
        """The items of a List* operation, page after page."""
        token: str | None = None
        while True:
            page = self.ecs(operation, parameters if token is None else {**parameters, "nextToken": token})
            yield from page.get(member, ())
            token = page.get("nextToken")
            if not token:
                return

    def described(
        self, operation: str, parameters: dict[str, Any], member: str, names: Sequence[str], at_most: int
    ) -> list[dict[str, Any]]:
        """The items of a Describe* operation that takes at most `at_most` names a call, in order."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(names), at_most):
            asked = {**parameters, member: list(names[start : start + at_most])}
            found.extend(self.ecs(operation, asked).get(member, ()))
        return found

    def _call(self, target: str, parameters: dict[str, Any], wait_seconds: float | None) -> dict[str, Any]:
        body = json.dumps(parameters).encode()
        url = f"{self.endpoint}/"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        signed = signing.sign("POST", url, headers, body, self._key, self._secret, self._region, "ecs")
        options: dict[str, Any] = {}
        if wait_seconds:
            options["timeout"] = httpx.Timeout(10.0, read=wait_seconds + 10.0)
        try:
            response = self._http.post(url, content=body, headers=dict(signed), **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiUnreachable(f"{self.endpoint}: {error or type(error).__name__}") from error
        self.date = _date(response.headers.get("date"))
        return self._answer(response)

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        try:
            value = json.loads(response.content[:_MAX_ANSWER])
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ApiUnreachable(
                f"{self.endpoint}: answered {response.status_code} with something that is not ours; "
                "another program may be listening there"
            )
        if response.status_code == 200:
            return value
        code = str(value.get("__type", "UnknownError")).rsplit("#", 1)[-1]
        message = str(value.get("message") or value.get("Message") or "no message")
        raise AwsError(code, message, response.status_code)


def _date(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        return parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None
