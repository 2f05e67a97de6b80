"""botocore's service models: loaded once, kept. The only door to them."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel

TARGET_PREFIXES = {"AmazonEC2ContainerServiceV20141113": "ecs"}
SERVICES = ("ecs", "sts")
# Codes any JSON service may answer with, beyond those an operation declares.
COMMON_ERRORS = frozenset(
    ("ServerException", "ClientException", "InvalidParameterException", "AccessDeniedException")
)


@cache
def _loader() -> Any:
    return botocore.session.Session().get_component("data_loader")


@cache
def service(name: str) -> ServiceModel:
    """Raises botocore's UnknownServiceError for a name that is none."""
    return ServiceModel(_loader().load_service_model(name, "service-2"), name)


@cache
def operation_names(name: str) -> frozenset[str]:
    return frozenset(service(name).operation_names)


@cache
def operation(service_name: str, name: str) -> OperationModel:
    return service(service_name).operation_model(name)


@cache
def declared_errors(service_name: str, name: str) -> frozenset[str]:
    """The error codes the operation's model declares."""
    if service_name not in SERVICES:
        return frozenset()
    shapes = operation(service_name, name).error_shapes
    return frozenset(shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes)
