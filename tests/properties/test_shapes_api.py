"""Every operation we have, called with whatever its shape allows: it answers in its shape, or with an error that its
model declares; what it changed can be stored, ordered from an agent, and scheduled."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from monitor.api.operation import OPERATIONS
from monitor.control.payload import task_payload
from monitor.model import arn as arns
from monitor.model.arn import Scope
from monitor.model.errors import AwsError
from monitor.scheduler.reconcile import reconcile
from monitor.wire import agent, answers, models, shapes
from tests.properties.invariants import image, rebuilt
from tests.scenarios.world import SCOPE, World

OURS = sorted(name for service, name in OPERATIONS if service == "ecs")
EXTRAS = sorted(name for service, name in OPERATIONS if service == "moorwatch")
NUMBERS = (-(2**31), -1, 0, 1, 2, 5, 6, 10, 11, 60, 100, 101, 256, 1024, 65535, 65536, 2**31 - 1)
JUNK = (
    "", " ", "a", "web", "web:1", "web:2", "web:0", "web:99", "web:-1", "web:" + "9" * 5000, "web:²", "default",
    "api", "ä漢😀", "a" * 256, "a" * 20_000, "arn:", "arn:aws:ecs:::", "0" * 32, "0", "256", "0.4", ".5 vCPU", "1e9",
    "9" * 400, "0.0", "٣", "1GB", "\0", "A=B", "moorwatch:warm-standby", "aws:x", "RUNNING", "STOPPED", "START",
    "HEALTHY", "CMD", "CMD-SHELL", "NONE", "instanceId", "attribute:x", "memory", "main", "tcp", "CPU", "MEMORY",
    "PORTS",
    "STRINGSET", "INTEGER", "TAGS", "true", "null", "[]", "WyIxIl0=",
)  # fmt: skip


def populated() -> World:
    world = World(1)
    world.join("0" * 32)
    world.join("one")
    world.define("web", portMappings=[{"containerPort": 80}], healthCheck={"command": ["CMD", "true"]})
    world.define("web")
    world.serve(desired=2, standbys=1)
    world.call("RunTask", taskDefinition="web:1", clientToken="token")
    world.settle()
    world.crashed(next(t for t in world.live() if t.last == "RUNNING"), 1)
    return world


class Maker:
    """Values of a shape: often names that exist, sometimes nonsense."""

    def __init__(self, chance: random.Random, world: World) -> None:
        self.chance = chance
        state = world.state
        foreign = arns.cluster(Scope("999999999999", SCOPE.region), "default")
        known = [state.clusters, state.definitions, state.services, state.tasks, state.instances]
        self.names = [arn for table in known for arn in table]  # type: ignore[attr-defined]
        self.names += (
            [arn.rsplit("/", 1)[1] for arn in self.names] + ["main", "web", "default"] * 3 + [foreign]
        )

    def value(self, shape: Shape, depth: int = 0) -> Any:
        chance = self.chance
        if isinstance(shape, StructureShape):
            share = chance.choice([0.1, 0.4, 0.9]) if depth < 6 else 0.0
            return {
                name: self.value(member, depth + 1)
                for name, member in shape.members.items()
                if name in shape.required_members or chance.random() < share
            }
        if isinstance(shape, ListShape):
            return [self.value(shape.member, depth + 1) for _ in range(chance.choice([0, 1, 1, 2, 3, 12]))]
        if isinstance(shape, MapShape):
            return {self.value(shape.key): self.value(shape.value, depth + 1) for _ in range(2)}
        match shape.type_name:
            case "string":
                enum = getattr(shape, "enum", None)
                if enum and chance.random() < 0.9:
                    return chance.choice(enum)
                return chance.choice(self.names if chance.random() < 0.6 else JUNK)
            case "integer" | "long":
                return chance.choice(NUMBERS)
            case "boolean":
                return chance.random() < 0.5
            case "timestamp":
                return chance.choice([0, 1, 1_800_000_000.5, 4_000_000_000])
        return 1.5


def call(world: World, name: str, raw: Any) -> str:
    """The error's code, or "" when it answered."""
    operation = models.operation("ecs", name)
    try:
        params = shapes.decode(operation.input_shape, json.loads(json.dumps(raw)))
        body = world.call(name, **params)
    except AwsError as error:
        assert error.code in models.declared_errors("ecs", name) | models.COMMON_ERRORS | {
            "SerializationException"
        }
        assert error.status == 400
        assert len(error.message) < 2000
        return error.code
    json.dumps(answers.encode(operation.output_shape, body), allow_nan=False)
    return ""


def check(world: World) -> None:
    assert image(rebuilt(world.state)) == image(world.state)
    for task in world.state.tasks.values():
        agent.encode("PayloadMessage", {"tasks": [task_payload(world.state, task)]})
    assert reconcile(world.snapshot()).verbs is not None
    world.look()


@pytest.mark.parametrize("name", OURS)
def test_an_operation_answers_or_refuses(name: str) -> None:
    world = populated()
    shape = models.operation("ecs", name).input_shape
    for seed in range(150):
        call(world, name, Maker(random.Random(f"{name}{seed}"), world).value(shape))
    check(world)


@pytest.mark.parametrize("name", EXTRAS)
def test_our_own_operations_answer_or_refuse(name: str) -> None:
    world = populated()
    odd: list[Any] = [None, True, 1, -1, 2**60, 1.5, [], {}, ["x"], *JUNK]
    for seed in range(300):
        chance = random.Random(f"{name}{seed}")
        maker = Maker(chance, world)
        keys = ("cluster", "task", "service", "after", "limit")
        params = {k: chance.choice([*odd, *maker.names]) for k in keys if chance.random() < 0.6}
        try:
            json.dumps(world.call(name, api="moorwatch", **params), allow_nan=False)
        except AwsError as error:
            assert error.status == 400
            assert error.code.endswith("Exception")


def test_a_day_of_nonsense() -> None:
    """All operations on one state, one after the other."""
    world, chance = populated(), random.Random(4)
    refused = 0
    for _ in range(1500):
        name = chance.choice(OURS)
        maker = Maker(chance, world)
        refused += call(world, name, maker.value(models.operation("ecs", name).input_shape)) != ""
        if chance.random() < 0.05:
            world.look()
    check(world)
    assert 0 < refused < 1500
