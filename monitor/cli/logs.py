"""`moorwatch logs`: what the containers of a service or task have written, from CloudWatch Logs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click

from monitor.cli import render
from monitor.cli.api import Api
from monitor.cli.events import since
from monitor.cli.session import OK, Failure, begin, cluster_option, state_option
from monitor.clock import SystemClock
from monitor.model.errors import AwsError

MOST, AT_ONCE = 10_000, 100
POLL_SECONDS, LOOK_SECONDS = 1.0, 5.0
MISSING = "ResourceNotFoundException"


@dataclass(frozen=True, slots=True)
class Source:
    """One container's stream. `label`: what tells it from the others."""

    group: str
    stream: str
    label: str


@click.command()
@click.argument("name", metavar="SERVICE|TASK")
@click.option("--follow", "-f", is_flag=True, help="Go on showing lines as they come, until Ctrl-C.")
@click.option("--container", metavar="NAME", help="Only lines of this container.")
@cluster_option
@click.option("--since", "since_text", metavar="TIME", help="Only later ones: 10m, 2h, or an ISO 8601 time.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(0, MOST),
    default=100,
    show_default=True,
    help="At most so many lines.",
)
@state_option
def logs(
    name: str,
    follow: bool,
    container: str | None,
    cluster: str | None,
    since_text: str | None,
    limit: int,
    state: str | None,
) -> int:
    """Show the newest lines of a service's or a task's containers, oldest first; with -f go on.

    NAME is a service, a task's id or the beginning of one. For containers whose log driver is awslogs; of others it
    says where their output is.
    """
    earliest = since(since_text, SystemClock().now())
    session = begin(state)
    api, cluster = session.api(), cluster or session.settings.cluster
    sources, elsewhere = _sources(api, cluster, name, container)
    for told in elsewhere:
        click.echo(told, err=True)
    if not sources and not follow:
        raise Failure(f"no container of {name} logs by awslogs" if elsewhere else f"{name} has no containers")
    places = _show_newest(api, sources, earliest, limit)
    if follow:
        _follow(api, cluster, name, container, places)
    return OK


def _tasks(api: Api, cluster: str, name: str) -> list[dict[str, Any]]:
    """The tasks of the service of that name, else the one task; those that have ended last, too."""
    found = api.ecs("DescribeServices", {"cluster": cluster, "services": [name]})["services"]
    asked: dict[str, Any] = {"cluster": cluster}
    if found and found[0]["status"] != "INACTIVE":
        asked["serviceName"] = name
    arns: list[str] = []
    for status in ("RUNNING", "STOPPED"):
        arns += api.pages("ListTasks", {**asked, "desiredStatus": status}, "taskArns")
    if "serviceName" not in asked:
        arns = [arn for arn in arns if render.last_part(arn).startswith(render.last_part(name))]
        if not arns:
            raise Failure(f"there is no service and no task {name!r} in the cluster {cluster}")
    arns = arns[:AT_ONCE]  # the running ones first
    return api.described("DescribeTasks", {"cluster": cluster}, "tasks", arns, 100)


def _sources(
    api: Api, cluster: str, name: str, container: str | None
) -> tuple[dict[tuple[str, str], Source], list[str]]:
    """(the streams there are to read, what is to be said of the other containers)."""
    sources: dict[tuple[str, str], Source] = {}
    elsewhere: list[str] = []
    definitions: dict[str, dict[str, Any]] = {}
    for task in _tasks(api, cluster, name):
        arn = task["taskDefinitionArn"]
        if arn not in definitions:
            definitions[arn] = api.ecs("DescribeTaskDefinition", {"taskDefinition": arn})["taskDefinition"]
        running = {c["name"]: c for c in task["containers"]}
        for definition in definitions[arn]["containerDefinitions"]:
            if container not in (None, definition["name"]):
                continue
            made = running.get(definition["name"], {})
            source = _source(definition, task, made)
            if source is not None:
                sources[source.group, source.stream] = source
            elif task["lastStatus"] == "RUNNING" and made.get("runtimeId"):
                driver = (definition.get("logConfiguration") or {}).get("logDriver", "Docker's default")
                elsewhere.append(
                    f"{definition['name']} logs by {driver}: see `docker logs {made['runtimeId'][:12]}`"
                )
    return sources, elsewhere


def _source(definition: dict[str, Any], task: dict[str, Any], made: dict[str, Any]) -> Source | None:
    log = definition.get("logConfiguration") or {}
    if log.get("logDriver") != "awslogs":
        return None
    options, task_id = log["options"], render.last_part(task["taskArn"])
    prefix = options.get("awslogs-stream-prefix")
    stream = f"{prefix}/{definition['name']}/{task_id}" if prefix else made.get("runtimeId", "")
    return Source(options["awslogs-group"], stream, f"{task_id[:8]}/{definition['name']}")


def _events(api: Api, source: Source, **asked: Any) -> tuple[list[dict[str, Any]], str | None]:
    """(events, the token to go on with). None while the stream is not there."""
    names = {"logGroupName": source.group, "logStreamName": source.stream}
    try:
        answer = api.logs("GetLogEvents", {**names, **asked})
    except AwsError as error:
        if error.code != MISSING:
            raise
        return [], None
    return answer["events"], answer["nextForwardToken"]


def _show_newest(
    api: Api, sources: dict[tuple[str, str], Source], earliest: float | None, limit: int
) -> dict[tuple[str, str], str | None]:
    asked: dict[str, Any] = {"limit": max(limit, 1)}
    if earliest is not None:
        asked["startTime"] = int(earliest * 1000)
    places: dict[tuple[str, str], str | None] = {}
    lines: list[tuple[dict[str, Any], Source]] = []
    for key, source in sources.items():
        events, places[key] = _events(api, source, **asked)
        lines += [(event, source) for event in events]
    lines.sort(key=lambda line: line[0]["timestamp"])
    _show(lines[len(lines) - min(limit, len(lines)) :], len(sources) > 1)
    return places


def _show(lines: Iterable[tuple[dict[str, Any], Source]], with_label: bool) -> None:
    for event, source in lines:
        at = time.strftime("%H:%M:%S", time.localtime(event["timestamp"] / 1000))
        label = f"{source.label}  " if with_label else ""
        click.echo(f"{at}  {label}{render.plain(event['message'])}")


def _follow(
    api: Api, cluster: str, name: str, container: str | None, places: dict[tuple[str, str], str | None]
) -> None:
    sources, _ = _sources(api, cluster, name, container)
    looked_at = time.monotonic()
    while True:
        time.sleep(POLL_SECONDS)
        if time.monotonic() - looked_at >= LOOK_SECONDS:  # tasks come and go
            sources, _ = _sources(api, cluster, name, container)
            looked_at = time.monotonic()
        lines: list[tuple[dict[str, Any], Source]] = []
        for key, source in sources.items():
            place = places.get(key)
            events, token = _events(
                api, source, **({"nextToken": place} if place else {"startFromHead": True})
            )
            places[key] = token or place
            lines += [(event, source) for event in events]
        lines.sort(key=lambda line: line[0]["timestamp"])
        _show(lines, len(sources) > 1)
