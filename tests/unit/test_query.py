"""The cluster query language: every subject, operator and join of the developer guide, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model.cluster import ContainerInstance
from monitor.model.errors import AwsError
from monitor.model.state import Put
from monitor.scheduler.query import parse
from tests.scenarios.world import START, World


@pytest.fixture
def world() -> World:
    world = World()
    world.define("web")
    made = world.join("one", zone="eu-west-1a")
    attributes = {**made.attributes, "ecs.instance-type": "t2.large", "size": "12", "odd": "a b", "bare": ""}
    world.commit(
        [
            Put(
                replace(
                    made,
                    attributes=attributes,
                    version_info={"agentVersion": "1.105.1"},
                    external_id="i-0abc",
                    registered_at=START,
                )
            )
        ]
    )
    world.serve(desired=2)
    world.settle()
    return world


def one(world: World) -> ContainerInstance:
    return world.instance("one")


TRUE = [
    "attribute:ecs.instance-type =~ t2.*",
    "attribute:ecs.instance-type matches t2\\..*",
    "attribute:ecs.instance-type !~ m5.*",
    "attribute:ecs.instance-type not_matches m5.*",
    "attribute:ecs.instance-type =~ (t2|m5).large and agentConnected == true",
    "attribute:ecs.availability-zone in [eu-west-1a, eu-west-1b]",
    "attribute:ecs.availability-zone not_in [eu-west-1c]",
    "attribute:ecs.availability-zone !in ['eu-west-1c', \"x y\"]",
    "attribute:ecs.availability-zone==eu-west-1a",
    "attribute:odd == 'a b'",
    'attribute:odd equals "a b"',
    "attribute:odd != a",
    "attribute:odd not_equals a",
    "attribute:size > 9",
    "attribute:size greater_than 9",
    "attribute:size >= 12 && attribute:size <= 12",
    "attribute:size greater_than_equal 12 AND attribute:size less_than_equal 12.0",
    "attribute:size < 100 and attribute:size less_than 13",
    "attribute:bare exists",
    "attribute:gpu !exists",
    "attribute:gpu not_exists",
    "attribute:gpu != x",
    "! attribute:gpu exists",
    "not (attribute:gpu exists or attribute:bare == x)",
    "agentConnected == true",
    "agentVersion >= 1.80.0",
    "agentVersion < 1.200.0",
    "ec2InstanceId == i-0abc",
    "ec2InstanceId in [i-0abc, i-1]",
    "registeredAt > 2020-01-01T00:00:00Z",
    "registeredAt < 2099-01-01",
    "runningTasksCount == 2",
    "runningTasksCount >= 1",
    "task:group == service:web",
    "task:group in [service:web]",
    "not(task:group == service:other)",
    "attribute:gpu exists || attribute:size == 12",
    "attribute:gpu exists or attribute:size == 12 and agentConnected == true",
]


@pytest.mark.parametrize("text", TRUE)
def test_what_holds(world: World, text: str) -> None:
    assert parse(text).matches(world.state, one(world))
    assert not parse(f"not ({text})").matches(world.state, one(world))


def test_and_binds_tighter_than_or(world: World) -> None:
    text = "attribute:bare exists or attribute:gpu exists and attribute:gpu exists"
    assert parse(text).matches(world.state, one(world))
    assert not parse(f"({text.replace(' and', ') and')}").matches(world.state, one(world))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1 to 2000 characters"),
        ("x" * 2001, "1 to 2000 characters"),
        ("memory == 1", "the subject should be one of"),
        ("attribute: == 1", "the subject should be one of"),
        ("attribute:x", "an operator .* is missing"),
        ("attribute:x is 1", "an operator .* is expected"),
        ("attribute:x '==' 1", "an operator .* is expected"),
        ("attribute:x ==", "a value is missing"),
        ("attribute:x == &&", "a value is expected"),
        ("attribute:x in a", "a list like"),
        ("attribute:x in [a b]", "a comma or ] is expected"),
        ("attribute:x in [a,", "a value is missing"),
        ("attribute:x in [,]", "a value is expected"),
        ("(attribute:x exists", "a closing parenthesis is missing"),
        ("attribute:x exists attribute:y exists", "should end here.*at character 20"),
        ("attribute:x exists |", "should end here"),
        ("(" * 60 + "attribute:x exists" + ")" * 60, "nested deeper than 50"),
        ("attribute:x =~ (a+)+b", "could run for ever"),
        ("attribute:x =~ (a|a)*b", "could run for ever"),
        ("attribute:x =~ ((a)b*)*", "could run for ever"),
        ("attribute:x =~ (a)\\1", "could run for ever"),
        ("attribute:x =~ a*a*a*a*a*a*a*b", "could run for ever"),
        ("attribute:x =~ [a", "not valid"),
        ("attribute:x =~ " + "a" * 300, "at most 256"),
    ],
)
def test_what_is_refused_and_where(text: str, words: str) -> None:
    with pytest.raises(AwsError, match=words) as raised:
        parse(text)
    assert raised.value.code == "InvalidParameterException"
