"""What subscribers are sent (SNS developer guide, "Parsing message formats", "Subscription filter policies"). Pure.

Amazon signs its messages with a key of its own, which nobody else has: ours carry no signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from monitor.model.topic import BY_BODY, Subscription
from monitor.rules import event_pattern, json_text


def is_wanted(subscription: Subscription, message: str, attributes: Mapping[str, Any]) -> bool:
    """`attributes`: name → {"Type", "Value"}."""
    if not subscription.filter_policy:
        return True
    pattern = event_pattern.parse(subscription.filter_policy)
    if subscription.filter_scope != BY_BODY:
        return pattern.matches({name: _plain(value) for name, value in attributes.items()})
    try:
        body = json_text.loads(message)
    except ValueError:
        return False
    return isinstance(body, dict) and pattern.matches(body)


def _plain(attribute: Mapping[str, Any]) -> Any:
    kind, value = str(attribute.get("Type", "")), attribute.get("Value", "")
    if kind.startswith(("Number", "String.Array")):
        try:
            return json_text.loads(str(value))
        except ValueError:
            return value
    return value


def notification(
    subscription: Subscription, message: str, about: Mapping[str, str], sent_at: float, unsubscribe_url: str
) -> dict[str, Any]:
    """The envelope. `about`: MessageId, and Subject and attributes (JSON) where there are any."""
    body: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": about.get("MessageId", ""),
        "TopicArn": subscription.topic_arn,
    }
    if about.get("Subject"):
        body["Subject"] = about["Subject"]
    body |= {"Message": message, "Timestamp": _time(sent_at), "UnsubscribeURL": unsubscribe_url}
    if about.get("attributes"):
        body["MessageAttributes"] = json.loads(about["attributes"])
    return body


def confirmation(subscription: Subscription, message_id: str, sent_at: float, url: str) -> dict[str, Any]:
    return {
        "Type": "SubscriptionConfirmation",
        "MessageId": message_id,
        "Token": subscription.token,
        "TopicArn": subscription.topic_arn,
        "Message": f"You have chosen to subscribe to the topic {subscription.topic_arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message.",
        "SubscribeURL": url,
        "Timestamp": _time(sent_at),
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
