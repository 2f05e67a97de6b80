"""The table of ECS operations in docs/operations.md: `python -m monitor.api.table` prints it, a test compares it."""

from __future__ import annotations

from monitor.api import gateway
from monitor.api.ecs import refused
from monitor.api.operation import OPERATIONS
from monitor.wire import models

INTRODUCTION = """# Operations of the ECS API

Every operation of the service model that botocore brings, and what becomes of it here. This page is generated
(`python -m monitor.api.table > docs/operations.md`); a test calls each operation and compares.
"""


def rows() -> list[tuple[str, bool, str]]:
    """(operation, whether it works, why it does not)."""
    assert gateway.FAMILIES  # importing the gateway registers the operations
    return [
        (name, ("ecs", name) in OPERATIONS, refused.reason(name))
        for name in sorted(models.operation_names("ecs"))
    ]


def table() -> str:
    found = rows()
    working = sum(works for _, works, _ in found)
    lines = [INTRODUCTION, f"{working} of {len(found)} work.\n", "| Operation | |", "|---|---|"]
    lines += [f"| {name} | {'works' if works else f'refused: {why}'} |" for name, works, why in found]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
