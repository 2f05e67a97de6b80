"""`moorwatch why`: what stopped, why, and what the scheduler did about it, in words."""

from __future__ import annotations

import re
from typing import Any

import click

from monitor.cli import render
from monitor.cli.api import Api
from monitor.cli.session import OK, Failure, begin, cluster_option, json_option, print_json, state_option
from monitor.cli.status import stopped_table
from monitor.clock import SystemClock
from monitor.model.errors import AwsError

Item = dict[str, Any]
EVENTS_SHOWN = 8
_TASK_ID = re.compile(r"[0-9a-f]{4,32}")  # or the beginning of one


@click.command()
@click.argument("subject", metavar="TASK|SERVICE")
@cluster_option
@state_option
@json_option
def why(subject: str, cluster: str | None, state: str | None, as_json: bool) -> int:
    """Say why TASK stopped (or is not running), or how SERVICE is doing and why.

    TASK is a task id, the beginning of one (4 characters or more) or an ARN; SERVICE a name or an ARN. Shows the
    cause, exit codes and signals in words, memory at death against the limit, the last lines of the log, what
    the scheduler did next and when. Exit code 1 when there is no such task or service.
    """
    session = begin(state)
    api, now = session.api(), SystemClock().now()
    where = cluster or _cluster_of(subject) or session.settings.cluster
    kind, answer = explain(api, where, subject)
    if as_json:
        print_json({"kind": kind, **answer})
        return OK
    lines = task_lines(answer, now) if kind == "task" else service_lines(answer, now)
    click.echo("\n".join(lines))
    return OK


# -- asking ------------------------------------------------------------------------------------------------


def explain(api: Api, cluster: str, subject: str) -> tuple[str, Item]:
    """("task" or "service", what the control plane says). Raises Failure when there is neither."""
    is_service_arn = subject.startswith("arn:") and ":service/" in subject
    if not is_service_arn and (subject.startswith("arn:") or _TASK_ID.fullmatch(subject)):
        try:
            return "task", api.own("ExplainTask", {"cluster": cluster, "task": subject})
        except AwsError as error:
            if "not found" not in error.message:
                raise
    elif not is_service_arn and "/" in subject:
        raise Failure(f"'{subject}' is neither a name, an id nor an ARN")
    try:
        return "service", api.own(
            "ExplainService", {"cluster": cluster, "service": render.last_part(subject)}
        )
    except AwsError as error:
        if error.code != "ServiceNotFoundException":
            raise
    raise Failure(
        f"there is no task or service '{subject}' in cluster '{cluster}' ('moorwatch status' lists them; "
        "--cluster looks in another)"
    )


def _cluster_of(subject: str) -> str | None:
    """The cluster in the long form of a task's or service's ARN."""
    parts = subject.split(":", 5)[-1].split("/") if subject.startswith("arn:") else []
    return parts[1] if len(parts) == 3 else None


# -- drawing -----------------------------------------------------------------------------------------------


def task_lines(answer: Item, now: float) -> list[str]:
    """What ExplainTask says, for people."""
    task = answer["task"]
    name = render.last_part(str(task["taskArn"]))
    code = f", {task['stopCode']}" if task.get("stopCode") else ""
    family = render.last_part(str(task.get("taskDefinitionArn", "")))
    about = ", ".join(part for part in (family, render.plain(task.get("group") or "standalone")) if part)
    lines = [
        f"task {render.strong(name)} ({about}): {task.get('lastStatus')}{code}",
        "",
        f"  {render.strong(render.plain(answer.get('cause') or 'no cause is known'))}",
    ]
    for container in answer.get("containers") or ():
        lines += ["", *_container_lines(container, now)]
    lines += _next_lines(answer, now)
    if timeline := answer.get("timeline"):
        lines += ["", "  timeline"]
        lines += [
            f"    {render.clock(step.get('at'), now)}  {render.plain(step.get('what'))}" for step in timeline
        ]
    return lines


def _container_lines(container: Item, now: float) -> list[str]:
    lines = [f"  container {render.strong(render.plain(container.get('name')))}: {_ending(container)}"]
    if container.get("reason"):
        lines.append(f"    {render.plain(container['reason'])}")
    if memory := _memory(container):
        lines.append(f"    {memory}")
    began, ended = container.get("startedAt"), container.get("finishedAt")
    if began is not None and ended is not None:
        span = f"{render.clock(began, now)} to {render.clock(ended, now)}"
        lines.append(f"    ran {render.duration(ended - began)}, {span}")
    elif began is not None:
        lines.append(f"    runs since {render.clock(began, now)}")
    if container.get("healthOutput"):
        lines.append(f"    last health check: {render.plain(container['healthOutput'])}")
    if tail := container.get("logTail"):
        lines.append("    last lines of its log:")
        lines += [f"      {render.weak('|')} {render.plain(line)}" for line in tail]
    return lines


def _ending(container: Item) -> str:
    code, meaning = container.get("exitCode"), render.plain(container.get("meaning") or "")
    if code is None:
        return meaning or "has no exit code"
    words = ": ".join(word for word in (render.plain(container.get("signal") or ""), meaning) if word)
    text = f"exit code {code}{f' ({words})' if words else ''}"
    if container.get("oomKilled") and "memory" not in meaning.lower():
        text += ", killed for want of memory"
    return render.good(text) if code == 0 else render.bad(text)


def _memory(container: Item) -> str:
    """Memory at death against the limit: what a 137 has to be judged by."""
    at_death, peak = container.get("memoryAtDeathBytes"), container.get("memoryPeakBytes")
    limit = container.get("memoryLimitBytes") or None
    if at_death is None and peak is None:
        return ""
    parts = [f"memory at death {render.size(at_death)}"] if at_death is not None else []
    if peak is not None:
        parts.append(f"peak {render.size(peak)}")
    parts.append(f"limit {render.size(limit)}" if limit else "no limit")
    text = ", ".join(parts)
    most = max(value for value in (at_death, peak, 0) if value is not None)
    return render.bad(text) if limit and most >= 0.95 * limit else text


def _next_lines(answer: Item, now: float) -> list[str]:
    lines = [f"    {render.plain(sentence)}" for sentence in answer.get("next") or ()]
    successor = answer.get("replacedBy") or {}
    name = render.last_part(str(successor.get("taskArn", "")))
    if name and not any(name in line for line in lines):
        since = f" since {render.clock(successor['startedAt'], now)}" if successor.get("startedAt") else ""
        lines.append(f"    replaced by task {name}, {successor.get('lastStatus')}{since}")
    return ["", "  what happened next", *lines] if lines else []


def service_lines(answer: Item, now: float) -> list[str]:
    """What ExplainService says, for people."""
    service = answer["service"]
    running, desired = int(service.get("running") or 0), int(service.get("desired") or 0)
    counts = (
        f"{render.bar(running, desired)} {running}/{desired} running, {service.get('pending', 0)} pending"
    )
    lines = [
        f"service {render.strong(render.plain(service.get('name')))}",
        f"  {render.bad(counts) if running < desired else render.good(counts)}",
        "",
        f"  {render.strong(render.plain(answer.get('sentence') or 'nothing is known'))}",
    ]
    retry_at = service.get("retryAt")
    if isinstance(retry_at, int | float) and retry_at > now:
        lines.append(
            f"  {service.get('failedTasks', 0)} tasks failed; back-off {render.duration(service['backoffSeconds'])}, "
            f"next start in {render.duration(retry_at - now)}"
        )
    lines += [f"  {render.plain(sentence)}" for sentence in answer.get("next") or ()]
    if groups := answer.get("stoppedByReason"):
        lines += ["", *stopped_table(groups, now)]
    if last := answer.get("lastStopped"):
        lines += ["", "  the last task that stopped:", *(f"  {line}" for line in task_lines(last, now))]
    if events := sorted(answer.get("events") or (), key=lambda event: -float(event["at"])):
        lines += ["", "  events, newest first"]
        lines += [
            f"    {render.clock(event['at'], now)}  {render.plain(event.get('message'))}"
            for event in events[:EVENTS_SHOWN]
        ]
    return [line.rstrip() for line in lines]
