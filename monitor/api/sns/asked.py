"""What requests of SNS have in common."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from monitor.api.operation import Context, Params
from monitor.model import arn as arns
from monitor.model.errors import ClientFault
from monitor.model.state import State
from monitor.model.topic import Subscription, Topic

SERVICE = "sns"
MOST_TOPICS, PAGE = 10_000, 100


def invalid(text: str) -> ClientFault:
    return ClientFault("InvalidParameter", text)


def nothing(_: State) -> dict[str, Any]:
    return {}


def own_topics(ctx: Context) -> list[Topic]:
    return sorted(
        (t for t in ctx.state.topics.values() if arns.scope_of(t.arn) == ctx.scope), key=lambda t: t.arn
    )


def topic_of(ctx: Context, arn: str) -> Topic:
    """Raises InvalidParameter, NotFound."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "sns"]:
        raise invalid("Invalid parameter: TopicArn")
    topic = ctx.state.topics.get(arn)
    if topic is None or arns.scope_of(arn) != ctx.scope:
        raise ClientFault("NotFound", "Topic does not exist", 404)
    return topic


def subscription_of(ctx: Context, arn: str) -> Subscription:
    """Raises InvalidParameter, NotFound."""
    parts = arn.split(":")
    if len(parts) != 7 or parts[:3] != ["arn", "aws", "sns"]:
        raise invalid("Invalid parameter: SubscriptionArn Reason: an ARN must have at least 6 elements")
    found = ctx.state.subscriptions.get(arn)
    if found is None or arns.scope_of(arn) != ctx.scope:
        raise ClientFault("NotFound", "Subscription does not exist", 404)
    return found


def subscribed(state: State, topic_arn: str) -> list[Subscription]:
    return [s for s in state.subscriptions.values() if s.topic_arn == topic_arn]


def paged(keys: list[str], params: Params) -> tuple[list[str], dict[str, str]]:
    """100 a page, and the token of the next. Raises InvalidParameter."""
    token = params.get("NextToken")
    if token:
        try:
            after = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
        except (ValueError, binascii.Error) as error:
            raise invalid("Invalid parameter: NextToken Reason: it is not one that was given") from error
        keys = [key for key in keys if key > after]
    page = keys[:PAGE]
    if len(keys) <= PAGE:
        return page, {}
    return page, {"NextToken": base64.urlsafe_b64encode(page[-1].encode()).decode()}
