"""A container's log, read in a thread of its own: what comes is handed to the loop, and no more than it takes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Protocol

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from monitor.agent.engine import EngineError, EngineUnreachable

# What a broken connection raises, by where it broke; AttributeError where it was closed under the reader.
BROKEN = (
    OSError,
    ValueError,
    AttributeError,
    HTTPException,
    urllib3.exceptions.HTTPError,
    requests.exceptions.RequestException,
    docker.errors.DockerException,
)
MOST_WAITING = 4 * 1024 * 1024  # bytes; then the thread waits, and Docker's files keep the rest


class Stream(Protocol):
    """docker's CancellableStream."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class _Following:
    def __init__(self, client: docker.APIClient, stream: Stream) -> None:
        self._client, self._stream = client, stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        self._stream.close()
        self._client.close()


def follow(known: docker.APIClient, url: str, container_id: str, since: int) -> Stream:
    """By a connection of its own, without a time limit: a silent container is no failure. Raises the SDK's errors."""
    client = docker.APIClient(base_url=url, version=known.api_version, timeout=None)  # type: ignore[arg-type]
    try:
        stream = client.logs(container_id, stream=True, follow=True, timestamps=True, since=since or None)
    except BaseException:
        client.close()
        raise
    return _Following(client, stream)


class LogStream:
    """`open_stream` is called in the thread. It and reading raise EngineError, EngineUnreachable."""

    def __init__(self, open_stream: Callable[[], Stream], name: str) -> None:
        self._open = open_stream
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._room = threading.Condition()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._failure: EngineError | EngineUnreachable | None = None
        self._is_over = self._is_closed = False
        self._stream: Stream | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def read(self, seconds: float) -> list[bytes] | None:
        """What came; [] when nothing did within `seconds`; None at the end. Raises EngineError, EngineUnreachable."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return []
        with self._room:
            found, self._waiting, self._bytes = self._waiting, [], 0
            if not self._is_over:
                self._news.clear()
            self._room.notify()
        if found or not self._is_over:
            return found
        if self._failure is not None:
            raise self._failure
        return None

    def close(self) -> None:
        """The thread ends soon: at once where it waits for room, else with the stream that is closed."""
        with self._room:
            self._is_closed = True
            self._room.notify()
        stream = self._stream
        if stream is not None:
            # Closing shuts the socket down, which can take a moment when the daemon is busy.
            self._loop.run_in_executor(None, stream.close)

    # -- in the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._stream = self._open()
            for chunk in self._stream:
                if not self._kept(chunk):
                    return
        except (EngineError, EngineUnreachable) as error:
            self._failure = error
        except BROKEN as error:
            self._failure = EngineUnreachable(f"Docker's log stream broke: {error!r}"[:300])
        finally:
            with self._room:
                self._is_over = True
            self._tell()

    def _kept(self, chunk: bytes) -> bool:
        """False when nobody reads any more."""
        with self._room:
            while self._bytes >= MOST_WAITING and not self._is_closed:
                self._room.wait()
            if self._is_closed:
                return False
            is_first = not self._waiting
            self._waiting.append(chunk)
            self._bytes += len(chunk)
        if is_first:
            self._tell()
        return True

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            return  # the loop is closed: nobody is left to tell
