"""docs/operations.md is true: every operation of the model is called, and works or is refused as the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.model import Shape

from monitor.api import refused, table
from monitor.api.operation import OPERATIONS
from monitor.model.errors import AwsError
from monitor.wire import models
from tests.scenarios.world import World

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
ROWS = table.rows("ecs")
REFUSED = [(s, name) for s in models.SERVICES for name, works, _ in table.rows(s) if not works]
# What an operation needs to be more than a shape: names of things that are there.
REAL: dict[str, Any] = {
    "cluster": "default",
    "taskDefinition": "web",
    "service": "web",
    "serviceName": "web",
    "desiredCount": 1,
    "containerInstances": ["one"],
    "containerInstance": "one",
    "status": "ACTIVE",
    "family": "web",
    "name": "containerInsights",
    "value": "enabled",
    "targetType": "container-instance",
    "scale": {"unit": "PERCENT", "value": 10.0},
}


def minimal(shape: Shape, name: str = "") -> Any:
    """The least that the shape takes."""
    if name in REAL:
        return REAL[name]
    match shape.type_name:
        case "structure":
            return {m: minimal(shape.members[m], m) for m in shape.required_members}  # type: ignore[attr-defined]
        case "list":
            return [minimal(shape.member, name.removesuffix("s"))]  # type: ignore[attr-defined]
        case "map":
            return {}
        case "boolean":
            return True
        case "integer" | "long" | "double" | "float":
            return 1
    return (getattr(shape, "enum", None) or ["web:1"])[0]


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == table.page()


def test_every_operation_works_or_has_a_reason() -> None:
    assert len(ROWS) >= 60
    assert set(table.TITLES) == set(models.SERVICES)
    found = [(service, *row) for service in models.SERVICES for row in table.rows(service)]
    assert [row for row in found if row[2] == bool(row[3])] == [], "each works, or is refused with a reason"


@pytest.fixture
def world() -> World:
    world = World()
    world.join("one")
    world.define()
    world.serve(desired=1)
    world.settle()
    return world


@pytest.mark.parametrize("name", [name for name, works, _ in ROWS if works])
def test_an_operation_that_works_answers_in_its_shapes(world: World, name: str) -> None:
    """An answer, or an error that its model declares and that is about what was asked."""
    operation = models.operation("ecs", name)
    params = minimal(operation.input_shape) if operation.input_shape else {}
    try:
        answer = world.call(name, **params)
    except AwsError as error:
        assert error.code in models.declared_errors("ecs", name) | models.COMMON_ERRORS
        assert "not implemented" not in error.message
        return
    members = operation.output_shape.members if operation.output_shape else {}
    assert set(answer) <= set(members)


@pytest.mark.parametrize(("service", "name"), REFUSED)
def test_a_refused_operation_says_why_with_a_declared_code(service: str, name: str) -> None:
    assert (service, name) not in OPERATIONS
    error = refused.refusal(service, name)
    declared = models.declared_errors(service, name)
    assert error.code in declared or (service != "ecs" and error.code == "UnsupportedOperation")
    assert refused.reason(service, name) in error.message
