"""The disk is full: who puts metrics or logs is told, it is counted, and the rest of the control plane goes on."""

from __future__ import annotations

import resource
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from tests.conformance.test_ecs_api import Control, code, message, start, stop

ONCE = Config(retries={"total_max_attempts": 1})
GROWN = 1_000_000  # bytes, far beyond what the state's file needs in this test


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    running = start(tmp_path_factory.mktemp("full"))
    yield running
    stop(running)


def limit(control: Control, size: int) -> None:
    """No file of the control plane may grow beyond this: writing what would is refused as on a full disk (EFBIG)."""
    resource.prlimit(control.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def grown(control: Control, name: str) -> int:
    """The size of a store's newest file, which holds what is not yet taken over into the main one."""
    return (control.state / f"{name}-wal").stat().st_size


def counted(control: Control, name: str) -> float:
    with urllib.request.urlopen(f"{control.endpoint}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return next(s.value for family in families for s in family.samples if s.name == name)


def until_refused(put: Callable[[int], None]) -> pytest.ExceptionInfo[ClientError]:
    with pytest.raises(ClientError) as caught:
        deque(map(put, range(1000)), maxlen=0)
    return caught


def test_metrics_are_refused_and_the_scheduler_goes_on(control: Control) -> None:
    cloudwatch, ecs = control.client("cloudwatch", config=ONCE), control.client(config=ONCE)

    def put(n: int) -> None:
        data = [{"MetricName": f"M{n}-{i}", "Value": float(i), "Unit": "Count"} for i in range(1000)]
        cloudwatch.put_metric_data(Namespace="Full", MetricData=data)

    put(0)
    limit(control, max(GROWN, grown(control, "metrics.sqlite")))
    refused = until_refused(lambda n: put(n + 1))
    assert code(refused) == "InternalServiceError"
    assert "free space" in message(refused)
    assert counted(control, "moorwatch_metric_store_refused_points_total") >= 1000
    ecs.create_cluster(clusterName="still")
    ecs.register_task_definition(
        family="still", containerDefinitions=[{"name": "app", "image": "x", "memory": 8}]
    )
    ecs.create_service(cluster="still", serviceName="web", taskDefinition="still", desiredCount=1)
    (service,) = ecs.describe_services(cluster="still", services=["web"])["services"]
    assert service["status"] == "ACTIVE"
    limit(control, resource.RLIM_INFINITY)
    put(2000)
    found = cloudwatch.get_metric_statistics(
        Namespace="Full",
        MetricName="M2000-5",
        StartTime=time.time() - 120,
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [point["Sum"] for point in found] == [5.0]
    cloudwatch.close()
    ecs.close()


def test_log_events_are_refused_and_come_later(control: Control) -> None:
    logs = control.client("logs", config=ONCE)
    logs.create_log_group(logGroupName="/full")
    logs.create_log_stream(logGroupName="/full", logStreamName="s")
    at = int(time.time() * 1000)

    def put(n: int) -> None:
        events = [{"timestamp": at + n, "message": f"{n} {i} {i * 7919 % 104729}" * 20} for i in range(1000)]
        logs.put_log_events(logGroupName="/full", logStreamName="s", logEvents=events)

    limit(control, max(GROWN, grown(control, "logs.sqlite")))
    refused = until_refused(put)
    assert code(refused) == "ServiceUnavailableException"
    assert "free space" in message(refused)
    assert counted(control, "moorwatch_log_store_refused_events_total") >= 1000
    limit(control, resource.RLIM_INFINITY)
    put(5000)
    newest = logs.get_log_events(logGroupName="/full", logStreamName="s", limit=1)["events"]
    assert newest[0]["timestamp"] == at + 5000
    logs.close()
