"""One story that takes minutes, as metrics are published by the minute: told beside the other tests, read by the last.

A service runs; its metrics are those of the agent; a task is killed while nothing can replace it; the alarm on
RunningTaskCount calls a webhook; the task may come back; the alarm is over, and calls it again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import docker
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Stack, running_stack, wait_until
from tests.fakes.webhook import Webhook

IMAGE = "moorwatch/busybox:local"
# Some load that is the same in each part of a minute, and memory that stays.
SCRIPT = (
    "held=$(head -c 20000000 /dev/zero | tr '\\0' a); "
    "while true; do i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 0.05; done"
)
CPU, MEMORY = 256, 64
NAME = "watched"
DIMENSIONS = [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": NAME}]
PATIENCE_SECONDS = 150.0


@dataclass
class Story:
    """What happened. `problem`: why it broke off."""

    problem: str = ""
    states: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    utilization: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # metric → (CloudWatch's, the agent's)
    events: list[dict[str, Any]] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


class Teller(threading.Thread):
    def __init__(self, docker_url: str) -> None:
        super().__init__(name="story", daemon=True)
        self._docker_url = docker_url
        self.story = Story()

    def run(self) -> None:
        try:
            with running_stack(self._docker_url, {}) as stack, Webhook() as hook:
                _Chapters(stack, hook, self.story).tell()
        except (Exception, pytest.fail.Exception) as error:
            # The top of the thread: whatever it is belongs to the test that reads the story.
            logging.getLogger("story").exception("the story broke off")
            self.story.problem = "".join(traceback.format_exception(error))


class _Chapters:
    def __init__(self, stack: Stack, hook: Webhook, story: Story) -> None:
        self.stack, self.hook, self.story = stack, hook, story
        self.ecs, self.cloudwatch = stack.client(), stack.client("cloudwatch")
        self.sns, self.events = stack.client("sns"), stack.client("events")

    def tell(self) -> None:
        self.begin()
        self.compare()
        self.until("OK")
        (instance,) = self.ecs.list_container_instances()["containerInstanceArns"]
        self.ecs.update_container_instances_state(containerInstances=[instance], status="DRAINING")
        self.kill()
        self.until("ALARM")
        self.ecs.update_container_instances_state(containerInstances=[instance], status="ACTIVE")
        self.until("OK")
        wait_until(lambda: ("ALARM", "OK") in self.changes(), "the webhook hears of the end")
        self.story.messages = self.messages()
        self.story.events = self.hook.documents("/event")
        found = self.cloudwatch.describe_alarm_history(AlarmName=NAME, ScanBy="TimestampAscending")
        self.story.history = [item["HistorySummary"] for item in found["AlarmHistoryItems"]]
        for client in (self.ecs, self.cloudwatch, self.sns, self.events):
            client.close()

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(document["Message"]) for document in self.hook.documents("/alarm")]

    def changes(self) -> list[tuple[str, str]]:
        return [(m["OldStateValue"], m["NewStateValue"]) for m in self.messages() if "NewStateValue" in m]

    def begin(self) -> None:
        insights = [{"name": "containerInsights", "value": "enabled"}]
        self.ecs.update_cluster_settings(cluster="default", settings=insights)
        topic = self.sns.create_topic(Name="oncall")["TopicArn"]
        self.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=self.hook.url + "/alarm")
        pattern = {"detail-type": ["ECS Task State Change"], "detail": {"lastStatus": ["STOPPED"]}}
        self.events.put_rule(Name="stopped", EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule="stopped", Targets=[{"Id": "1", "Arn": topic}])
        self.ecs.register_task_definition(
            family=NAME,
            containerDefinitions=[
                {
                    "name": "app",
                    "image": IMAGE,
                    "cpu": CPU,
                    "memory": MEMORY,
                    "stopTimeout": 2,
                    "command": ["sh", "-c", SCRIPT],
                }
            ],
        )
        self.ecs.create_service(serviceName=NAME, taskDefinition=NAME, desiredCount=1)
        self.ecs.get_waiter("services_stable").wait(services=[NAME], WaiterConfig={"Delay": 1})
        self.cloudwatch.put_metric_alarm(
            AlarmName=NAME,
            Namespace="ECS/ContainerInsights",
            MetricName="RunningTaskCount",
            Dimensions=DIMENSIONS,
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="LessThanThreshold",
            AlarmActions=[topic],
            OKActions=[topic],
        )

    # -- metrics ------------------------------------------------------------------------------------

    def compare(self) -> None:
        """A whole minute, by CloudWatch and by the agent's own counters."""
        begin = time.time() // 60 * 60 + 60
        wait_until(lambda: time.time() >= begin, "a minute begins", 70)
        before, memory = self.scrape()
        levels = [memory]
        while time.time() < begin + 60:
            levels.append(self.scrape()[1])
            threading.Event().wait(5.0)
        after, _ = self.scrape()
        took = time.time() - begin
        self.story.utilization = {
            "CPUUtilization": (
                self.datapoint("CPUUtilization", begin),
                (after - before) / took * 1024 / CPU * 100,
            ),
            "MemoryUtilization": (
                self.datapoint("MemoryUtilization", begin),
                sum(levels) / len(levels) / (MEMORY * 1024 * 1024) * 100,
            ),
        }

    def scrape(self) -> tuple[float, float]:
        """(CPU seconds, memory in bytes without page cache) of the service's container."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.stack.agent_port}/metrics", timeout=10
        ) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        names = ("cpu_seconds_total", "memory_usage_bytes", "memory_cache_bytes")
        wanted = dict.fromkeys((f"ecs_container_{name}" for name in names), 0.0)
        for family in families:
            for sample in family.samples:
                if sample.name in wanted and sample.labels.get("service") == NAME:
                    wanted[sample.name] += sample.value
        cpu, usage, cache = wanted.values()
        return cpu, usage - cache

    def datapoint(self, metric: str, begin: float) -> float:
        def found() -> list[float]:
            query = {
                "Id": "m",
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/ECS", "MetricName": metric, "Dimensions": DIMENSIONS},
                    "Period": 60,
                    "Stat": "Average",
                },
            }
            answer = self.cloudwatch.get_metric_data(
                MetricDataQueries=[query], StartTime=begin, EndTime=begin + 60
            )
            return list(answer["MetricDataResults"][0]["Values"])

        (value,) = wait_until(found, f"{metric} of the minute is published", 40)
        return float(value)

    # -- what happens -------------------------------------------------------------------------------

    def kill(self) -> None:
        client = docker.APIClient(base_url=self.stack.docker_url, version="1.41")
        label = "com.amazonaws.ecs.task-arn"
        (task,) = self.ecs.list_tasks(serviceName=NAME)["taskArns"]
        (container,) = client.containers(filters={"label": [f"{label}={task}"]})
        client.kill(container["Id"])
        client.close()

    def until(self, state: str) -> None:
        def is_so() -> bool:
            (alarm,) = self.cloudwatch.describe_alarms(AlarmNames=[NAME])["MetricAlarms"]
            return bool(alarm["StateValue"] == state)

        wait_until(is_so, f"the alarm is {state}", PATIENCE_SECONDS)
        self.story.states.append(state)
