"""Rules and their targets (EventBridge API reference)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.api.events.asked import (
    DEFAULT_BUS,
    SERVICE,
    check_bus,
    check_name,
    missing,
    nothing,
    paged,
    rule_of,
    validation,
)
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model import arn as arns
from monitor.model.errors import AwsError, ClientFault
from monitor.model.rule import DISABLED, ENABLED, Rule, Target, arn
from monitor.model.state import Drop, Put
from monitor.rules import event_pattern, routing, schedule
from monitor.rules.schedule import At

_RATE = re.compile(r"rate\((\d+) \w+\)")
MOST_RULES, MOST_TARGETS, MOST_AT_ONCE = 1000, 5, 100
TARGET_KINDS = {
    "sns": "a topic",
    "logs": "a log group",
    "ecs": "a cluster, with EcsParameters",
    "events": "an API destination",
}


def _own(ctx: Context) -> dict[str, Rule]:
    return {r.name: r for r in ctx.state.rules.values() if arns.scope_of(r.arn) == ctx.scope}


@operation(SERVICE, "PutRule")
def put_rule(ctx: Context, params: Params) -> Outcome:
    """Targets and tags of a known rule stay."""
    name = check_name(params["Name"])
    check_bus(ctx, params.get("EventBusName"))
    pattern, timing = params.get("EventPattern") or "", params.get("ScheduleExpression") or ""
    if not pattern and not timing:
        raise validation("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if pattern:
        event_pattern.parse(pattern)
    if timing:
        _check_schedule(timing)
    known = ctx.state.rules.get(arn(ctx.scope, "rule", name))
    if known is None and len(_own(ctx)) >= MOST_RULES:
        raise ClientFault("LimitExceededException", f"The maximum of {MOST_RULES} rules has been reached.")
    made = Rule(
        arn(ctx.scope, "rule", name),
        name,
        known.created_at if known and known.schedule == timing else ctx.now,
        pattern,
        timing,
        params.get("State") or ENABLED,
        params.get("Description") or "",
        params.get("RoleArn") or "",
        known.targets if known else (),
        known.fired_at if known and known.schedule == timing else ctx.now // 60 * 60,
        known.tags if known else {tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()},
    )
    return Outcome(lambda _: {"RuleArn": made.arn}, (Put(made),))


def _check_schedule(text: str) -> None:
    try:
        found = schedule.parse(text)
    except AwsError as error:
        raise validation("Parameter ScheduleExpression is not valid.") from error
    # at(…) is the Scheduler's; rate(1 minutes) and rate(5 minute) are nobody's.
    rate = _RATE.fullmatch(text)
    if isinstance(found, At) or (rate is not None and (int(rate[1]) == 1) == text.endswith("s)")):
        raise validation("Parameter ScheduleExpression is not valid.")


@operation(SERVICE, "DescribeRule")
def describe_rule(ctx: Context, params: Params) -> Outcome:
    rule = rule_of(ctx, params["Name"], params.get("EventBusName"))
    return answer({**_view(rule), "CreatedBy": ctx.scope.account})


def _view(rule: Rule) -> dict[str, Any]:
    shown = {
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern,
        "ScheduleExpression": rule.schedule,
        "State": rule.state,
        "Description": rule.description,
        "RoleArn": rule.role_arn,
        "EventBusName": DEFAULT_BUS,
    }
    return {name: value for name, value in shown.items() if value}


@operation(SERVICE, "ListRules")
def list_rules(ctx: Context, params: Params) -> Outcome:
    check_bus(ctx, params.get("EventBusName"))
    own, prefix = _own(ctx), params.get("NamePrefix") or ""
    page, token = paged([name for name in own if name.startswith(prefix)], params)
    return answer({"Rules": [_view(own[name]) for name in page], **token})


@operation(SERVICE, "DeleteRule")
def delete_rule(ctx: Context, params: Params) -> Outcome:
    """A rule that is not there is no error; one with targets has to lose them first."""
    check_bus(ctx, params.get("EventBusName"))
    rule = ctx.state.rules.get(arn(ctx.scope, "rule", params["Name"]))
    if rule is None:
        return answer({})
    if rule.targets:
        raise validation("Rule can't be deleted since it has targets.")
    return Outcome(nothing, (Drop(rule),))


@operation(SERVICE, "EnableRule")
def enable_rule(ctx: Context, params: Params) -> Outcome:
    rule = rule_of(ctx, params["Name"], params.get("EventBusName"))
    # What was due while it was disabled is not made up for.
    return Outcome(nothing, (Put(replace(rule, state=ENABLED, fired_at=ctx.now // 60 * 60)),))


@operation(SERVICE, "DisableRule")
def disable_rule(ctx: Context, params: Params) -> Outcome:
    rule = rule_of(ctx, params["Name"], params.get("EventBusName"))
    return Outcome(nothing, (Put(replace(rule, state=DISABLED)),))


# -- targets -------------------------------------------------------------------------------------------------


@operation(SERVICE, "PutTargets")
def put_targets(ctx: Context, params: Params) -> Outcome:
    """Each target by its id, anew or in place of the known one. All or none."""
    rule = rule_of(ctx, params["Rule"], params.get("EventBusName"))
    given = params["Targets"]
    if len({t["Id"] for t in given}) != len(given):
        raise validation("Target ids must be unique.")
    targets = {t.id: t for t in rule.targets}
    for one in given:
        _check_target(one)
        targets[one["Id"]] = Target(one["Id"], one["Arn"], dict(one))
    if len(targets) > MOST_TARGETS:
        raise ClientFault(
            "LimitExceededException",
            f"The requested resource exceeds the maximum number allowed: {MOST_TARGETS}",
        )
    body = {"FailedEntryCount": 0, "FailedEntries": []}
    return Outcome(lambda _: body, (Put(replace(rule, targets=tuple(targets.values()))),))


def _check_target(given: Mapping[str, Any]) -> None:
    parts = given["Arn"].split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise validation(
            f"Parameter {given['Arn'][:256]} is not valid. Reason: Provided Arn is not in correct format."
        )
    kind = parts[2]
    is_known = kind in TARGET_KINDS and (kind != "events" or parts[5].startswith("api-destination/"))
    if not is_known:
        told = ", ".join(f"{name} ({service})" for service, name in TARGET_KINDS.items())
        raise validation(
            f"Parameter {given['Arn'][:256]} is not valid. Reason: there is nothing here that could take it; targets "
            f"are {told}."
        )
    if kind == "ecs" and not given.get("EcsParameters"):
        raise validation(f"Parameter EcsParameters is required for target {given['Id']}.")
    letter = (given.get("DeadLetterConfig") or {}).get("Arn") or ""
    if letter and letter.split(":", 3)[2:3] not in (["sns"], ["logs"]):
        raise validation(
            "Parameter DeadLetterConfig.Arn is not valid. Reason: it is a log group or a topic here."
        )
    routing.check_input(given["Id"], given)


@operation(SERVICE, "RemoveTargets")
def remove_targets(ctx: Context, params: Params) -> Outcome:
    rule = rule_of(ctx, params["Rule"], params.get("EventBusName"))
    known = {t.id for t in rule.targets}
    failed = [
        {
            "TargetId": one,
            "ErrorCode": "ResourceNotFoundException",
            "ErrorMessage": f"Target {one} does not exist on the rule.",
        }
        for one in params["Ids"]
        if one not in known
    ]
    left = tuple(t for t in rule.targets if t.id not in params["Ids"])
    body = {"FailedEntryCount": len(failed), "FailedEntries": failed}
    return Outcome(lambda _: body, (Put(replace(rule, targets=left)),))


@operation(SERVICE, "ListTargetsByRule")
def list_targets_by_rule(ctx: Context, params: Params) -> Outcome:
    rule = rule_of(ctx, params["Rule"], params.get("EventBusName"))
    targets = {t.id: t for t in rule.targets}
    page, token = paged(list(targets), params)
    return answer({"Targets": [dict(targets[one].given) for one in page], **token})


@operation(SERVICE, "ListRuleNamesByTarget")
def list_rule_names_by_target(ctx: Context, params: Params) -> Outcome:
    check_bus(ctx, params.get("EventBusName"))
    found = [r.name for r in _own(ctx).values() if any(t.arn == params["TargetArn"] for t in r.targets)]
    page, token = paged(found, params)
    return answer({"RuleNames": page, **token})


# -- tags ----------------------------------------------------------------------------------------------------


def _tagged(ctx: Context, text: str) -> Rule:
    rule = ctx.state.rules.get(text)
    if rule is None or arns.scope_of(rule.arn) != ctx.scope:
        raise missing(f"Resource {text[:256]} does not exist.")
    return rule


@operation(SERVICE, "TagResource")
def tag_resource(ctx: Context, params: Params) -> Outcome:
    rule = _tagged(ctx, params["ResourceARN"])
    tags = dict(rule.tags) | {tag["Key"]: tag["Value"] for tag in params["Tags"]}
    return Outcome(nothing, (Put(replace(rule, tags=tags)),))


@operation(SERVICE, "UntagResource")
def untag_resource(ctx: Context, params: Params) -> Outcome:
    rule = _tagged(ctx, params["ResourceARN"])
    tags = {key: value for key, value in rule.tags.items() if key not in params["TagKeys"]}
    return Outcome(nothing, (Put(replace(rule, tags=tags)),))


@operation(SERVICE, "ListTagsForResource")
def list_tags_for_resource(ctx: Context, params: Params) -> Outcome:
    tags = _tagged(ctx, params["ResourceARN"]).tags
    return answer({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})
