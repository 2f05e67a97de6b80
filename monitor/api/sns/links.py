"""The links in confirmations and notifications, opened by whoever got them: the token in them is the authority."""

from __future__ import annotations

from dataclasses import replace
from hmac import compare_digest

from monitor.model.state import Change, Drop, Put, State

CONFIRM, UNSUBSCRIBE = "ConfirmSubscription", "Unsubscribe"


def follow(state: State, action: str, arn: str, token: str) -> tuple[str, tuple[Change, ...]] | None:
    """(what to say, what to commit); None: there is no such subscription. `arn`: of the topic for CONFIRM, of the
    subscription for UNSUBSCRIBE."""
    for s in state.subscriptions.values():
        wanted = s.topic_arn if action == CONFIRM else s.arn
        if wanted != arn or not compare_digest(s.token.encode(), token.encode("utf-8", "replace")):
            continue
        if action == CONFIRM:
            changes = () if s.is_confirmed else (Put(replace(s, is_confirmed=True)),)
            return f"Subscribed to {s.topic_arn}\n", changes
        return f"Unsubscribed from {s.topic_arn}\n", (Drop(s),)
    return None
