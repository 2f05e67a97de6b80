"""A real Prometheus and Alertmanager that watch a stack, with our rules in a fraction of their time."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from dashboards.__main__ import ROOT
from dashboards.alerts import ALERTS, RECORDINGS, scaled
from dashboards.rules import alert_rules, recording_rules
from tests.conftest import Stack, free_port, wait_until

TIME_SCALE = 1 / 20  # ten minutes are thirty seconds


class Mailbox(ThreadingHTTPServer):
    """Where Alertmanager's webhook goes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.received: list[dict[str, Any]] = []

    def alerts(self, name: str, status: str, **labels: str) -> list[dict[str, Any]]:
        """Of what has arrived, those of the name, status (firing, resolved) and labels."""
        return [
            alert
            for message in list(self.received)
            for alert in message["alerts"]
            if alert["status"] == status
            and alert["labels"]["alertname"] == name
            and all(alert["labels"].get(k) == v for k, v in labels.items())
        ]


class _Post(BaseHTTPRequestHandler):
    server: Mailbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """An alert is news, its request is not."""


class Watch:
    def __init__(self, port: int, mailbox: Mailbox) -> None:
        self.url, self.mailbox = f"http://127.0.0.1:{port}", mailbox

    def api(self, path: str, **parameters: object) -> Any:
        """Prometheus's answer. Raises HTTPError when it refuses the query."""
        text = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{text}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api("query", query=expr)["result"]
        return found

    def is_ready(self) -> bool:
        try:
            return len(self.query("up == 1")) >= 2
        except OSError:
            return False


def _configure(folder: Path, stack: Stack, alertmanager: int, mailbox: Mailbox) -> None:
    """The files we ship, for these ports, with short intervals."""
    (folder / "rules").mkdir()
    alerts, recordings = scaled(ALERTS, RECORDINGS, TIME_SCALE)
    (folder / "rules" / "alerts.yml").write_text(alert_rules(alerts))
    (folder / "rules" / "recording.yml").write_text(recording_rules(recordings))
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    for shipped, ours in ((4580, stack.port), (4581, stack.agent_port), (9093, alertmanager)):
        text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{ours}")
    config = yaml.safe_load(text)
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][1]["http_sd_configs"][0]["refresh_interval"] = "1s"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    routing = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    routing["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    url = f"http://127.0.0.1:{mailbox.server_address[1]}/alerts"
    routing["receivers"][0]["webhook_configs"][0]["url"] = url
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routing))


@contextmanager
def watching(stack: Stack, prometheus: str, alertmanager: str, folder: Path) -> Iterator[Watch]:
    """Both programs run until the end of the block."""
    mailbox = Mailbox()
    port, alert_port = free_port(), free_port()
    _configure(folder, stack, alert_port, mailbox)
    thread = threading.Thread(target=mailbox.serve_forever, args=(0.05,))
    thread.start()
    commands = (
        [
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        [
            alertmanager,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{alert_port}",
            "--cluster.listen-address=",
        ],
    )
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        watch = Watch(port, mailbox)
        wait_until(watch.is_ready, f"Prometheus scrapes; {_tails(folder)}", 60)
        yield watch
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
        mailbox.shutdown()
        mailbox.server_close()
        thread.join()


def _tails(folder: Path) -> Sequence[str]:
    return [path.read_text()[-400:] for path in folder.glob("*.log")]
