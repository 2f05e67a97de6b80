"""How the commands ask the control plane: ECS operations, and ours for what ECS has no word for.

Both go to the one endpoint, signed with the key of the state folder. Our own are plain JSON operations behind
the target prefix `Moorwatch_20261101` (ExplainTask, ExplainService, ListEvents).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from monitor.config import Settings
from monitor.credentials import Credentials
from monitor.model.errors import AwsError

LONGEST_WAIT_SECONDS = 20  # how long ListEvents may hold its answer back; the client waits longer than that


class ApiUnreachable(Exception):
    """The control plane gave no answer we can read; the message says at which address and why."""


class Api:
    """A connection to one control plane. Its calls raise AwsError and ApiUnreachable."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        # imported at first use: botocore takes half a second that `env`, `down` and every --help can do without
        from monitor.wire.client import SyncEcsClient
        from monitor.wire.signing import Key

        self.endpoint = settings.endpoint
        # without authentication the access key id names the account, as local emulators have it
        key_id = settings.account if settings.auth == "none" else credentials.access_key_id
        self._client = SyncEcsClient(
            settings.endpoint, Key(key_id, credentials.secret_access_key), settings.region
        )

    def close(self) -> None:
        self._client.close()

    def ecs(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call an ECS operation."""
        return self._call(operation, parameters, "ecs")

    def own(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call an operation of our own."""
        return self._call(operation, parameters, "moorwatch")

    def cloudwatch(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call a CloudWatch operation."""
        return self._call(operation, parameters, "cloudwatch")

    def logs(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call an operation of CloudWatch Logs."""
        return self._call(operation, parameters, "logs")

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

    def _call(self, operation: str, parameters: dict[str, Any], service: str) -> dict[str, Any]:
        from monitor.wire.client import Unreachable

        try:
            value = self._client.call(operation, parameters, service)
        except Unreachable as error:
            raise ApiUnreachable(str(error)) from error
        except AwsError as error:
            if error.code.isdigit():  # an answer without an AWS code
                raise self._stranger(error.code) from error
            raise
        if set(value) == {"message"}:  # an answer that is not JSON
            raise self._stranger("200")
        return value

    def _stranger(self, status: str) -> ApiUnreachable:
        return ApiUnreachable(
            f"{self.endpoint} answered {status} with something that is not ours; another program may listen there"
        )
