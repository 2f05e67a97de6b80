"""Rule files, runbooks and the page of alerts, from dashboards.alerts. Pure; `python -m dashboards` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from dashboards.alerts import ALERTS, RECORDINGS, Alert, Recording

RUNBOOKS = "https://github.com/moorwatch/moorwatch/blob/main/deploy/runbooks"
FOLDER_UID = "moorwatch"
INTERVAL = "30s"
HEAD = "# Made by `python -m dashboards` from dashboards/alerts.py; do not edit by hand.\n"


def duration(seconds: float) -> str:
    """Prometheus's: 90 → 90s, 300 → 5m."""
    whole = round(seconds)
    for unit, size in (("h", 3600), ("m", 60)):
        if whole and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def runbook(alert: Alert, base: str) -> str:
    return f"{base.rstrip('/')}/{alert.name}.md"


def alert_rules(alerts: Sequence[Alert] = ALERTS, base: str = RUNBOOKS) -> str:
    """A Prometheus rule file."""
    found = []
    for a in alerts:
        rule: dict[str, Any] = {"alert": a.name, "expr": a.expr}
        if a.wait:
            rule["for"] = duration(a.wait)
        rule["labels"] = {"severity": a.severity}
        rule["annotations"] = {
            "summary": a.summary,
            "description": a.description,
            "runbook_url": runbook(a, base),
        }
        found.append(rule)
    return _file({"groups": [{"name": "moorwatch-alerts", "rules": found}]})


def recording_rules(recordings: Sequence[Recording] = RECORDINGS) -> str:
    """A Prometheus rule file."""
    rules = [{"record": r.record, "expr": r.expr} for r in recordings]
    return _file({"groups": [{"name": "moorwatch-recording", "rules": rules}]})


def _file(document: Mapping[str, Any]) -> str:
    return HEAD + yaml.safe_dump(document, sort_keys=False, width=118, allow_unicode=True)


def grafana_rule(alert: Alert, source: str, base: str = RUNBOOKS) -> dict[str, Any]:
    """As Grafana's alerting provisioning takes it: the query, and a threshold that fires for each series it gives.

    The query has the condition in it, so any series is one that fires; none is Normal.
    """
    inlined = alert.expr
    for recording in RECORDINGS:  # Grafana may query a Prometheus that has not loaded the recording rules
        inlined = inlined.replace(recording.record, f"({recording.expr})")
    query = {
        "refId": "A",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": source,
        "model": {
            "refId": "A",
            "expr": inlined,
            "instant": True,
            "range": False,
            "intervalMs": 1000,
            "maxDataPoints": 43200,
        },
    }
    fires = {
        "refId": "B",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": "B",
            "type": "math",
            "expression": "is_number($A)",
            "datasource": {"type": "__expr__", "uid": "__expr__"},
        },
    }
    return {
        "uid": f"moorwatch-{alert.name}"[:40],
        "title": alert.name,
        "condition": "B",
        "data": [query, fires],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": duration(alert.wait),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary.replace("$value", "$values.A.Value"),
            "description": alert.description.replace("$value", "$values.A.Value"),
            "runbook_url": runbook(alert, base),
        },
    }


def grafana_rules(source: str, base: str = RUNBOOKS) -> str:
    """Grafana's alerting provisioning file."""
    group = {
        "orgId": 1,
        "name": "Moorwatch",
        "folder": "Moorwatch",
        "interval": INTERVAL,
        "rules": [grafana_rule(a, source, base) for a in ALERTS],
    }
    return _file({"apiVersion": 1, "groups": [group]})


def runbook_page(alert: Alert) -> str:
    """deploy/runbooks/NAME.md."""
    wait = f"for {duration(alert.wait)}" if alert.wait else "at once"
    return f"""# {alert.name}

Severity **{alert.severity}**, fires {wait}.

## What it means

{alert.meaning}

## First

{alert.first[0].upper() + alert.first[1:]}.

## How to fix

{alert.fix}

## The rule

```
{alert.expr}
```

Silence it while you work on it: `amtool silence add alertname={alert.name} --duration=1h --comment="…"`.
"""


def alerts_page() -> str:
    """docs/alerts.md."""
    out = [
        "# Alerts",
        "",
        "Made by `python -m dashboards` from `dashboards/alerts.py`; do not edit by hand. The rule files are in",
        "`deploy/prometheus/rules`, a runbook for each alert in `deploy/runbooks`.",
        "",
        "| alert | severity | for | meaning |",
        "|---|---|---|---|",
    ]
    out += [
        f"| [{a.name}](../deploy/runbooks/{a.name}.md) | {a.severity} | {duration(a.wait)} | {a.meaning} |"
        for a in ALERTS
    ]
    out += ["", "Recording rules, which boards and alerts share:", "", "| record | what |", "|---|---|"]
    out += [f"| `{r.record}` | `{r.expr}` |" for r in RECORDINGS]
    return "\n".join(out) + "\n"
