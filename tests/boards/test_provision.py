"""What Grafana is given, as files and by its HTTP API (a double of it)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dashboards import provision
from dashboards.alerts import ALERTS
from dashboards.board import TITLES
from dashboards.push import CREATED, UNCHANGED, UPDATED, PushFailed, covers, push
from monitor.cli.main import run_command
from tests.boards.grafana_double import TOKEN, Grafana, running

PROMETHEUS = "http://prometheus:9090"
EVERYTHING = 1 + 1 + len(TITLES) + len(ALERTS)


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with running() as server:
        yield server


def pushed(grafana: Grafana, **more: bool) -> list[tuple[str, str, str]]:
    return [(c.kind, c.name, c.done) for c in push(grafana.url, TOKEN, PROMETHEUS, **more)]


# -- by the API --------------------------------------------------------------------------------------------


def test_everything_is_brought_in_and_a_second_time_nothing_is_done(grafana: Grafana) -> None:
    first = pushed(grafana)
    assert len(first) == EVERYTHING
    assert {done for _, _, done in first} == {CREATED}
    assert set(grafana.boards) == set(TITLES)
    assert len(grafana.rules) == len(ALERTS)
    assert grafana.sources[provision.SOURCE_UID]["url"] == PROMETHEUS
    before = len(grafana.writes)
    assert {done for _, _, done in pushed(grafana)} == {UNCHANGED}
    assert len(grafana.writes) == before


def test_what_someone_changed_is_put_right_and_nothing_else(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.boards["moorwatch-fleet"]["dashboard"]["title"] = "Mine"
    grafana.boards["moorwatch-task"]["meta"]["folderUid"] = "elsewhere"
    grafana.rules["moorwatch-EcsDown"]["for"] = "1h"
    grafana.sources[provision.SOURCE_UID]["url"] = "http://old:9090"
    grafana.boards["someone-elses"] = {"dashboard": {"title": "Theirs"}, "meta": {}}
    changed = {(kind, name): done for kind, name, done in pushed(grafana) if done != UNCHANGED}
    assert changed == {
        ("board", "Moorwatch / Fleet"): UPDATED,
        ("board", "Moorwatch / Task and container"): UPDATED,
        ("alert rule", "EcsDown"): UPDATED,
        ("data source", provision.SOURCE_NAME): UPDATED,
    }
    assert grafana.boards["moorwatch-fleet"]["dashboard"]["title"] == "Moorwatch / Fleet"
    assert grafana.boards["someone-elses"]["dashboard"]["title"] == "Theirs"


def test_a_dry_run_says_the_same_and_writes_nothing(grafana: Grafana) -> None:
    assert {done for _, _, done in pushed(grafana, is_dry_run=True)} == {CREATED}
    assert grafana.writes == []


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, '{"message": "x"}', "token of a service account"),
        (403, '{"message": "Access denied"}', "needs the role Admin"),
        (409, '{"message": "exists"}', "not ours: rename or remove"),
        (500, '{"message": "boom"}', "answered 500.*boom.*Grafana's log"),
        (502, "<html>bad gateway</html>", "Grafana's log"),
        (404, '{"message": "404 page not found"}', "root URL"),
        (200, "<html>hello</html>", "is that its address"),
    ],
)
def test_what_grafana_refuses_is_told_with_what_to_do(
    grafana: Grafana, status: int, body: str, told: str
) -> None:
    grafana.broken = (status, body)
    with pytest.raises(PushFailed, match=told):
        pushed(grafana)


def test_a_wrong_token_and_an_address_where_nobody_is(grafana: Grafana) -> None:
    with pytest.raises(PushFailed, match="401"):
        list(push(grafana.url, "wrong", PROMETHEUS))
    with pytest.raises(PushFailed, match="cannot be reached: Connection refused"):
        list(push("http://127.0.0.1:1", TOKEN, PROMETHEUS))


def test_a_data_source_of_the_same_name_that_is_not_ours_is_left_alone(grafana: Grafana) -> None:
    grafana.sources["other"] = {"name": provision.SOURCE_NAME, "uid": "other"}
    with pytest.raises(PushFailed, match="409"):
        pushed(grafana)
    assert grafana.sources["other"] == {"name": provision.SOURCE_NAME, "uid": "other"}


def test_the_command(
    grafana: Grafana, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["grafana", "push", "--url", grafana.url, "--prometheus", PROMETHEUS]
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    assert run_command(argv) == 2
    assert "GRAFANA_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    assert run_command([*argv, "--dry-run"]) == 0
    assert f"{EVERYTHING} to change, 0 unchanged" in capsys.readouterr().out
    assert run_command(argv) == 0
    out = capsys.readouterr().out
    assert "created  board        Moorwatch / Fleet\n" in out
    assert run_command(argv) == 0
    assert capsys.readouterr().out == f"0 changed, {EVERYTHING} unchanged\n"
    assert run_command(["grafana", "push", "--url", "ftp://x"]) == 2
    assert run_command([*argv, "--token", "wrong"]) == 1
    assert "wrong" not in capsys.readouterr().err


def test_covers() -> None:
    assert covers({"a": [{"b": 1, "x": 2}], "c": 3}, {"a": [{"b": 1}]})
    assert not covers({"a": [{"b": 1}, {}]}, {"a": [{"b": 1}]})
    assert not covers({}, {"a": None})
    assert not covers([], {"a": 1})


# -- as files ----------------------------------------------------------------------------------------------


def test_the_provisioning_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "provisioning"
    other = folder / "dashboards" / "mine.yml"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    argv = ["grafana", "export", str(folder), "--prometheus", PROMETHEUS]
    for _ in range(2):  # again is the same
        assert run_command(argv) == 0
    assert other.read_text() == "mine"
    provider = yaml.safe_load((folder / "dashboards" / "moorwatch.yml").read_text())["providers"][0]
    boards = {json.loads(p.read_text())["uid"] for p in Path(provider["options"]["path"]).glob("*.json")}
    assert boards == set(TITLES)
    (source,) = yaml.safe_load((folder / "datasources" / "moorwatch.yml").read_text())["datasources"]
    assert (source["url"], source["uid"], source["type"]) == (PROMETHEUS, provision.SOURCE_UID, "prometheus")
    (group,) = yaml.safe_load((folder / "alerting" / "moorwatch.yml").read_text())["groups"]
    assert {r["title"] for r in group["rules"]} == {a.name for a in ALERTS}
    assert {r["data"][0]["datasourceUid"] for r in group["rules"]} == {source["uid"]}
    listed = capsys.readouterr().out.splitlines()
    assert str(folder / "alerting" / "moorwatch.yml") in listed


def test_a_folder_that_is_seen_at_another_place_by_grafana(tmp_path: Path) -> None:
    assert run_command(["grafana", "export", str(tmp_path), "--path", "/etc/grafana/provisioning/"]) == 0
    provider = yaml.safe_load((tmp_path / "dashboards" / "moorwatch.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/grafana/provisioning/boards"


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dashboards").write_text("a file")
    assert run_command(["grafana", "export", str(tmp_path)]) == 1
    assert "cannot write" in capsys.readouterr().err
