"""boto3 puts, describes, sets and deletes alarms, in each protocol that clients speak, with AWS's codes and texts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_cloudwatch_metrics import client_of
from tests.conformance.test_ecs_api import Control, start, stop

TOPIC = "arn:aws:sns:us-east-1:123456789012:oncall"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("alarms"))
    yield running
    stop(running)


@pytest.fixture(scope="module", params=["smithy-rpc-v2-cbor", "json", "query"])
def cloudwatch(control: Control, request: pytest.FixtureRequest) -> Iterator[Any]:
    client = client_of(control, request.param)
    client.prefix = request.param.split("-")[0]
    yield client
    client.close()


@pytest.fixture(scope="module")
def modern(control: Control) -> Iterator[Any]:
    client = client_of(control, "smithy-rpc-v2-cbor")
    yield client
    client.close()


def minimal(name: str, **given: Any) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "MetricName": "Queue",
        "Namespace": "Shop",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
        **given,
    }


def described(client: Any, name: str) -> dict[str, Any]:
    (alarm,) = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return dict(alarm)


def test_a_minimal_alarm_is_described_with_its_defaults(cloudwatch: Any) -> None:
    name = f"{cloudwatch.prefix}-minimal"
    cloudwatch.put_metric_alarm(**minimal(name))
    alarm = described(cloudwatch, name)
    for at in (
        "AlarmConfigurationUpdatedTimestamp",
        "StateUpdatedTimestamp",
        "StateTransitionedTimestamp",
    ):
        assert abs(alarm.pop(at).timestamp() - time.time()) < 60
    assert alarm == minimal(name) | {
        "AlarmArn": f"arn:aws:cloudwatch:us-east-1:000000000001:alarm:{name}",
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "Dimensions": [],
    }


def test_an_alarm_keeps_its_state_when_it_is_put_anew(cloudwatch: Any) -> None:
    name = f"{cloudwatch.prefix}-kept"
    cloudwatch.put_metric_alarm(**minimal(name, EvaluationPeriods=5, TreatMissingData="ignore"))
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a try", StateReasonData="{}")
    cloudwatch.put_metric_alarm(
        **minimal(name, Threshold=7.5, TreatMissingData="ignore", AlarmDescription="long queue")
    )
    alarm = described(cloudwatch, name)
    assert (alarm["StateValue"], alarm["StateReason"], alarm["Threshold"]) == ("ALARM", "a try", 7.5)
    assert (alarm["EvaluationPeriods"], alarm["AlarmDescription"]) == (1, "long queue")
    history = cloudwatch.describe_alarm_history(AlarmName=name, ScanBy="TimestampAscending")[
        "AlarmHistoryItems"
    ]
    assert [(i["HistoryItemType"], i["HistorySummary"]) for i in history] == [
        ("ConfigurationUpdate", f'Alarm "{name}" created'),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM"),
        ("ConfigurationUpdate", f'Alarm "{name}" updated'),
    ]
    data = json.loads(history[1]["HistoryData"])
    assert data["newState"] == {"stateValue": "ALARM", "stateReason": "a try", "stateReasonData": {}}
    newest = cloudwatch.describe_alarm_history(AlarmName=name, MaxRecords=1)
    assert newest["AlarmHistoryItems"][0]["HistorySummary"] == history[2]["HistorySummary"]
    rest = cloudwatch.describe_alarm_history(AlarmName=name, NextToken=newest["NextToken"])
    assert len(rest["AlarmHistoryItems"]) == 2


def test_metric_math_comes_back_as_it_was_put(cloudwatch: Any) -> None:
    name = f"{cloudwatch.prefix}-math"
    given = minimal(name)
    for member in ("MetricName", "Namespace", "Statistic", "Period"):
        del given[member]
    queries = [
        {
            "Id": "m",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": "Shop",
                    "MetricName": "Queue",
                    "Dimensions": [{"Name": "Host", "Value": "a"}],
                },
                "Period": 60,
                "Stat": "p90",
            },
        },
        {"Id": "e", "Expression": "m * 2", "Label": "twice", "ReturnData": True},
    ]
    cloudwatch.put_metric_alarm(**given, Metrics=queries)
    assert described(cloudwatch, name)["Metrics"] == queries
    found = cloudwatch.describe_alarms_for_metric(
        Namespace="Shop", MetricName="Queue", Dimensions=[{"Name": "Host", "Value": "a"}]
    )
    assert name in [a["AlarmName"] for a in found["MetricAlarms"]]


def test_composites_are_listed_only_when_asked_for(cloudwatch: Any) -> None:
    child, parent = f"{cloudwatch.prefix}-child", f"{cloudwatch.prefix}-parent"
    cloudwatch.put_metric_alarm(**minimal(child, TreatMissingData="ignore"))
    cloudwatch.put_composite_alarm(AlarmName=parent, AlarmRule=f'ALARM("{child}")', AlarmActions=[TOPIC])
    assert not cloudwatch.describe_alarms(AlarmNames=[parent])["MetricAlarms"]
    waited = _until(cloudwatch, parent, "OK")
    assert waited["AlarmRule"] == f'ALARM("{child}")'
    assert waited["StateReason"].endswith("was created and its alarm rule evaluates to OK")
    cloudwatch.set_alarm_state(AlarmName=child, StateValue="ALARM", StateReason="a try")
    waited = _until(cloudwatch, parent, "ALARM")
    trigger = json.loads(waited["StateReasonData"])["triggeringAlarms"][0]
    assert trigger["arn"].endswith(f":alarm:{child}")
    parents = cloudwatch.describe_alarms(ParentsOfAlarmName=child)
    children = cloudwatch.describe_alarms(ChildrenOfAlarmName=parent)
    assert [a["AlarmName"] for a in parents["CompositeAlarms"]] == [parent]
    assert [a["AlarmName"] for a in children["MetricAlarms"]] == [child]
    with pytest.raises(ClientError, match="composite alarms depending on it") as caught:
        cloudwatch.delete_alarms(AlarmNames=[child])
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    cloudwatch.delete_alarms(AlarmNames=[child, parent])
    history = cloudwatch.describe_alarm_history(AlarmTypes=["CompositeAlarm"], AlarmName=parent)
    assert history["AlarmHistoryItems"][0]["HistorySummary"] == f'Alarm "{parent}" deleted'


def _until(client: Any, name: str, state: str) -> dict[str, Any]:
    """The composite alarm once it is in the state: its loop runs beside the API."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        alarms = client.describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        if alarms[0]["StateValue"] == state:
            return dict(alarms[0])
    raise AssertionError(f"{name} is not {state}: {alarms}")


@pytest.mark.parametrize(
    ("call", "given", "code", "text"),
    [
        (
            "set_alarm_state",
            {"AlarmName": "none", "StateValue": "OK", "StateReason": ""},
            "ResourceNotFound",
            "",
        ),
        ("delete_alarms", {"AlarmNames": ["none"]}, "ResourceNotFound", "none"),
        ("put_metric_alarm", minimal("x", Period=45), "ValidationError", "Period must be 10, 20, 30"),
        (
            "put_metric_alarm",
            minimal("x", EvaluationPeriods=1441),
            "ValidationError",
            "Metrics cannot be checked across more than a day",
        ),
        (
            "put_metric_alarm",
            minimal("x", DatapointsToAlarm=2),
            "ValidationError",
            "DatapointsToAlarm must be less than or equal to EvaluationPeriods",
        ),
        (
            "put_metric_alarm",
            minimal("x", TreatMissingData="zero"),
            "ValidationError",
            "Supported values for TreatMissingData",
        ),
        (
            "put_metric_alarm",
            minimal("x", ComparisonOperator="GreaterThanUpperThreshold", ThresholdMetricId="band"),
            "ValidationError",
            "anomaly detection models are not available",
        ),
        ("put_metric_alarm", minimal("x", AlarmActions=["oncall"]), "ValidationError", "Invalid arn syntax"),
        (
            "put_composite_alarm",
            {"AlarmName": "c", "AlarmRule": "ALARM(nobody)"},
            "ValidationError",
            "alarms [nobody] in the alarm rule do not exist",
        ),
        (
            "describe_alarms",
            {"AlarmNames": ["a"], "AlarmNamePrefix": "a"},
            "InvalidParameterCombination",
            "cannot both be specified",
        ),
        ("describe_alarms", {"NextToken": "made-up"}, "InvalidNextToken", "one that was given"),
        (
            "list_tags_for_resource",
            {"ResourceARN": TOPIC},
            "ResourceNotFoundException",
            "not the ARN of an alarm",
        ),
    ],
)
def test_what_is_wrong_is_said_in_aws_s_words(
    cloudwatch: Any, call: str, given: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(cloudwatch, call)(**given)
    assert caught.value.response["Error"]["Code"] == code
    assert text in (caught.value.response["Error"]["Message"] or "")


def test_names_page_and_filter(modern: Any) -> None:
    for n in range(5):
        modern.put_metric_alarm(**minimal(f"page-{n}", AlarmActions=[TOPIC] if n % 2 else []))
    pages = modern.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix="page-", PaginationConfig={"PageSize": 2}
    )
    names = [[a["AlarmName"] for a in page["MetricAlarms"]] for page in pages]
    assert names == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]
    found = modern.describe_alarms(AlarmNamePrefix="page-", ActionPrefix="arn:aws:sns:")
    assert [a["AlarmName"] for a in found["MetricAlarms"]] == ["page-1", "page-3"]


def test_actions_are_switched_off_and_on(modern: Any) -> None:
    modern.put_metric_alarm(**minimal("switch"))
    modern.disable_alarm_actions(AlarmNames=["switch", "nobody"])
    assert described(modern, "switch")["ActionsEnabled"] is False
    modern.enable_alarm_actions(AlarmNames=["switch"])
    assert described(modern, "switch")["ActionsEnabled"] is True


def test_tags_are_kept_when_an_alarm_is_put_anew(modern: Any) -> None:
    modern.put_metric_alarm(**minimal("tagged", Tags=[{"Key": "team", "Value": "shop"}]))
    arn = described(modern, "tagged")["AlarmArn"]
    modern.tag_resource(ResourceARN=arn, Tags=[{"Key": "severity", "Value": "critical"}])
    modern.put_metric_alarm(**minimal("tagged"))
    modern.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert modern.list_tags_for_resource(ResourceARN=arn)["Tags"] == [
        {"Key": "severity", "Value": "critical"}
    ]


def test_waiters_see_an_alarm(modern: Any) -> None:
    modern.put_metric_alarm(**minimal("waited"))
    modern.get_waiter("alarm_exists").wait(AlarmNames=["waited"])
