"""`moorwatch alarms`: the alarms that most services want, and how all alarms stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from monitor.cli import render
from monitor.cli.api import Api
from monitor.cli.session import OK, Failure, begin, cluster_option, state_option
from monitor.clock import SystemClock

INSIGHTS, ECS = "ECS/ContainerInsights", "AWS/ECS"
PREFIX = "moorwatch"
_STATES = {"OK": render.good, "ALARM": render.bad, "INSUFFICIENT_DATA": render.weak}
# What AWS recommends for ECS services (CloudWatch user guide, "Recommended alarms"), and what a failing task looks
# like: fewer running tasks than wanted.
_PERCENT = {"cpu": "CPUUtilization", "memory": "MemoryUtilization"}


@click.group()
def alarms() -> None:
    """Install the usual alarms of services, and list how alarms stand."""


@alarms.command("list")
@state_option
def listed(state: str | None) -> int:
    """Show every alarm: its state, since when, and why."""
    api, now = begin(state).api(), SystemClock().now()
    found = list(_all(api))
    if not found:
        click.echo("no alarms; `moorwatch alarms install` makes the usual ones")
        return OK
    rows = [
        [
            a["AlarmName"],
            _STATES[a["StateValue"]](a["StateValue"]),
            render.age(a["StateTransitionedTimestamp"], now),
            render.shortened(a["StateReason"]),
        ]
        for a in found
    ]
    click.echo("\n".join(render.table(rows, ["alarm", "state", "changed", "reason"])))
    return OK


def _all(api: Api) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": 100}
    while True:
        page = api.cloudwatch("DescribeAlarms", asked)
        yield from (*page["MetricAlarms"], *page["CompositeAlarms"])
        if not page.get("NextToken"):
            return
        asked["NextToken"] = page["NextToken"]


@alarms.command()
@click.option("--service", "names", metavar="NAME", multiple=True, help="Only for these [default: all].")
@click.option("--action", "actions", metavar="ARN", multiple=True, help="What to tell: the ARN of a topic.")
@cluster_option
@state_option
def install(names: tuple[str, ...], actions: tuple[str, ...], cluster: str | None, state: str | None) -> int:
    """Make the usual alarms for the services of a cluster: too few running tasks, CPU and memory near their limits.

    They are named moorwatch-CLUSTER-SERVICE-…; made anew they keep their state. Counting running tasks needs the
    cluster's containerInsights, which is switched on.
    """
    session = begin(state)
    api, where = session.api(), cluster or session.settings.cluster
    arns = list(api.pages("ListServices", {"cluster": where}, "serviceArns"))
    found = api.described("DescribeServices", {"cluster": where}, "services", arns, 10)
    services = [s for s in found if not names or s["serviceName"] in names]
    missing = set(names) - {s["serviceName"] for s in services}
    if missing:
        raise Failure(f"there is no service {', '.join(sorted(missing))} in the cluster {where}")
    if not services:
        raise Failure(f"the cluster {where} has no services yet")
    _switch_on(api, where)
    made = 0
    for service in services:
        for wanted in _wanted(where, service["serviceName"]):
            api.cloudwatch("PutMetricAlarm", wanted | {"AlarmActions": [*actions], "OKActions": [*actions]})
            made += 1
    click.echo(f"{made} alarms for {len(services)} services of {where}; `moorwatch alarms list` shows them")
    if not actions:
        click.echo("nobody is told of them yet: --action ARN names a topic (aws sns create-topic, subscribe)")
    return OK


def _switch_on(api: Api, cluster: str) -> None:
    (found,) = api.ecs("DescribeClusters", {"clusters": [cluster], "include": ["SETTINGS"]})["clusters"]
    settings = {s["name"]: s["value"] for s in found.get("settings") or ()}
    if settings.get("containerInsights", "disabled") == "disabled":
        on = [{"name": "containerInsights", "value": "enabled"}]
        api.ecs("UpdateClusterSettings", {"cluster": cluster, "settings": on})
        click.echo(f"containerInsights of {cluster} is switched on")


def _wanted(cluster: str, service: str) -> Iterator[dict[str, Any]]:
    shared = {
        "Dimensions": [{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": service}],
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 5,
    }
    # No period of its own is named in an expression: that of its metrics counts.
    metrics = [
        {
            "Id": name,
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": INSIGHTS,
                    "MetricName": metric,
                    "Dimensions": shared["Dimensions"],
                },
                "Period": 60,
                "Stat": "Average",
            },
        }
        for name, metric in (("desired", "DesiredTaskCount"), ("running", "RunningTaskCount"))
    ]
    yield {
        "AlarmName": f"{PREFIX}-{cluster}-{service}-tasks",
        "AlarmDescription": f"Fewer tasks of {service} run than are wanted: `moorwatch why {service}` says why.",
        "Metrics": [*metrics, {"Id": "missing", "Expression": "desired - running", "Label": "missing tasks"}],
        "EvaluationPeriods": 2,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "missing",
    }
    for name, metric in _PERCENT.items():
        yield shared | {
            "AlarmName": f"{PREFIX}-{cluster}-{service}-{name}",
            "AlarmDescription": f"{metric} of {service} is near its limit.",
            "Namespace": ECS,
            "MetricName": metric,
            "Statistic": "Average",
            "Period": 60,
            "Threshold": 80.0,
            "ComparisonOperator": "GreaterThanThreshold",
        }
