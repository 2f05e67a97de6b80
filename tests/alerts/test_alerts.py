"""Every alert fires, does not fire, and resolves: by promtool, on the rules as they are committed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from dashboards.__main__ import ROOT
from dashboards.alerts import ALERTS, RECORDINGS, check, names_in, scaled
from dashboards.queries import FOREIGN, UnknownMetric, series
from dashboards.rules import alert_rules, duration, grafana_rules, recording_rules
from tests.alerts.cases import CASES, Case, Series

pytestmark = pytest.mark.prometheus
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
BY_NAME = {a.name: a for a in ALERTS}


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    argv = ["promtool", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def unit_test(name: str, given: Series, times: dict[float, int]) -> dict[str, Any]:
    """promtool's form. `times`: minute → 1 when the alert fires then."""
    return {
        "interval": "15s",
        "input_series": [{"series": series, "values": values} for series, values in given.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}} > 0) or vector(0)',
                "eval_time": duration(minute * 60),
                "exp_samples": [{"labels": "{}", "value": is_firing}],
            }
            for minute, is_firing in times.items()
        ],
    }


def rule_files(tmp_path: Path, name: str) -> list[str]:
    """The alert alone, and the recording rules: promtool evaluates all that it is given at each step."""
    (tmp_path / "alert.yml").write_text(alert_rules([BY_NAME[name]]))
    (tmp_path / "recording.yml").write_text(recording_rules())
    return [str(tmp_path / "alert.yml"), str(tmp_path / "recording.yml")]


def run(tmp_path: Path, name: str, case: Case) -> subprocess.CompletedProcess[str]:
    firing = unit_test(name, case.fires, {case.fires_at: 1, case.resolved_at: 0})
    quiet = [unit_test(name, given, {case.fires_at: 0, case.resolved_at: 0}) for given in case.quiet]
    document = {
        "rule_files": rule_files(tmp_path, name),
        "evaluation_interval": "15s",
        "tests": [firing, *quiet],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(document))
    return promtool("test", "rules", path)


def test_promtool_takes_the_rule_files() -> None:
    done = promtool("check", "rules", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_every_alert_has_its_case() -> None:
    assert set(CASES) == set(BY_NAME)
    assert all(case.quiet for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_it_fires_it_resolves_and_it_does_not_fire_without_cause(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, name, CASES[name])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_is_wrong_is_found(tmp_path: Path) -> None:
    case = CASES["EcsServiceDown"]
    done = run(tmp_path, "EcsServiceDown", Case(case.fires, case.quiet, case.resolved_at, case.fires_at))
    assert done.returncode == 1


def test_an_alert_says_whom_it_is_about(tmp_path: Path) -> None:
    """Templates are filled in with labels that the expression really has."""
    for alert in ALERTS:
        wanted = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
        document = {
            "rule_files": rule_files(tmp_path, alert.name),
            "evaluation_interval": "15s",
            "tests": [
                {
                    "interval": "15s",
                    "input_series": [{"series": s, "values": v} for s, v in CASES[alert.name].fires.items()],
                    "alert_rule_test": [
                        {
                            "eval_time": duration(CASES[alert.name].fires_at * 60),
                            "alertname": alert.name,
                            "exp_alerts": [],
                        }
                    ],
                }
            ],
        }
        path = tmp_path / "labels.yml"
        path.write_text(yaml.safe_dump(document))
        done = promtool("test", "rules", path)
        told = done.stdout + done.stderr
        got = re.search(r"got:\[(.*)", told, re.DOTALL)
        assert got, told
        labels = set(re.findall(r"(\w+)=\"", got[1].partition("Annotations")[0]))
        assert wanted <= labels, f"{alert.name}: {wanted - labels}"
        assert "error expanding" not in told


# -- the data ----------------------------------------------------------------------------------------------


def test_every_expression_is_promql_over_series_that_exist() -> None:
    check()
    known = series() | FOREIGN | {r.record for r in RECORDINGS}
    for rule in (*ALERTS, *RECORDINGS):
        promql_parser.parse(rule.expr)
        assert set(names_in(rule.expr)) <= known
        assert list(names_in(rule.expr))


def test_a_metric_that_does_not_exist_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from dashboards import alerts

    wrong = replace(ALERTS[0], expr="ecs_service_wanted_tasks > 1")
    monkeypatch.setattr(alerts, "ALERTS", (wrong,))
    with pytest.raises(UnknownMetric, match="ecs_service_wanted_tasks"):
        check()


def test_alerts_name_severity_cause_and_cure() -> None:
    assert len({a.name for a in ALERTS}) == len(ALERTS) >= 31
    for a in ALERTS:
        assert a.severity in ("critical", "warning", "info")
        assert min(map(len, (a.meaning, a.first, a.fix, a.summary, a.description))) > 10
        page = (ROOT / "deploy" / "runbooks" / f"{a.name}.md").read_text()
        assert a.meaning in page
        assert a.fix in page


def test_the_same_rules_in_less_time(tmp_path: Path) -> None:
    alerts, recordings = scaled(ALERTS, RECORDINGS, 1 / 20)
    by_name = {a.name: a for a in alerts}
    assert "[30s]" in by_name["EcsContainerOomKilled"].expr
    assert by_name["EcsServiceDown"].wait == 3
    path = tmp_path / "rules.yml"
    for text in (alert_rules(alerts), recording_rules(recordings)):
        path.write_text(text)
        assert promtool("check", "rules", path).returncode == 0


def test_grafana_s_own_rules_need_no_recording_rules() -> None:
    rules = yaml.safe_load(grafana_rules("prom"))["groups"][0]["rules"]
    assert [r["title"] for r in rules] == [a.name for a in ALERTS]
    assert len({r["uid"] for r in rules}) == len(rules)
    for rule in rules:
        query, condition = rule["data"]
        assert query["datasourceUid"] == "prom"
        assert set(names_in(query["model"]["expr"])) <= series() | FOREIGN
        promql_parser.parse(query["model"]["expr"])
        assert rule["condition"] == condition["refId"]
        assert len(rule["uid"]) <= 40


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "90s"), (300, "5m"), (7200, "2h"), (2.6, "3s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
