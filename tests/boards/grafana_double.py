"""A double of Grafana's HTTP API, as far as a push uses it: it keeps what it is sent, and refuses what Grafana refuses.

Paths, members and statuses are those of Grafana's HTTP API reference (folders, data sources, dashboards, alerting
provisioning). It is no proof that a real Grafana takes the same.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_test"
Json = dict[str, Any]
RULE_MEMBERS = {
    "title",
    "ruleGroup",
    "folderUID",
    "condition",
    "data",
    "noDataState",
    "execErrState",
    "for",
    "orgID",
}


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Grafana(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders: dict[str, Json] = {}
        self.sources: dict[str, Json] = {}
        self.boards: dict[str, Json] = {}
        self.rules: dict[str, Json] = {}
        self.requests: list[tuple[str, str]] = []
        self.broken: tuple[int, str] | None = None  # status and body that every request gets

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [r for r in self.requests if r[0] != "GET"]

    def answer(self, method: str, path: str, body: Json) -> tuple[int, Any]:
        """Raises Refused."""
        match method, path.strip("/").split("/"):
            case "GET", ["api", "folders", uid]:
                return 200, self._get(self.folders, uid, "folder not found")
            case "POST", ["api", "folders"]:
                self._need(body, {"title", "uid"})
                if body["uid"] in self.folders:
                    raise Refused(409, "a folder with the same UID already exists")
                self.folders[body["uid"]] = {**body, "id": len(self.folders) + 1, "version": 1}
                return 200, self.folders[body["uid"]]
            case "GET", ["api", "datasources", "uid", uid]:
                return 200, self._get(self.sources, uid, "Data source not found")
            case "POST", ["api", "datasources"]:
                self._need(body, {"name", "type", "access", "url", "uid"})
                if any(s["name"] == body["name"] for s in self.sources.values()):
                    raise Refused(409, "data source with the same name already exists")
                self.sources[body["uid"]] = {
                    **body,
                    "id": 1,
                    "version": 1,
                    "readOnly": False,
                    "basicAuth": False,
                }
                return 200, {"message": "Datasource added", "datasource": self.sources[body["uid"]]}
            case "PUT", ["api", "datasources", "uid", uid]:
                self._need(body, {"name", "type", "access", "url"})
                self.sources[uid] = {**self._get(self.sources, uid, "Data source not found"), **body}
                return 200, {"message": "Datasource updated"}
            case "GET", ["api", "dashboards", "uid", uid]:
                return 200, self._get(self.boards, uid, "Dashboard not found")
            case "POST", ["api", "dashboards", "db"]:
                return 200, self._save_board(body)
            case "GET", ["api", "v1", "provisioning", "alert-rules", uid]:
                return 200, self._get(self.rules, uid, "alert rule not found")
            case "POST", ["api", "v1", "provisioning", "alert-rules"]:
                self._check_rule(body)
                self.rules[body["uid"]] = {
                    **body,
                    "id": 1,
                    "updated": "2026-01-01T00:00:00Z",
                    "provenance": "api",
                }
                return 201, self.rules[body["uid"]]
            case "PUT", ["api", "v1", "provisioning", "alert-rules", uid]:
                self._check_rule(body)
                self.rules[uid] = {**self._get(self.rules, uid, "alert rule not found"), **body}
                return 200, self.rules[uid]
        raise Refused(404, f"Not found: {method} {path}")

    def _get(self, table: dict[str, Json], uid: str, missing: str) -> Json:
        if uid not in table:
            raise Refused(404, missing)
        return copy.deepcopy(table[uid])

    def _need(self, body: Json, members: set[str]) -> None:
        if missing := members - set(body):
            raise Refused(400, f"bad request data: {sorted(missing)} missing")

    def _save_board(self, body: Json) -> Json:
        self._need(body, {"dashboard", "folderUid", "overwrite"})
        board = body["dashboard"]
        self._need(board, {"uid", "title", "panels", "schemaVersion"})
        if body["folderUid"] not in self.folders:
            raise Refused(400, "folder not found")
        there = self.boards.get(board["uid"])
        if there is not None and body["overwrite"] is not True:
            raise Refused(412, "The dashboard has been changed by someone else")
        version = there["dashboard"]["version"] + 1 if there else 1
        kept = {**board, "id": 7, "version": version}
        self.boards[board["uid"]] = {
            "dashboard": kept,
            "meta": {"folderUid": body["folderUid"], "version": version},
        }
        return {"status": "success", "uid": board["uid"], "version": version}

    def _check_rule(self, body: Json) -> None:
        self._need(body, RULE_MEMBERS)
        if body["folderUID"] not in self.folders:
            raise Refused(400, "folder not found")
        refs = [query["refId"] for query in body["data"]]
        if body["condition"] not in refs:
            raise Refused(400, f"invalid alert rule: condition {body['condition']} does not exist")
        for query in body["data"]:
            if query["datasourceUid"] != "__expr__" and query["datasourceUid"] not in self.sources:
                raise Refused(400, f"invalid alert rule: data source {query['datasourceUid']} not found")
            if query["model"]["refId"] != query["refId"]:
                raise Refused(400, "invalid alert rule: refId of model and query differ")
        if body["noDataState"] not in ("OK", "NoData", "Alerting") or body["execErrState"] not in (
            "OK",
            "Error",
            "Alerting",
        ):
            raise Refused(400, "invalid alert rule: unknown state")


class _Handler(BaseHTTPRequestHandler):
    server: Grafana

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        self.server.requests.append((self.command, self.path))
        try:
            status, body = self._answer(raw)
        except Refused as refusal:
            status, body = refusal.status, {"message": str(refusal)}
        text = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def _answer(self, raw: bytes) -> tuple[int, Any]:
        if self.server.broken is not None:
            return self.server.broken
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid API key")
        if raw and "application/json" not in (self.headers.get("Content-Type") or ""):
            raise Refused(415, "Unsupported media type")
        return self.server.answer(self.command, self.path, json.loads(raw) if raw else {})

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """A request is no news."""


@contextmanager
def running() -> Iterator[Grafana]:
    server = Grafana()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
