"""The errors a client can be answered with, as one tree.

    AwsError                 code, message, HTTP status
    ├── ClientFault          400; the caller can mend it
    └── ServerFault          500; ours

Codes are AWS's own. An API operation may raise only codes that its service model declares, or one of the
common codes every JSON service answers with (tests check both).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error with an AWS code, as it goes over the wire."""

    status = 400

    def __init__(
        self, code: str, message: str, status: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        """`details`: further members that the error's shape has."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        if status is not None:
            self.status = status


class ClientFault(AwsError):
    """The request is at fault; the message says what to change."""


class ServerFault(AwsError):
    """We are at fault; the request may be right."""

    status = 500


def invalid_parameter(message: str) -> ClientFault:
    return ClientFault("InvalidParameterException", message)


def client_exception(message: str) -> ClientFault:
    return ClientFault("ClientException", message)


def cluster_not_found() -> ClientFault:
    return ClientFault("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> ClientFault:
    return ClientFault("ServiceNotFoundException", "Service not found.")
