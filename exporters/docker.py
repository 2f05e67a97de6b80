"""Docker: who the containers are, and what happens to them. Never asked for samples on the hot path.

`follow` lists what runs, then reads the event stream; when the stream breaks it lists again, so that nothing
missed stays missed.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections import deque
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
QUESTION_SECONDS = 10
PING_SECONDS = 10.0
FIRST_SECONDS, MOST_SECONDS = 0.5, 10.0
# Not asked for: exec_*, of which each health check makes three.
KINDS = (
    "create",
    "start",
    "die",
    "oom",
    "health_status",
    "destroy",
    "kill",
    "stop",
    "pause",
    "unpause",
    "update",
)
REMEMBERED = 256  # events, as many as the daemon itself remembers
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
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text, re.ASCII)
    if match is None or text.startswith("0001-"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        whole = datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None  # no such day
    return whole + float(match[2] or 0)


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
        memory_swap_limit_bytes=max(0, int(host.get("MemorySwap") or 0)),
        processes_limit=max(0, int(host.get("PidsLimit") or 0)),
        cpu_shares=int(host.get("CpuShares") or 0),
        cpu_quota_cores=(host.get("NanoCpus") or 0) / 1e9 or (quota / period if quota > 0 else 0.0),
        health=str((state.get("Health") or {}).get("Status", "")),
        has_health_check=bool(test) and test[0] != "NONE",
        layer=str(((raw.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or ""),
    )


def event(raw: Mapping[str, Any]) -> RuntimeEvent | None:
    """One line of the event stream; None for what is no container's."""
    if raw.get("Type") != "container":
        return None
    actor = raw.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    kind, _, detail = str(raw.get("Action") or raw.get("status") or "").partition(":")
    code = str(attributes.get("exitCode", ""))
    return RuntimeEvent(
        kind=kind,
        container_id=str(actor.get("ID") or raw.get("id") or ""),
        at=(raw.get("timeNano") or 0) / 1e9 or float(raw.get("time") or 0),
        exit_code=int(code) if re.fullmatch(r"-?\d{1,10}", code, re.ASCII) else None,
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
    `on_start` each one that starts later, `on_link` whether the daemon answers. After a break the events that
    the daemon still remembers are told too; none is told twice."""
    _Follower(url or DEFAULT_SOCKET, on_event, on_snapshot, on_start, stop, on_link).run()


class _Follower:
    def __init__(
        self,
        url: str,
        on_event: OnEvent,
        on_snapshot: OnSnapshot,
        on_start: OnStart,
        stop: threading.Event,
        on_link: OnLink,
    ) -> None:
        self._url, self._stop = url, stop
        self._on_event, self._on_snapshot, self._on_start = on_event, on_snapshot, on_start
        self._on_link = on_link
        self._is_up: bool | None = None
        self._since = int(time.time())
        self._told: deque[tuple[object, ...]] = deque(maxlen=REMEMBERED)

    def run(self) -> None:
        wait = FIRST_SECONDS
        while not self._stop.is_set():
            try:
                self._session()
                error = None
            except Unreachable as failure:
                error = cause(failure)
            except Exception:  # the loop's top: a thread that ends would end all counting
                log.exception("following Docker's events failed, starting again")
                error = "see above"
            if self._is_up:
                wait = FIRST_SECONDS
            self._link(False, error or "the event stream ended")
            self._stop.wait(wait)
            wait = min(wait * 2, MOST_SECONDS)

    def _link(self, is_up: bool, why: str = "") -> None:
        if is_up != self._is_up and not self._stop.is_set():
            if is_up:
                log.info("following Docker at %s", self._url)
            else:
                log.warning("Docker at %s does not answer (%s); trying again and again", self._url, why)
        self._is_up = is_up
        self._on_link(is_up)

    def _session(self) -> None:
        client = _connect(self._url)
        ended = threading.Event()
        try:
            # The stream is opened before the list is made, and tells from `since` on: what happens in between is
            # in both, never in neither.
            filters = {"type": "container", "event": list(KINDS)}
            stream = client.events(since=self._since, filters=filters, decode=True)
            guard = threading.Thread(
                target=self._guard, args=(stream, ended), name="docker-events-guard", daemon=True
            )
            guard.start()
            found = _running(client)
            self._link(True)
            self._on_snapshot(found)
            for raw in stream:
                if self._stop.is_set():
                    return
                self._tell(client, raw)
        finally:
            ended.set()
            client.close()

    def _tell(self, client: docker.APIClient, raw: Mapping[str, Any]) -> None:
        happened = event(raw)
        if happened is None:
            return
        key = (raw.get("timeNano"), happened.container_id, raw.get("Action"))
        if key in self._told:
            return
        self._told.append(key)
        self._since = int(happened.at)
        if happened.kind == "start":
            known = _inspect(client, happened.container_id)
            if known is not None and known.pid:
                self._on_start(known)
        self._on_event(happened)

    def _guard(self, stream: Any, ended: threading.Event) -> None:
        """Close the stream at `stop`, or when the daemon hangs: a stream alone does not show that."""
        while not self._stop.wait(PING_SECONDS):
            if ended.is_set():
                return
            if not self._answers():
                log.warning("Docker at %s hangs: it does not tell its version", self._url)
                break
        try:
            stream.close()
        except (OSError, ValueError, AttributeError, docker.errors.DockerException):
            log.debug("the event stream had ended already")

    def _answers(self) -> bool:
        try:
            _connect(self._url).close()
        except Unreachable:
            return False
        return True


def _connect(url: str, seconds: float = CALL_SECONDS) -> docker.APIClient:
    """A client that speaks the daemon's own API version. Raises one of Unreachable."""
    if url.startswith("unix://"):
        # Looked at first, as the library leaves a socket open when it cannot connect.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(seconds)
            probe.connect("/" + url.removeprefix("unix://").lstrip("/"))
    return docker.APIClient(base_url=url, version="auto", timeout=int(seconds))


def cause(error: BaseException) -> str:
    """The operating system's words, which client libraries wrap several times; else the error's own."""
    at: BaseException | None = error
    for _ in range(10):
        if isinstance(at, OSError) and isinstance(at.strerror, str):
            return at.strerror
        if at is None:
            break
        inner = next((a for a in at.args if isinstance(a, BaseException)), None)
        at = inner or at.__cause__ or at.__context__
    return str(error)


class Questions:
    """What is asked of Docker now and then, never on the sampling path. Each thread has a client of its own, as the
    library's are not made to be shared; a call that takes long fails."""

    def __init__(self, url: str) -> None:
        self._url = url or DEFAULT_SOCKET
        self._own = threading.local()

    def inspect(self, container_id: str) -> Mapping[str, Any] | None:
        """`docker inspect`; None when there is no such container or Docker does not answer."""
        try:
            return self._ask(lambda client: client.inspect_container(container_id))
        except OSError:
            return None

    def stats(self, container_id: str) -> Mapping[str, Any] | None:
        """Docker's stats now; None when there is no such container. Raises OSError when Docker fails."""
        return self._ask(lambda client: client.stats(container_id, stream=False, one_shot=True))

    def data_root(self) -> str:
        """Docker's folder; "" when it does not answer."""
        try:
            return str((self._ask(lambda client: client.info()) or {}).get("DockerRootDir") or "")
        except OSError:
            return ""

    def _ask(self, question: Callable[[docker.APIClient], Mapping[str, Any]]) -> Mapping[str, Any] | None:
        try:
            client = getattr(self._own, "client", None)
            if client is None:
                client = self._own.client = _connect(self._url, QUESTION_SECONDS)
            return question(client)
        except docker.errors.NotFound:
            return None
        except Unreachable as error:
            self._own.client = None  # the next question connects anew
            raise OSError(cause(error)) from error


def _running(client: docker.APIClient) -> list[ContainerIdentity]:
    found = (_inspect(client, entry["Id"]) for entry in client.containers(quiet=True))
    return [known for known in found if known is not None and known.pid]


def _inspect(client: docker.APIClient, container_id: str) -> ContainerIdentity | None:
    try:
        return identity(client.inspect_container(container_id))
    except docker.errors.NotFound:
        return None  # it was shorter-lived than the question
