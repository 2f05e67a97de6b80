"""Nouns of SNS: a topic, and who wants its messages (SNS API reference, "Subscribe")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.model.arn import Scope

HTTP, HTTPS, EMAIL, EMAIL_JSON = "http", "https", "email", "email-json"
# Ours: the endpoint is the name of an executable file in the folder that the setting hooks_dir names.
COMMAND = "command"
PROTOCOLS = (HTTP, HTTPS, EMAIL, EMAIL_JSON, COMMAND)
BY_ATTRIBUTES, BY_BODY = "MessageAttributes", "MessageBody"


@dataclass(frozen=True, slots=True)
class Topic:
    """`attributes`: those that a user may set, as text (DisplayName, Policy …); kept and shown."""

    arn: str
    created_at: float
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.arn

    @property
    def name(self) -> str:
        return self.arn.rsplit(":", 1)[-1]


@dataclass(frozen=True, slots=True)
class Subscription:
    """`token`: what confirms it, and ends it by its UnsubscribeURL. `filter_policy`: JSON text, "" for all messages."""

    arn: str
    topic_arn: str
    protocol: str
    endpoint: str
    token: str
    created_at: float
    is_confirmed: bool = False
    filter_policy: str = ""
    filter_scope: str = BY_ATTRIBUTES
    is_raw: bool = False

    @property
    def key(self) -> str:
        return self.arn


def topic_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:sns:{scope.region}:{scope.account}:{name}"
