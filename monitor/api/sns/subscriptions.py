"""Subscribe, ConfirmSubscription, Unsubscribe, and what there is of subscriptions (SNS API reference).

An endpoint has to confirm that it wants a topic's messages, or anybody could be flooded with them. Those that cannot be
somebody else's are confirmed at once: addresses of this machine's loopback, and local commands.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.api.sns.asked import SERVICE, invalid, nothing, paged, subscribed, subscription_of, topic_of
from monitor.config import LOOPBACK
from monitor.model import arn as arns
from monitor.model.delivery import Delivery
from monitor.model.errors import AwsError, ClientFault
from monitor.model.state import Change, Drop, Put
from monitor.model.topic import (
    BY_ATTRIBUTES,
    BY_BODY,
    COMMAND,
    EMAIL,
    EMAIL_JSON,
    HTTP,
    HTTPS,
    PROTOCOLS,
    Subscription,
)
from monitor.rules import event_pattern

PENDING = "PendingConfirmation"
MOST_ENDPOINT, MOST_SUBSCRIPTIONS = 2048, 1000  # of a topic
_MAIL = re.compile(r"[^@\s<>\"',;]{1,64}@[^@\s<>\"',;]{1,255}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


@operation(SERVICE, "Subscribe")
def subscribe(ctx: Context, params: Params) -> Outcome:
    topic = topic_of(ctx, params["TopicArn"])
    protocol, endpoint = params["Protocol"], params.get("Endpoint") or ""
    is_local = _check_endpoint(protocol, endpoint)
    settings = _settings(params.get("Attributes") or {})
    found = subscribed(ctx.state, topic.arn)
    known = next((s for s in found if (s.protocol, s.endpoint) == (protocol, endpoint)), None)
    if known is None and len(found) >= MOST_SUBSCRIPTIONS:
        raise ClientFault(
            "SubscriptionLimitExceeded", f"A topic has at most {MOST_SUBSCRIPTIONS} subscriptions.", 403
        )
    if known is not None and known.is_confirmed:
        if any(getattr(known, name) != value for name, value in settings.items()):
            raise invalid(
                "Invalid parameter: Attributes Reason: Subscription already exists with different attributes"
            )
        return answer({"SubscriptionArn": known.arn})
    made = Subscription(
        known.arn if known else f"{topic.arn}:{ctx.ids.uuid()}",
        topic.arn,
        protocol,
        endpoint,
        ctx.ids.hex() + ctx.ids.hex(),
        ctx.now,
        is_confirmed=is_local,
        **settings,
    )
    changes: list[Change] = [Put(made)]
    if not is_local:
        changes.append(Put(_asking(ctx, made)))
    shown = made.arn if is_local or params.get("ReturnSubscriptionArn") else "pending confirmation"
    return Outcome(lambda _: {"SubscriptionArn": shown}, tuple(changes))


def _asking(ctx: Context, made: Subscription) -> Delivery:
    url = f"{ctx.endpoint}/?Action=ConfirmSubscription&TopicArn={made.topic_arn}&Token={made.token}"
    about = {"SubscribeURL": url, "MessageId": ctx.ids.uuid()}
    return Delivery(ctx.ids.uuid(), made.arn, "", ctx.now, ctx.now, origin=made.topic_arn, about=about)


def _check_endpoint(protocol: str, endpoint: str) -> bool:
    """Whether it can be nobody else's. Raises InvalidParameter."""
    if protocol not in PROTOCOLS:
        raise invalid(
            f"Invalid parameter: Amazon SNS protocol {protocol[:32]} is not available here: one of "
            f"[{', '.join(PROTOCOLS)}] is"
        )
    if len(endpoint) > MOST_ENDPOINT or not endpoint.isprintable():
        raise invalid("Invalid parameter: Endpoint")
    if protocol in (HTTP, HTTPS):
        try:
            parts = urlsplit(endpoint)
            host = parts.hostname or ""
            is_whole = bool(host) and parts.scheme == protocol and (parts.port is None or parts.port > 0)
        except ValueError:
            is_whole, host = False, ""
        if not is_whole:
            raise invalid(f"Invalid parameter: Endpoint must match the specified protocol: {protocol}://…")
        return host in LOOPBACK
    if protocol in (EMAIL, EMAIL_JSON):
        if not _MAIL.fullmatch(endpoint):
            raise invalid("Invalid parameter: Email address")
        return False
    if protocol == COMMAND and not _FILE.fullmatch(endpoint):
        raise invalid("Invalid parameter: Endpoint Reason: the name of a file in the folder of hooks_dir")
    return True


def _settings(attributes: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        found |= _setting(name, value)
    if "filter_policy" in found or "filter_scope" in found:
        _check_policy(found.get("filter_policy", ""))
    return found


def _setting(name: str, value: str) -> dict[str, Any]:
    match name:
        case "RawMessageDelivery":
            if value.lower() not in ("true", "false"):
                raise invalid("Invalid parameter: Attributes Reason: RawMessageDelivery: true or false")
            return {"is_raw": value.lower() == "true"}
        case "FilterPolicy":
            return {"filter_policy": "" if value in ("", "{}") else value}
        case "FilterPolicyScope":
            if value not in (BY_ATTRIBUTES, BY_BODY):
                raise invalid(f"Invalid parameter: FilterPolicyScope: {BY_ATTRIBUTES} or {BY_BODY}")
            return {"filter_scope": value}
    raise invalid(
        f"Invalid parameter: AttributeName Reason: {name[:64]} is not one of "
        "[RawMessageDelivery, FilterPolicy, FilterPolicyScope]"
    )


def _check_policy(policy: str) -> None:
    if not policy:
        return
    try:
        event_pattern.parse(policy)
    except AwsError as error:
        raise invalid(f"Invalid parameter: FilterPolicy: {error.message}") from error


@operation(SERVICE, "ConfirmSubscription")
def confirm_subscription(ctx: Context, params: Params) -> Outcome:
    """The token is the authority."""
    topic_arn, token = params["TopicArn"], params["Token"]
    found = next((s for s in subscribed(ctx.state, topic_arn) if s.token == token), None)
    if found is None:
        raise invalid("Invalid parameter: Token")
    body = {"SubscriptionArn": found.arn}
    return Outcome(lambda _: body, () if found.is_confirmed else (Put(replace(found, is_confirmed=True)),))


@operation(SERVICE, "Unsubscribe")
def unsubscribe(ctx: Context, params: Params) -> Outcome:
    arn = params["SubscriptionArn"]
    if arn in (PENDING, "pending confirmation"):
        raise invalid("Invalid parameter: SubscriptionArn Reason: the subscription is not confirmed")
    try:
        found = subscription_of(ctx, arn)
    except ClientFault as error:
        if error.code == "NotFound":
            return answer({})  # it is gone, as was wanted
        raise
    return Outcome(nothing, (Drop(found),))


def _view(s: Subscription) -> dict[str, str]:
    return {
        "SubscriptionArn": s.arn if s.is_confirmed else PENDING,
        "Owner": arns.scope_of(s.arn).account,
        "Protocol": s.protocol,
        "Endpoint": s.endpoint,
        "TopicArn": s.topic_arn,
    }


def _listed(ctx: Context, found: list[Subscription], params: Params) -> Outcome:
    mine = {s.arn: s for s in found if arns.scope_of(s.arn) == ctx.scope}
    page, token = paged(sorted(mine), params)
    return answer({"Subscriptions": [_view(mine[arn]) for arn in page], **token})


@operation(SERVICE, "ListSubscriptions")
def list_subscriptions(ctx: Context, params: Params) -> Outcome:
    return _listed(ctx, list(ctx.state.subscriptions.values()), params)


@operation(SERVICE, "ListSubscriptionsByTopic")
def list_subscriptions_by_topic(ctx: Context, params: Params) -> Outcome:
    return _listed(ctx, subscribed(ctx.state, topic_of(ctx, params["TopicArn"]).arn), params)


@operation(SERVICE, "GetSubscriptionAttributes")
def get_subscription_attributes(ctx: Context, params: Params) -> Outcome:
    s = subscription_of(ctx, params["SubscriptionArn"])
    found = _view(s) | {
        "SubscriptionArn": s.arn,
        "ConfirmationWasAuthenticated": json.dumps(s.is_confirmed),
        "PendingConfirmation": json.dumps(not s.is_confirmed),
        "RawMessageDelivery": json.dumps(s.is_raw),
        "SubscriptionPrincipal": ctx.caller_arn,
    }
    if s.filter_policy:
        found |= {"FilterPolicy": s.filter_policy, "FilterPolicyScope": s.filter_scope}
    return answer({"Attributes": found})


@operation(SERVICE, "SetSubscriptionAttributes")
def set_subscription_attributes(ctx: Context, params: Params) -> Outcome:
    s = subscription_of(ctx, params["SubscriptionArn"])
    changed = replace(s, **_setting(params["AttributeName"], params.get("AttributeValue") or ""))
    _check_policy(changed.filter_policy)
    return Outcome(nothing, (Put(changed),))
