"""The Docker engine, by the docker SDK in a bounded pool of threads.

No call is cancelled half-way; each has a timeout and is safe to make again. What the daemon's errors mean to a
user is said here.
"""

from __future__ import annotations

import asyncio
import functools
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import docker
import docker.errors
import requests.exceptions

from monitor.agent import pause
from monitor.agent.docker_logs import LogStream, Stream, follow
from monitor.agent.engine import (
    ContainerView,
    EngineError,
    EngineInfo,
    EngineUnreachable,
    ImageMissing,
    Vanished,
)
from monitor.agent.volumes import DockerVolume

T = TypeVar("T")
CALL_SECONDS = 60
PULL_SECONDS = 2 * 3600
THREADS = 16
WAITERS = 64
DEFAULT_SOCKET = "unix:///var/run/docker.sock"
Observe = Callable[[str, float, bool], None]


class DockerEngine:
    """`observe(operation, seconds, ok)` is told of every call."""

    def __init__(self, url: str = "", observe: Observe | None = None) -> None:
        self.url = url or DEFAULT_SOCKET
        self._observe = observe or (lambda _op, _seconds, _ok: None)
        self._connecting = threading.Lock()
        self._connected: docker.APIClient | None = None
        self._pool = ThreadPoolExecutor(THREADS, "docker")
        # Waiting for an end blocks a thread until the daemon has seen it: apart, so that starts never queue behind.
        self._waiters = ThreadPoolExecutor(WAITERS, "docker-wait")

    def _client(self) -> docker.APIClient:
        """Made at the first call, in a thread: it asks the daemon which API version both speak."""
        with self._connecting:
            if self._connected is None:
                self._connected = docker.APIClient(
                    base_url=self.url, version="auto", timeout=CALL_SECONDS, max_pool_size=THREADS + WAITERS
                )
            return self._connected

    async def _call(
        self,
        what: str,
        function: Callable[..., T],
        *args: Any,
        pool: ThreadPoolExecutor | None = None,
        **kwargs: Any,
    ) -> T:
        loop = asyncio.get_running_loop()
        started, ok = monotonic(), False
        try:
            job = functools.partial(_translated, what, self._client, function, *args, **kwargs)
            result = await loop.run_in_executor(pool or self._pool, job)
            ok = True
            return result
        except EngineError:
            ok = True  # the daemon did answer
            raise
        finally:
            if what != "wait":
                self._observe(what, monotonic() - started, ok)

    async def info(self) -> EngineInfo:
        raw = await self._call("info", docker.APIClient.info)
        version = await self._call("version", docker.APIClient.version)
        return EngineInfo(
            version=version.get("Version", ""),
            api_version=version.get("ApiVersion", ""),
            cpus=int(raw.get("NCPU", 1)),
            memory_bytes=int(raw.get("MemTotal", 0)),
            cgroup_driver=raw.get("CgroupDriver", ""),
            cgroup_version=str(raw.get("CgroupVersion", "1")),
            is_local=self.url.startswith("unix:"),
        )

    async def ping(self) -> None:
        await self._call("ping", docker.APIClient.ping)

    async def pull(self, image: str) -> None:
        name, tag = _split(image)
        await self._call("pull", _pull, name, tag, image)

    async def gateway(self) -> str:
        """The machine's own address on Docker's default bridge; "" when there is none. Raises EngineError."""
        return await self._call("inspect", _gateway)

    async def make_pause_image(self) -> None:
        await self._call("import", _import_pause)

    async def make_volume(self, volume: DockerVolume) -> None:
        await self._call("volume", _make_volume, volume)

    async def remove_volumes(self, label: str) -> None:
        await self._call("volume", _remove_volumes, label)

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        return await self._call("create", _create, name, config)

    async def start(self, container_id: str) -> ContainerView:
        raw = await self._call("start", _start, container_id)
        return view(raw)

    async def inspect(self, container_id: str) -> ContainerView:
        return view(await self._call("inspect", docker.APIClient.inspect_container, container_id))

    async def wait(self, container_id: str) -> ContainerView:
        return view(await self._call("wait", _wait, container_id, pool=self._waiters))

    async def signal(self, container_id: str, signal: str) -> None:
        await self._call("kill", _signal, container_id, signal)

    async def remove(self, container_id: str) -> None:
        try:
            await self._call("remove", docker.APIClient.remove_container, container_id, v=True, force=True)
        except Vanished:
            return

    async def log_tail(self, container_id: str, lines: int) -> list[str]:
        raw = await self._call("logs", _logs, container_id, lines)
        text = raw[-lines * 4096 :].decode("utf-8", "replace")
        return [line[:4096] for line in text.splitlines()][-lines:]

    async def follow_log(self, container_id: str, since: int) -> LogStream:
        """Its output from the second `since` on, each line with its time, until the container has ended."""

        def opened() -> Stream:
            return _translated("logs", self._client, follow, self.url, container_id, since)

        return LogStream(opened, f"log-{container_id[:12]}")

    async def list_ids(self, label: str) -> list[str]:
        found = await self._call(
            "list", docker.APIClient.containers, all=True, quiet=True, filters={"label": [label]}
        )
        return [c["Id"] for c in found]

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._waiters.shutdown(wait=False, cancel_futures=True)
        if self._connected is not None:
            self._connected.close()


# -- in the threads -----------------------------------------------------------------------------------


def _translated(
    what: str, client: Callable[[], docker.APIClient], function: Callable[..., T], *args: Any, **kwargs: Any
) -> T:
    """Run the call on the client; the SDK's errors become ours."""
    try:
        return function(client(), *args, **kwargs)
    except docker.errors.NotFound as error:
        if "No such image" in str(error.explanation):
            raise ImageMissing(str(error.explanation)) from error
        if "No such container" in str(error.explanation) or what in (
            "inspect",
            "wait",
            "kill",
            "remove",
            "logs",
        ):
            raise Vanished(f"ContainerVanishedError: {error.explanation}") from error
        raise EngineError(_explain(what, str(error.explanation))) from error
    except docker.errors.APIError as error:
        raise EngineError(_explain(what, str(error.explanation or error))) from error
    except docker.errors.DockerException as error:
        raise EngineUnreachable(f"Docker does not answer ({what}): {error}") from error
    except requests.exceptions.RequestException as error:
        raise EngineUnreachable(f"Docker does not answer ({what}): {type(error).__name__}") from error


_PREFIX = {
    "volume": "CannotCreateVolumeError",
    "create": "CannotCreateContainerError",
    "start": "CannotStartContainerError",
    "kill": "CannotStopContainerError",
}
_HINTS = (
    (
        re.compile(r"port is already allocated|address already in use", re.IGNORECASE),
        "Another process or container holds that host port: free it, choose another hostPort, or use hostPort 0",
    ),
    (
        re.compile(r"executable file not found|no such file or directory", re.IGNORECASE),
        "Check command and entryPoint against what is in the image",
    ),
    (
        re.compile(r"minimum memory limit", re.IGNORECASE),
        "Raise memory in the container definition",
    ),
    (
        re.compile(r"volume driver|plugin .* not found", re.IGNORECASE),
        "Install the volume driver's plugin in the Docker engine, or use the driver local",
    ),
    (re.compile(r"permission denied", re.IGNORECASE), "The file is there but may not be executed"),
    (re.compile(r"no space left", re.IGNORECASE), "Free disk space below Docker's data root"),
)


_OF_A_VOLUME = re.compile(
    r"mounting volume|mount local volume|volume driver|invalid volume spec|invalid mount|creating mount source path",
    re.IGNORECASE,
)


def _explain(what: str, text: str) -> str:
    text = " ".join(text.split())
    if what in ("create", "start") and _OF_A_VOLUME.search(text):
        what = "volume"
    hint = next((f". {advice}" for pattern, advice in _HINTS if pattern.search(text)), "")
    return f"{_PREFIX.get(what, 'ContainerRuntimeError')}: {text}{hint}."


def _split(image: str) -> tuple[str, str | None]:
    """Repository and tag; a digest stays with the repository."""
    if "@" in image:
        return image, None
    head, colon, tag = image.rpartition(":")
    if colon and "/" not in tag:
        return head, tag
    return image, "latest"


def _pull(client: docker.APIClient, name: str, tag: str | None, image: str) -> None:
    try:
        for line in client.pull(name, tag=tag, stream=True, decode=True):
            if "error" in line:
                raise EngineError(_no_image(image, str(line["error"])))
    except docker.errors.APIError as error:
        raise EngineError(_no_image(image, str(error.explanation or error))) from error


def _no_image(image: str, why: str) -> str:
    return (
        f"CannotPullContainerError: image {image} is not on this machine and cannot be pulled: {' '.join(why.split())}."
        " Correct the name, log the Docker engine in to the registry, or build or load the image on this machine."
    )


def _create(client: docker.APIClient, name: str, config: Mapping[str, Any]) -> str:
    try:
        return str(client.create_container_from_config(dict(config), name)["Id"])  # type: ignore[no-untyped-call]
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise
        # The name is derived from the task: a container that has it is the one asked for, made before a restart.
        return str(client.inspect_container(name)["Id"])


def _gateway(client: docker.APIClient) -> str:
    try:
        found = client.inspect_network("bridge")
    except docker.errors.NotFound:
        return ""
    configs = (found.get("IPAM") or {}).get("Config") or ()
    return next((str(c["Gateway"]) for c in configs if c.get("Gateway")), "")


def _import_pause(client: docker.APIClient) -> None:
    try:
        data = pause.root_file_system(str(client.info().get("Architecture", "")))
    except pause.NoPause as error:
        raise EngineError(f"ResourceInitializationError: {error}.") from error
    client.import_image_from_data(data, pause.REPOSITORY, pause.TAG, changes=pause.CHANGES)


def _make_volume(client: docker.APIClient, volume: DockerVolume) -> None:
    if not volume.must_exist:
        client.create_volume(volume.name, volume.driver, dict(volume.options), dict(volume.labels))
        return
    try:
        client.inspect_volume(volume.name)
    except docker.errors.NotFound as error:
        raise EngineError(
            f"CannotCreateVolumeError: there is no shared Docker volume {volume.name!r} on this machine: make it with "
            f"'docker volume create {volume.name}', or set autoprovision in its dockerVolumeConfiguration."
        ) from error


def _remove_volumes(client: docker.APIClient, label: str) -> None:
    for volume in client.volumes(filters={"label": [label]}).get("Volumes") or ():
        client.remove_volume(volume["Name"], force=True)


def _start(client: docker.APIClient, container_id: str) -> Mapping[str, Any]:
    client.start(container_id)
    found: Mapping[str, Any] = client.inspect_container(container_id)
    return found


def _wait(client: docker.APIClient, container_id: str) -> Mapping[str, Any]:
    client.wait(container_id, timeout=PULL_SECONDS)
    found: Mapping[str, Any] = client.inspect_container(container_id)
    return found


def _logs(client: docker.APIClient, container_id: str, lines: int) -> bytes:
    found = client.logs(container_id, stdout=True, stderr=True, tail=lines, stream=False)
    return found if isinstance(found, bytes) else b"".join(found)


def _signal(client: docker.APIClient, container_id: str, signal: str) -> None:
    try:
        client.kill(container_id, signal)
    except docker.errors.APIError as error:
        # Not running (any more) is what was wanted.
        if error.status_code not in (404, 409):
            raise


# -- inspect → view -----------------------------------------------------------------------------------


def view(raw: Mapping[str, Any]) -> ContainerView:
    state, config = raw.get("State", {}), raw.get("Config", {})
    health = state.get("Health") or {}
    log = health.get("Log") or []
    over = state.get("Status") in ("exited", "dead", "removing")
    return ContainerView(
        id=raw["Id"],
        name=str(raw.get("Name", "")).lstrip("/"),
        status=state.get("Status", ""),
        pid=int(state.get("Pid") or 0),
        exit_code=int(state["ExitCode"]) if over and "ExitCode" in state else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error", ""),
        created_at=_time(raw.get("Created", "")),
        started_at=_time(state.get("StartedAt", "")),
        finished_at=_time(state.get("FinishedAt", "")) if over else None,
        health=_HEALTH.get(health.get("Status", ""), "UNKNOWN"),
        health_output=str(log[-1].get("Output", "")) if log else "",
        stop_signal=config.get("StopSignal") or "SIGTERM",
        memory_limit_bytes=int(raw.get("HostConfig", {}).get("Memory") or 0),
        labels=config.get("Labels") or {},
        ports=tuple(_ports(raw)),
        address=_address(raw),
        raw=raw,
    )


_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


def _time(text: str) -> float | None:
    """Docker's RFC 3339 with nanoseconds → epoch seconds; its zero time → None."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if match is None or text.startswith("0001-"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    at = datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp()
    return at + float(match[2] or 0)


def _address(raw: Mapping[str, Any]) -> str:
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    return next((str(n["IPAddress"]) for n in networks.values() if n and n.get("IPAddress")), "")


def _ports(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """ECS networkBindings."""
    found: dict[tuple[str, int, str], dict[str, Any]] = {}
    for port, bindings in (raw.get("NetworkSettings", {}).get("Ports") or {}).items():
        number, _, protocol = port.partition("/")
        for binding in bindings or ():
            host = int(binding.get("HostPort") or 0)
            address = binding.get("HostIp") or "0.0.0.0"
            found[address, host, protocol] = {
                "bindIP": address,
                "containerPort": int(number),
                "hostPort": host,
                "protocol": protocol,
            }
    return list(found.values())
