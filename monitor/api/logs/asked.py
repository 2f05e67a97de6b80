"""What requests of CloudWatch Logs have in common: names, ARNs, tokens, and the words for what is wrong with them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from monitor.api.operation import Context, Outcome, Params, awaited
from monitor.logs.base import Exists, LogStore, NoGroup, NoStream
from monitor.model.arn import Scope
from monitor.model.errors import ClientFault, invalid_parameter

SERVICE = "logs"
_GROUP_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_STREAM_NAME = re.compile(r"[^:*]{1,512}")


def store_of(ctx: Context) -> LogStore:
    if ctx.logs is None:
        raise ClientFault("ServiceUnavailableException", "There is no log store.", 500)
    return ctx.logs


def group_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:logs:{scope.region}:{scope.account}:log-group:{name}"


def group_name(
    ctx: Context, params: Params, name: str = "logGroupName", other: str = "logGroupIdentifier"
) -> str:
    """By name, or by ARN or name in the identifier: one of the two. Raises InvalidParameterException."""
    plain, identifier = params.get(name), params.get(other)
    if bool(plain) == bool(identifier):
        raise invalid_parameter(f"Exactly one of {name} and {other} is needed.")
    return from_identifier(ctx, str(plain or identifier))


def from_identifier(ctx: Context, text: str) -> str:
    """Raises InvalidParameterException for an ARN of elsewhere. DescribeLogGroups' ARN ends in ":*", of which some
    clients, Grafana among them, send back the colon alone."""
    prefix = group_arn(ctx.scope, "")
    if text.startswith("arn:"):
        if not text.startswith(prefix):
            raise invalid_parameter(f"{text[:256]} is not a log group of this account and region.")
        text = text.removeprefix(prefix).removesuffix("*").removesuffix(":")
    return text


def check_group_name(name: str) -> str:
    if not _GROUP_NAME.fullmatch(name):
        raise invalid_parameter(
            f"1 validation error detected: Value '{name[:64]}' at 'logGroupName' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+"
        )
    return name


def check_stream_name(name: str) -> str:
    if not _STREAM_NAME.fullmatch(name) or not name.isprintable():
        raise invalid_parameter(
            f"1 validation error detected: Value '{name[:64]}' at 'logStreamName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [^:*]*"
        )
    return name


def working(work: Callable[[], Awaitable[dict[str, Any]]], what: str = "group") -> Outcome:
    """The outcome of work on the store; what it says is not there, or is, in AWS's words. `what` is made."""

    async def told() -> dict[str, Any]:
        try:
            return await work()
        except NoGroup as error:
            raise missing("group") from error
        except NoStream as error:
            raise missing("stream") from error
        except Exists as error:
            text = f"The specified log {what} already exists"
            raise ClientFault("ResourceAlreadyExistsException", text) from error

    return awaited(told)


def missing(what: str) -> ClientFault:
    return ClientFault("ResourceNotFoundException", f"The specified log {what} does not exist.")


def token(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()


def read_token(params: Params, *kinds: type) -> list[Any] | None:
    """The parts of the token; None: there is none. Raises InvalidParameterException."""
    text = params.get("nextToken")
    if not text:
        return None
    try:
        parts = json.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise bad_token() from error
    if not isinstance(parts, list) or [type(p) for p in parts] != list(kinds):
        raise bad_token()
    return parts


def bad_token() -> ClientFault:
    return invalid_parameter("The specified nextToken is invalid.")
