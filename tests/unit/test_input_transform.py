"""What targets are given, against the examples of "Amazon EventBridge input transformation"."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model.errors import AwsError
from monitor.rules import input_transform, json_path
from monitor.rules.input_transform import Delivery

DELIVERY = Delivery("arn:aws:events:us-east-2:123456789012:rule/example", "example", "2026-01-02T03:04:05Z")
EVENT = {
    "id": "7bf73129",
    "source": "aws.ecs",
    "time": "2015-11-11T21:29:54Z",
    "resources": ["arn:1", "arn:2"],
    "detail": {
        "instance-id": "i-0123456789",
        "state": "RUNNING",
        "count": 3,
        "said": 'a "b" \\ c',
        "none": None,
        "containers": [{"name": "web"}, {"name": "side"}],
    },
}
PATHS = {
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "count": "$.detail.count",
    "said": "$.detail.said",
    "none": "$.detail.none",
    "gone": "$.detail.gone",
    "detail": "$.detail.containers",
    "names": "$.detail.containers[*].name",
}


def transformed(template: str) -> str:
    return input_transform.parse("1", paths=PATHS, template=template).render(EVENT, DELIVERY)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('"instance \\"<instance>\\" is in <state>"', '"instance \\"i-0123456789\\" is in RUNNING"'),
        ('{\n "instance": <instance>,\n "count": <count>}', '{"instance":"i-0123456789","count":3}'),
        (
            '{"state": [ 9, <state>, true ], "Transformed": "Yes"}',
            '{"state":[9,"RUNNING",true],"Transformed":"Yes"}',
        ),
        ('{"a": "<count> of <state>"}', '{"a":"3 of RUNNING"}'),
        ('"<aws.events.rule-name> triggered"', '"example triggered"'),
        ('{"arn": <aws.events.rule-arn>}', '{"arn":"arn:aws:events:us-east-2:123456789012:rule/example"}'),
        ('{"at": "<aws.events.event.ingestion-time>"}', '{"at":"2026-01-02T03:04:05Z"}'),
        ('{"a": <gone>, "b": "x<gone>y", "c": <none>}', '{"a":"","b":"xy","c":null}'),
        ('{"a": <names>, "b": <detail>}', '{"a":["web","side"],"b":[{"name":"web"},{"name":"side"}]}'),
        ('"<unknown> <state>"', '"<unknown> RUNNING"'),
        ('"one <state>"\n"two <count>"\n', '"one RUNNING"\n"two 3"'),
        ("<state>", '"RUNNING"'),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert transformed(template) == expected


def test_a_quoted_value_keeps_the_result_json() -> None:
    assert json.loads(transformed('{"a": "<said>", "b": <said>, "c": "<detail>"}')) == {
        "a": 'a "b" \\ c',
        "b": 'a "b" \\ c',
        "c": '[{"name":"web"},{"name":"side"}]',
    }


def test_the_event_itself() -> None:
    found = json.loads(transformed('{"without": <aws.events.event>, "with": <aws.events.event.json>}'))
    assert found == {"without": {k: v for k, v in EVENT.items() if k != "detail"}, "with": EVENT}


def test_input_path_and_input() -> None:
    assert (
        input_transform.parse("1", path="$.detail.containers[1]").render(EVENT, DELIVERY) == '{"name":"side"}'
    )
    assert input_transform.parse("1", path="$.resources[7]").render(EVENT, DELIVERY) == "null"
    assert input_transform.parse("1", text='{"a": 1}').render(EVENT, DELIVERY) == '{"a": 1}'
    assert json.loads(input_transform.parse("1").render(EVENT, DELIVERY)) == EVENT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "{"}, "JSON syntax error in input for target 1"),
        (
            {"text": "1", "path": "$"},
            "Only one of Input, InputPath, or InputTransformer must be provided for target 1.",
        ),
        ({"path": "detail"}, "JSONPath detail for target 1 is not valid"),
        ({"path": "$['detail']"}, "JSONPath $['detail'] for target 1 is not valid"),
        ({"path": "$..a"}, "JSONPath $..a for target 1 is not valid"),
        ({"paths": {"a b": "$"}, "template": '"x"'}, "InputPathsMap for target 1 has an invalid key: a b"),
        (
            {"paths": {f"n{n}": "$" for n in range(101)}, "template": '"x"'},
            "InputPathsMap for target 1 has more than",
        ),
        ({"template": "it is <x>"}, "Invalid InputTemplate for target 1 : it is <x>"),
        ({"paths": {"x": "$"}, "template": '{"<x>": 1}'}, 'Invalid InputTemplate for target 1 : {"<x>": 1}'),
        ({"paths": {"x": "$"}, "template": "{<x>: 1}"}, "Invalid InputTemplate for target 1 : {<x>: 1}"),
        ({"template": '"' + "x" * 8192 + '"'}, "Length of InputTemplate for target 1"),
        ({"template": ""}, "Length of InputTemplate for target 1"),
    ],
)
def test_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError) as caught:
        input_transform.parse("1", **arguments)
    assert caught.value.code == "ValidationException"
    assert caught.value.message.startswith(message)


@given(st.text('<>"\\{}[]:,state gone', max_size=30))
def test_any_template_renders_json_or_is_refused(template: str) -> None:
    try:
        found = transformed(template)
    except AwsError as error:
        assert error.code == "ValidationException"
    else:
        assert [json.loads(line) for line in found.split("\n")]


@given(st.text("$.[]*a0/-", max_size=12))
def test_any_path_is_read_or_refused(text: str) -> None:
    try:
        found = json_path.parse(text).find(EVENT)
    except json_path.BadPath:
        assert text != "$"
    else:
        assert text.startswith("$")
        assert found == EVENT or text != "$"
