"""A headless Chromium, told what to do by the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from dashboards.drawing.build import DrawingBroken, DrawingUnavailable

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
START_SECONDS = 60.0
_MOST_MESSAGE = 256 << 20  # a picture comes as one message

_FLAGS = (
    "--headless=new",
    "--remote-debugging-address=127.0.0.1",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--mute-audio",
    # Nothing outside this machine is asked, whatever a board links to.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def find_chromium() -> str:
    """The browser's path: $MOORWATCH_CHROMIUM, or the first of `NAMES` on the PATH.

    Raises:
        DrawingUnavailable: there is none.
    """
    named = os.environ.get("MOORWATCH_CHROMIUM")
    for name in (named,) if named else NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise DrawingUnavailable("Chromium is not installed (sh deploy/system.sh --tests)")


class Tab:
    """One page of the browser; each call waits for its answer."""

    def __init__(self, socket: Connection, session: str, timeout_seconds: float) -> None:
        self._socket = socket
        self._session = session
        self._deadline = time.monotonic() + timeout_seconds
        self._ids = itertools.count(1_000)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do a command of the protocol.

        Raises:
            DrawingBroken: the browser refuses it, ends, or does not answer in time.
        """
        return _call(self._socket, next(self._ids), method, params, self._deadline, self._session)

    def resize(self, width: int, height: int) -> None:
        """Make the page's window as large, in CSS pixels, which are the picture's too."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression; a promise is awaited."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise DrawingBroken(f"the page fails: {json.dumps(done['exceptionDetails'])[:2000]}")
        return done["result"].get("value")


def _call(
    socket: Connection, number: int, method: str, params: dict[str, Any], deadline: float, session: str | None
) -> dict[str, Any]:
    message = {"id": number, "method": method, "params": params}
    if session is not None:
        message["sessionId"] = session
    try:
        socket.send(json.dumps(message))
        while True:
            answer = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if answer.get("id") == number:
                break
    except TimeoutError as error:
        raise DrawingBroken(f"Chromium does not answer {method} in time") from error
    except WebSocketException as error:
        raise DrawingBroken(f"Chromium ended during {method}: {error}") from error
    if "error" in answer:
        raise DrawingBroken(f"Chromium refuses {method}: {answer['error']}")
    result: dict[str, Any] = answer["result"]
    return result


@contextlib.contextmanager
def open_tab(width: int, height: int, timeout_seconds: float) -> Iterator[Tab]:
    """A tab in a browser of its own (own profile, ended with the block), `width` x `height` CSS pixels.

    Raises:
        DrawingUnavailable: there is no Chromium, or it cannot start here.
        DrawingBroken: see `Tab.call`.
    """
    binary = find_chromium()
    profile = Path(tempfile.mkdtemp(prefix="mw-chromium-"))
    # As root there is no user namespace to put the sandbox into; all that is loaded is our own page on loopback.
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []), f"--user-data-dir={profile}"]
    log = profile / "chromium.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, *flags, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        address = _address(process, profile, log)
        with connect(address, max_size=_MOST_MESSAGE, open_timeout=START_SECONDS) as socket:
            deadline = time.monotonic() + START_SECONDS
            targets = _call(socket, 1, "Target.getTargets", {}, deadline, None)["targetInfos"]
            page = next(target["targetId"] for target in targets if target["type"] == "page")
            attached = _call(
                socket, 2, "Target.attachToTarget", {"targetId": page, "flatten": True}, deadline, None
            )
            tab = Tab(socket, attached["sessionId"], timeout_seconds)
            tab.resize(width, height)
            yield tab
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _address(process: subprocess.Popen[bytes], profile: Path, log: Path) -> str:
    """The websocket that the browser names in its profile once it listens."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while True:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= 2:
            return urllib.parse.urlunsplit(("ws", f"127.0.0.1:{int(lines[0])}", lines[1], "", ""))
        if process.poll() is not None or time.monotonic() > deadline:
            told = log.read_text(errors="replace")[-500:].strip()
            raise DrawingUnavailable(f"Chromium does not start: {told}")
        time.sleep(0.02)  # the file is all that tells us
