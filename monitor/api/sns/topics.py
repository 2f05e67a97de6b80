"""CreateTopic, DeleteTopic, ListTopics, Get/SetTopicAttributes, and tags of topics (SNS API reference)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.api.sns.asked import (
    MOST_TOPICS,
    SERVICE,
    invalid,
    nothing,
    own_topics,
    paged,
    subscribed,
    topic_of,
)
from monitor.model.errors import ClientFault
from monitor.model.state import Drop, Put
from monitor.model.topic import Topic, topic_arn

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SETTABLE = ("DisplayName", "Policy", "DeliveryPolicy")
MOST_TAGS, MOST_VALUE = 50, 30_720


@operation(SERVICE, "CreateTopic")
def create_topic(ctx: Context, params: Params) -> Outcome:
    """A topic that is there already is the answer, unless it has other attributes or tags."""
    name = params["Name"]
    if name.endswith(".fifo"):
        raise invalid("Invalid parameter: Topic Name: FIFO topics are not available: use a standard topic")
    if not _NAME.fullmatch(name):
        raise invalid("Invalid parameter: Topic Name")
    attributes = {key: _checked(key, value) for key, value in (params.get("Attributes") or {}).items()}
    tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()}
    _check_tags(tags)
    arn = topic_arn(ctx.scope, name)
    known = ctx.state.topics.get(arn)
    if known is not None:
        if any(known.attributes.get(key) != value for key, value in attributes.items()):
            raise invalid(
                "Invalid parameter: Attributes Reason: Topic already exists with different attributes"
            )
        if tags and tags != dict(known.tags):
            raise invalid("Invalid parameter: Tags Reason: Topic already exists with different tags")
        return answer({"TopicArn": arn})
    if len(own_topics(ctx)) >= MOST_TOPICS:
        raise ClientFault("TopicLimitExceeded", "Topic count exceeds the limit", 403)
    return Outcome(lambda _: {"TopicArn": arn}, (Put(Topic(arn, ctx.now, attributes, tags)),))


def _checked(name: str, value: str) -> str:
    if name not in _SETTABLE:
        raise invalid(
            f"Invalid parameter: AttributeName Reason: {name[:64]} is not one of [{', '.join(_SETTABLE)}]"
        )
    if len(value) > MOST_VALUE:
        raise invalid(f"Invalid parameter: AttributeValue Reason: {name} is too long")
    return value


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise ClientFault("TagLimitExceeded", f"Could not complete request: more than {MOST_TAGS} tags")


@operation(SERVICE, "DeleteTopic")
def delete_topic(ctx: Context, params: Params) -> Outcome:
    """With its subscriptions. A topic that is not there is no error."""
    arn = params["TopicArn"]
    topic = ctx.state.topics.get(arn)
    if topic is None:
        return answer({})
    return Outcome(nothing, (*(Drop(s) for s in subscribed(ctx.state, arn)), Drop(topic)))


@operation(SERVICE, "ListTopics")
def list_topics(ctx: Context, params: Params) -> Outcome:
    arns, token = paged([t.arn for t in own_topics(ctx)], params)
    return answer({"Topics": [{"TopicArn": arn} for arn in arns], **token})


@operation(SERVICE, "GetTopicAttributes")
def get_topic_attributes(ctx: Context, params: Params) -> Outcome:
    topic = topic_of(ctx, params["TopicArn"])
    found = subscribed(ctx.state, topic.arn)
    confirmed = sum(s.is_confirmed for s in found)
    return answer(
        {
            "Attributes": {
                "TopicArn": topic.arn,
                "Owner": ctx.scope.account,
                "DisplayName": "",
                "SubscriptionsConfirmed": str(confirmed),
                "SubscriptionsPending": str(len(found) - confirmed),
                "SubscriptionsDeleted": "0",
                **topic.attributes,
            }
        }
    )


@operation(SERVICE, "SetTopicAttributes")
def set_topic_attributes(ctx: Context, params: Params) -> Outcome:
    topic = topic_of(ctx, params["TopicArn"])
    name = params["AttributeName"]
    value = _checked(name, params.get("AttributeValue") or "")
    return Outcome(nothing, (Put(replace(topic, attributes={**topic.attributes, name: value})),))


# -- tags ----------------------------------------------------------------------------------------------------


def _tagged(ctx: Context, params: Params) -> Topic:
    topic = ctx.state.topics.get(params["ResourceArn"])
    if topic is None or topic not in own_topics(ctx):
        raise ClientFault("ResourceNotFound", "Resource does not exist", 404)
    return topic


@operation(SERVICE, "TagResource")
def tag_resource(ctx: Context, params: Params) -> Outcome:
    topic = _tagged(ctx, params)
    tags = dict(topic.tags) | {tag["Key"]: tag["Value"] for tag in params["Tags"]}
    _check_tags(tags)
    return Outcome(nothing, (Put(replace(topic, tags=tags)),))


@operation(SERVICE, "UntagResource")
def untag_resource(ctx: Context, params: Params) -> Outcome:
    topic = _tagged(ctx, params)
    tags = {key: value for key, value in topic.tags.items() if key not in params["TagKeys"]}
    return Outcome(nothing, (Put(replace(topic, tags=tags)),))


@operation(SERVICE, "ListTagsForResource")
def list_tags_for_resource(ctx: Context, params: Params) -> Outcome:
    tags: list[dict[str, Any]] = [{"Key": k, "Value": v} for k, v in _tagged(ctx, params).tags.items()]
    return answer({"Tags": tags})
