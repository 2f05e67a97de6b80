"""What requests of CloudWatch have in common: metrics, times, tokens, and the words for what is wrong with them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.api.operation import Context, Params
from monitor.model.errors import ClientFault
from monitor.model.metric import MetricKey
from monitor.series.base import SeriesStore

SERVICE = "cloudwatch"


def bad_value(text: str) -> ClientFault:
    return ClientFault("InvalidParameterValue", text)


def bad_combination(text: str) -> ClientFault:
    return ClientFault("InvalidParameterCombination", text)


def validation(text: str) -> ClientFault:
    return ClientFault("ValidationError", text)


def store_of(ctx: Context) -> SeriesStore:
    if ctx.series is None:
        raise ClientFault("InternalServiceError", "There is no metric store.", 500)
    return ctx.series


def key_of(metric: Mapping[str, Any], where: str = "Dimensions") -> MetricKey:
    """`metric` has Namespace, MetricName, Dimensions. Raises AwsError for what no metric can be called."""
    pairs = [(d["Name"], d["Value"]) for d in metric.get("Dimensions") or ()]
    for index, (name, value) in enumerate(pairs, 1):
        if not name.isascii() or not name.strip() or name.startswith(":"):
            raise bad_value(f"The value {name[:64]} for parameter {where}.member.{index}.Name is invalid.")
        if not value.strip() or not value.isprintable():
            raise bad_value(f"The value {value[:64]} for parameter {where}.member.{index}.Value is invalid.")
    if len({name for name, _ in pairs}) != len(pairs):
        raise bad_value(f"The parameter {where} must not have a dimension name twice.")
    namespace, name = metric.get("Namespace") or "", metric.get("MetricName") or ""
    if namespace.startswith(":"):
        raise bad_value(f"The value {namespace[:64]} for parameter Namespace is invalid.")
    return MetricKey.of(namespace, name, pairs)


def dimensions_view(key: MetricKey) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in key.dimensions]


def token(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode()


def read_token(params: Params, kinds: Sequence[type], name: str = "NextToken") -> list[Any] | None:
    """The parts of the token, of these types; None: there is none. Raises InvalidNextToken."""
    text = params.get(name)
    if not text:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _bad_token() from error
    if not isinstance(parts, list) or len(parts) != len(kinds):
        raise _bad_token()
    if not all(isinstance(part, kind) for part, kind in zip(parts, kinds, strict=True)):
        raise _bad_token()
    return parts


def _bad_token() -> ClientFault:
    return ClientFault("InvalidNextToken", "The token is not one that was given: use it unchanged.")
