"""The boards as files: what is committed is what the code makes, Grafana's schemas hold, and so do the linter's rules.

The rules are those of Grafana's dashboard-linter for Prometheus, done anew over promql-parser. One differs: boards of
services are narrowed down by cluster and service, which every series of theirs carries, and only boards of processes by
job and instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from jsonschema import Draft7Validator

from dashboards.__main__ import ROOT, made, stale
from dashboards.board import TITLES
from dashboards.queries import FOREIGN, Query, UnknownMetric, series
from exporters import names
from monitor.model.stop import CLASSES

JSON = ROOT / "dashboards" / "json"
SCHEMAS = Path(__file__).parent / "schemas"
BUILT_IN = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$__interval": "1m",
}
COUNTING = {"rate", "increase", "irate", "resets"}
UNITS = {
    "short",
    "none",
    "percentunit",
    "bytes",
    "s",
    "Bps",
    "pps",
    "ops",
    "reqps",
}  # of Grafana's categories
Json = dict[str, Any]


def committed() -> dict[str, Json]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(JSON.glob("*.json"))}


def panels(board: Json) -> list[Json]:
    return [p for p in board["panels"] if p["type"] != "row"]


def every_panel() -> list[Any]:
    found = []
    for uid, board in committed().items():
        for panel in panels(board):
            found.append(pytest.param(board, panel, id=f"{uid}: {panel['title']}"))
    return found


def filled(expr: str) -> str:
    """PromQL as Prometheus gets it: the variables replaced."""
    for name, value in BUILT_IN.items():
        expr = expr.replace(name, value)
    return re.sub(r"\$\{?\w+\}?", "x", expr)


def selectors(node: Any, inside: str = "") -> Iterator[tuple[Any, str]]:
    """(vector selector, function around it) of a parsed expression."""
    match type(node).__name__:
        case "VectorSelector":
            yield node, inside
        case "MatrixSelector":
            yield from selectors(node.vector_selector, inside)
        case "Call":
            for argument in node.args:
                yield from selectors(argument, node.func.name)
        case "AggregateExpr":
            yield from selectors(node.expr, inside)
        case "BinaryExpr":
            yield from selectors(node.lhs, inside)
            yield from selectors(node.rhs, inside)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            yield from selectors(node.expr, inside)


def selectors_of(expr: str) -> list[tuple[Any, str]]:
    return list(selectors(promql_parser.parse(filled(expr))))


# -- the files ---------------------------------------------------------------------------------------------


def test_what_is_committed_is_what_the_code_makes() -> None:
    generated = made()
    found = {name: (ROOT / name).read_text() for name in generated}
    assert found == generated, "run: python -m dashboards"
    assert stale(ROOT, generated) == []


def test_there_are_seven() -> None:
    assert {uid: board["title"] for uid, board in committed().items()} == {
        uid: f"Moorwatch / {title}" for uid, title in TITLES.items()
    }
    assert len(TITLES) == 7


# -- Grafana's schemas -------------------------------------------------------------------------------------


def errors(schema: str, kind: str, document: Any) -> list[str]:
    rules = json.loads((SCHEMAS / f"{schema}.jsonschema.json").read_text())
    rules["$ref"] = f"#/definitions/{kind}"
    # What may be any JSON there is written as an object, by the schemas' generator.
    for owner, member in (("MatcherConfig", "options"), ("DynamicConfigValue", "value")):
        if owner in rules["definitions"]:
            rules["definitions"][owner]["properties"][member] = {}
    return [
        f"{'/'.join(map(str, e.path))}: {e.message[:200]}"
        for e in Draft7Validator(rules).iter_errors(document)
    ]


@pytest.mark.parametrize("uid", TITLES)
def test_a_board_fits_grafana_s_schema(uid: str) -> None:
    assert errors("dashboard", "Dashboard", committed()[uid]) == []


def test_the_schema_finds_what_is_wrong() -> None:
    board = committed()["moorwatch-fleet"]
    assert errors("dashboard", "Dashboard", {**board, "titel": "x"})
    board["panels"][1]["gridPos"]["w"] = "wide"
    assert errors("dashboard", "Dashboard", board)


@pytest.mark.parametrize(("board", "panel"), every_panel())
def test_a_panel_s_options_and_queries_fit_grafana_s_schemas(board: Json, panel: Json) -> None:
    assert errors(panel["type"], "Options", panel["options"]) == []
    if panel["type"] in ("timeseries", "table"):
        assert errors(panel["type"], "FieldConfig", panel["fieldConfig"]["defaults"].get("custom", {})) == []
    for target in panel["targets"]:
        assert errors("prometheus", "Dataquery", target) == []


# -- the linter's rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", TITLES)
def test_variables(uid: str) -> None:
    board = committed()[uid]
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert next(iter(variables)) == "datasource"
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert {"cluster", "service"} <= set(variables) or {"job", "instance"} <= set(variables)
    for name, variable in variables.items():
        assert variable.get("label") or variable.get("hide"), name
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}"
            assert variable["refresh"] == 2, "reloaded when the time range changes"
            match = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"])
            assert match, variable["query"]
            assert selectors_of(match[1])
    assert board["editable"] is False
    assert board["description"]


@pytest.mark.parametrize("uid", TITLES)
def test_every_variable_that_is_used_is_there_and_the_other_way_round(uid: str) -> None:
    board = committed()[uid]
    there = {v["name"] for v in board["templating"]["list"]}
    text = json.dumps({**board, "links": []})
    own = re.findall(r"\$\{?([a-z_]+)\b", re.sub(r"\$\{?__[\w.]+", "", text))
    assert set(own) == there


@pytest.mark.parametrize("uid", TITLES)
def test_links_lead_to_boards_that_are_there_and_to_their_variables(uid: str) -> None:
    boards = committed()
    for link in re.findall(r"/d/([\w-]+)\?([^\"]*)", json.dumps(boards[uid])):
        target, query = link
        assert target in boards
        there = {v["name"] for v in boards[target]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) <= there


def test_each_level_links_to_the_next() -> None:
    text = {uid: json.dumps(board) for uid, board in committed().items()}
    assert "/d/moorwatch-service?" in text["moorwatch-fleet"]
    assert "/d/moorwatch-task?" in text["moorwatch-service"]
    assert all(any(link["type"] == "dashboards" for link in b["links"]) for b in committed().values())


@pytest.mark.parametrize(("board", "panel"), every_panel())
def test_a_panel_says_what_it_is(board: Json, panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    refs = [t["refId"] for t in panel["targets"]]
    assert len(set(refs)) == len(refs)


@pytest.mark.parametrize(("board", "panel"), every_panel())
def test_a_query_is_promql_over_series_that_exist(board: Json, panel: Json) -> None:
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        found = selectors_of(target["expr"])
        assert found
        for selector, inside in found:
            assert selector.name in series() | FOREIGN, selector.name
            counts = selector.name.endswith(("_total", "_bucket"))
            assert (
                not counts
                or inside in COUNTING
                or "exits_by_code" in selector.name
                or _is_whole(selector.name)
            )
            assert not (inside in COUNTING and not counts), (
                f"{inside} of {selector.name}, which is no counter"
            )
        if any(inside in COUNTING for _, inside in found):
            assert "[$__rate_interval]" in target["expr"] or "[$__range]" in target["expr"]
            assert not re.search(r"\[\d", target["expr"])


def _is_whole(name: str) -> bool:
    """Counters shown as they are: born when the first failure comes, so that a rate of them begins too late."""
    return name == "ecs_image_pull_failures_total"


@pytest.mark.parametrize(("board", "panel"), every_panel())
def test_a_query_is_narrowed_down_by_the_board_s_variables(board: Json, panel: Json) -> None:
    there = {v["name"] for v in board["templating"]["list"]}
    labels = {m.name: set(m.labels) for m in names.every()}
    for target in panel["targets"]:
        for selector, _ in selectors_of(target["expr"]):
            name = re.sub(r"_(bucket|sum|count)$", "", selector.name)
            has = labels.get(name, {"job", "instance"} if name in FOREIGN - {"ALERTS"} else set())
            used = {m.name for m in selector.matchers.matchers}
            for variable in ("cluster", "service", "task", "container", "container_instance"):
                if variable in has and variable in there:
                    assert variable in used, f"{selector.name} without {variable}"
            if not has & {"cluster", "service"} and name != "ALERTS":
                assert "job" in used, f"{selector.name} without job"


@pytest.mark.parametrize("uid", TITLES)
def test_panels_do_not_overlap_and_fill_their_rows(uid: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in committed()[uid]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} over {taken[x, y]}"
                taken[x, y] = panel["title"]
    ids = [p["id"] for p in committed()[uid]["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "uid", ["moorwatch-fleet", "moorwatch-service", "moorwatch-task", "moorwatch-deployments"]
)
def test_deployments_kills_and_stops_are_marked(uid: str) -> None:
    marks = {a["name"]: a for a in committed()[uid]["annotations"]["list"]}
    assert {"Deployments", "OOM kills", "Failed tasks"} <= set(marks)
    for mark in marks.values():
        assert selectors_of(mark["expr"])


def test_the_classes_of_stops_that_count_as_failures_exist() -> None:
    from dashboards.queries import FAILED

    named = set(re.findall(r"\w+", FAILED.partition("=~")[2]))
    assert named < set(CLASSES)
    assert set(CLASSES) - named == {"Scaling", "Moved", "User", "Exited"}


def test_a_metric_that_does_not_exist_cannot_be_queried() -> None:
    with pytest.raises(UnknownMetric, match="ecs_service_wanted_tasks"):
        Query("sum(ecs_service_wanted_tasks)")
