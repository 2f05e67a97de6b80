"""Topics by boto3 against the real control plane, and what their subscribers get: webhooks, mail, local commands."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_ecs_api import Control, start, stop
from tests.conftest import free_port, wait_until
from tests.fakes.mail import MailServer
from tests.fakes.webhook import Webhook


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[Control]:
    state = tmp_path_factory.mktemp("sns")
    (state / "hooks").mkdir()
    running = start(
        state, MOORWATCH_HOOKS_DIR=str(state / "hooks"), MOORWATCH_SMTP_URL=f"smtp://127.0.0.1:{mail.port}"
    )
    yield running
    stop(running)


@pytest.fixture(scope="module")
def sns(control: Control) -> Iterator[Any]:
    client = control.client("sns")
    yield client
    client.close()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture
def topic(sns: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    arn = sns.create_topic(Name=request.node.originalname)["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_webhook_gets_what_is_published(sns: Any, topic: str, hook: Webhook) -> None:
    arn = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + "/")["SubscriptionArn"]
    sent = sns.publish(
        TopicArn=topic,
        Message="hello ✓",
        Subject="greeting",
        MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
    )
    (body,) = hook.wait()
    _, headers, _ = hook.requests[0]
    assert body.pop("Timestamp").endswith("Z")
    assert f"SubscriptionArn={arn}&Token=" in body.pop("UnsubscribeURL")
    assert body == {
        "Type": "Notification",
        "MessageId": sent["MessageId"],
        "TopicArn": topic,
        "Subject": "greeting",
        "Message": "hello ✓",
        "MessageAttributes": {"colour": {"Type": "String", "Value": "red"}},
    }
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-subscription-arn"] == arn


def test_filters_and_raw_messages(sns: Any, topic: str, hook: Webhook) -> None:
    raw = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"colour": ["red"]})}
    by_body = {
        "FilterPolicy": json.dumps({"size": [{"numeric": [">", 5]}]}),
        "FilterPolicyScope": "MessageBody",
    }
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + "/raw", Attributes=raw)
    arn = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + "/body", Attributes=by_body)
    colour = {"colour": {"DataType": "String", "StringValue": "blue"}}
    sns.publish(TopicArn=topic, Message='{"size": 9, "of": "blue"}', MessageAttributes=colour)
    colour["colour"]["StringValue"] = "red"
    sns.publish(TopicArn=topic, Message='{"size": 3, "of": "red"}', MessageAttributes=colour)
    assert hook.wait(path="/raw") == [{"size": 3, "of": "red"}]
    assert json.loads(hook.wait(path="/body")[0]["Message"]) == {"size": 9, "of": "blue"}
    shown = sns.get_subscription_attributes(SubscriptionArn=arn["SubscriptionArn"])["Attributes"]
    assert (shown["FilterPolicyScope"], shown["PendingConfirmation"]) == ("MessageBody", "false")
    assert len(hook.requests) == 2


def test_what_fails_is_tried_again_and_a_client_error_is_not(sns: Any, topic: str, hook: Webhook) -> None:
    hook.next_statuses = [503]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + "/")
    sns.publish(TopicArn=topic, Message="again")
    assert [d["Message"] for d in hook.wait(2)] == ["again", "again"]
    assert len({d["MessageId"] for d in hook.documents()}) == 1
    hook.next_statuses = [400]
    sns.publish(TopicArn=topic, Message="never")
    sns.publish(TopicArn=topic, Message="later")
    hook.wait(4)
    assert sorted(d["Message"] for d in hook.documents()[2:]) == ["later", "never"]


def test_an_endpoint_of_somebody_else_has_to_confirm(control: Control, sns: Any, topic: str) -> None:
    made = sns.subscribe(TopicArn=topic, Protocol="https", Endpoint="https://192.0.2.1/hook")
    assert made["SubscriptionArn"] == "pending confirmation"
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    with pytest.raises(ClientError) as caught:
        sns.confirm_subscription(TopicArn=topic, Token="0" * 64)
    assert code(caught) == "InvalidParameter"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(
            f"{control.endpoint}/?Action=ConfirmSubscription&TopicArn={topic}&Token=x", timeout=5
        )


def test_mail_is_confirmed_by_its_link_and_then_sent(sns: Any, topic: str, mail: MailServer) -> None:
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="oncall@example.org")
    asked = message_from_bytes(mail.wait(1)[0], policy=default)
    assert (asked["To"], asked["Subject"]) == ("oncall@example.org", "Subscription confirmation")
    link = next(word for word in asked.get_content().split() if word.startswith("http"))
    with urllib.request.urlopen(link, timeout=5) as answer:
        assert answer.read().decode() == f"Subscribed to {topic}\n"
    sns.publish(TopicArn=topic, Message="the queue is long", Subject="ALARM")
    got = message_from_bytes(mail.wait(2)[1], policy=default)
    assert got["Subject"] == "ALARM"
    text = got.get_content()
    assert text.startswith("the queue is long\r\n")
    leave = next(word for word in text.split() if word.startswith("http"))
    with urllib.request.urlopen(leave, timeout=5) as answer:
        assert answer.read().decode() == f"Unsubscribed from {topic}\n"
    assert not sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]


def test_a_local_command_is_run_without_a_shell(control: Control, sns: Any, topic: str) -> None:
    script, seen = control.state / "hooks" / "page.sh", control.state / "seen"
    script.write_text(f'#!/bin/sh\nprintf "%s " "$#" "$MOORWATCH_SUBJECT" > {seen}.part\ncat >> {seen}.part\n'
                      f"mv {seen}.part {seen}\n")  # fmt: skip
    script.chmod(0o755)
    given = {"RawMessageDelivery": "true"}
    sns.subscribe(TopicArn=topic, Protocol="command", Endpoint="page.sh", Attributes=given)
    sns.publish(TopicArn=topic, Message="$(touch /tmp/never) `id`", Subject="up")
    wait_until(seen.exists, "the command has run")
    assert seen.read_text() == "0 up $(touch /tmp/never) `id`"
    with pytest.raises(ClientError) as caught:
        sns.subscribe(TopicArn=topic, Protocol="command", Endpoint="../page.sh")
    assert code(caught) == "InvalidParameter"


def test_an_alarm_tells_its_topic_and_its_history_says_so(
    control: Control, topic: str, sns: Any, hook: Webhook
) -> None:
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=hook.url + "/")
    cloudwatch = control.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="long",
        Namespace="Shop",
        MetricName="Queue",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=[topic, "arn:aws:automate:us-east-1:ec2:recover"],
        OKActions=[topic + "-none"],
    )
    cloudwatch.set_alarm_state(AlarmName="long", StateValue="ALARM", StateReason="a try")
    (body,) = hook.wait()
    message = json.loads(body["Message"])
    assert body["Subject"] == 'ALARM: "long" in US East (N. Virginia)'
    assert (message["NewStateValue"], message["NewStateReason"]) == ("ALARM", "a try")
    assert message["Trigger"]["Statistic"] == "AVERAGE"
    cloudwatch.set_alarm_state(AlarmName="long", StateValue="OK", StateReason="over")

    def told() -> list[str]:
        found = cloudwatch.describe_alarm_history(AlarmName="long", HistoryItemType="Action")
        return sorted(item["HistorySummary"] for item in found["AlarmHistoryItems"])

    wait_until(lambda: len(told()) == 3, "three actions in the history")
    assert told() == [
        "Failed to execute action arn:aws:automate:us-east-1:ec2:recover. Received error: there is nothing here "
        "that could do it; topics (arn:aws:sns:…) and scaling policies act",
        f"Failed to execute action {topic}-none. Received error: Topic does not exist",
        f"Successfully executed action {topic}",
    ]
    cloudwatch.close()


def test_batches_say_what_failed(sns: Any, topic: str) -> None:
    entries = [{"Id": "good", "Message": "x"}, {"Id": "bad", "Message": "x", "Subject": "two\nlines"}]
    found = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [e["Id"] for e in found["Successful"]] == ["good"]
    assert [(e["Id"], e["Code"]) for e in found["Failed"]] == [("bad", "InvalidParameter")]


def test_attributes_and_tags(sns: Any, topic: str) -> None:
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="Shop")
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "team", "Value": "shop"}])
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "Shop"
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "team", "Value": "shop"}]
    assert {"TopicArn": topic} in sns.list_topics()["Topics"]


@pytest.mark.parametrize(
    ("call", "given", "expected"),
    [
        ("create_topic", {"Name": "no spaces"}, "InvalidParameter"),
        ("create_topic", {"Name": "queue.fifo"}, "InvalidParameter"),
        ("publish", {"TopicArn": "arn:aws:sns:us-east-1:000000000001:none", "Message": "x"}, "NotFound"),
        ("publish", {"TopicArn": "none", "Message": "x"}, "InvalidParameter"),
        ("publish", {"PhoneNumber": "+123", "Message": "x"}, "InvalidParameter"),
        (
            "get_subscription_attributes",
            {"SubscriptionArn": "arn:aws:sns:us-east-1:000000000001:none:0"},
            "NotFound",
        ),
        ("list_topics", {"NextToken": "\u00e9"}, "InvalidParameter"),
    ],
)
def test_what_is_wrong_has_sns_s_codes(sns: Any, call: str, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(sns, call)(**given)
    assert code(caught) == expected


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("sms", "+123"),
        ("http", "https://127.0.0.1/"),
        ("http", "http://"),
        ("email", "nobody"),
        ("sqs", "arn:x"),
    ],
)
def test_endpoints_are_checked(sns: Any, topic: str, protocol: str, endpoint: str) -> None:
    with pytest.raises(ClientError) as caught:
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    assert code(caught) == "InvalidParameter"


def test_what_could_not_be_delivered_is_delivered_after_a_kill(tmp_path: Path) -> None:
    control, port = start(tmp_path), free_port()
    sns = control.client("sns")
    arn = sns.create_topic(Name="kept")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/")
    sns.publish(TopicArn=arn, Message="kept")  # nobody listens
    sns.close()
    control.process.kill()
    control.process.wait()
    control = start(tmp_path)
    with Webhook(port) as hook:
        assert [d["Message"] for d in hook.wait()] == ["kept"]
    stop(control)
