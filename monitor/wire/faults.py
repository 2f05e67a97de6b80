"""What an error is called on the wire: each service has its own names for what our front end finds wrong, and a service
that once spoke Query keeps its Query codes for clients of its newer protocols (awsQueryCompatible).
"""

from __future__ import annotations

from collections.abc import Mapping

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


def named(service: str, code: str) -> str:
    """The service's code for ours."""
    return _SERVICE.get(service, {}).get(code, code)


def in_query(service: str, code: str, status: int) -> tuple[str, int]:
    """(code, status) in Query's XML."""
    own = named(service, code)
    return (own, status) if own != code else _QUERY.get(code, (code, status))


def shape_of(service: str, operation: str, code: str) -> str:
    """The name of the error's shape, which newer protocols send as the type; the code itself where none is declared."""
    if not operation or service not in models.SERVICES:
        return code
    for shape in models.operation(service, operation).error_shapes:
        if shape.metadata.get("error", {}).get("code", shape.name) == code:
            return str(shape.name)
    return code
