"""The ways out of this process to people and programs: HTTP, mail, local commands.

Each attempt is bounded in time and in what it reads. What fails raises Failed; the loop of deliveries decides what
becomes of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import smtplib
import ssl
import stat
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

HTTP_SECONDS, MAIL_SECONDS, COMMAND_SECONDS = 15.0, 30.0, 30.0
MOST_ANSWER = 4096
AGAIN = frozenset((408, 425, 429))  # client errors that may pass


class Failed(Exception):
    """An attempt that did not arrive. `is_final`: it never will."""

    def __init__(self, problem: str, is_final: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.is_final = problem, is_final


class Http:
    def __init__(self) -> None:
        # Proxies and .netrc of the environment are not ours to send messages through.
        self._client = httpx.AsyncClient(
            timeout=HTTP_SECONDS,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=128, max_keepalive_connections=32),
        )

    async def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Arrived with a 2xx. Raises Failed."""
        try:
            async with asyncio.timeout(HTTP_SECONDS):
                async with self._client.stream(method, url, content=body, headers=dict(headers)) as answer:
                    text = await _beginning(answer)
        except TimeoutError as error:
            raise Failed(f"no answer within {HTTP_SECONDS:.0f} s") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Failed(f"not a URL that can be opened: {error}", is_final=True) from error
        except httpx.HTTPError as error:
            raise Failed(f"{type(error).__name__}: {error}"[:300]) from error
        status = answer.status_code
        if not 200 <= status < 300:
            is_final = 300 <= status < 500 and status not in AGAIN
            raise Failed(f"answered {status}: {text[:200]!r}" if text else f"answered {status}", is_final)

    async def close(self) -> None:
        await self._client.aclose()


async def _beginning(answer: httpx.Response) -> str:
    found = b""
    async for chunk in answer.aiter_bytes():
        found += chunk
        if len(found) >= MOST_ANSWER:
            break
    return found[:MOST_ANSWER].decode("utf-8", "replace").strip()


class Mail:
    """`url`: smtp://[user@]host[:port], smtps:// for TLS from the start; with a user, smtp:// upgrades by STARTTLS.
    "" for none."""

    def __init__(self, url: str, sender: str, password_file: str) -> None:
        self._url, self._sender, self._password_file = url, sender, password_file

    async def send(self, to: str, subject: str, text: str) -> None:
        """Raises Failed."""
        if not self._url:
            raise Failed("mail is not set up: set smtp_url (doctor shows it)", is_final=True)
        message = EmailMessage()
        message["From"], message["To"] = self._sender or f"moorwatch@{os.uname().nodename}", to
        message["Subject"] = " ".join(subject.split())
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message)
        except smtplib.SMTPRecipientsRefused as error:
            raise Failed(f"the mail server refuses {to}", is_final=True) from error
        except (smtplib.SMTPException, OSError, ssl.SSLError) as error:
            raise Failed(f"{type(error).__name__}: {error}"[:300]) from error

    def _send(self, message: EmailMessage) -> None:
        parts = urlsplit(self._url)
        is_tls = parts.scheme == "smtps"
        host, port = parts.hostname or "localhost", parts.port or (465 if is_tls else 25)
        kind = smtplib.SMTP_SSL if is_tls else smtplib.SMTP
        with kind(host, port, timeout=MAIL_SECONDS) as server:
            if parts.username:
                if not is_tls:
                    server.starttls(context=ssl.create_default_context())
                server.login(unquote(parts.username), _secret(Path(self._password_file)))
            server.send_message(message)


def _secret(path: Path) -> str:
    """Raises OSError where others can read it."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"{path} can be read by others: chmod 600 it")
    return path.read_text().strip()


class Commands:
    """Executable files of one folder, run without a shell or arguments, the message on standard input.

    Off while `folder` is "": whoever may subscribe could else run what lies there.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    async def run(self, name: str, text: str, environment: Mapping[str, str]) -> None:
        """Done with exit code 0. Raises Failed."""
        if not self._folder:
            raise Failed("local commands are off: set hooks_dir to the folder they are in", is_final=True)
        path = Path(self._folder, name)
        if "/" in name or not await asyncio.to_thread(_is_executable, path):
            raise Failed(f"{path} is no executable file", is_final=True)
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                str(path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={**kept, **environment},
                cwd=self._folder,
                start_new_session=True,  # a group of its own, to end it whole
            )
        except OSError as error:
            raise Failed(f"{path} cannot be run: {error}", is_final=True) from error
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                code, said = await _finished(process, text.encode())
        except TimeoutError as error:
            raise Failed(f"{name} was ended after {COMMAND_SECONDS:.0f} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind, too
        if code:
            raise Failed(f"{name} exited with {code}: {said}" if said else f"{name} exited with {code}")


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


async def _finished(process: asyncio.subprocess.Process, text: bytes) -> tuple[int, str]:
    """(exit code, the beginning of standard error)."""
    assert process.stdin is not None and process.stderr is not None  # noqa: PT018 - both are pipes
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(text)
        await process.stdin.drain()
    process.stdin.close()
    said = b""
    while chunk := await process.stderr.read(MOST_ANSWER):
        said = (said + chunk)[:MOST_ANSWER]
    return await process.wait(), said.decode("utf-8", "replace").strip()[:200]
