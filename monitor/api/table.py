"""The tables of operations in docs/operations.md: `python -m monitor.api.table` prints them, a test compares them."""

from __future__ import annotations

from monitor.api import gateway, refused
from monitor.api.operation import OPERATIONS
from monitor.wire import models

INTRODUCTION = """# Operations

Every operation of the service models that botocore brings, and what becomes of it here. This page is generated
(`python -m monitor.api.table > docs/operations.md`); a test keeps it true.
"""
TITLES = {
    "ecs": "ECS",
    models.AUTOSCALING: "Application Auto Scaling",
    models.CLOUDWATCH: "CloudWatch",
    models.LOGS: "CloudWatch Logs",
    models.EVENTS: "EventBridge",
    models.SNS: "SNS",
    "sts": "STS",
}


def rows(service: str) -> list[tuple[str, bool, str]]:
    """(operation, whether it works, why it does not)."""
    assert gateway.FAMILIES  # importing the gateway registers the operations
    return [
        (name, works := (service, name) in OPERATIONS, "" if works else refused.reason(service, name))
        for name in sorted(models.operation_names(service))
    ]


def table(service: str) -> str:
    found = rows(service)
    working = sum(works for _, works, _ in found)
    lines = [f"## {TITLES[service]}\n", f"{working} of {len(found)} work.\n", "| Operation | |", "|---|---|"]
    lines += [f"| {name} | {'works' if works else f'refused: {why}'} |" for name, works, why in found]
    return "\n".join(lines) + "\n"


def page() -> str:
    return "\n".join([INTRODUCTION, *(table(service) for service in TITLES)])


if __name__ == "__main__":
    print(page(), end="")
