"""Session: register, then keep the ACS websocket: orders in, acknowledgments and extras out.

Every loss is met by coming back, with growing, jittered pauses that stay short: a control plane that restarts
finds its agents again within seconds. Containers run on meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import random
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from monitor.agent.engine import Engine, EngineInfo
from monitor.agent.local import LocalState
from monitor.agent.roster import Roster
from monitor.config import Settings
from monitor.wire import agent as wire
from monitor.wire.client import AwsError, EcsClient, Unreachable
from monitor.wire.signing import Key, sign

log = logging.getLogger("moorwatch.agent.session")

VERSION = "1.0.0"
RESERVED_PORTS = ("22", "2375", "2376", "51678", "51679", "51680")
_OLD = "com.amazonaws.ecs.capability."
CAPABILITIES = (
    "ecs.capability.external",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-port-range",
    "ecs.capability.container-restart-policy",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
    f"{_OLD}privileged-container",
    *(f"{_OLD}docker-remote-api.1.{n}" for n in range(17, 42)),
    *(
        f"{_OLD}logging-driver.{driver}"
        for driver in ("awslogs", "json-file", "journald", "syslog", "gelf", "fluentd", "local", "none")
    ),
    "moorwatch.capability.facts",
    "moorwatch.capability.standby",
)
FIRST_SECONDS, FACTOR, MOST_SECONDS = 0.25, 1.5, 5.0
OPEN_SECONDS = 10.0
SILENCE_SECONDS = 60.0
MIB = 1024 * 1024
NetworkErrors = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError)


class Deregistered(Exception):
    """The control plane does not know this instance (any more)."""


class Backoff:
    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def reset(self) -> None:
        self._next = FIRST_SECONDS

    async def pause(self) -> None:
        wait, self._next = self._next, min(self._next * FACTOR, MOST_SECONDS)
        await asyncio.sleep(wait * random.uniform(0.8, 1.2))


class Session:
    def __init__(
        self,
        settings: Settings,
        key: Key,
        client: EcsClient,
        local: LocalState,
        roster: Roster,
        engine: Engine,
        info: EngineInfo,
    ) -> None:
        self._settings, self._key, self._client = settings, key, client
        self._local, self._roster, self._engine, self._info = local, roster, engine, info
        self.cluster = settings.cluster
        self.instance_arn = ""
        self.endpoint = ""
        self.telemetry_endpoint = ""
        self.connected = asyncio.Event()
        self.on_heartbeat: Callable[[], None] = lambda: None
        self._outbox: asyncio.Queue[str] = asyncio.Queue(maxsize=1000)

    def tell(self, kind: str, message: Mapping[str, Any]) -> None:
        """Send on ACS when connected; dropped otherwise."""
        if self.connected.is_set() and not self._outbox.full():
            self._outbox.put_nowait(wire.encode(kind, message))

    # -- registering --------------------------------------------------------------------------------

    async def register(self) -> None:
        """Until it is registered; says why it is not."""
        backoff = Backoff()
        while True:
            try:
                await self._register()
                return
            except Unreachable as error:
                log.warning("the control plane does not answer yet: %s", error)
            except AwsError as error:
                await self._refused(error)
            await backoff.pause()

    async def _refused(self, error: AwsError) -> None:
        if error.code == "ClusterNotFoundException":
            log.warning("cluster %s does not exist: creating it", self._settings.cluster)
            try:
                await self._client.call("CreateCluster", {"clusterName": self._settings.cluster})
            except (AwsError, Unreachable) as why:
                log.warning("cluster %s cannot be created: %s", self._settings.cluster, why)
            return
        log.warning("registration refused: %s", error)
        if self.instance_arn and "not registered" in error.message:
            self.instance_arn = ""
            await self._local.set("instance_arn", "")

    async def _register(self) -> None:
        self.instance_arn = await self._local.get("instance_arn")
        request: dict[str, Any] = {
            "cluster": self._settings.cluster,
            "totalResources": self._resources(),
            "attributes": self._attributes(),
            "versionInfo": {
                "agentVersion": VERSION,
                "agentHash": "moorwatch",
                "dockerVersion": f"DockerVersion: {self._info.version}",
            },
        }
        if self.instance_arn:
            request["containerInstanceArn"] = self.instance_arn
        else:
            request["clientToken"] = await self._token()
        answer = await self._client.call("RegisterContainerInstance", request)
        self.instance_arn = answer["containerInstance"]["containerInstanceArn"]
        await self._local.set("instance_arn", self.instance_arn)
        self._roster.instance_arn = self.instance_arn
        found = await self._client.call(
            "DiscoverPollEndpoint",
            {"cluster": self._settings.cluster, "containerInstance": self.instance_arn, "zoneId": ""},
        )
        self.endpoint, self.telemetry_endpoint = found["endpoint"], found.get("telemetryEndpoint", "")
        log.info("registered as container_instance=%s", self.instance_arn)

    async def _token(self) -> str:
        """Made once: a registration whose answer was lost is not made twice."""
        token = await self._local.get("client_token")
        if not token:
            token = f"{random.SystemRandom().getrandbits(128):032x}"
            await self._local.set("client_token", token)
        return token

    def attribute(self, name: str) -> str:
        """One that this instance registers; "" without a value."""
        return next((a.get("value", "") for a in self._attributes() if a["name"] == name), "")

    def _resources(self) -> list[dict[str, Any]]:
        return [
            {"name": "CPU", "type": "INTEGER", "integerValue": self._info.cpus * 1024},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": self._info.memory_bytes // MIB},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(RESERVED_PORTS)},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
        ]

    def _attributes(self) -> list[dict[str, str]]:
        machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        valued = {"ecs.os-type": "linux", "ecs.os-family": "LINUX", "ecs.cpu-architecture": machine}
        for pair in filter(None, self._settings.attributes.split(",")):
            name, _, value = pair.partition("=")
            valued[name.strip()] = value.strip()
        plain = [*CAPABILITIES, *(["moorwatch.shared"] if self._settings.shared else [])]
        return [{"name": n, "value": v} for n, v in valued.items()] + [{"name": n} for n in plain]

    # -- ACS ----------------------------------------------------------------------------------------

    def url(self, endpoint: str, **query: str) -> str:
        address = endpoint.replace("http://", "ws://", 1).replace("https://", "wss://", 1)
        return f"{address}ws?{urlencode(query)}"

    def signed(self, url: str) -> dict[str, str]:
        http = url.replace("ws://", "http://", 1).replace("wss://", "https://", 1)
        return sign(self._key, "GET", http, self._settings.region)

    async def open(self, url: str) -> ClientConnection:
        """Raises one of NetworkErrors, or Deregistered."""
        try:
            return await connect(
                url,
                additional_headers=self.signed(url),
                open_timeout=OPEN_SECONDS,
                ping_interval=None,
                max_size=8 * MIB,
                proxy=None,
                compression=None,
            )
        except InvalidStatus as error:
            if b"InactiveInstanceException" in (error.response.body or b""):
                raise Deregistered(self.instance_arn) from error
            raise

    async def run(self) -> None:
        """Keep the session for ever."""
        backoff = Backoff()
        first = True
        while True:
            try:
                await self._session(first, backoff)
            except Deregistered:
                log.warning(
                    "container_instance=%s is not registered any more: registering anew", self.instance_arn
                )
                await self._local.set("instance_arn", "")
                await self._local.set("client_token", "")
                await self.register()
            except NetworkErrors as error:
                log.info("session lost: %s", error or type(error).__name__)
            first = False
            await backoff.pause()

    async def _session(self, first: bool, backoff: Backoff) -> None:
        url = self.url(
            self.endpoint,
            clusterArn=self._settings.cluster,
            containerInstanceArn=self.instance_arn,
            agentVersion=VERSION,
            agentHash="moorwatch",
            seqNum="1",
            protocolVersion="2",
            dockerVersion=self._info.version,
            sendCredentials="true" if first else "false",
        )
        socket = await self.open(url)
        backoff.reset()
        while not self._outbox.empty():
            self._outbox.get_nowait()
        sending = asyncio.create_task(self._send(socket))
        self.connected.set()
        log.info("connected")
        if self._roster.reports is not None:
            self._roster.reports.retry_now()
        try:
            await self._listen(socket)
        finally:
            self.connected.clear()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await socket.close()

    async def _send(self, socket: ClientConnection) -> None:
        while True:
            await socket.send(await self._outbox.get())

    async def _listen(self, socket: ClientConnection) -> None:
        """A server that says nothing for a minute is gone."""
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                frame = await socket.recv()
            try:
                kind, message = wire.decode(frame)
            except wire.BadMessage as error:
                log.warning("bad message: %s", error)
                continue
            answer = await self._answer(kind, message)
            if answer is not None:
                await socket.send(wire.encode(*answer))

    async def _answer(self, kind: str, message: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        message_id = message.get("messageId", "")
        ack = {
            "cluster": self._settings.cluster,
            "containerInstance": self.instance_arn,
            "messageId": message_id,
        }
        match kind:
            case "HeartbeatMessage":
                self.on_heartbeat()
                return "HeartbeatAckRequest", {"messageId": message_id}
            case "PayloadMessage":
                bad = await self._roster.take(message.get("tasks") or ())
                return None if bad else ("AckRequest", ack)
            case "TaskManifestMessage":
                return self._manifest(message)
            case "TaskStopVerificationAck":
                self._roster.stop_unknown([str(t.get("taskArn")) for t in message.get("stopTasks") or ()])
                return None
            case "IAMRoleCredentialsMessage":
                credentials = message.get("roleCredentials") or {}
                return "IAMRoleCredentialsAckRequest", {
                    "credentialsId": credentials.get("credentialsId", ""),
                    "expiration": credentials.get("expiration", ""),
                    "messageId": message_id,
                }
            case "PerformUpdateMessage" | "StageUpdateMessage":
                return "NackRequest", {**ack, "reason": "Updates are disabled"}
            case "CloseMessage" | "ErrorMessage":
                log.warning("%s: %s", kind, json.dumps(message)[:500])
                return None
        log.info("ignored a message of the type %s", kind)
        return None

    def _manifest(self, message: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        listed = {t.get("taskArn") for t in message.get("tasks") or ()}
        extra = [arn for arn in self._roster.running_arns() if arn not in listed]
        if not extra:
            return None
        candidates = [
            {"taskArn": a, "desiredStatus": "STOPPED", "taskClusterArn": self._settings.cluster}
            for a in extra
        ]
        return "TaskStopVerificationMessage", {
            "messageId": message.get("messageId", ""),
            "stopCandidates": candidates,
        }
