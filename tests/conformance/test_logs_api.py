"""boto3 and the AWS CLI put, read, filter and tail log events against the real control plane."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conformance.test_ecs_api import Control, start, stop
from tests.conftest import wait_until

ARN = "arn:aws:logs:us-east-1:000000000001:log-group:"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("logs"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def logs(control: Control) -> Iterator[Any]:
    client = control.client("logs")
    yield client
    client.close()


@pytest.fixture
def group(logs: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"/test/{request.node.originalname}"
    logs.create_log_group(logGroupName=name)
    for stream in ("a", "b"):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
    yield name
    logs.delete_log_group(logGroupName=name)


def now() -> int:
    return int(time.time() * 1000)


def put(logs: Any, group: str, stream: str, *messages: str, at: int | None = None, **more: Any) -> Any:
    first = now() - 1000 if at is None else at
    events = [{"timestamp": first + n, "message": text} for n, text in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events, **more)


def messages(events: list[dict[str, Any]]) -> list[str]:
    return [event["message"] for event in events]


def test_groups_are_described_page_by_page(logs: Any) -> None:
    for n in range(3):
        logs.create_log_group(logGroupName=f"/page/{n}", tags={"n": f"{n}"})
    first = logs.describe_log_groups(logGroupNamePrefix="/page/", limit=2)
    rest = logs.describe_log_groups(logGroupNamePrefix="/page/", nextToken=first["nextToken"])
    found = first["logGroups"] + rest["logGroups"]
    assert [g["logGroupName"] for g in found] == ["/page/0", "/page/1", "/page/2"]
    assert "nextToken" not in rest
    assert (found[0]["arn"], found[0]["logGroupArn"]) == (f"{ARN}/page/0:*", f"{ARN}/page/0")
    assert "retentionInDays" not in found[0]
    logs.put_retention_policy(logGroupName="/page/0", retentionInDays=7)
    (one,) = logs.describe_log_groups(logGroupNamePattern="AGE/0")["logGroups"]
    assert one["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName="/page/0")
    arn = f"{ARN}/page/1"
    logs.tag_resource(resourceArn=arn, tags={"team": "shop"})
    logs.untag_resource(resourceArn=arn, tagKeys=["n"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "shop"}


def test_events_are_read_both_ways(logs: Any, group: str) -> None:
    put(logs, group, "a", *(f"{n}" for n in range(10)))
    newest = logs.get_log_events(logGroupName=group, logStreamName="a", limit=4)
    assert messages(newest["events"]) == ["6", "7", "8", "9"]
    older = logs.get_log_events(
        logGroupName=group, logStreamName="a", limit=4, nextToken=newest["nextBackwardToken"]
    )
    assert messages(older["events"]) == ["2", "3", "4", "5"]
    end = logs.get_log_events(logGroupName=group, logStreamName="a", nextToken=newest["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == newest["nextForwardToken"]  # as the guide has it: the end
    put(logs, group, "a", "10", at=now())
    more = logs.get_log_events(logGroupName=group, logStreamName="a", nextToken=end["nextForwardToken"])
    assert messages(more["events"]) == ["10"]
    head = logs.get_log_events(logGroupName=group, logStreamName="a", startFromHead=True, limit=1)
    assert messages(head["events"]) == ["0"]
    assert abs(head["events"][0]["ingestionTime"] - now()) < 60_000


def test_filters_page_over_streams_in_order(logs: Any, group: str) -> None:
    at = now() - 5000
    for n in range(6):
        put(logs, group, "ab"[n % 2], f"{n} {'ERROR' if n % 3 == 0 else 'fine'}", at=at + n)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, PaginationConfig={"PageSize": 2}
    )
    found = [event for page in pages for event in page["events"]]
    assert [(e["logStreamName"], e["message"][0]) for e in found] == [
        (("ab")[n % 2], f"{n}") for n in range(6)
    ]
    assert len({e["eventId"] for e in found}) == 6
    errors = logs.filter_log_events(logGroupIdentifier=f"{ARN}{group}:*", filterPattern="ERROR")["events"]
    assert messages(errors) == ["0 ERROR", "3 ERROR"]
    some = logs.filter_log_events(logGroupName=group, logStreamNames=["b"], startTime=at + 2, endTime=at + 3)
    assert messages(some["events"]) == ["3 ERROR"]


def test_times_that_no_event_can_have_are_no_error(logs: Any, group: str) -> None:
    put(logs, group, "a", "x")
    found = logs.filter_log_events(logGroupName=group, startTime=0, endTime=2**63 - 1)
    assert messages(found["events"]) == ["x"]
    for token, expected in ((f"f/{'9' * 40}/s", []), (f"b/{'9' * 40}/s", ["x"])):
        page = logs.get_log_events(logGroupName=group, logStreamName="a", nextToken=token)
        assert messages(page["events"]) == expected


def test_streams_are_described_by_name_or_by_time(logs: Any, group: str) -> None:
    put(logs, group, "a", "x", at=now() - 100)
    put(logs, group, "b", "x", at=now() - 200)
    by_time = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
    assert [s["logStreamName"] for s in by_time["logStreams"]] == ["a"]
    rest = logs.describe_log_streams(
        logGroupName=group, orderBy="LastEventTime", descending=True, nextToken=by_time["nextToken"]
    )
    assert [s["logStreamName"] for s in rest["logStreams"]] == ["b"]
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="b")["logStreams"]
    assert stream["firstEventTimestamp"] == stream["lastEventTimestamp"]


def test_what_is_out_of_time_is_left_out_and_told(logs: Any, group: str) -> None:
    old, new = now() - 15 * 86_400_000, now() + 3 * 3_600_000
    assert put(logs, group, "a", "x", at=old)["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert put(logs, group, "a", "x", at=new)["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    assert not logs.filter_log_events(logGroupName=group)["events"]


def test_our_agent_s_batches_count_once(logs: Any, group: str) -> None:
    at = now()
    for _ in range(3):
        put(logs, group, "a", "once", at=at, sequenceToken="moorwatch/i-1/7")
    put(logs, group, "a", "any other token is ignored", at=at + 1, sequenceToken="4711")
    put(logs, group, "a", "any other token is ignored", at=at + 2, sequenceToken="4711")
    assert len(logs.filter_log_events(logGroupName=group)["events"]) == 3


def test_odd_characters_come_back(logs: Any, group: str) -> None:
    text = 'tab\t "quotes" \\ newline\n ☃ 😀 \u0001'
    put(logs, group, "a", text)
    assert messages(logs.get_log_events(logGroupName=group, logStreamName="a")["events"]) == [text]


@pytest.mark.parametrize(
    ("call", "given", "code", "text"),
    [
        (
            "create_log_group",
            {"logGroupName": "/test/errors"},
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ),
        (
            "create_log_stream",
            {"logGroupName": "/test/errors", "logStreamName": "a"},
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ),
        (
            "get_log_events",
            {"logGroupName": "none", "logStreamName": "a"},
            "ResourceNotFoundException",
            "The specified log group does not exist.",
        ),
        (
            "get_log_events",
            {"logGroupName": "/test/errors", "logStreamName": "none"},
            "ResourceNotFoundException",
            "The specified log stream does not exist.",
        ),
        (
            "filter_log_events",
            {"logGroupName": "/test/errors", "nextToken": "made up"},
            "InvalidParameterException",
            "The specified nextToken is invalid.",
        ),
        (
            "put_log_events",
            {
                "logGroupName": "/test/errors",
                "logStreamName": "a",
                "logEvents": [{"timestamp": 2, "message": "x"}, {"timestamp": 1, "message": "x"}],
            },
            "InvalidParameterException",
            "Log events in a single PutLogEvents request must be in chronological order.",
        ),
        (
            "put_retention_policy",
            {"logGroupName": "/test/errors", "retentionInDays": 2},
            "InvalidParameterException",
            "Member must satisfy enum value set",
        ),
        ("create_log_group", {"logGroupName": "no spaces"}, "InvalidParameterException", "logGroupName"),
        (
            "filter_log_events",
            {"logGroupName": "/test/errors", "filterPattern": "{ $.a = "},
            "InvalidParameterException",
            "must end with '}'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_aws_s_words(
    logs: Any, call: str, given: dict[str, Any], code: str, text: str
) -> None:
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):  # made by the case before
        logs.create_log_group(logGroupName="/test/errors")
        logs.create_log_stream(logGroupName="/test/errors", logStreamName="a")
    with pytest.raises(ClientError) as caught:
        getattr(logs, call)(**given)
    assert caught.value.response["Error"]["Code"] == code
    assert text in caught.value.response["Error"]["Message"]


def _second_cli() -> str:
    """The AWS CLI, version 2: it is no Python package, so it is not the one beside our interpreter."""
    found = shutil.which("aws", path="/usr/local/bin:/usr/bin")
    told = subprocess.run([found, "--version"], capture_output=True, text=True).stdout if found else ""
    if found is None or not told.startswith("aws-cli/2"):
        pytest.skip("`aws logs tail` is of the AWS CLI's second version: apt-get install awscli")
    return found


def test_the_cli_tails_and_follows(control: Control, logs: Any, group: str) -> None:
    put(logs, group, "a", "before")
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))},
        "AWS_ACCESS_KEY_ID": control.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": control.key.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONUNBUFFERED": "1",
    }
    command = [_second_cli(), "logs", "tail", group, "--follow", "--format", "short"]
    command += ["--endpoint-url", control.endpoint]
    tail = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert tail.stdout is not None
    try:
        assert tail.stdout.readline().endswith("before\n")
        put(logs, group, "b", "after", at=now())
        assert tail.stdout.readline().endswith("after\n")
    finally:
        tail.terminate()
        tail.wait()
        tail.stdout.close()


def test_what_is_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    control = start(tmp_path)
    logs = control.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    put(logs, "g", "s", "kept")
    logs.close()
    control.process.kill()
    control.process.wait()
    control = start(tmp_path)
    logs = control.client("logs")
    assert messages(logs.filter_log_events(logGroupName="g")["events"]) == ["kept"]
    logs.close()
    # With somebody who listens on: the end does not wait for that.
    client = without_prefix(control)
    stream = client.start_live_tail(logGroupIdentifiers=[f"{ARN}g"])["responseStream"]
    events = iter(stream)
    assert "sessionStart" in next(events)
    stop(control)
    assert all("sessionUpdate" in event for event in events)  # and a proper end of the stream
    stream.close()
    client.close()


def test_metrics_in_messages_become_metrics(control: Control, logs: Any, group: str) -> None:
    at = now()
    meta = {
        "Namespace": "Logged",
        "Dimensions": [["Host"]],
        "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}],
    }
    text = json.dumps(
        {"_aws": {"Timestamp": at, "CloudWatchMetrics": [meta]}, "Host": "a", "Latency": [3, 5]}
    )
    for _ in range(2):  # the second is the same batch, sent again
        put(logs, group, "a", text, "plain", at=at, sequenceToken="moorwatch/i-2/1")
    cloudwatch = control.client("cloudwatch")
    (point,) = cloudwatch.get_metric_statistics(
        Namespace="Logged",
        MetricName="Latency",
        Dimensions=[{"Name": "Host", "Value": "a"}],
        StartTime=at / 1000 - 120,
        EndTime=at / 1000 + 60,
        Period=60,
        Statistics=["SampleCount", "Sum"],
    )["Datapoints"]
    cloudwatch.close()
    assert (point["SampleCount"], point["Sum"], point["Unit"]) == (2.0, 8.0, "Milliseconds")


def answered(logs: Any, group: str, text: str, **given: Any) -> dict[str, Any]:
    """GetQueryResults, once the query is over."""
    at = int(time.time())
    where = given or {"logGroupName": group}
    query = logs.start_query(startTime=at - 3600, endTime=at + 60, queryString=text, **where)["queryId"]

    def over() -> Any:
        found = logs.get_query_results(queryId=query)
        return found if found["status"] not in ("Scheduled", "Running") else None

    return dict(wait_until(over, "the query is over"))


def rows(found: dict[str, Any]) -> list[dict[str, str]]:
    return [{c["field"]: c["value"] for c in row} for row in found["results"]]


def test_insights_queries(logs: Any, group: str) -> None:
    for n in range(6):
        put(
            logs,
            group,
            "ab"[n % 2],
            json.dumps({"status": 500 if n > 3 else 200, "ms": n}),
            at=now() - 60_000 + n,
        )
    found = answered(logs, group, "stats count(*) as n, avg(ms) as mean by status | sort status")
    assert found["status"] == "Complete"
    assert rows(found) == [
        {"status": "200", "n": "4", "mean": "1.5"},
        {"status": "500", "n": "2", "mean": "4.5"},
    ]
    assert (found["statistics"]["recordsScanned"], found["statistics"]["logGroupsScanned"]) == (6.0, 1.0)
    # As Grafana asks: by ARN, and newest first.
    found = answered(
        logs,
        group,
        "fields @timestamp, ms | filter status = 500 | limit 20",
        logGroupIdentifiers=[f"{ARN}{group}"],
    )
    assert [row["ms"] for row in rows(found)] == ["5", "4"]
    assert all(row["@ptr"] for row in rows(found))
    (last, *_) = logs.describe_queries(logGroupName=group, status="Complete")["queries"]
    assert last["queryString"].startswith("fields @timestamp")


def test_queries_that_cannot_be(logs: Any, group: str) -> None:
    given = {"startTime": 1, "endTime": 2, "queryString": "stats"}
    with pytest.raises(logs.exceptions.MalformedQueryException):
        logs.start_query(logGroupName=group, **given)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.start_query(logGroupName="none", **(given | {"queryString": "fields @message"}))
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.start_query(**(given | {"queryString": "fields @message"}))
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_query_results(queryId="none")
    query = logs.start_query(logGroupName=group, **(given | {"queryString": "fields @message"}))["queryId"]
    wait_until(lambda: logs.get_query_results(queryId=query)["status"] == "Complete", "the query is over")
    with pytest.raises(logs.exceptions.InvalidParameterException, match="not currently running"):
        logs.stop_query(queryId=query)


def test_metric_filters_count_what_comes_in(control: Control, logs: Any, group: str) -> None:
    transformation = {
        "metricName": "Latency",
        "metricNamespace": "Filtered",
        "metricValue": "$.ms",
        "dimensions": {"Path": "$.path"},
        "unit": "Milliseconds",
    }
    logs.put_metric_filter(
        logGroupName=group,
        filterName="slow",
        filterPattern="{ $.ms > 100 }",
        metricTransformations=[transformation],
    )
    errors = {"metricName": "Errors", "metricNamespace": "Filtered", "metricValue": "1", "defaultValue": 0.0}
    logs.put_metric_filter(
        logGroupName=group, filterName="errors", filterPattern="ERROR", metricTransformations=[errors]
    )
    at = now()
    put(logs, group, "a", '{"ms": 150, "path": "/x"}', '{"ms": 50, "path": "/x"}', '{"ms": 250}', at=at)
    cloudwatch = control.client("cloudwatch")

    def points(metric: str, **where: str) -> list[dict[str, float]]:
        found: list[dict[str, float]] = cloudwatch.get_metric_statistics(
            Namespace="Filtered",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in where.items()],
            StartTime=at / 1000 - 120,
            EndTime=at / 1000 + 60,
            Period=60,
            Statistics=["SampleCount", "Sum"],
        )["Datapoints"]
        return found

    (slow,) = points("Latency", Path="/x")
    assert (slow["SampleCount"], slow["Sum"]) == (1.0, 150.0)
    (none,) = points("Errors")
    assert (none["SampleCount"], none["Sum"]) == (1.0, 0.0)
    cloudwatch.close()
    found = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    assert [f["filterName"] for f in found] == ["errors", "slow"]
    assert found[1]["metricTransformations"] == [transformation]
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["metricFilterCount"] == 2
    logs.delete_metric_filter(logGroupName=group, filterName="slow")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.delete_metric_filter(logGroupName=group, filterName="slow")
    (match,) = logs.test_metric_filter(
        filterPattern="[ip, code = 5*]", logEventMessages=["1.2.3.4 200", "1.2.3.4 503"]
    )["matches"]
    assert (match["eventNumber"], match["extractedValues"]) == (2, {"$ip": "1.2.3.4", "$code": "503"})
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.put_metric_filter(
            logGroupName="none", filterName="lost", filterPattern="x", metricTransformations=[errors]
        )
    assert not logs.describe_metric_filters(logGroupName="none")["metricFilters"]
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_metric_filter(
            logGroupName=group, filterName="x", filterPattern="{", metricTransformations=[errors]
        )


def without_prefix(control: Control, **more: Any) -> Any:
    """A client that asks the endpoint by its own name: others would ask for `stream-127.0.0.1`."""
    return control.client("logs", config=Config(inject_host_prefix=False, **more))


def test_a_live_tail_tells_what_comes(control: Control, logs: Any, group: str) -> None:
    put(logs, group, "a", "before: not told")
    client = without_prefix(control)
    arn = f"{ARN}{group}"
    stream = client.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="ERROR -b")[
        "responseStream"
    ]
    events = iter(stream)
    start = next(events)["sessionStart"]
    assert (start["logGroupIdentifiers"], start["logEventFilterPattern"]) == ([arn], "ERROR -b")
    assert start["sessionId"]
    at = now()
    put(logs, group, "b", "ERROR 2", "fine", at=at + 1)
    put(logs, group, "a", "ERROR 1", at=at)
    found: list[dict[str, Any]] = []
    while len(found) < 2:
        update = next(events)["sessionUpdate"]
        assert update["sessionMetadata"] == {"sampled": False}
        found += update["sessionResults"]
    stream.close()
    client.close()
    assert {(e["logStreamName"], e["message"], e["timestamp"]) for e in found} == {
        ("a", "ERROR 1", at),
        ("b", "ERROR 2", at + 1),
    }
    assert found[0]["logGroupIdentifier"] == arn
    assert abs(found[0]["ingestionTime"] - at) < 60_000


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"logGroupIdentifiers": [f"{ARN}none"]}, "ResourceNotFoundException"),
        ({"logGroupIdentifiers": [f"{ARN}none:*"]}, "InvalidParameterException"),
        (
            {"logGroupIdentifiers": [f"{ARN}a", f"{ARN}b"], "logStreamNames": ["s"]},
            "InvalidParameterException",
        ),
        (
            {"logGroupIdentifiers": [f"{ARN}a"], "logStreamNames": ["s"], "logStreamNamePrefixes": ["s"]},
            "InvalidParameterException",
        ),
        ({"logGroupIdentifiers": [f"{ARN}a"], "logEventFilterPattern": "{ $.a"}, "InvalidParameterException"),
    ],
)
def test_live_tails_that_cannot_be(control: Control, given: dict[str, Any], code: str) -> None:
    client = without_prefix(control)
    with pytest.raises(ClientError) as caught:
        client.start_live_tail(**given)
    client.close()
    assert caught.value.response["Error"]["Code"] == code


def test_sessions_are_bounded(control: Control, logs: Any, group: str) -> None:
    client = without_prefix(control, max_pool_connections=20)
    wanted = {"logGroupIdentifiers": [f"{ARN}{group}"]}
    streams = [client.start_live_tail(**wanted)["responseStream"] for _ in range(15)]
    for stream in streams:
        assert "sessionStart" in next(iter(stream))
    with pytest.raises(client.exceptions.LimitExceededException):
        client.start_live_tail(**wanted)
    streams.pop().close()

    def has_room() -> Any:
        with contextlib.suppress(client.exceptions.LimitExceededException):
            return client.start_live_tail(**wanted)["responseStream"]

    streams.append(wait_until(has_room, "the session that was closed makes room"))
    for stream in streams:
        stream.close()
    client.close()


def test_the_cli_tails_live(control: Control, logs: Any, group: str) -> None:
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))},
        "AWS_ACCESS_KEY_ID": control.key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": control.key.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": control.endpoint,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "PYTHONUNBUFFERED": "1",
    }
    command = [str(Path(sys.executable).with_name("aws")), "logs", "start-live-tail"]
    command += ["--log-group-identifiers", f"{ARN}{group}"]
    tail = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert tail.stdout is not None
    told = tail.stdout
    try:

        def shown() -> bool:  # from when the session is open, which the CLI does not say
            put(logs, group, "a", "line", at=now())
            return bool(select.select([told], [], [], 0)[0])

        wait_until(shown, "the CLI shows a line")
        assert told.readline() == "line\n"
    finally:
        tail.terminate()
        tail.wait()
        told.close()
