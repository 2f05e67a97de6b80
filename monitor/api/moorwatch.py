"""Operations ECS has no word for: ExplainTask, ExplainService, ListEvents (target prefix Moorwatch_20261101).

Plain JSON without a service model, authenticated and scoped like every other call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from monitor.api import explain
from monitor.api.announce import envelope
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model import arn as arns
from monitor.model.errors import invalid_parameter, service_not_found
from monitor.model.event import Event
from monitor.model.state import State

EVENTS_PAGE = 1000
LONGEST_WAIT_SECONDS = 20


def _text(params: Params, name: str, required: bool = False) -> str:
    value = params.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > 2048:
        raise invalid_parameter(f"{name} must be a string.")
    return value


def _number(params: Params, name: str, default: int, most: int) -> int:
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise invalid_parameter(f"{name} must be a whole number from 0 to {most}.")
    return value


@operation("moorwatch", "ExplainTask")
def explain_task(ctx: Context, params: Params) -> Outcome:
    """`task` is an id, the first characters of one, or an ARN."""
    cluster = ctx.cluster(_text(params, "cluster"))
    text = _text(params, "task", required=True)
    if arns.is_arn(text) or arns.is_task_id(text):
        task = ctx.state.tasks.get(ctx.task_arn(cluster, text))
    else:
        prefix = arns.task(ctx.scope, cluster.name, text)
        matches = [t for t in ctx.state.tasks_of(cluster.arn) if t.arn.startswith(prefix)] if text else []
        if len(matches) > 1:
            raise invalid_parameter(f"{text!r} names {len(matches)} tasks: give more characters of the id.")
        task = matches[0] if matches else None
    if task is None or task.cluster_arn != cluster.arn:
        raise invalid_parameter("The referenced task was not found.")
    return answer(explain.task(ctx.state, task, ctx.now))


@operation("moorwatch", "ExplainService")
def explain_service(ctx: Context, params: Params) -> Outcome:
    cluster = ctx.cluster(_text(params, "cluster"))
    service = ctx.state.services.get(ctx.service_arn(cluster, _text(params, "service", required=True)))
    if service is None or service.cluster_arn != cluster.arn:
        raise service_not_found()
    return answer(explain.service(ctx.state, service, ctx.now))


@operation("moorwatch", "ListEvents")
def list_events(ctx: Context, params: Params) -> Outcome:
    """Events after a sequence number, oldest first; without `after` the newest. `last` is where to go on.

    `cluster`, `service`, `task` and `detailType` narrow them down. `waitSeconds`: with `after`, hold the answer back
    until there is one, at most so long. `format` eventbridge: EventBridge's envelopes, of those ECS publishes.
    """
    limit = _number(params, "limit", 100, EVENTS_PAGE) or 1
    after = _number(params, "after", 0, 2**53)
    wait = _number(params, "waitSeconds", 0, LONGEST_WAIT_SECONDS)
    as_envelopes = _text(params, "format") == "eventbridge"
    wanted = _filter(ctx, params, as_envelopes)
    found: list[Event] = []
    for event in reversed(ctx.state.events):
        if event.seq <= after or (len(found) >= limit and not after):
            break
        if wanted(event):
            found.append(event)
    found.reverse()
    chunk = found[:limit]
    last = max(chunk[-1].seq if len(found) > limit else ctx.state.seq, after)
    shown = [{"seq": e.seq, **envelope(e)} if as_envelopes else _event(e) for e in chunk]
    missed = _missed(ctx.state, after)
    body = {"events": shown, "last": last, **({"missed": missed} if missed else {})}
    if not wait or not after or chunk:
        return Outcome(lambda _: body, missed_events=missed)

    def is_ready(state: State) -> bool:
        newer = itertools.takewhile(lambda e: e.seq > after, reversed(state.events))
        return any(wanted(e) for e in newer)

    return Outcome(lambda _: body, is_ready=is_ready, wait_seconds=float(wait))


def _missed(state: State, after: int) -> int:
    """Events after `after` that have left memory: the reader was too slow, or away."""
    oldest = state.events[0].seq if state.events else state.seq + 1
    return max(0, oldest - after - 1) if after and after <= state.seq else 0


def _filter(ctx: Context, params: Params, is_published: bool) -> Callable[[Event], bool]:
    cluster, service = _text(params, "cluster"), _text(params, "service")
    task, detail_type = _text(params, "task"), _text(params, "detailType")
    cluster_arn = ctx.cluster(cluster).arn if cluster else ""

    def wanted(event: Event) -> bool:
        return (
            arns.scope_of(event.cluster_arn or event.subject) == ctx.scope
            and cluster_arn in ("", event.cluster_arn)
            and service in ("", arns.short(event.service_arn), event.service_arn)
            and (not task or arns.short(event.task_arn).startswith(arns.short(task)))
            and detail_type in ("", event.detail_type)
            and (event.detail_type != "" or not is_published)
        )

    return wanted


def _event(e: Event) -> dict[str, Any]:
    return {
        "seq": e.seq,
        "at": e.at,
        "kind": e.kind,
        "cluster": arns.short(e.cluster_arn) if e.cluster_arn else "",
        "service": arns.short(e.service_arn) if e.service_arn else "",
        "task": arns.short(e.task_arn) if e.task_arn else "",
        "message": e.message,
    }
