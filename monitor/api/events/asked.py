"""What requests of EventBridge have in common."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from monitor.api.operation import Context, Params
from monitor.model.errors import ClientFault
from monitor.model.rule import Rule, arn
from monitor.model.state import State

SERVICE = "events"
DEFAULT_BUS = "default"
PAGE = 100
_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")


def validation(text: str) -> ClientFault:
    return ClientFault("ValidationException", text)


def missing(text: str) -> ClientFault:
    return ClientFault("ResourceNotFoundException", text)


def nothing(_: State) -> dict[str, Any]:
    return {}


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise validation(
            f"1 validation error detected: Value '{name[:64]}' at 'name' failed to satisfy constraint: Member must "
            r"satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"
        )
    return name


def check_bus(ctx: Context, name: str | None) -> None:
    """There is the default bus."""
    if name not in (None, "", DEFAULT_BUS, arn(ctx.scope, "event-bus", DEFAULT_BUS)):
        raise missing(f"Event bus {str(name)[:256]} does not exist.")


def rule_of(ctx: Context, name: str, bus: str | None) -> Rule:
    """Raises ResourceNotFoundException."""
    check_bus(ctx, bus)
    rule = ctx.state.rules.get(arn(ctx.scope, "rule", name))
    if rule is None:
        raise missing(f"Rule {name[:64]} does not exist on EventBus default.")
    return rule


def paged(names: Sequence[str], params: Params) -> tuple[list[str], dict[str, str]]:
    """The names of one page, sorted, and the token of the next. Raises ValidationException."""
    ordered, limit = sorted(names), params.get("Limit", PAGE)
    if token := params.get("NextToken"):
        try:
            after = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
        except (ValueError, binascii.Error) as error:
            raise validation("NextToken is not one that was given.") from error
        ordered = [name for name in ordered if name > after]
    page = ordered[:limit]
    if len(ordered) <= limit:
        return page, {}
    return page, {"NextToken": base64.urlsafe_b64encode(page[-1].encode()).decode()}
