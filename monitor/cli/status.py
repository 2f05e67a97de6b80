"""`moorwatch status`: clusters, services and tasks at a glance, and one service in depth.

Everything comes from the control plane's API; nothing is worked out here but how it is drawn.
"""

from __future__ import annotations

from typing import Any

import click

from monitor.cli import render
from monitor.cli.api import Api
from monitor.cli.session import (
    OK,
    PROBLEM,
    Failure,
    begin,
    cluster_option,
    json_option,
    print_json,
    state_option,
)
from monitor.clock import SystemClock
from monitor.model.errors import AwsError

TASKS_SHOWN, EXPLAINED = 30, 20
Item = dict[str, Any]
_HEALTH = {"HEALTHY": render.good("HEALTHY"), "UNHEALTHY": render.bad("UNHEALTHY")}  # else: no health check


@click.command()
@click.argument("service", required=False)
@cluster_option
@state_option
@json_option
def status(service: str | None, cluster: str | None, state: str | None, as_json: bool) -> int:
    """Show clusters, services (running of desired) and tasks; with SERVICE, that one in depth.

    In depth: deployments, when the next start is tried, and stopped tasks grouped by reason. Exit code 1 when a
    service that is shown runs fewer tasks than it should, or SERVICE does not exist.
    """
    session = begin(state)
    api, now = session.api(), SystemClock().now()
    if service is None:
        found = [_cluster(api, item) for item in _clusters(api, cluster)]
        if as_json:
            print_json({"clusters": found})
        else:
            click.echo("\n".join(overview(found, now)))
        return PROBLEM if any(is_short(s) for c in found for s in c["services"]) else OK
    one = _service(api, cluster or session.settings.cluster, render.last_part(service))
    if as_json:
        print_json(one)
    else:
        click.echo("\n".join(in_depth(one, now)))
    return PROBLEM if is_short(one["service"]) else OK


def is_short(service: Item) -> bool:
    """Whether a service runs fewer tasks than it should."""
    return bool(service.get("runningCount", 0) < service.get("desiredCount", 0))


# -- asking ------------------------------------------------------------------------------------------------


def _clusters(api: Api, wanted: str | None) -> list[Item]:
    names = [wanted] if wanted else list(api.pages("ListClusters", {}, "clusterArns"))
    found = api.described("DescribeClusters", {}, "clusters", names, at_most=100)
    if wanted and not found:
        raise Failure(f"there is no cluster '{wanted}' ('moorwatch status' lists them)")
    return sorted(found, key=lambda item: str(item.get("clusterName")))


def _cluster(api: Api, cluster: Item) -> Item:
    """One cluster with its services, container instances, live tasks, and why services are short."""
    name = str(cluster["clusterName"])
    services = _services(api, name)
    short = [s["serviceName"] for s in services if is_short(s)]
    arns = list(api.pages("ListTasks", {"cluster": name, "desiredStatus": "RUNNING"}, "taskArns"))
    return {
        "cluster": cluster,
        "services": services,
        "containerInstances": _instances(api, name),
        "tasks": _tasks(api, name, arns[:TASKS_SHOWN]),
        "taskCount": len(arns),
        "explained": {s: _explained(api, name, s) for s in short[:EXPLAINED]},
    }


def _services(api: Api, cluster: str) -> list[Item]:
    arns = list(api.pages("ListServices", {"cluster": cluster}, "serviceArns"))
    found = api.described("DescribeServices", {"cluster": cluster}, "services", arns, at_most=10)
    return sorted(found, key=lambda item: str(item.get("serviceName")))


def _instances(api: Api, cluster: str) -> list[Item]:
    member = "containerInstances"
    arns = list(api.pages("ListContainerInstances", {"cluster": cluster}, "containerInstanceArns"))
    return api.described("DescribeContainerInstances", {"cluster": cluster}, member, arns, at_most=100)


def _tasks(api: Api, cluster: str, arns: list[str]) -> list[Item]:
    found = api.described("DescribeTasks", {"cluster": cluster}, "tasks", arns, at_most=100)
    return sorted(found, key=lambda task: (str(task.get("group")), -float(task.get("createdAt") or 0)))


def _explained(api: Api, cluster: str, service: str) -> Item | None:
    """What the control plane says of a service; None when it went away while we looked."""
    try:
        return api.own("ExplainService", {"cluster": cluster, "service": service})
    except AwsError as error:
        if error.code == "ServiceNotFoundException":
            return None
        raise


def _service(api: Api, cluster: str, name: str) -> Item:
    found = api.ecs("DescribeServices", {"cluster": cluster, "services": [name]}).get("services") or []
    if not found:
        raise Failure(
            f"there is no service '{name}' in cluster '{cluster}' ('moorwatch status' lists them; --cluster "
            "looks in another)"
        )
    live = list(api.pages("ListTasks", {"cluster": cluster, "serviceName": name}, "taskArns"))
    ended = {"cluster": cluster, "serviceName": name, "desiredStatus": "STOPPED"}
    stopped = list(api.pages("ListTasks", ended, "taskArns"))[:TASKS_SHOWN]
    arns = list(dict.fromkeys([*live[:TASKS_SHOWN], *stopped]))
    explained = _explained(api, cluster, name)
    return {"service": found[0], "tasks": _tasks(api, cluster, arns), "explained": explained}


# -- drawing -----------------------------------------------------------------------------------------------


def overview(clusters: list[Item], now: float) -> list[str]:
    """The lines of `status` for everything."""
    if not clusters:
        return ["no cluster yet; create one with: aws ecs create-cluster"]
    lines: list[str] = []
    for item in clusters:
        lines += [*_cluster_lines(item, now), ""]
    return lines[:-1]


def _cluster_lines(item: Item, now: float) -> list[str]:
    connected = sum(1 for i in item["containerInstances"] if i.get("agentConnected"))
    total = len(item["containerInstances"])
    agents = f"{connected} of {total} container instances connected"
    if not total:
        agents = "no container instance of its own (shared ones are used, if any)"
    title = f"cluster {render.strong(render.plain(item['cluster']['clusterName']))}"
    lines = [f"{title}  {agents if total and connected == total else render.bad(agents)}"]
    if not item["services"]:
        lines.append("  no services")
    else:
        header = ("SERVICE", "RUNNING", "PENDING", "TASK DEFINITION", "DEPLOYMENT")
        lines += render.table([_service_row(s) for s in item["services"]], header)
    for name, explained in item["explained"].items():
        if explained is not None:
            lines.append(f"  {render.warn('!')} {render.plain(name)}: {_explained_line(explained, now)}")
    if item["tasks"]:
        lines += ["", *_task_table(item["tasks"], now)]
    if item["taskCount"] > len(item["tasks"]):
        lines.append(
            f"  … and {item['taskCount'] - len(item['tasks'])} more tasks ('moorwatch status SERVICE')"
        )
    return lines


def _service_row(service: Item) -> tuple[str, ...]:
    deployments = service.get("deployments") or [{}]
    state = str(deployments[0].get("rolloutState") or deployments[0].get("status") or "-")
    failed = sum(int(d.get("failedTasks") or 0) for d in deployments)
    status_word = str(service.get("status", "ACTIVE"))
    note = f"{state}{f', {failed} failed tasks' if failed else ''}"
    return (
        render.plain(service["serviceName"]) + ("" if status_word == "ACTIVE" else f" ({status_word})"),
        _bar(service),
        str(service.get("pendingCount", 0)),
        render.last_part(str(service.get("taskDefinition", "-"))),
        render.bad(note) if failed or state == "FAILED" else note,
    )


def _bar(counts: Item) -> str:
    running, desired = int(counts.get("runningCount", 0)), int(counts.get("desiredCount", 0))
    text = f"{render.bar(running, desired)} {running}/{desired}"
    return render.bad(text) if running < desired else render.good(text)


def _explained_line(explained: Item, now: float) -> str:
    sentence = render.plain(explained.get("sentence") or "fewer tasks run than desired")
    wait = _next_try(explained.get("service") or {}, now)
    return f"{sentence}{f' ({wait})' if wait else ''}"


def _next_try(service: Item, now: float) -> str:
    retry_at = service.get("retryAt")
    if not isinstance(retry_at, int | float) or retry_at <= now:
        return ""
    return f"next start in {render.duration(retry_at - now)}"


def _task_table(tasks: list[Item], now: float) -> list[str]:
    rows = []
    for task in tasks:
        last = str(task.get("lastStatus", "-"))
        health = str(task.get("healthStatus") or "UNKNOWN")
        began = task.get("startedAt") or task.get("createdAt")
        rows.append(
            (
                render.last_part(str(task["taskArn"])),
                render.plain(task.get("group") or "-"),
                render.last_part(str(task.get("taskDefinitionArn", "-"))),
                _coloured(last),
                _HEALTH.get(health, "-"),
                render.age(began, now),
            )
        )
    return render.table(rows, ("TASK", "GROUP", "TASK DEFINITION", "STATUS", "HEALTH", "SINCE"))


def _coloured(last_status: str) -> str:
    if last_status == "RUNNING":
        return render.good(last_status)
    return render.bad(last_status) if last_status == "STOPPED" else render.warn(last_status)


def in_depth(one: Item, now: float) -> list[str]:
    """The lines of `status SERVICE`."""
    service, explained = one["service"], one["explained"] or {}
    cluster = render.last_part(str(service.get("clusterArn", "")))
    name = render.strong(render.plain(service["serviceName"]))
    lines = [
        f"service {name} in cluster {cluster}: {service.get('status')}",
        f"  {_bar(service)} running, {service.get('pendingCount', 0)} pending",
    ]
    if explained.get("sentence"):
        lines.append(f"  {_explained_line(explained, now)}")
    lines += ["", *_deployment_table(service.get("deployments") or [], now)]
    if groups := explained.get("stoppedByReason"):
        lines += ["", *stopped_table(groups, now)]
    if one["tasks"]:
        lines += ["", *_task_table(one["tasks"], now)]
    return lines


def _deployment_table(deployments: list[Item], now: float) -> list[str]:
    rows = [
        (
            str(d.get("status", "-")),
            render.last_part(str(d.get("taskDefinition", "-"))),
            _bar(d),
            str(d.get("pendingCount", 0)),
            str(d.get("failedTasks", 0)),
            str(d.get("rolloutState", "-")),
            render.age(d.get("createdAt"), now),
        )
        for d in deployments
    ]
    header = ("DEPLOYMENT", "TASK DEFINITION", "RUNNING", "PENDING", "FAILED", "ROLLOUT", "SINCE")
    return render.table(rows, header)


def stopped_table(groups: list[Item], now: float) -> list[str]:
    """Stopped tasks by reason, as ExplainService groups them."""
    rows = [
        (
            str(group.get("count", 0)),
            render.shortened(render.plain(group.get("reason") or "-")),
            "-" if group.get("exitCode") is None else str(group["exitCode"]),
            render.age(group.get("lastAt"), now),
            " ".join(str(task)[:12] for task in (group.get("tasks") or ())[:3]),
        )
        for group in groups
    ]
    return render.table(rows, ("STOPPED", "REASON", "EXIT", "LAST", "TASKS"))
