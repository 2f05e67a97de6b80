"""What Grafana is given: boards, data source and alert rules, as files it loads at its start. Pure, but for reading the
boards that are committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from dashboards import rules
from dashboards.alerts import ALERTS

FOLDER, FOLDER_UID = "Moorwatch", "moorwatch"
SOURCE_NAME, SOURCE_UID = "Moorwatch Prometheus", "moorwatch-prometheus"
DEFAULT_PROMETHEUS = "http://127.0.0.1:9090"
HEAD = "# Made by `moorwatch grafana export`.\n"


def boards() -> dict[str, dict[str, Any]]:
    """uid → board, as committed in dashboards/json."""
    found = {}
    for path in sorted(resources.files("dashboards").joinpath("json").iterdir(), key=lambda p: p.name):
        if path.name.endswith(".json"):
            board = json.loads(path.read_text())
            found[board["uid"]] = board
    return found


def data_source(prometheus: str) -> dict[str, Any]:
    """As Grafana's API takes it."""
    return {
        "name": SOURCE_NAME,
        "uid": SOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus,
        "jsonData": {"httpMethod": "POST", "timeInterval": "15s", "manageAlerts": True},
    }


def alert_rules(base: str = rules.RUNBOOKS) -> list[dict[str, Any]]:
    """As Grafana's provisioning API takes them."""
    group = {"folderUID": FOLDER_UID, "ruleGroup": FOLDER, "orgID": 1}
    return [{**rules.grafana_rule(alert, SOURCE_UID, base), **group} for alert in ALERTS]


def tree(prometheus: str, folder: str, base: str = rules.RUNBOOKS) -> Mapping[str, str]:
    """Path → content, below the folder that is Grafana's /etc/grafana/provisioning (or is mounted there). `folder`:
    where Grafana sees that folder."""
    provider = {
        "apiVersion": 1,
        "providers": [
            {
                "name": FOLDER,
                "folder": FOLDER,
                "folderUid": FOLDER_UID,
                "type": "file",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": f"{folder.rstrip('/')}/boards"},
            }
        ],
    }
    sources = {"apiVersion": 1, "datasources": [{"orgId": 1, "editable": True, **data_source(prometheus)}]}
    return {
        "dashboards/moorwatch.yml": _yaml(provider),
        "datasources/moorwatch.yml": _yaml(sources),
        "alerting/moorwatch.yml": rules.grafana_rules(SOURCE_UID, base),
        **{f"boards/{uid}.json": _json(board) for uid, board in boards().items()},
    }


def _yaml(document: Mapping[str, Any]) -> str:
    return HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _json(board: Mapping[str, Any]) -> str:
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
