"""Operations of ECS that have no meaning on machines of one's own, each with its reason."""

from __future__ import annotations

from monitor.model.errors import AwsError, ClientFault
from monitor.wire import models

_DAEMONS = (
    "Daemon resources belong to Managed Instances, which are Amazon's machines. A service with the schedulingStrategy "
    "DAEMON runs one task on each instance."
)
_GATEWAYS = (
    "Gateways are managed load balancers of AWS; there is none here. Publish a port with portMappings."
)
_EXPRESS = (
    "Express services set up load balancers and certificates of AWS, which are not here. Use CreateService."
)
_EXEC = "There is no session agent in the tasks: use `docker exec` on the machine that runs the container."
# A part of the operation's name → why all operations of that family are refused.
_FAMILIES = {"ExpressGateway": _EXPRESS, "Gateway": _GATEWAYS, "Daemon": _DAEMONS}
_SINGLE: dict[str, tuple[str, str]] = {
    "ExecuteCommand": ("TargetNotConnectedException", _EXEC),
    "UpdateContainerAgent": (
        "NoUpdateAvailableException",
        "There is no update available for your container agent: it comes with Moorwatch, update that.",
    ),
    "ListServicesByNamespace": (
        "NamespaceNotFoundException",
        "There are no Cloud Map namespaces here, so no service is in one.",
    ),
}


def reason(operation: str) -> str:
    """Why the operation is refused; "" when it is not one of these."""
    if operation in _SINGLE:
        return _SINGLE[operation][1]
    return next((why for part, why in _FAMILIES.items() if part in operation), "")


def refusal(service: str, operation: str) -> AwsError:
    """A modelled error that names the operation and says why."""
    why = reason(operation) if service == "ecs" else ""
    if operation in _SINGLE and service == "ecs":
        return ClientFault(_SINGLE[operation][0], f"{operation}: {why}")
    declared = models.declared_errors(service, operation)
    code = "UnsupportedFeatureException" if "UnsupportedFeatureException" in declared else "ClientException"
    return ClientFault(code, f"{operation} is not implemented by Moorwatch. {why}".strip())
