"""The client's side of SigV4, by botocore's own signer: for our agent and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials


@dataclass(frozen=True, slots=True)
class Key:
    """An access key. The secret never shows in repr."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def sign(
    key: Key,
    method: str,
    url: str,
    region: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    service: str = "ecs",
) -> dict[str, str]:
    """The headers of the signed request: those given, and Authorization and X-Amz-Date."""
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    SigV4Auth(BotoCredentials(key.access_key_id, key.secret_access_key), service, region).add_auth(request)
    return dict(request.headers.items())
