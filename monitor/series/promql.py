"""The HTTP side of a Prometheus-compatible back-end: remote write, instant and range queries, series.

Only what Prometheus and VictoriaMetrics both answer alike is used. `nocache` stops VictoriaMetrics from moving the
window of a query to its cache's grid, or back by its latency offset; Prometheus passes over it.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from monitor.series import remote_write
from monitor.series.base import SeriesError

READ_SECONDS = 10.0
WRITE_SECONDS = 15.0  # for all attempts at one write
MOST_BYTES = 256 * 1024**2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_SHOWN = 300
_TOO_OLD = "too old sample"  # which Prometheus 2 calls an error of its own, with 500

T = TypeVar("T")


class Line(msgspec.Struct, frozen=True):
    """`values`: (seconds since the epoch, number as text)."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, frozen=True):
    result: list[Line]


class _Answer(msgspec.Struct, frozen=True):
    data: _Data


class _SeriesAnswer(msgspec.Struct, frozen=True):
    data: list[dict[str, str]]


class RefusedWrite(SeriesError):
    """The back-end will not have these samples; it has others."""


class Backend:
    """`url`: where /api/v1/ is. `credentials_file`: `user:password` or a bearer token, mode 0600. SeriesError."""

    def __init__(self, url: str, credentials_file: str = "", write_seconds: float = WRITE_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._write_seconds = write_seconds
        headers, auth = _credentials(credentials_file)
        limits = httpx.Limits(max_connections=8)
        self._client = httpx.AsyncClient(
            auth=auth, headers=headers, limits=limits, timeout=READ_SECONDS, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def write(self, body: bytes) -> None:
        """Until acknowledged, or `write_seconds` are over: the same samples sent again change nothing. Raises
        RefusedWrite, SeriesError."""
        pause, why = _FIRST_PAUSE, ""
        try:
            async with asyncio.timeout(self._write_seconds):
                while True:
                    found = await self._attempt(body)
                    if found is None:
                        return
                    why = found
                    await asyncio.sleep(pause)
                    pause = min(_LONGEST_PAUSE, 2 * pause)
        except TimeoutError as error:
            text = f"cannot write to {self.url} for {self._write_seconds:.0f} s: {why or 'no answer'}"
            raise SeriesError(text) from error

    async def _attempt(self, body: bytes) -> str | None:
        """None, or why to try again."""
        try:
            answer = await self._client.post(
                f"{self.url}/api/v1/write", content=body, headers=remote_write.HEADERS
            )
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        if answer.is_success:
            return None
        text = f"{answer.status_code} {answer.text[:_SHOWN].strip()}"
        is_final = answer.status_code < 500 and answer.status_code != 429
        if is_final or _TOO_OLD in answer.text:
            raise RefusedWrite(f"{self.url} refused points: {text}")
        return text

    async def raw(self, selector: str, after_ms: int, until_ms: int) -> list[Line]:
        """The samples of (after, until] as they were written; Prometheus 2 gives those at `after` as well."""
        form = {"query": f"{selector}[{until_ms - after_ms}ms]", "time": f"{until_ms / 1000:.3f}"}
        return await self._lines("query", form)

    async def evaluated(self, query: str, first_ms: int, last_ms: int, step: int) -> list[Line]:
        """The query at each `step` seconds from `first` to `last`."""
        form = {
            "query": query,
            "start": f"{first_ms / 1000:.3f}",
            "end": f"{last_ms / 1000:.3f}",
            "step": str(step),
        }
        return await self._lines("query_range", form)

    async def series(self, selector: str, start: float, end: float) -> list[dict[str, str]]:
        """The labels of those that had a sample in the time, give or take a block or a day of the back-end's."""
        form = {"match[]": selector, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        return await self._read("series", form, _series)

    async def _lines(self, path: str, form: Mapping[str, str]) -> list[Line]:
        return await self._read(path, form, _lines)

    async def _read(self, path: str, form: Mapping[str, str], decode: Callable[[bytes], T]) -> T:
        body = bytearray()
        url = f"{self.url}/api/v1/{path}"
        try:
            async with (
                asyncio.timeout(READ_SECONDS),
                self._client.stream("POST", url, data={**form, "nocache": "1"}) as answer,
            ):
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise SeriesError(f"{url} answered more than {MOST_BYTES} bytes: ask for less")
        except (httpx.HTTPError, TimeoutError) as error:
            raise SeriesError(f"cannot read {url}: {error or type(error).__name__}") from error
        if not answer.is_success:
            text = bytes(body[:_SHOWN]).decode(errors="replace")
            raise SeriesError(f"cannot read {url}: {answer.status_code} {text}")
        try:
            return await asyncio.to_thread(decode, bytes(body))
        except (msgspec.DecodeError, ValueError) as error:
            raise SeriesError(f"{url} answered what is no Prometheus answer: {error}") from error


def _lines(body: bytes) -> list[Line]:
    return msgspec.json.decode(body, type=_Answer).data.result


def _series(body: bytes) -> list[dict[str, str]]:
    return msgspec.json.decode(body, type=_SeriesAnswer).data


def _credentials(path: str) -> tuple[dict[str, str], httpx.Auth | None]:
    if not path:
        return {}, None
    try:
        with Path(path).open() as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SeriesError(f"{path} holds a secret: chmod 600 it")
            text = file.read(10_000).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SeriesError(f"cannot read {path}: {error}") from error
    user, colon, password = text.partition(":")
    if colon:
        return {}, httpx.BasicAuth(user, password)
    return {"authorization": f"Bearer {text}"}, None
