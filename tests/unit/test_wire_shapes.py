"""What the model allows, and how a refusal is worded."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import ShapeResolver

from monitor.model.errors import AwsError
from monitor.wire import answers, models, shapes


def decoded(operation: str, params: Any) -> dict[str, Any]:
    return shapes.decode(models.operation("ecs", operation).input_shape, params)


def refusal(operation: str, params: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as refused:
        decoded(operation, params)
    assert refused.value.status == 400
    return refused.value.code, refused.value.message


def test_values_pass_and_unknown_or_null_members_do_not() -> None:
    params = {"cluster": "a", "maxResults": 5.0, "unknown": [1], "nextToken": None}
    assert decoded("ListTasks", params) == {"cluster": "a", "maxResults": 5}


def test_nulls_in_lists_and_maps_count_as_absent() -> None:
    container = {"name": "a", "command": ["sh", None], "dockerLabels": {"x": "1", "y": None}}
    found = decoded("RegisterTaskDefinition", {"family": "f", "containerDefinitions": [container, None]})
    assert found["containerDefinitions"] == [{"name": "a", "command": ["sh"], "dockerLabels": {"x": "1"}}]


def test_a_missing_member_is_named() -> None:
    assert refusal("RegisterTaskDefinition", {"family": "f"}) == (
        "InvalidParameterException",
        "1 validation error detected: Value 'null' at 'containerDefinitions' failed to satisfy constraint: "
        "Member must not be null",
    )


def test_an_unknown_enum_value_is_told_what_there_is() -> None:
    mapping = {"portMappings": [{"containerPort": 80}, {"containerPort": 80, "protocol": "icmp"}]}
    code, message = refusal("RegisterTaskDefinition", {"family": "f", "containerDefinitions": [mapping]})
    assert code == "InvalidParameterException"
    assert message == (
        "1 validation error detected: Value 'icmp' at 'containerDefinitions.1.member.portMappings.2.member.protocol' "
        "failed to satisfy constraint: Member must satisfy enum value set: [tcp, udp]"
    )


@pytest.mark.parametrize(
    ("tags", "constraint"),
    [
        ([{"key": "", "value": ""}], "'' at 'tags.1.member.key' failed to satisfy constraint: "
                                     "Member must have length greater than or equal to 1"),
        ([{"key": "a" * 129}], "Member must have length less than or equal to 128"),
        ([{"key": "a", "value": "b" * 257}], "Member must have length less than or equal to 256"),
        ([{"key": "a"}] * 51, "'51 items' at 'tags' failed to satisfy constraint: "
                              "Member must have length less than or equal to 50"),
    ],
)  # fmt: skip
def test_lengths(tags: list[dict[str, str]], constraint: str) -> None:
    code, message = refusal("CreateCluster", {"tags": tags})
    assert code == "InvalidParameterException"
    assert constraint in message


@pytest.mark.parametrize(
    ("weight", "constraint"),
    [
        (1001, "Value '1001' at 'capacityProviderStrategy.1.member.weight' failed to satisfy constraint: "
               "Member must have value less than or equal to 1000"),
        (-1, "Member must have value greater than or equal to 0"),
    ],
)  # fmt: skip
def test_ranges(weight: int, constraint: str) -> None:
    item = {"capacityProvider": "x", "weight": weight}
    code, message = refusal("RunTask", {"taskDefinition": "t", "capacityProviderStrategy": [item]})
    assert code == "InvalidParameterException"
    assert constraint in message


def test_several_errors_are_collected_and_many_are_cut() -> None:
    _, message = refusal("CreateService", {"launchType": "x", "schedulingStrategy": "y"})
    assert message.startswith("3 validation errors detected: ")
    assert message.count("failed to satisfy constraint") == 3
    containers = [{"portMappings": [{"protocol": "x"}] * 1000}]
    _, message = refusal("RegisterTaskDefinition", {"family": "f", "containerDefinitions": containers})
    assert message.startswith("More than 10 validation errors detected: ")
    assert message.count("failed to satisfy constraint") == 10


def test_long_values_are_cut_in_messages() -> None:
    _, message = refusal("CreateService", {"serviceName": "s", "launchType": "x" * 100_000})
    assert len(message) < 500


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "The request must be an object, got a list."),
        ("x", "The request must be an object, got a string."),
        ({"cluster": 1}, "cluster must be a string, got a number."),
        ({"cluster": ["a"]}, "cluster must be a string, got a list."),
        ({"count": "2"}, "count must be a whole number, got a string."),
        ({"count": 1.5}, "count must be a whole number, got a number."),
        ({"count": True}, "count must be a whole number, got a boolean."),
        ({"count": 2**31}, "count must be a whole number of at most 32 bits, got a number."),
        ({"enableECSManagedTags": "true"}, "enableECSManagedTags must be a boolean, got a string."),
        ({"tags": {}}, "tags must be a list, got an object."),
        ({"tags": ["a"]}, "tags.1.member must be an object, got a string."),
    ],
)
def test_wrong_types_name_the_member(params: Any, message: str) -> None:
    assert refusal("RunTask", params) == ("SerializationException", message)


@pytest.mark.parametrize("at", [1767323045, 1767323045.678])
def test_timestamps_are_epoch_seconds(at: float) -> None:
    found = decoded("SubmitTaskStateChange", {"pullStartedAt": at})
    assert found == {"pullStartedAt": at}
    assert isinstance(found["pullStartedAt"], float)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("2026-01-02T03:04:05Z", "SerializationException"),
        (True, "SerializationException"),
        (float("inf"), "SerializationException"),
        (10**400, "SerializationException"),
        (-1, "InvalidParameterException"),
        (1e15, "InvalidParameterException"),
    ],
)
def test_times_that_are_none(at: Any, code: str) -> None:
    assert refusal("SubmitTaskStateChange", {"pullStartedAt": at})[0] == code


# What no shape of ECS has in every botocore we allow: documents, unions of several, keys with rules, blobs, a
# shape within itself.
SHAPES = {
    "All": {
        "type": "structure",
        "members": {
            "union": {"shape": "Union"},
            "map": {"shape": "Map"},
            "blob": {"shape": "Blob"},
            "ratio": {"shape": "Ratio"},
            "document": {"shape": "Document"},
            "self": {"shape": "All"},
        },
    },
    "Union": {
        "type": "structure",
        "union": True,
        "members": {"one": {"shape": "Key"}, "two": {"shape": "Key"}},
    },
    "Map": {"type": "map", "key": {"shape": "Key"}, "value": {"shape": "Key"}, "max": 2},
    "Key": {"type": "string", "min": 2},
    "Blob": {"type": "blob"},
    "Document": {"type": "structure", "document": True, "members": {}},
    "Ratio": {"type": "double", "max": 1},
}
ALL = ShapeResolver(SHAPES).get_shape_by_name("All")


@pytest.mark.parametrize(
    "value",
    [{"union": {"one": "ab"}}, {"map": {"ab": "cd"}}, {"ratio": 0.5}, {"self": {"self": {"map": {}}}}],
)
def test_shapes_that_pass(value: dict[str, Any]) -> None:
    assert shapes.decode(ALL, value) == value
    assert answers.encode(ALL, value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"union": {"one": "ab", "two": "cd"}}, "'one, two' at 'union' failed to satisfy constraint: "
                                                "Member must have exactly one of its members set"),
        ({"map": {"a": "bc"}}, "Value 'a' at 'map.key' failed"),
        ({"map": {"ab": "c"}}, "Value 'c' at 'map.ab' failed"),
        ({"map": {"ab": "cd", "ef": "gh", "ij": "kl"}}, "Value '3 entries' at 'map' failed"),
        ({"ratio": 1.5}, "Value '1.5' at 'ratio' failed to satisfy constraint: Member must have value less than"),
        ({"self": {"self": {"ratio": 2}}}, "at 'self.self.ratio' failed"),
    ],
)  # fmt: skip
def test_shapes_that_do_not(value: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError) as refused:
        shapes.decode(ALL, value)
    assert refused.value.code == "InvalidParameterException"
    assert message in refused.value.message


def test_a_shape_within_itself_is_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(shapes.MAX_DEPTH + 1):
        deep = {"self": deep}
    with pytest.raises(
        AwsError, match=r"The value at self\.self\.self\.self is nested more than 32 levels deep"
    ):
        shapes.decode(ALL, deep)


def test_blobs_are_base64() -> None:
    assert shapes.decode(ALL, {"blob": "AP8="}) == {"blob": b"\x00\xff"}
    assert answers.encode(ALL, {"blob": b"\x00\xff"}) == {"blob": "AP8="}
    for wrong in ("AP8", "é", 1):
        with pytest.raises(AwsError, match="blob must be a base64 string"):
            shapes.decode(ALL, {"blob": wrong})
    with pytest.raises(answers.BadOutput, match="Blob is a blob"):
        answers.encode(ALL, {"blob": "AP8="})


def test_a_document_keeps_whatever_it_holds() -> None:
    """ECS's `hookDetails` is one."""
    for document in ({"a": [1, None, {"b": "c"}]}, [1], "text", 0.5, False):
        assert shapes.decode(ALL, {"document": document}) == {"document": document}
        assert answers.encode(ALL, {"document": document}) == {"document": document}


def test_depth_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(shapes.MAX_DEPTH + 1):
        deep = {"a": deep}
    for params in ({"document": deep}, {"document": [[deep]]}):
        with pytest.raises(AwsError, match="nested more than 32 levels deep") as refused:
            shapes.decode(ALL, params)
        assert refused.value.code == "SerializationException"
    with pytest.raises(AwsError, match="nested more than 32 levels deep"):
        shapes.plain(deep)


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_our_own_operations_take_objects_only(value: Any) -> None:
    with pytest.raises(AwsError, match="The request must be an object"):
        shapes.plain(value)


# -- answers ----------------------------------------------------------------------------------------------


def encoded(operation: str, value: dict[str, Any]) -> dict[str, Any]:
    return answers.encode(models.operation("ecs", operation).output_shape, value)


def test_an_answer_leaves_none_out_and_keeps_empty_lists() -> None:
    task = {"taskArn": "a", "startedAt": 1.5, "stoppedReason": None, "containers": (), "cpu": "256"}
    assert encoded("DescribeTasks", {"tasks": [task], "failures": []}) == {
        "tasks": [{"taskArn": "a", "startedAt": 1.5, "containers": [], "cpu": "256"}],
        "failures": [],
    }


@pytest.mark.parametrize(
    "task",
    [
        {"taskArm": "misspelt"},
        {"taskArn": 1},
        {"version": "1"},
        {"version": True},
        {"version": 1.5},
        {"enableExecuteCommand": 1},
        {"startedAt": "now"},
        {"startedAt": float("nan")},
        {"containers": "abc"},
        {"containers": [["name"]]},
        {"overrides": []},
    ],
)
def test_a_wrong_answer_is_a_defect(task: dict[str, Any]) -> None:
    with pytest.raises(answers.BadOutput):
        encoded("DescribeTasks", {"tasks": [task]})
