"""Publish, PublishBatch (SNS API reference): one delivery for each subscription that wants the message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from monitor.api.operation import Context, Ids, Outcome, Params, operation
from monitor.api.sns.asked import SERVICE, invalid, subscribed, topic_of
from monitor.model.delivery import Delivery
from monitor.model.errors import AwsError, ClientFault
from monitor.model.state import Change, Put, State
from monitor.model.topic import EMAIL, EMAIL_JSON
from monitor.rules import json_text
from monitor.rules.notification import is_wanted

MOST_BYTES, MOST_SUBJECT, MOST_BATCH = 256 * 1024, 100, 10


@operation(SERVICE, "Publish")
def publish(ctx: Context, params: Params) -> Outcome:
    """Answered when the message is on disk."""
    arn = params.get("TopicArn") or params.get("TargetArn") or ""
    if not arn:
        raise invalid(
            "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter"
            if not params.get("PhoneNumber")
            else "Invalid parameter: PhoneNumber Reason: text messages are not available: publish to a topic"
        )
    topic = topic_of(ctx, arn)
    message_id, changes = _published(ctx, topic.arn, params)
    return Outcome(lambda _: {"MessageId": message_id}, tuple(changes))


@operation(SERVICE, "PublishBatch")
def publish_batch(ctx: Context, params: Params) -> Outcome:
    topic = topic_of(ctx, params["TopicArn"])
    entries = params["PublishBatchRequestEntries"]
    if not entries:
        raise ClientFault("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > MOST_BATCH:
        raise ClientFault(
            "TooManyEntriesInBatchRequest", f"The batch request contains more than {MOST_BATCH} entries."
        )
    if len({entry["Id"] for entry in entries}) != len(entries):
        raise ClientFault("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.")
    if sum(_size(entry) for entry in entries) > MOST_BYTES:
        raise ClientFault("BatchRequestTooLong", f"The batch is longer than {MOST_BYTES} bytes.")
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    changes: list[Change] = []
    for entry in entries:
        try:
            message_id, more = _published(ctx, topic.arn, entry)
        except AwsError as error:
            bad.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True})
            continue
        changes += more
        good.append({"Id": entry["Id"], "MessageId": message_id})
    return Outcome(lambda _: {"Successful": good, "Failed": bad}, tuple(changes))


def _size(entry: Mapping[str, Any]) -> int:
    attributes = entry.get("MessageAttributes") or {}
    values = sum(
        len(name) + len(a.get("StringValue") or "") + len(a.get("DataType") or "")
        for name, a in attributes.items()
    )
    return len(entry["Message"].encode()) + values


def _published(ctx: Context, topic_arn: str, entry: Mapping[str, Any]) -> tuple[str, list[Change]]:
    message, subject = entry["Message"], entry.get("Subject")
    if not message:
        raise invalid("Invalid parameter: Empty message")
    if _size(entry) > MOST_BYTES:
        raise invalid("Invalid parameter: Message too long")
    if subject is not None and (
        not 1 <= len(subject) <= MOST_SUBJECT or not subject.isascii() or not subject.isprintable()
    ):
        raise invalid("Invalid parameter: Subject")
    structure = entry.get("MessageStructure")
    if structure not in (None, "", "json"):
        raise invalid("Invalid parameter: MessageStructure Reason: it is json or not given")
    about = {"MessageId": ctx.ids.uuid()}
    if subject:
        about["Subject"] = subject
    if structure == "json":
        about["structure"] = "json"
        _by_protocol(message)
    attributes = {name: _attribute(name, a) for name, a in (entry.get("MessageAttributes") or {}).items()}
    if attributes:
        about["attributes"] = json.dumps(attributes, ensure_ascii=False)
    return about["MessageId"], fan_out(ctx.state, topic_arn, message, about, ctx.now, ctx.ids)


def _by_protocol(message: str) -> dict[str, str]:
    try:
        found = json_text.loads(message)
    except ValueError as error:
        raise invalid("Invalid parameter: Message Structure - JSON message body failed to parse") from error
    if not isinstance(found, dict) or not isinstance(found.get("default"), str):
        raise invalid("Invalid parameter: Message Structure - No default entry in JSON message body")
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _attribute(name: str, given: Mapping[str, Any]) -> dict[str, str]:
    kind, value = given["DataType"], given.get("StringValue")
    if kind.startswith("Binary"):
        raise invalid(f"Invalid parameter: the message attribute '{name[:64]}' is Binary: only text is kept")
    if not value:
        raise invalid(
            f"The message attribute '{name[:64]}' must contain non-empty message attribute value for message "
            f"attribute type '{kind[:64]}'."
        )
    return {"Type": kind, "Value": value}


def fan_out(
    state: State, topic_arn: str, message: str, about: Mapping[str, str], now: float, ids: Ids
) -> list[Change]:
    """A delivery for each confirmed subscription whose filter policy lets the message through."""
    attributes = json.loads(about["attributes"]) if about.get("attributes") else {}
    by_protocol = _by_protocol(message) if about.get("structure") else {}
    shared = {name: value for name, value in about.items() if name != "structure"}
    shared.setdefault("MessageId", ids.uuid())
    changes: list[Change] = []
    for subscription in subscribed(state, topic_arn):
        text = by_protocol.get(subscription.protocol) or by_protocol.get("default") or message
        if subscription.protocol == EMAIL_JSON and EMAIL_JSON not in by_protocol:
            text = by_protocol.get(EMAIL) or text
        if subscription.is_confirmed and is_wanted(subscription, message, attributes):
            made = Delivery(ids.uuid(), subscription.arn, text, now, now, origin=topic_arn, about=shared)
            changes.append(Put(made))
    return changes
