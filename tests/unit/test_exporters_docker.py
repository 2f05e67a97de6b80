"""Docker's inspect and events → ours; and following them through breaks, on a small daemon of our own."""

from __future__ import annotations

import http.server
import json
import logging
import queue
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporters import docker
from exporters.sample import ContainerIdentity, RuntimeEvent

INSPECT: dict[str, Any] = {
    "Id": "6b29",
    "Name": "/ecs-web-1-app-0a",
    "Created": "2026-11-23T08:44:00.5Z",
    "State": {
        "Pid": 4711,
        "StartedAt": "2026-11-23T08:44:01.25+01:00",
        "Health": {"Status": "starting", "Log": []},
    },
    "Config": {
        "Image": "busybox",
        "Labels": {"com.amazonaws.ecs.cluster": "default"},
        "Healthcheck": {"Test": ["CMD-SHELL", "true"]},
    },
    "HostConfig": {
        "NetworkMode": "bridge",
        "Memory": 67108864,
        "MemoryReservation": 33554432,
        "CpuShares": 256,
        "CpuQuota": 50000,
        "CpuPeriod": 0,
        "NanoCpus": 0,
    },
}
WAIT_SECONDS = 30


def test_inspect_tells_who_it_is() -> None:
    assert docker.identity(INSPECT) == ContainerIdentity(
        id="6b29",
        name="ecs-web-1-app-0a",
        image="busybox",
        pid=4711,
        labels={"com.amazonaws.ecs.cluster": "default"},
        network_mode="bridge",
        created_at=1795423440.5,
        started_at=1795419841.25,
        memory_limit_bytes=67108864,
        memory_reservation_bytes=33554432,
        cpu_shares=256,
        cpu_quota_cores=0.5,
        health="starting",
        has_health_check=True,
    )


def test_inspect_of_a_bare_container() -> None:
    bare = {
        "Id": "a",
        "Name": "/x",
        "State": {"Pid": 0},
        "Config": {"Labels": None},
        "HostConfig": {"NanoCpus": 2_500_000_000},
    }
    found = docker.identity(bare)
    assert (found.pid, found.labels, found.started_at, found.cpu_quota_cores) == (0, {}, None, 2.5)
    assert not found.has_health_check


def test_a_health_check_switched_off_is_none() -> None:
    off = {**INSPECT, "Config": {"Healthcheck": {"Test": ["NONE"]}}}
    assert not docker.identity(off).has_health_check


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T08:44:00Z", 1795423440.0),
        ("2026-11-23T08:44:00.123456789Z", pytest.approx(1795423440.123456789)),
        ("2026-11-23T08:44:00-02:00", 1795430640.0),
        ("0001-01-01T00:00:00Z", None),
        ("2026-13-45T08:44:00Z", None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_timestamps(text: str, at: float | None) -> None:
    assert docker.timestamp(text) == at


def raw_event(action: str, at_nano: int = 1_500_000_000, **attributes: str) -> dict[str, Any]:
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": "c1", "Attributes": attributes},
        "time": at_nano // 10**9,
        "timeNano": at_nano,
    }


def test_events() -> None:
    assert docker.event(raw_event("die", exitCode="137", name="n")) == RuntimeEvent(
        "die", "c1", 1.5, exit_code=137, labels={"exitCode": "137", "name": "n"}
    )
    unhealthy = docker.event(raw_event("health_status: unhealthy"))
    assert unhealthy is not None
    assert (unhealthy.kind, unhealthy.health, unhealthy.exit_code) == ("health_status", "unhealthy", None)
    running = docker.event(raw_event("exec_create: /bin/sh -c true"))
    assert running is not None
    assert (running.kind, running.health) == ("exec_create", "")
    assert docker.event({"Type": "network", "Action": "connect"}) is None


@pytest.mark.parametrize("code", ["", "x", "--1", "1" * 30])
def test_an_exit_code_that_is_none(code: str) -> None:
    found = docker.event(raw_event("die", exitCode=code))
    assert found is not None
    assert found.exit_code is None


def test_cause_finds_the_operating_system_s_words() -> None:
    inner = PermissionError(13, "Permission denied")
    assert docker.cause(ConnectionError(ValueError("aborted", inner))) == "Permission denied"
    assert docker.cause(ValueError("odd")) == "odd"


# -- following ---------------------------------------------------------------------------------------------


class Daemon(socketserver.ThreadingUnixStreamServer):
    """What `follow` asks of Docker; events are sent as a test puts them, until it breaks the stream."""

    daemon_threads = True
    BREAK = b"break"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Answer)
        self.path = path
        self.running: dict[str, dict[str, Any]] = {}
        self.events: queue.Queue[bytes] = queue.Queue()
        self.asked: list[str] = []
        self.streams = 0

    def say(self, event: dict[str, Any]) -> None:
        self.events.put(json.dumps(event).encode() + b"\n")


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Daemon
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0].rpartition("/v1.41")[2]
        if path == "/version":
            self._json({"ApiVersion": "1.41"})
        elif path == "/containers/json":
            self._json([{"Id": i} for i in self.server.running])
        elif path == "/events":
            self._stream()
        else:
            found = self.server.running.get(path.split("/")[2])
            self._json(found or {"message": "No such container"}, 200 if found else 404)

    def _json(self, body: object, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _stream(self) -> None:
        self.server.streams += 1
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        while (text := self.server.events.get()) != Daemon.BREAK:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.write(b"0\r\n\r\n")

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_: object) -> None:
        """Tests tell enough."""


class Following:
    """What `follow` told, in order, in a queue."""

    def __init__(self, url: str) -> None:
        self.told: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=docker.follow,
            args=(
                url,
                self.on("event", lambda e: (e.kind, e.container_id)),
                self.on("snapshot", lambda found: sorted(i.id for i in found)),
                self.on("start", lambda i: i.id),
                self.stop,
                self.on("link", lambda up: up),
            ),
            daemon=True,
        )
        self.thread.start()

    def on(self, name: str, shown: Callable[[Any], Any]) -> Callable[[Any], None]:
        return lambda value: self.told.put((name, shown(value)))

    def next(self) -> tuple[str, Any]:
        return self.told.get(timeout=WAIT_SECONDS)

    def until(self, wanted: tuple[str, Any]) -> list[tuple[str, Any]]:
        """All that is told before `wanted`."""
        before: list[tuple[str, Any]] = []
        while (found := self.next()) != wanted:
            before.append(found)
        return before


@pytest.fixture
def daemon(short_tmp: Path) -> Iterator[Daemon]:
    server = Daemon(short_tmp / "d.sock")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.events.put(Daemon.BREAK)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def following(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Following]:
    monkeypatch.setattr(docker, "FIRST_SECONDS", 0.01)
    daemon.running["c0"] = {**INSPECT, "Id": "c0"}
    daemon.running["dead"] = {**INSPECT, "Id": "dead", "State": {"Pid": 0}}
    found = Following(f"unix://{daemon.path}")
    yield found
    found.stop.set()
    found.thread.join(WAIT_SECONDS)
    assert not found.thread.is_alive(), "follow does not end at stop"


def test_first_all_that_runs_then_what_happens(daemon: Daemon, following: Following) -> None:
    assert following.next() == ("link", True)
    assert following.next() == ("snapshot", ["c0"])
    daemon.running["c1"] = {**INSPECT, "Id": "c1"}
    daemon.say(raw_event("start", 1))
    assert following.next() == ("start", "c1")
    assert following.next() == ("event", ("start", "c1"))
    daemon.say(raw_event("die", 2, exitCode="0"))
    assert following.next() == ("event", ("die", "c1"))


def test_one_shorter_lived_than_the_question_is_told_without_identity(
    daemon: Daemon, following: Following
) -> None:
    following.until(("snapshot", ["c0"]))
    daemon.say(raw_event("start", 1))
    assert following.next() == ("event", ("start", "c1"))


def test_after_a_break_it_lists_again_and_asks_for_what_it_missed(
    daemon: Daemon, following: Following
) -> None:
    following.until(("snapshot", ["c0"]))
    daemon.say(raw_event("die", 7_000_000_001))
    following.until(("event", ("die", "c1")))
    del daemon.running["c0"]
    daemon.events.put(Daemon.BREAK)
    assert following.next() == ("link", False)
    assert following.next() == ("link", True)
    assert following.next() == ("snapshot", [])
    assert any("/events?since=7&" in asked for asked in daemon.asked)


def test_what_the_daemon_tells_twice_is_told_once(daemon: Daemon, following: Following) -> None:
    following.until(("snapshot", ["c0"]))
    daemon.say(raw_event("die", 7_000_000_001))
    daemon.events.put(Daemon.BREAK)
    following.until(("link", False))
    following.until(("snapshot", ["c0"]))
    daemon.say(raw_event("die", 7_000_000_001))
    daemon.say(raw_event("destroy", 7_000_000_002))
    assert following.next() == ("event", ("destroy", "c1"))


def test_garbage_in_the_stream_ends_the_session_not_the_following(
    daemon: Daemon, following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    following.until(("snapshot", ["c0"]))
    daemon.events.put(b'{"Type": "container", "Actor": 7}\n')
    assert following.next() == ("link", False)
    daemon.events.put(Daemon.BREAK)
    following.until(("snapshot", ["c0"]))
    assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == [
        "following Docker's events failed, starting again"
    ]


def test_a_daemon_that_hangs_is_left_and_asked_anew(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream stays open and silent, as with a stopped dockerd; only the guard's question shows it."""
    monkeypatch.setattr(docker, "PING_SECONDS", 0.05)
    monkeypatch.setattr(docker, "FIRST_SECONDS", 0.01)
    following = Following(f"unix://{daemon.path}")
    following.until(("link", True))
    daemon.path.rename(daemon.path.with_suffix(".away"))
    following.until(("link", False))
    assert any("hangs" in r.message for r in caplog.records)
    daemon.path.with_suffix(".away").rename(daemon.path)
    following.until(("link", True))
    following.stop.set()
    following.thread.join(WAIT_SECONDS)
    assert not following.thread.is_alive()


def test_no_daemon_is_said_once_in_plain_words(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(docker, "FIRST_SECONDS", 0.01)
    following = Following(f"unix://{short_tmp}/none.sock")
    for _ in range(3):
        assert following.next() == ("link", False)
    following.stop.set()
    following.thread.join(WAIT_SECONDS)
    told = [r.message for r in caplog.records if r.name == "moorwatch.docker"]
    assert told == [
        f"Docker at unix://{short_tmp}/none.sock does not answer (No such file or directory); trying again and again"
    ]
