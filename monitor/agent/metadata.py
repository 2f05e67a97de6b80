"""The task metadata endpoint (v4, and v3 beside it) and the introspection API, over HTTP.

Amazon's agent answers containers at 169.254.170.2, for which it changes the machine's routes and firewall. This one
listens on the gateway of Docker's default bridge, which containers of every network mode but `none` reach without any
of that, and nothing outside the machine does; environment variables tell a container where. Its path has an id that
no other container can guess (HMAC of a secret of this agent), so that it reads of its own task only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporters.exporter import Exporter
from monitor.agent import metadata_view as view
from monitor.agent.docker_stats import stats
from monitor.agent.local import LocalState
from monitor.agent.session import VERSION
from monitor.agent.worker import Worker
from monitor.model.errors import AwsError
from monitor.wire.client import EcsClient, Unreachable

log = logging.getLogger("moorwatch.agent.metadata")

PORT, INTROSPECTION_PORT = 51679, 51678  # Amazon's agent's
STEADY_A_SECOND, BURST = (
    40.0,
    60.0,
)  # of one container (ECS developer guide, "Task metadata endpoint version 4")
BUCKETS_KEPT = 10_000
ID_CHARACTERS = 32

Workers = Callable[[], Mapping[str, Worker]]
Tags = Callable[[str], Awaitable[dict[str, list[dict[str, str]]]]]


class Bucket:
    """How many requests a container has left: 60 at once, 40 a second."""

    def __init__(self, now: float) -> None:
        self._left, self._at = BURST, now

    def take(self, now: float) -> bool:
        self._left = min(BURST, self._left + (now - self._at) * STEADY_A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Metadata:
    """`address`: where containers reach it, host:port; "" while it is off."""

    def __init__(self, workers: Workers, exporter: Exporter, secret: str, tags: Tags) -> None:
        self._workers, self._exporter, self._tags = workers, exporter, tags
        self._secret = secret.encode()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self.address = ""
        self.instance: dict[str, str] = {}  # cluster, zone, arn

    def id_of(self, task_arn: str, container: str) -> str:
        digest = hmac.new(self._secret, f"{task_arn} {container}".encode(), hashlib.sha256)
        return digest.hexdigest()[:ID_CHARACTERS]

    def environment(self, task_arn: str, container: str) -> dict[str, str]:
        """What a container is told; nothing while the endpoint is off."""
        if not self.address:
            return {}
        found = self.id_of(task_arn, container)
        return {
            "ECS_CONTAINER_METADATA_URI": f"http://{self.address}/v3/{found}",
            "ECS_CONTAINER_METADATA_URI_V4": f"http://{self.address}/v4/{found}",
        }

    def _find(self, wanted: str) -> tuple[Worker, str] | None:
        for worker in self._workers().values():
            for name in worker.held:
                if hmac.compare_digest(self.id_of(worker.arn, name), wanted):
                    return worker, name
        return None

    # -- for containers -----------------------------------------------------------------------------

    def containers_app(self) -> Starlette:
        routes = []
        for version in (3, 4):
            for path, answer in (
                ("", self._container),
                ("/task", self._task),
                ("/taskWithTags", self._task_with_tags),
                ("/stats", self._stats),
                ("/task/stats", self._task_stats),
            ):
                routes.append(Route(f"/v{version}/{{id}}{path}", self._guarded(answer, version)))
        return Starlette(routes=routes)

    def _guarded(
        self, answer: Callable[[Worker, str, int], Awaitable[object]], version: int
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            wanted = str(request.path_params["id"])[: 2 * ID_CHARACTERS]
            found = self._find(wanted)
            if found is None:
                kind = f"V{version}"
                text = (
                    f"{kind} container metadata handler: unable to get container ID from request: unknown id"
                )
                return JSONResponse(text, 404)
            if not self._may(wanted):
                return PlainTextResponse("You have reached maximum request limit.", 429)
            return JSONResponse(await answer(*found, version))

        return handle

    def _may(self, wanted: str) -> bool:
        now = time.monotonic()
        bucket = self._buckets.pop(wanted, None) or Bucket(now)
        self._buckets[wanted] = bucket
        if len(self._buckets) > BUCKETS_KEPT:
            self._buckets.popitem(last=False)
        return bucket.take(now)

    async def _container(self, worker: Worker, name: str, version: int) -> object:
        return view.container(worker, name, version)

    async def _task(self, worker: Worker, _: str, version: int) -> object:
        return view.task(worker, self.instance, version)

    async def _task_with_tags(self, worker: Worker, _: str, version: int) -> object:
        body = view.task(worker, self.instance, version)
        errors = []
        for field, arn in (("TaskTags", worker.arn), ("ContainerInstanceTags", self.instance.get("arn", ""))):
            try:
                found = await self._tags(arn)
            except (AwsError, Unreachable) as error:
                code = error.code if isinstance(error, AwsError) else "Unreachable"
                errors.append(
                    {"ErrorField": field, "ErrorCode": code, "ErrorMessage": str(error), "ResourceARN": arn}
                )
                continue
            if found:
                body[field] = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
        return {**body, "Errors": errors} if errors else body

    async def _stats(self, worker: Worker, name: str, _: int) -> object:
        return self._stats_of(worker.held[name].id)

    async def _task_stats(self, worker: Worker, _name: str, _: int) -> object:
        return {h.id: self._stats_of(h.id) for h in worker.held.values() if h.id}

    def _stats_of(self, container_id: str) -> object:
        """None before the first sample, as with Amazon's agent."""
        tracked = self._exporter.find(container_id)
        if tracked is None or tracked.sample is None:
            return None
        before = tracked.window.before
        if before is tracked.sample:
            before = None
        machine = psutil.virtual_memory().total
        return stats(
            tracked.identity, tracked.sample, before, psutil.cpu_count() or 1, psutil.boot_time(), machine
        )

    # -- for people on the machine --------------------------------------------------------------------

    def introspection_app(self) -> Starlette:
        async def metadata(_: Request) -> Response:
            return JSONResponse(
                {
                    "Cluster": self.instance.get("cluster", ""),
                    "ContainerInstanceArn": self.instance.get("arn") or None,
                    "Version": f"Moorwatch container agent - v{VERSION}",
                }
            )

        async def tasks(request: Request) -> Response:
            arn, docker_id = request.query_params.get("taskarn"), request.query_params.get("dockerid")
            short = request.query_params.get("shortid")
            found = list(self._workers().values())
            if not (arn or docker_id or short):
                return JSONResponse({"Tasks": [view.introspected(w) for w in found]})
            for worker in found:
                ids = [h.id for h in worker.held.values() if h.id]
                is_meant = worker.arn == arn or docker_id in ids
                if is_meant or (short and any(i.startswith(short) for i in ids)):
                    return JSONResponse(view.introspected(worker))
            return JSONResponse({}, 404)

        async def index(_: Request) -> Response:
            return JSONResponse({"AvailableCommands": ["/v1/metadata", "/v1/tasks"]})

        return Starlette(
            routes=[Route("/", index), Route("/v1/metadata", metadata), Route("/v1/tasks", tasks)]
        )


async def secret_of(local: LocalState) -> str:
    """Made once, so that ids stay what running containers were told."""
    found = await local.get("metadata_secret")
    if not found:
        found = secrets.token_hex(32)
        await local.set("metadata_secret", found)
    return found


def tags_of(client: EcsClient) -> Tags:
    async def ask(arn: str) -> dict[str, list[dict[str, str]]]:
        return await client.call("ListTagsForResource", {"resourceArn": arn})

    return ask


async def listen(host: str, wanted: int, local: LocalState, name: str) -> socket.socket | None:
    """A socket on the port of last time, the wanted one, or any: running containers know last time's. None where the
    address is not this machine's."""
    before = int(await local.get(name) or 0)
    for port in dict.fromkeys(p for p in (before, wanted, 0) if p or p == 0):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            if port == 0:
                log.warning("task metadata is off: cannot listen on %s: %s", host, error.strerror)
                return None
            continue
        await local.set(name, str(sock.getsockname()[1]))
        return sock
    return None


async def serve(app: Starlette, sock: socket.socket) -> None:
    """For ever."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    await server.serve(sockets=[sock])
    await asyncio.Event().wait()
