"""Docker: who the containers are, and what happens to them. Never asked for samples on the hot path.

`follow` lists what runs, then reads the event stream; when the stream breaks it lists again, so that nothing
missed stays missed.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from exporters.sample import ContainerIdentity, RuntimeEvent

log = logging.getLogger("moorwatch.docker")

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
CALL_SECONDS = 30
FIRST_SECONDS, MOST_SECONDS = 0.5, 10.0
Unreachable = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)

OnEvent = Callable[[RuntimeEvent], None]
OnSnapshot = Callable[[Sequence[ContainerIdentity]], None]
OnStart = Callable[[ContainerIdentity], None]
OnLink = Callable[[bool], None]


def timestamp(text: str) -> float | None:
    """Docker's RFC 3339 with nanoseconds → epoch seconds; its zero time → None."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if match is None or text.startswith("0001-"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp() + float(match[2] or 0)


def identity(raw: Mapping[str, Any]) -> ContainerIdentity:
    """`docker inspect` → who it is."""
    state, config, host = raw.get("State", {}), raw.get("Config", {}), raw.get("HostConfig", {})
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 100_000
    test = (config.get("Healthcheck") or {}).get("Test") or []
    return ContainerIdentity(
        id=raw["Id"],
        name=str(raw.get("Name", "")).lstrip("/"),
        image=str(config.get("Image", "")),
        pid=int(state.get("Pid") or 0),
        labels=config.get("Labels") or {},
        network_mode=str(host.get("NetworkMode", "")),
        created_at=timestamp(raw.get("Created", "")),
        started_at=timestamp(state.get("StartedAt", "")),
        memory_limit_bytes=int(host.get("Memory") or 0),
        memory_reservation_bytes=int(host.get("MemoryReservation") or 0),
        cpu_shares=int(host.get("CpuShares") or 0),
        cpu_quota_cores=(host.get("NanoCpus") or 0) / 1e9 or (quota / period if quota > 0 else 0.0),
        health=str((state.get("Health") or {}).get("Status", "")),
        has_health_check=bool(test) and test[0] != "NONE",
    )


def event(raw: Mapping[str, Any]) -> RuntimeEvent | None:
    """One line of the event stream; None for what is no container's."""
    if raw.get("Type") != "container":
        return None
    actor = raw.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    kind, _, detail = str(raw.get("Action") or raw.get("status") or "").partition(":")
    code = attributes.get("exitCode", "")
    return RuntimeEvent(
        kind=kind,
        container_id=str(actor.get("ID") or raw.get("id") or ""),
        at=(raw.get("timeNano") or 0) / 1e9 or float(raw.get("time") or 0),
        exit_code=int(code) if code.lstrip("-").isdecimal() else None,
        health=detail.strip() if kind == "health_status" else "",
        labels=attributes,
    )


def follow(
    url: str,
    on_event: OnEvent,
    on_snapshot: OnSnapshot,
    on_start: OnStart,
    stop: threading.Event,
    on_link: OnLink = lambda _: None,
) -> None:
    """Run in a thread until `stop`. `on_snapshot` gets all running containers at first and after each break,
    `on_start` each one that starts later, `on_link` whether the daemon answers."""
    wait = FIRST_SECONDS
    while not stop.is_set():
        try:
            client = docker.APIClient(base_url=url or DEFAULT_SOCKET, version="1.41", timeout=CALL_SECONDS)
            try:
                _session(client, on_event, on_snapshot, on_start, stop, on_link)
                wait = FIRST_SECONDS
            finally:
                client.close()
        except Unreachable as error:
            log.warning("Docker at %s does not answer, trying again: %s", url or DEFAULT_SOCKET, error)
        on_link(False)
        stop.wait(wait)
        wait = min(wait * 2, MOST_SECONDS)


def _session(
    client: docker.APIClient,
    on_event: OnEvent,
    on_snapshot: OnSnapshot,
    on_start: OnStart,
    stop: threading.Event,
    on_link: OnLink,
) -> None:
    # The stream is opened before the list is made: what happens in between is in both, never in neither.
    stream = client.events(filters={"type": "container"}, decode=True)
    closer = threading.Thread(target=_close_on_stop, args=(stop, stream), daemon=True)
    closer.start()
    found = []
    for entry in client.containers(quiet=True):
        known = _inspect(client, entry["Id"])
        if known is not None and known.pid:
            found.append(known)
    on_link(True)
    on_snapshot(found)
    for raw in stream:
        if stop.is_set():
            return
        happened = event(raw)
        if happened is None:
            continue
        if happened.kind == "start":
            known = _inspect(client, happened.container_id)
            if known is not None and known.pid:
                on_start(known)
        on_event(happened)


def _close_on_stop(stop: threading.Event, stream: Any) -> None:
    stop.wait()
    stream.close()


def _inspect(client: docker.APIClient, container_id: str) -> ContainerIdentity | None:
    try:
        return identity(client.inspect_container(container_id))
    except docker.errors.NotFound:
        return None  # it was shorter-lived than the question
