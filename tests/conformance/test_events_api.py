"""EventBridge by boto3 against the real control plane: rules, targets, events of users, schedules, replays."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_ecs_api import Control, start, stop
from tests.conftest import wait_until
from tests.fakes.webhook import Webhook

ACCOUNT = "000000000001"
BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("events"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def events(control: Control) -> Iterator[Any]:
    client = control.client("events")
    yield client
    client.close()


@pytest.fixture(scope="module")
def logs(control: Control) -> Iterator[Any]:
    client = control.client("logs")
    yield client
    client.close()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture
def name(events: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a rule that is gone afterwards."""
    found = request.node.originalname[-60:]
    yield found
    ids = [t["Id"] for t in events.list_targets_by_rule(Rule=found)["Targets"]]
    if ids:
        events.remove_targets(Rule=found, Ids=ids)
    events.delete_rule(Name=found)


def put(events: Any, source: str, detail: dict[str, Any], kind: str = "Order") -> str:
    entry = {"Source": source, "DetailType": kind, "Detail": json.dumps(detail), "Resources": ["r1"]}
    (told,) = events.put_events(Entries=[entry])["Entries"]
    return str(told["EventId"])


def destination(events: Any, name: str, url: str) -> str:
    connection = events.create_connection(
        Name=name,
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "s3cret"}},
    )
    return str(
        events.create_api_destination(
            Name=name, ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=url, HttpMethod="POST"
        )["ApiDestinationArn"]
    )


def test_a_rule_sends_what_matches_to_a_webhook(events: Any, name: str, hook: Webhook) -> None:
    events.put_rule(
        Name=name, EventPattern=json.dumps({"source": ["shop"], "detail": {"total": [{"numeric": [">", 9]}]}})
    )
    arn = destination(events, "hook", hook.url + "/*/orders")
    target = {"Id": "1", "Arn": arn, "HttpParameters": {"PathParameterValues": ["v 1"]}}
    events.put_targets(Rule=name, Targets=[target])
    put(events, "shop", {"total": 3})
    put(events, "other", {"total": 30})
    sent = put(events, "shop", {"total": 30})
    (event,) = hook.wait(path="/v%201/orders")
    assert event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "id": sent,
        "detail-type": "Order",
        "source": "shop",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": ["r1"],
        "detail": {"total": 30},
    }
    assert hook.requests[0][1]["x-key"] == "s3cret"
    assert events.list_targets_by_rule(Rule=name)["Targets"] == [target]
    assert "s3cret" not in json.dumps(events.describe_connection(Name="hook"), default=str)


def test_inputs_are_transformed_and_kept_in_a_log_group(events: Any, logs: Any, name: str) -> None:
    logs.create_log_group(logGroupName="/events/orders")
    events.put_rule(Name=name, EventPattern='{"source": ["stock"]}')
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/events/orders"
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"left": <n>}'}
    targets = [{"Id": "log", "Arn": group, "InputTransformer": transformer}]
    assert events.put_targets(Rule=name, Targets=targets)["FailedEntryCount"] == 0
    put(events, "stock", {"n": 4})

    def kept() -> list[str]:
        return [e["message"] for e in logs.filter_log_events(logGroupName="/events/orders")["events"]]

    wait_until(lambda: kept() == ['{"left":4}'], "the event is in the log group")
    assert events.list_rule_names_by_target(TargetArn=group)["RuleNames"] == [name]


def test_what_cannot_be_delivered_goes_to_the_dead_letters(
    events: Any, logs: Any, name: str, hook: Webhook
) -> None:
    hook.status = 400
    logs.create_log_group(logGroupName="/events/dead")
    events.put_rule(Name=name, EventPattern='{"source": ["doomed"]}')
    arn = destination(events, "refuses", hook.url + "/")
    letters = {"Arn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/events/dead"}
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, "DeadLetterConfig": letters}])
    put(events, "doomed", {})

    def dead() -> list[dict[str, str]]:
        found = logs.filter_log_events(logGroupName="/events/dead")["events"]
        return [json.loads(e["message"]) for e in found]

    (letter,) = wait_until(dead, "a dead letter")
    assert (letter["TARGET_ARN"], letter["ERROR_MESSAGE"], letter["ATTEMPTS"]) == (arn, "answered 400", "1")
    assert json.loads(letter["EVENT"])["source"] == "doomed"


def test_alarms_are_events(control: Control, events: Any, name: str, hook: Webhook) -> None:
    pattern = {"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": destination(events, "alarms", hook.url + "/")}])
    cloudwatch = control.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="busy",
        Namespace="Shop",
        MetricName="Queue",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="a try")
    cloudwatch.close()
    (event,) = hook.wait()
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:busy"]
    assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"


def test_an_archive_is_replayed(events: Any, name: str, hook: Webhook) -> None:
    archive = events.create_archive(
        ArchiveName="all", EventSourceArn=BUS, EventPattern='{"source": ["past"]}'
    )
    began = time.time()
    for n in range(3):
        put(events, "past", {"n": n})
    put(events, "not archived", {})
    events.put_rule(Name=name, EventPattern='{"source": [{"exists": true}]}')
    arn = destination(events, "again", hook.url + "/")
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    assert events.describe_archive(ArchiveName="all")["EventCount"] == 3
    events.start_replay(
        ReplayName="once-more",
        EventSourceArn=archive["ArchiveArn"],
        EventStartTime=began - 60,
        EventEndTime=time.time() + 60,
        Destination={"Arn": BUS},
    )
    found = hook.wait(3)
    assert sorted(event["detail"]["n"] for event in found) == [0, 1, 2]
    assert {event["replay-name"] for event in found} == {"once-more"}
    wait_until(
        lambda: events.describe_replay(ReplayName="once-more")["State"] == "COMPLETED", "the replay is over"
    )
    with pytest.raises(ClientError) as caught:
        events.cancel_replay(ReplayName="once-more")
    assert caught.value.response["Error"]["Code"] == "IllegalStatusException"


def test_rules_are_listed_disabled_and_enabled(events: Any, name: str, hook: Webhook) -> None:
    events.put_rule(
        Name=name,
        ScheduleExpression="rate(5 minutes)",
        Description="often",
        Tags=[{"Key": "a", "Value": "b"}],
    )
    events.disable_rule(Name=name)
    (rule,) = events.list_rules(NamePrefix=name)["Rules"]
    assert (rule["State"], rule["ScheduleExpression"], rule["EventBusName"]) == (
        "DISABLED",
        "rate(5 minutes)",
        "default",
    )
    events.enable_rule(Name=name)
    assert events.describe_rule(Name=name)["State"] == "ENABLED"
    assert events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": destination(events, "listed", hook.url)}])
    with pytest.raises(ClientError, match="since it has targets"):
        events.delete_rule(Name=name)


def test_patterns_are_tried(events: Any) -> None:
    event = {
        "id": "1",
        "account": ACCOUNT,
        "source": "shop",
        "time": "2026-11-23T10:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "x",
        "detail": {"a": "prefix-1"},
    }
    for pattern, expected in (({"detail": {"a": [{"prefix": "pre"}]}}, True), ({"source": ["other"]}, False)):
        found = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
        assert found["Result"] is expected


def test_each_entry_is_taken_or_told_why_not(events: Any) -> None:
    good = {"Source": "shop", "DetailType": "x", "Detail": "{}"}
    entries = [
        good,
        good | {"Detail": "[1"},
        good | {"Source": "aws.ecs"},
        {"Source": "shop", "Detail": "{}"},
    ]
    found = events.put_events(Entries=entries)
    assert found["FailedEntryCount"] == 3
    assert [e.get("ErrorCode") for e in found["Entries"]] == [
        None,
        "MalformedDetail",
        "NotAuthorizedForSourceException",
        "InvalidArgument",
    ]


@pytest.mark.parametrize(
    ("call", "given", "code"),
    [
        ("put_rule", {"Name": "x"}, "ValidationException"),
        ("put_rule", {"Name": "x", "EventPattern": "{"}, "InvalidEventPatternException"),
        ("put_rule", {"Name": "x", "ScheduleExpression": "rate(1 minutes)"}, "ValidationException"),
        ("put_rule", {"Name": "x", "ScheduleExpression": "hourly"}, "ValidationException"),
        (
            "put_rule",
            {"Name": "x", "EventPattern": '{"source":["a"]}', "EventBusName": "own"},
            "ResourceNotFoundException",
        ),
        ("describe_rule", {"Name": "none"}, "ResourceNotFoundException"),
        (
            "put_targets",
            {"Rule": "none", "Targets": [{"Id": "1", "Arn": "arn:aws:sns:us-east-1:1:t"}]},
            "ResourceNotFoundException",
        ),
        ("describe_archive", {"ArchiveName": "none"}, "ResourceNotFoundException"),
        (
            "create_api_destination",
            {
                "Name": "d",
                "ConnectionArn": BUS.replace(
                    "event-bus/default", "connection/none/11111111-1111-1111-1111-111111111111"
                ),
                "InvocationEndpoint": "https://x",
                "HttpMethod": "POST",
            },
            "ResourceNotFoundException",
        ),
    ],
)
def test_what_is_wrong_has_eventbridge_s_codes(
    events: Any, call: str, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(events, call)(**given)
    assert caught.value.response["Error"]["Code"] == code


def test_a_target_nothing_here_could_serve_is_refused(events: Any, name: str) -> None:
    events.put_rule(Name=name, EventPattern='{"source": ["x"]}')
    target = {"Id": "1", "Arn": "arn:aws:lambda:us-east-1:1:function:f"}
    with pytest.raises(ClientError, match="a topic \\(sns\\)"):
        events.put_targets(Rule=name, Targets=[target])


def test_basic_authorization(events: Any, name: str, hook: Webhook) -> None:
    connection = events.create_connection(
        Name="basic",
        AuthorizationType="BASIC",
        AuthParameters={"BasicAuthParameters": {"Username": "u", "Password": "p"}},
    )
    arn = events.create_api_destination(
        Name="basic", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=hook.url, HttpMethod="PUT"
    )["ApiDestinationArn"]
    events.put_rule(Name=name, EventPattern='{"source": ["basic"]}')
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, "Input": '{"constant": true}'}])
    put(events, "basic", {})
    assert hook.wait() == [{"constant": True}]
    assert hook.requests[0][1]["authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
