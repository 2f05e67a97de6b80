"""Port mappings of a container definition (ECS API reference, PortMapping). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.model.errors import client_exception

MOST_RANGES = 100
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


def port_mappings(c: Mapping[str, Any], mode: str) -> list[dict[str, Any]]:
    """With their defaults filled in. Raises ClientException."""
    name, given = c["name"], c["portMappings"]
    if given and mode == "none":
        raise client_exception(f"Container {name!r}: portMappings cannot be used with the network mode none.")
    ranges = sum(1 for p in given if p.get("containerPortRange"))
    if ranges > MOST_RANGES:
        raise client_exception(f"Container {name!r}: at most {MOST_RANGES} port ranges, got {ranges}.")
    filled = [_filled(p, name, mode) for p in given]
    _apart(filled, name)
    return filled


def _filled(raw: Mapping[str, Any], name: str, mode: str) -> dict[str, Any]:
    protocol = raw.get("protocol") or "tcp"
    if protocol not in ("tcp", "udp"):
        raise client_exception(f"Container {name!r}: protocol {protocol!r} should be one of [tcp, udp].")
    if raw.get("name") and _NAME.fullmatch(raw["name"]) is None:
        raise client_exception(
            f"Container {name!r}: the port name {raw['name'][:64]!r} is not valid: at most 64 lowercase letters, "
            "digits, '-' and '_'."
        )
    if raw.get("containerPortRange"):
        return _range(raw, name, mode, protocol)
    port, host = raw.get("containerPort"), raw.get("hostPort") or 0
    if not isinstance(port, int) or not 1 <= port <= 65535 or not 0 <= host <= 65535:
        raise client_exception(
            f"Container {name!r}: ports must be between 1 and 65535 (hostPort 0: any free one)."
        )
    if mode in ("host", "awsvpc") and host not in (0, port):
        raise client_exception(
            f"When networkMode={mode}, the host ports and container ports in port mappings must match "
            f"({host}, {port})."
        )
    return {
        **raw,
        "containerPort": port,
        "hostPort": host if mode == "bridge" else port,
        "protocol": protocol,
    }


def _range(raw: Mapping[str, Any], name: str, mode: str, protocol: str) -> dict[str, Any]:
    text = raw["containerPortRange"]
    if mode not in ("bridge", "awsvpc"):
        raise client_exception(
            f"Container {name!r}: containerPortRange is only supported with the network modes bridge and awsvpc."
        )
    if raw.get("hostPort") or raw.get("containerPort"):
        raise client_exception(
            f"Container {name!r}: containerPortRange {text} cannot have a containerPort or hostPort beside it: its "
            "host ports are always chosen for it."
        )
    match = _RANGE.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
        raise client_exception(
            f"Container {name!r}: containerPortRange {text[:32]!r} is not valid; write it like 8000-8010."
        )
    kept = {k: v for k, v in raw.items() if k not in ("containerPort", "hostPort")}
    return {**kept, "protocol": protocol}


def _bounds(port: Mapping[str, Any]) -> tuple[int, int]:
    whole = port.get("containerPortRange") or f"{port['containerPort']}-{port['containerPort']}"
    low, _, high = whole.partition("-")
    return int(low), int(high)


def _apart(ports: Sequence[Mapping[str, Any]], name: str) -> None:
    """A range overlaps nothing else of its container; single ports may be published several times."""
    bounds = [(p["protocol"], *_bounds(p), bool(p.get("containerPortRange"))) for p in ports]
    for n, (protocol, low, high, is_range) in enumerate(bounds):
        for other, from_port, to_port, other_is_range in bounds[n + 1 :]:
            if other == protocol and low <= to_port and from_port <= high and (is_range or other_is_range):
                raise client_exception(
                    f"Container {name!r}: the container ports {low}-{high} and {from_port}-{to_port} overlap."
                )


def check_fixed_ports(containers: Sequence[Mapping[str, Any]]) -> None:
    """Raises ClientException for a host port that two mappings of the task want."""
    seen: set[tuple[int, str]] = set()
    for c in containers:
        for p in c["portMappings"]:
            key = (p.get("hostPort") or 0, p["protocol"])
            if key[0] and key in seen:
                raise client_exception(f"Host port {key[0]}/{key[1]} is used by more than one container.")
            seen.add(key)


def fixed_ports(document: Mapping[str, Any]) -> frozenset[tuple[int, str]]:
    """The host ports one task takes. In awsvpc mode none: each task has an address of its own."""
    if document.get("networkMode") == "awsvpc":
        return frozenset()
    return frozenset(
        (p["hostPort"], p["protocol"])
        for c in document["containerDefinitions"]
        for p in c["portMappings"]
        if p.get("hostPort")
    )
