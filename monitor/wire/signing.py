"""The client's side of SigV4, by botocore's own signer: for our agent and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

_HTTP = {"ws": "http", "wss": "https"}


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
    headers: Mapping[str, str] | None = None,
    service: str = "ecs",
) -> dict[str, str]:
    """The headers of the signed request: those given, and Authorization and X-Amz-Date, as of now.

    For the upgrade of a websocket: method GET, no body; a ws:// URL counts as its http:// twin.
    """
    scheme, separator, rest = url.partition("://")
    url = f"{_HTTP.get(scheme, scheme)}{separator}{rest}"
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
    SigV4Auth(BotoCredentials(key.access_key_id, key.secret_access_key), service, region).add_auth(request)
    return dict(request.headers.items())
