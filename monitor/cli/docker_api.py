"""The few calls `up` and `doctor` make to a Docker daemon, over the standard library alone.

The agent drives containers by the docker SDK; here only: does it answer, what is it, load one image, list
and stop. Every call has a time limit and ends in DockerUnreachable or DockerRefused.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
_MAX_ANSWER = 16 * 1024 * 1024


class DockerUnreachable(Exception):
    """No daemon answers at the address; the message says why."""


class DockerRefused(Exception):
    """The daemon answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Docker answered {status}: {message}")
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DockerApi:
    """`host` is unix:///path or tcp://host:port; seconds per call in `timeout_seconds`."""

    def __init__(self, host: str, timeout_seconds: float = 5.0) -> None:
        self.host = host or DEFAULT_HOST
        self.timeout_seconds = timeout_seconds

    def ping(self) -> None:
        """Raises DockerUnreachable."""
        try:
            self._call("GET", "/_ping")
        except DockerRefused as error:
            raise DockerUnreachable(f"{self.host}: {error}") from error

    def answers(self) -> bool:
        try:
            self.ping()
        except DockerUnreachable:
            return False
        return True

    def version(self) -> dict[str, Any]:
        return self._object("/version")

    def info(self) -> dict[str, Any]:
        return self._object("/info")

    def image(self, name: str) -> dict[str, Any] | None:
        """What `docker image inspect` says, None when the image is not on the machine."""
        try:
            return self._object(f"/images/{quote(name, safe='/:')}/json")
        except DockerRefused as error:
            if error.status == 404:
                return None
            raise

    def import_image(self, repository: str, tag: str, archive: bytes, changes: list[str]) -> None:
        """Make an image of a root file system in a tar."""
        query = urlencode({"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}, doseq=True)
        headers = {"Content-Type": "application/x-tar"}
        answer = self._call("POST", f"/images/create?{query}", archive, headers, timeout_seconds=120)
        for (
            line
        ) in answer.splitlines():  # the answer is a stream of progress, an error among it at status 200
            step = json.loads(line) if line.strip() else {}
            if "error" in step:
                raise DockerRefused(500, str(step["error"]))

    def running(self, label: str = "") -> list[dict[str, Any]]:
        """Running containers as `docker ps` lists them, those with `label` when one is given."""
        filters = {"status": ["running", "paused", "restarting"]}
        if label:
            filters["label"] = [label]
        answer = self._call("GET", "/containers/json?" + urlencode({"filters": json.dumps(filters)}))
        value = json.loads(answer)
        if not isinstance(value, list):
            raise DockerRefused(200, "the list of containers is not a list")
        return value

    def stop(self, container_id: str, seconds: int) -> None:
        """Stop a container, killing it after `seconds`. A container that is gone counts as stopped."""
        path = f"/containers/{quote(container_id)}/stop?t={seconds}"
        try:
            self._call("POST", path, timeout_seconds=seconds + 30)
        except DockerRefused as error:
            if error.status not in (304, 404):
                raise

    def _object(self, path: str) -> dict[str, Any]:
        value = json.loads(self._call("GET", path))
        if not isinstance(value, dict):
            raise DockerRefused(200, f"{path} is not an object")
        return value

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> bytes:
        with self._connection(timeout_seconds or self.timeout_seconds) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            answer = response.read(_MAX_ANSWER)
            if response.status < 300:
                return answer
            raise DockerRefused(response.status, _message(answer))

    @contextmanager
    def _connection(self, timeout_seconds: float) -> Iterator[http.client.HTTPConnection]:
        connection = self._open(timeout_seconds)
        try:
            yield connection
        except (OSError, http.client.HTTPException) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            reason = reason or type(error).__name__
            raise DockerUnreachable(f"{self.host}: {reason}") from error
        finally:
            connection.close()

    def _open(self, timeout_seconds: float) -> http.client.HTTPConnection:
        try:
            parts = urlsplit(self.host)
            if parts.scheme == "unix" and parts.path:
                return _UnixConnection(parts.path, timeout_seconds)
            if parts.scheme in ("tcp", "http") and parts.hostname:
                return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout_seconds)
        except ValueError as error:
            raise DockerUnreachable(f"{self.host}: {error}") from error
        raise DockerUnreachable(
            f"{self.host}: only unix:///path and tcp://host:port addresses are understood"
        )


def _message(answer: bytes) -> str:
    try:
        value = json.loads(answer)
    except ValueError:
        return answer[:500].decode(errors="replace").strip()
    return str(value.get("message", value)) if isinstance(value, dict) else str(value)[:500]
