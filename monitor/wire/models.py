"""botocore's service models: loaded at first use, kept. The only door to them.

A model may change with botocore (the range is in pyproject.toml): ask it by name, do not list what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel

AUTOSCALING = "application-autoscaling"
CLOUDWATCH, LOGS, EVENTS, SNS = "cloudwatch", "logs", "events", "sns"
SERVICES = ("ecs", "sts", AUTOSCALING, CLOUDWATCH, LOGS, EVENTS, SNS)
# X-Amz-Target up to its dot → service, for the services that speak JSON. RPC v2 calls the service by the same name.
TARGET_PREFIXES = {
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AnyScaleFrontendService": AUTOSCALING,
    "GraniteServiceVersion20100801": CLOUDWATCH,
    "Logs_20140328": LOGS,
    "AWSEvents": EVENTS,
}
# Signing name → service, for the services that speak Query.
QUERY_SERVICES = {"sts": "sts", "monitoring": CLOUDWATCH, "sns": SNS}
_QUERY_VERSIONS = {"2010-08-01": CLOUDWATCH, "2010-03-31": SNS}  # the form's Version, where nothing is signed
# Those whose clients speak CBOR too.
RPC_SERVICES = frozenset((CLOUDWATCH,))
_SIGNING_NAMES = {CLOUDWATCH: "monitoring"}
# Codes any JSON service may answer with, beyond those an operation declares.
COMMON_ERRORS = frozenset(
    ("ServerException", "ClientException", "InvalidParameterException", "AccessDeniedException")
)

# Members that agents send and the public model leaves out (agent protocol, section 3).
_UNPUBLISHED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "ecs": {"RegisterContainerInstanceRequest": {"clientToken": {"shape": "String"}}}
}


@cache
def _loader() -> Any:
    return create_loader()


@cache
def service(name: str) -> ServiceModel:
    """Raises botocore's UnknownServiceError for a name that is none."""
    model = _loader().load_service_model(name, "service-2")
    for shape, members in _UNPUBLISHED.get(name, {}).items():
        model["shapes"][shape]["members"].update(members)
    return ServiceModel(model, name)


def signing_name(service_name: str) -> str:
    return _SIGNING_NAMES.get(service_name, service_name)


def query_service(signed_for: str, version: str) -> str:
    """The service that a form is for, by the name it is signed for, else by the API's version; STS by default."""
    return QUERY_SERVICES.get(signed_for) or _QUERY_VERSIONS.get("" if signed_for else version, "sts")


@cache
def is_query_compatible(service_name: str) -> bool:
    """Whether clients of the newer protocols are told the Query code beside the error's type."""
    return service_name in SERVICES and "awsQueryCompatible" in service(service_name).metadata


@cache
def json_type(service_name: str) -> str:
    """The content type of its JSON answers."""
    version = service(service_name).metadata.get("jsonVersion", "1.1") if service_name in SERVICES else "1.1"
    return f"application/x-amz-json-{version}"


@cache
def operation_names(name: str) -> frozenset[str]:
    return frozenset(service(name).operation_names)


@cache
def operation(service_name: str, name: str) -> OperationModel:
    """Raises botocore's OperationNotFoundError."""
    return service(service_name).operation_model(name)


@cache
def paginators(service_name: str) -> Mapping[str, Mapping[str, Any]]:
    """Operation → what botocore's paginators rely on: input_token, output_token, limit_key, result_key."""
    found: Mapping[str, Mapping[str, Any]] = _loader().load_service_model(service_name, "paginators-1")[
        "pagination"
    ]
    return found


@cache
def error_shapes(service_name: str, name: str) -> Mapping[str, tuple[str, int]]:
    """Of the errors that the operation's model declares: code → (name of the shape, HTTP status or 0 for none said)."""
    found = {}
    for shape in operation(service_name, name).error_shapes:
        error = shape.metadata.get("error", {})
        found[str(error.get("code", shape.name))] = (str(shape.name), int(error.get("httpStatusCode", 0)))
    return found


def declared_errors(service_name: str, name: str) -> frozenset[str]:
    """The error codes the operation's model declares; none for a service without a model."""
    return frozenset(error_shapes(service_name, name)) if service_name in SERVICES else frozenset()
