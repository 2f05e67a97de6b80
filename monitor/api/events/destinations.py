"""Connections and API destinations: webhooks of rules (EventBridge user guide, "API destinations")."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from monitor.api.events.asked import SERVICE, check_name, missing, paged, validation
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model import arn as arns
from monitor.model.errors import ClientFault
from monitor.model.rule import ApiDestination, Connection, arn
from monitor.model.state import Drop, Put

AUTHORIZED, ACTIVE = "AUTHORIZED", "ACTIVE"


def _connection(ctx: Context, name: str) -> Connection:
    found = ctx.state.connections.get(arn(ctx.scope, "connection", name))
    if found is None:
        raise missing(f"Failed to describe the connection(s). Connection '{name[:64]}' does not exist.")
    return found


def _destination(ctx: Context, name: str) -> ApiDestination:
    found = ctx.state.api_destinations.get(arn(ctx.scope, "api-destination", name))
    if found is None:
        raise missing(
            f"Failed to describe the api-destination(s). An api-destination '{name[:64]}' does not exist."
        )
    return found


@operation(SERVICE, "CreateConnection")
def create_connection(ctx: Context, params: Params) -> Outcome:
    name = check_name(params["Name"])
    key = arn(ctx.scope, "connection", name)
    if key in ctx.state.connections:
        raise ClientFault("ResourceAlreadyExistsException", f"Connection {name} already exists.")
    made = _made(key, name, params, ctx.now)
    return Outcome(lambda _: _told_connection(made), (Put(made),))


def _made(key: str, name: str, params: Params, now: float) -> Connection:
    kind, given = params["AuthorizationType"], params["AuthParameters"]
    if kind == "BASIC" and given.get("BasicAuthParameters"):
        basic = given["BasicAuthParameters"]
        user, secret = basic["Username"], basic["Password"]
    elif kind == "API_KEY" and given.get("ApiKeyAuthParameters"):
        api_key = given["ApiKeyAuthParameters"]
        user, secret = api_key["ApiKeyName"], api_key["ApiKeyValue"]
    elif kind == "OAUTH_CLIENT_CREDENTIALS":
        raise validation("OAuth is not available: use BASIC or API_KEY.")
    else:
        raise validation(f"AuthParameters do not go with the AuthorizationType {kind}.")
    more = (given.get("InvocationHttpParameters") or {}).get("HeaderParameters") or ()
    headers = {header["Key"]: header["Value"] for header in more}
    if any("\n" in text or "\r" in text for text in (user, secret, *headers, *headers.values())):
        raise validation("Headers and credentials have no line feeds.")
    hidden = tuple(header["Key"] for header in more if header.get("IsValueSecret"))
    return Connection(key, name, kind, user, secret, now, params.get("Description") or "", headers, hidden)


def _told_connection(c: Connection) -> dict[str, Any]:
    return {
        "ConnectionArn": c.arn,
        "ConnectionState": AUTHORIZED,
        "CreationTime": c.created_at,
        "LastModifiedTime": c.created_at,
    }


@operation(SERVICE, "DescribeConnection")
def describe_connection(ctx: Context, params: Params) -> Outcome:
    """Secrets stay with us."""
    c = _connection(ctx, params["Name"])
    auth: dict[str, Any] = (
        {"BasicAuthParameters": {"Username": c.user}}
        if c.kind == "BASIC"
        else {"ApiKeyAuthParameters": {"ApiKeyName": c.user}}
    )
    if c.headers:
        auth["InvocationHttpParameters"] = {
            "HeaderParameters": [
                {"Key": key, "IsValueSecret": True} if key in c.hidden else {"Key": key, "Value": value}
                for key, value in c.headers.items()
            ]
        }
    told = {**_told_connection(c), "Name": c.name, "AuthorizationType": c.kind, "AuthParameters": auth}
    return answer(told | ({"Description": c.description} if c.description else {}))


@operation(SERVICE, "ListConnections")
def list_connections(ctx: Context, params: Params) -> Outcome:
    own = {c.name: c for c in ctx.state.connections.values() if arns.scope_of(c.arn) == ctx.scope}
    prefix = params.get("NamePrefix") or ""
    page, token = paged([name for name in own if name.startswith(prefix)], params)
    shown = [
        {**_told_connection(own[name]), "Name": name, "AuthorizationType": own[name].kind} for name in page
    ]
    return answer({"Connections": shown, **token})


@operation(SERVICE, "DeleteConnection")
def delete_connection(ctx: Context, params: Params) -> Outcome:
    c = _connection(ctx, params["Name"])
    return Outcome(lambda _: {**_told_connection(c), "ConnectionState": "DELETING"}, (Drop(c),))


# -- destinations --------------------------------------------------------------------------------------------


@operation(SERVICE, "CreateApiDestination")
def create_api_destination(ctx: Context, params: Params) -> Outcome:
    name = check_name(params["Name"])
    key = arn(ctx.scope, "api-destination", name)
    if key in ctx.state.api_destinations:
        raise ClientFault("ResourceAlreadyExistsException", f"An api-destination '{name}' already exists.")
    if params["ConnectionArn"] not in ctx.state.connections:
        raise missing(f"Connection '{params['ConnectionArn'][:256]}' does not exist.")
    made = ApiDestination(
        key,
        name,
        params["ConnectionArn"],
        _checked(params["InvocationEndpoint"]),
        params["HttpMethod"],
        ctx.now,
        params.get("Description") or "",
        params.get("InvocationRateLimitPerSecond", 300),
    )
    return Outcome(lambda _: _told_destination(made), (Put(made),))


def _checked(endpoint: str) -> str:
    """Unlike EventBridge, plain http is taken too: most webhooks of one's own machines have no certificate."""
    try:
        parts = urlsplit(endpoint)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and endpoint.isprintable()
    except ValueError:
        is_url = False
    if not is_url:
        raise validation(f"InvocationEndpoint {endpoint[:128]!r} is not an http or https URL.")
    return endpoint


def _told_destination(d: ApiDestination) -> dict[str, Any]:
    return {
        "ApiDestinationArn": d.arn,
        "ApiDestinationState": ACTIVE,
        "CreationTime": d.created_at,
        "LastModifiedTime": d.created_at,
    }


def _whole(d: ApiDestination) -> dict[str, Any]:
    return _told_destination(d) | {
        "Name": d.name,
        "ConnectionArn": d.connection_arn,
        "InvocationEndpoint": d.endpoint,
        "HttpMethod": d.method,
        "InvocationRateLimitPerSecond": d.rate,
    }


@operation(SERVICE, "DescribeApiDestination")
def describe_api_destination(ctx: Context, params: Params) -> Outcome:
    d = _destination(ctx, params["Name"])
    return answer(_whole(d) | ({"Description": d.description} if d.description else {}))


@operation(SERVICE, "ListApiDestinations")
def list_api_destinations(ctx: Context, params: Params) -> Outcome:
    own = {d.name: d for d in ctx.state.api_destinations.values() if arns.scope_of(d.arn) == ctx.scope}
    prefix, connection = params.get("NamePrefix") or "", params.get("ConnectionArn")
    names = [n for n, d in own.items() if n.startswith(prefix) and connection in (None, d.connection_arn)]
    page, token = paged(names, params)
    return answer({"ApiDestinations": [_whole(own[name]) for name in page], **token})


@operation(SERVICE, "UpdateApiDestination")
def update_api_destination(ctx: Context, params: Params) -> Outcome:
    d = _destination(ctx, params["Name"])
    connection = params.get("ConnectionArn") or d.connection_arn
    if connection not in ctx.state.connections:
        raise missing(f"Connection '{connection[:256]}' does not exist.")
    changed = replace(
        d,
        connection_arn=connection,
        endpoint=_checked(params.get("InvocationEndpoint") or d.endpoint),
        method=params.get("HttpMethod") or d.method,
        description=params.get("Description", d.description),
        rate=params.get("InvocationRateLimitPerSecond", d.rate),
    )
    return Outcome(lambda _: _told_destination(changed), (Put(changed),))


@operation(SERVICE, "DeleteApiDestination")
def delete_api_destination(ctx: Context, params: Params) -> Outcome:
    return Outcome(lambda _: {}, (Drop(_destination(ctx, params["Name"])),))


def header_of(connection: Connection) -> Mapping[str, str]:
    """What a request carries of the connection."""
    if connection.kind == "BASIC":
        pair = base64.b64encode(f"{connection.user}:{connection.secret}".encode()).decode()
        return {**connection.headers, "authorization": f"Basic {pair}"}
    return {**connection.headers, connection.user: connection.secret}
