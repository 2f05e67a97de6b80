"""What Grafana's CloudWatch data source sends, as its source composes it, gets the answers that its panels need.

No Grafana runs here: these are the shapes of pkg/tsdb/cloudwatch (12.x): metrics by wildcard, by several values and
by expression, the editor's lists, annotations of alarms, Logs Insights with Grafana's own fields before the user's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.test_cloudwatch_metrics import minute
from tests.conformance.test_ecs_api import Control, start, stop
from tests.conftest import wait_until

SERVICES = 99
PAGE = 500  # metrics, in ListMetrics


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("grafana"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def begin() -> float:
    return minute() - 600


@pytest.fixture(scope="module")
def cloudwatch(control: Control, begin: float) -> Iterator[Any]:
    """With the metrics of a hundred services, six each; one has quotes in its name."""
    client = control.client("cloudwatch")
    names = [f"svc-{n:03}" for n in range(SERVICES)] + ['it\'s "odd"']
    for metric in (
        "CpuUtilized",
        "MemoryUtilized",
        "RunningTaskCount",
        "TaskCount",
        "NetworkRx",
        "NetworkTx",
    ):
        client.put_metric_data(
            Namespace="Shop",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": "ClusterName", "Value": "default"},
                        {"Name": "ServiceName", "Value": name},
                    ],
                    "Timestamp": begin + 60 * at,
                    "Value": float(n + at),
                }
                for n, name in enumerate(names)
                for at in range(3)
            ],
        )
    yield client
    client.close()


# -- the lists of the query editor ----------------------------------------------------------------------------


def listed(client: Any, **given: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_metrics").paginate(**given)
    return [metric for page in pages for metric in page["Metrics"]]


def test_the_editor_lists_metrics_page_by_page(cloudwatch: Any) -> None:
    first = cloudwatch.list_metrics(Namespace="Shop")
    assert len(first["Metrics"]) == PAGE
    found = listed(cloudwatch, Namespace="Shop")
    assert len(found) == 6 * (SERVICES + 1)
    assert {m["MetricName"] for m in found} >= {"CpuUtilized", "NetworkTx"}


def test_the_editor_lists_dimensions_by_a_filter_without_a_value(cloudwatch: Any) -> None:
    keys = {
        d["Name"]
        for m in listed(
            cloudwatch,
            Namespace="Shop",
            MetricName="CpuUtilized",
            Dimensions=[{"Name": "ClusterName", "Value": "default"}],
        )
        for d in m["Dimensions"]
    }
    assert keys == {"ClusterName", "ServiceName"}
    values = [
        d["Value"]
        for m in listed(
            cloudwatch, Namespace="Shop", MetricName="CpuUtilized", Dimensions=[{"Name": "ServiceName"}]
        )
        for d in m["Dimensions"]
        if d["Name"] == "ServiceName"
    ]
    assert len(values) == SERVICES + 1
    assert listed(cloudwatch, Namespace="Shop", Dimensions=[{"Name": "TaskId"}]) == []


def test_linked_accounts_are_none(cloudwatch: Any) -> None:
    """Sent by who has cross-account querying switched on."""
    found = cloudwatch.list_metrics(Namespace="Shop", MetricName="TaskCount", IncludeLinkedAccounts=True)
    assert len(found["OwningAccounts"]) == len(found["Metrics"])
    assert len(set(found["OwningAccounts"])) == 1


# -- panels ---------------------------------------------------------------------------------------------------


def search(metric: str, *terms: str, is_exact: bool = True, stat: str = "Average", period: int = 60) -> str:
    schema = '{"Shop","ClusterName","ServiceName"}' if is_exact else 'Namespace="Shop"'
    term = " ".join([f'MetricName="{metric}"', *terms])
    return f"REMOVE_EMPTY(SEARCH('{schema} {term}', '{stat}', {period}))"


def drawn(client: Any, begin: float, *queries: dict[str, Any], **given: Any) -> list[dict[str, Any]]:
    """As Grafana pages: until there is no NextToken."""
    asked = {
        "StartTime": begin,
        "EndTime": begin + 300,
        "ScanBy": "TimestampAscending",
        "MetricDataQueries": [{"ReturnData": True} | q for q in queries],
        "LabelOptions": {"Timezone": "+0100"},
    } | given
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for page in client.get_paginator("get_metric_data").paginate(**asked):
        assert page["Messages"] == []
        for result in page["MetricDataResults"]:
            whole = found.setdefault((result["Id"], result["Label"]), result)
            if whole is not result:
                whole["Values"] += result["Values"]
                whole["Timestamps"] += result["Timestamps"]
                whole["StatusCode"] = result["StatusCode"]
    return list(found.values())


def test_a_panel_of_all_services_by_wildcard(cloudwatch: Any, begin: float) -> None:
    label = "${LABEL}|&|${PROP('Dim.ServiceName')}"
    query = {
        "Id": "queryA",
        "Label": label,
        "Expression": search("CpuUtilized", '"ClusterName"="default"'),
    }
    found = drawn(cloudwatch, begin, query)
    assert len(found) == SERVICES + 1
    one = next(r for r in found if r["Label"].endswith("|&|svc-007"))
    assert one["Values"] == [7.0, 8.0, 9.0]
    assert [at.timestamp() for at in one["Timestamps"]] == [begin, begin + 60, begin + 120]
    assert one["StatusCode"] == "Complete"


def test_a_panel_in_pages_is_the_same(cloudwatch: Any, begin: float) -> None:
    query = {
        "Id": "queryA",
        "Label": "${PROP('Dim.ServiceName')}",
        "Expression": search("CpuUtilized", '"ClusterName"="default"'),
    }
    whole = drawn(cloudwatch, begin, query)
    assert len({r["Label"] for r in whole}) == SERVICES + 1
    paged = drawn(cloudwatch, begin, query, MaxDatapoints=50)
    assert {r["Label"]: r["Values"] for r in paged} == {r["Label"]: r["Values"] for r in whole}


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_panel_of_several_values(cloudwatch: Any, begin: float, is_exact: bool) -> None:
    terms = ['"ClusterName"="default"', '"ServiceName"=("svc-001" OR "svc-002")']
    query = {
        "Id": "a",
        "Label": "${PROP('Dim.ServiceName')}",
        "Expression": search("MemoryUtilized", *terms, is_exact=is_exact, stat="Maximum", period=300),
    }
    found = drawn(cloudwatch, begin, query)
    assert {r["Label"]: len(r["Values"]) for r in found}.keys() == {"svc-001", "svc-002"}


def test_a_wildcard_that_need_not_match_exactly(cloudwatch: Any, begin: float) -> None:
    query = {
        "Id": "a",
        "Expression": search("TaskCount", '"ClusterName"="default"', '"ServiceName"', is_exact=False),
    }
    assert len(drawn(cloudwatch, begin, query)) == SERVICES + 1


def test_quotes_in_values_are_escaped(cloudwatch: Any, begin: float) -> None:
    query = {
        "Id": "a",
        "Label": "${PROP('Dim.ServiceName')}",
        "Expression": search("TaskCount", r'"ServiceName"=("it\'s \"odd\"" OR "none")'),
    }
    (found,) = drawn(cloudwatch, begin, query)
    assert (found["Label"], found["Values"]) == ('it\'s "odd"', [99.0, 100.0, 101.0])


def test_one_metric_and_expressions_over_it(cloudwatch: Any, begin: float) -> None:
    stat = {
        "Metric": {
            "Namespace": "Shop",
            "MetricName": "NetworkRx",
            "Dimensions": [
                {"Name": "ServiceName", "Value": "svc-010"},
                {"Name": "ClusterName", "Value": "default"},
            ],
        },
        "Period": 60,
        "Stat": "p90",
    }
    found = drawn(
        cloudwatch,
        begin,
        {"Id": "a", "MetricStat": stat, "ReturnData": False},
        {"Id": "b", "Expression": "a * 2", "Period": 60},
        {"Id": "c", "Expression": search("NetworkTx", '"ClusterName"="default"'), "ReturnData": False},
        {"Id": "d", "Expression": "SUM(c)", "Period": 60, "Label": "all"},
    )
    assert {r["Id"]: r["Values"] for r in found} == {
        "b": [20.0, 22.0, 24.0],
        "d": [float(sum(range(100)) + 100 * at) for at in range(3)],
    }


def test_a_panel_of_nothing_is_empty(cloudwatch: Any, begin: float) -> None:
    assert drawn(cloudwatch, begin, {"Id": "a", "Expression": search("None")}) == []


def test_sql_is_refused_by_a_modelled_error(cloudwatch: Any, begin: float) -> None:
    text = 'SELECT AVG(CpuUtilized) FROM SCHEMA("Shop", ClusterName) GROUP BY ClusterName'
    with pytest.raises(ClientError) as caught:
        drawn(cloudwatch, begin, {"Id": "a", "Expression": text, "Period": 60})
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert "Metrics Insights" in caught.value.response["Error"]["Message"]


# -- annotations ----------------------------------------------------------------------------------------------


def test_annotations_of_alarms(cloudwatch: Any, begin: float) -> None:
    who = [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "svc-001"}]
    cloudwatch.put_metric_alarm(
        AlarmName="shop-tasks",
        Namespace="Shop",
        MetricName="TaskCount",
        Dimensions=who,
        Statistic="Average",
        Period=300,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="LessThanThreshold",
    )
    by_metric = cloudwatch.describe_alarms_for_metric(
        Namespace="Shop", MetricName="TaskCount", Dimensions=who, Statistic="Average", Period=300
    )
    by_prefix = cloudwatch.describe_alarms(AlarmNamePrefix="shop", MaxRecords=100)
    assert [a["AlarmName"] for a in by_metric["MetricAlarms"]] == ["shop-tasks"]
    assert [a["AlarmName"] for a in by_prefix["MetricAlarms"]] == ["shop-tasks"]
    cloudwatch.set_alarm_state(AlarmName="shop-tasks", StateValue="ALARM", StateReason="for the picture")
    found = cloudwatch.describe_alarm_history(
        AlarmName="shop-tasks", StartDate=begin, EndDate=time.time() + 60, MaxRecords=100
    )["AlarmHistoryItems"]
    told = {(item["HistoryItemType"], item["HistorySummary"]) for item in found}
    assert ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM") in told


# -- logs -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logs(control: Control) -> Iterator[Any]:
    client = control.client("logs")
    now = int(time.time() * 1000)
    for name in ("/shop/web", "/shop/worker"):
        client.create_log_group(logGroupName=name)
        client.create_log_stream(logGroupName=name, logStreamName="app/1")
        client.put_log_events(
            logGroupName=name,
            logStreamName="app/1",
            logEvents=[
                {"timestamp": now - 5000 + n, "message": f'{{"level": "{level}", "took": {n}}}'}
                for n, level in enumerate(["info", "error", "info", "info"])
            ],
        )
    yield client
    client.close()


def queried(client: Any, text: str, **given: Any) -> list[dict[str, str]]:
    now = time.time()
    asked = {"startTime": int(now) - 3600, "endTime": int(now) + 1, "limit": 1000} | given
    own = (
        "fields @timestamp,ltrim(@log) as __log__grafana_internal__,"
        "ltrim(@logStream) as __logstream__grafana_internal__|"
    )
    query = client.start_query(queryString=own + text, **asked)["queryId"]

    def over() -> Any:
        found = client.get_query_results(queryId=query)
        return found if found["status"] == "Complete" else None

    found = wait_until(over, "the query is complete")
    assert found["statistics"]["recordsScanned"] > 0
    return [{c["field"]: c["value"] for c in row} for row in found["results"]]


def arns(client: Any) -> list[str]:
    """As Grafana keeps them: DescribeLogGroups' ARN, without the star that StartQuery does not take."""
    found = client.describe_log_groups(
        logGroupNamePattern="shop", limit=50, includeLinkedAccounts=True, accountIdentifiers=[]
    )
    return [group["arn"].removesuffix("*") for group in found["logGroups"]]


def test_log_groups_by_pattern_are_queried_by_their_arns(logs: Any) -> None:
    found = queried(logs, "fields @message, level\n| sort @timestamp desc", logGroupIdentifiers=arns(logs))
    assert len(found) == 8
    account = {row["__log__grafana_internal__"].split(":")[0] for row in found}
    assert len(account) == 1
    assert {row["__log__grafana_internal__"].split(":")[1] for row in found} == {"/shop/web", "/shop/worker"}
    assert {row["__logstream__grafana_internal__"] for row in found} == {"app/1"}
    times = [row["@timestamp"] for row in found]
    assert times == sorted(times, reverse=True)


def test_a_query_of_numbers_over_time(logs: Any) -> None:
    found = queried(logs, "stats count(*) as n, max(took) by level, bin(5m)", logGroupNames=["/shop/web"])
    assert {row["level"]: row["n"] for row in found} == {"info": "3", "error": "1"}
    assert all(row["bin(5m)"].endswith("00.000") for row in found)


def test_the_lines_around_one(logs: Any) -> None:
    (row, *_) = queried(logs, 'fields @message | filter level = "error"', logGroupNames=["/shop/web"])
    at = int(time.time() * 1000)
    before = logs.get_log_events(
        logGroupName=row["__log__grafana_internal__"].split(":")[1],
        logStreamName=row["__logstream__grafana_internal__"],
        limit=2,
        startFromHead=False,
        endTime=at,
    )["events"]
    assert [event["message"] for event in before] == [
        '{"level": "info", "took": 2}',
        '{"level": "info", "took": 3}',
    ]


def test_the_fields_that_a_query_may_name(logs: Any) -> None:
    found = logs.get_log_group_fields(logGroupName="/shop/web")["logGroupFields"]
    shares = {field["name"]: field["percent"] for field in found}
    assert (shares["@message"], shares["level"], shares["took"]) == (100, 100, 100)
    long_ago = logs.get_log_group_fields(logGroupName="/shop/web", time=1_000_000)["logGroupFields"]
    assert long_ago == []
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_log_group_fields(logGroupName="none")


def test_a_query_is_stopped_or_was_over(logs: Any) -> None:
    now = int(time.time())
    query = logs.start_query(
        logGroupNames=["/shop/web"], queryString="fields @message", startTime=now - 60, endTime=now
    )["queryId"]
    try:
        assert logs.stop_query(queryId=query)["success"]
    except logs.exceptions.InvalidParameterException as error:
        assert "not currently running" in str(error)  # which Grafana takes for stopped


def test_the_data_source_is_tested(cloudwatch: Any, logs: Any) -> None:
    """Save & test: a metric of AWS's own that nobody has, and the log groups."""
    assert cloudwatch.list_metrics(Namespace="AWS/Billing", MetricName="EstimatedCharges")["Metrics"] == []
    assert len(logs.describe_log_groups(limit=1)["logGroups"]) == 1
