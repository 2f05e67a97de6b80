"""What an error is called on the wire: each service has its own names for what our front end finds wrong, and a service
that once spoke Query keeps its Query codes for clients of its newer protocols (awsQueryCompatible).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from monitor.wire import models

# Query services' names for the front end's errors (STS API reference, Common Errors): code and status.
_QUERY: Mapping[str, tuple[str, int]] = {
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "AccessDeniedException": ("AccessDenied", 403),
    "InvalidParameterException": ("ValidationError", 400),
    "SerializationException": ("MalformedInput", 400),
    "ServerException": ("InternalFailure", 500),
    "UnknownOperationException": ("InvalidAction", 400),
}
# A service's own names, whatever its protocol (its API reference, Common Errors).
_SERVICE: Mapping[str, Mapping[str, str]] = {
    models.AUTOSCALING: {
        "InvalidParameterException": "ValidationException",
        "ClientException": "ValidationException",
        "ServerException": "InternalServiceException",
    },
    models.CLOUDWATCH: {
        "InvalidParameterException": "ValidationError",
        "ClientException": "ValidationError",
        "ServerException": "InternalServiceError",
    },
    models.LOGS: {
        "ClientException": "InvalidParameterException",
        "ServerException": "ServiceUnavailableException",
    },
    models.EVENTS: {
        "InvalidParameterException": "ValidationException",
        "ClientException": "ValidationException",
        "ServerException": "InternalException",
    },
    models.SNS: {
        "InvalidParameterException": "InvalidParameter",
        "ClientException": "InvalidParameter",
        "ServerException": "InternalError",
    },
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as one service tells it. `shape`: its type in JSON and CBOR; `query_code`: what goes beside it there,
    "" where the service never spoke Query."""

    code: str
    shape: str
    status: int
    query_code: str


def told(service: str, operation: str, code: str, status: int, in_query: bool) -> Fault:
    """The error with our code and status as the service's clients know it. `operation`: "" when it is not known."""
    own = _SERVICE.get(service, {}).get(code, code)
    shape, declared_status = _declared(service, operation, own)
    # An error of ours says 400 or 500; the model knows a few statuses better (404 for what is not there).
    status = declared_status if declared_status and status in (400, 500) else status
    if not in_query and not models.is_query_compatible(service):
        return Fault(own, shape, status, "")
    query_code, query_status = (own, status) if own != code else _QUERY.get(code, (code, status))
    if in_query:
        return Fault(query_code, shape, query_status if status in (400, 500) else status, query_code)
    return Fault(own, shape, status, query_code)


def _declared(service: str, operation: str, code: str) -> tuple[str, int]:
    """(the name of the error's shape, its HTTP status, 0 where none is said); the code itself where none is known."""
    if service not in models.SERVICES:
        return code, 0
    known = models.error_shapes(service, operation).get(code) if operation else None
    return known or _anywhere(service).get(code, (code, 0))


@cache
def _anywhere(service: str) -> Mapping[str, tuple[str, int]]:
    """Codes that some operation of the service declares, and always by the same shape: a client reads them as well
    where the front end finds what the operation itself would not."""
    found: dict[str, set[tuple[str, int]]] = {}
    for operation in models.operation_names(service):
        for code, shape in models.error_shapes(service, operation).items():
            found.setdefault(code, set()).add(shape)
    return {code: shapes.pop() for code, shapes in found.items() if len(shapes) == 1}
