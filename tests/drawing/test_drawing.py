"""Boards are drawn by Grafana's component library, and the page tells of each panel what became of it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dashboards.draw import DrawingBroken, PanelState, TimeRange, draw
from dashboards.drawing.__main__ import main
from tests.drawing import boards

pytestmark = [pytest.mark.drawing, pytest.mark.prometheus, pytest.mark.slow, pytest.mark.usefixtures("page")]

WIDTH = 1600
# The grid of Grafana: rows of 30 px with 8 px between, our bar above it and the margins.
ROW, AROUND = 38, 2 * 16 + 40 + 16


def drawn(board: dict[str, Any], url: str, png: Path, **variables: Any) -> dict[str, PanelState]:
    states = draw(board, url, png, TimeRange.last(60), variables, width=WIDTH, scrape_interval_seconds=1)
    assert len({state.panel_id for state in states}) == len(states)
    return {state.title: state for state in states}


def colours(png: Path) -> int:
    with Image.open(png) as image:
        found = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert found is not None
    return len(found)


def test_every_panel_type_shows_its_data(prometheus_url: str, drawings: Path) -> None:
    png = drawings / "test-every.png"
    states = drawn(boards.every_panel(), prometheus_url, png)
    assert {title: state.state for title, state in states.items()} == dict.fromkeys(states, "ok"), states
    assert {state.type for state in states.values()} == {
        "stat", "gauge", "bargauge", "timeseries", "state-timeline", "heatmap", "table", "barchart", "piechart",
        "histogram", "text",
    }  # fmt: skip
    assert states["Memory"].series == 3
    assert states["Memory against a limit"].series == 2
    assert states["Handlers"].series >= 2  # rows, merged from two queries
    assert states["Request duration"].series == 10  # Prometheus's buckets of that histogram
    assert "Requests of prometheus" in states  # a variable in a title, its value found by label_values
    assert states["Up"].drawn_as == "library"
    assert states["State"].drawn_as == "likeness"
    with Image.open(png) as image:
        rows = 1 + 4 + 1 + 8 + 6 + 1 + 8 + 6  # the collapsed row is drawn open
        assert image.format == "PNG"
        assert image.size == (WIDTH, rows * ROW + AROUND)
    assert colours(png) > 500


def test_what_fails_and_what_is_empty_is_told_apart(prometheus_url: str, drawings: Path) -> None:
    png = drawings / "test-troubled.png"
    states = drawn(boards.troubled(), prometheus_url, png)
    assert {title: state.state for title, state in states.items()} == {
        "bad query": "error",
        "wrong at run time": "error",
        "no such series": "nodata",
        "not a number": "nodata",
        "unknown variable": "error",
        "fine": "ok",
        "empty table": "nodata",
        "half right": "error",
        "no stat": "nodata",
    }
    # The words are Prometheus's own, with the query they are about.
    assert "A: 1:7: parse error: unclosed left parenthesis" in states["bad query"].message
    assert "found duplicate series for the match group" in states["wrong at run time"].message
    assert states["half right"].message.startswith("B: ")
    assert states["half right"].series == 1  # the other query is drawn all the same
    assert "$nobody" in states["unknown variable"].message
    assert "NaN" in states["not a number"].message
    assert states["no such series"].message == "No data"
    assert states["no stat"].message == 'No data, shown as "none"'


def test_variables_given_go_before_those_proposed(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.every_panel()
    one = drawn(board, prometheus_url, tmp_path / "one.png", handler=["/metrics"])
    two = drawn(board, prometheus_url, tmp_path / "two.png", handler=["/metrics", "/api/v1/query"])
    assert one["Requests by handler"].series == 1
    assert two["Requests by handler"].series == 2
    none = drawn(board, prometheus_url, tmp_path / "none.png", job="nobody's")
    assert none["Up"].state == "nodata"
    assert none["Words"].state == "ok"


def test_the_light_theme_is_light(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.troubled()
    for theme, expected in (("dark", range(40)), ("light", range(200, 256))):
        png = tmp_path / f"{theme}.png"
        draw(board, prometheus_url, png, TimeRange.last(60), width=800, theme=theme)  # type: ignore[arg-type]
        with Image.open(png) as image:
            corner = image.convert("L").getpixel((1, 1))
        assert corner in expected


def test_an_annotation_that_fails_is_not_passed_over(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.every_panel()
    board["annotations"]["list"][-1]["expr"] = "sum(up"
    with pytest.raises(DrawingBroken, match=r"Four seconds in twenty: .*parse error"):
        drawn(board, prometheus_url, tmp_path / "x.png")


def test_a_prometheus_that_does_not_answer_is_an_error_in_each_panel(tmp_path: Path) -> None:
    board = boards.troubled()
    del board["templating"]
    for panel in board["panels"]:
        for target in panel["targets"]:
            target["expr"] = "up"
    states = drawn(board, "http://127.0.0.1:9", tmp_path / "x.png")
    assert {state.state for state in states.values()} == {"error"}
    assert all("Prometheus does not answer" in state.message for state in states.values())


def test_a_panel_type_nobody_draws_is_an_error(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.troubled()
    board["panels"] = [{**board["panels"][5], "type": "geomap"}]
    states = drawn(board, prometheus_url, tmp_path / "x.png")
    assert states["fine"].state == "error"
    assert "geomap" in states["fine"].message


def test_a_variable_whose_query_fails_breaks_the_board(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.troubled()
    board["templating"]["list"][1]["query"] = "label_values(up{, job)"
    with pytest.raises(DrawingBroken, match="parse error"):
        drawn(board, prometheus_url, tmp_path / "x.png")


def test_repeats_macros_links_and_times_of_their_own(prometheus_url: str, drawings: Path) -> None:
    png = drawings / "test-fine.png"
    states = draw(
        boards.fine_points(),
        prometheus_url,
        png,
        TimeRange.last(60),
        {"handler": "$__all"},
        scrape_interval_seconds=1,
    )
    assert {state.state for state in states} == {"ok"}, states
    copies = [state.title for state in states if state.panel_id == 1]
    assert "Asked: /metrics" in copies
    assert len(copies) == len(set(copies)) >= 2
    linked = next(state for state in states if state.title == "Linked and coloured")
    link = next(link for link in linked.links if "metrics" in link)
    assert re.fullmatch(
        r"/d/fine-points\?var-job=prometheus&var-handler=%2Fmetrics&from=\d{13}&to=\d{13}", link
    )
    tens = next(state for state in states if state.title == "Last ten seconds")
    assert tens.series == 1


def test_by_hand(
    prometheus_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    board = tmp_path / "board.json"
    board.write_text(json.dumps(boards.troubled()))
    arguments = [str(board), prometheus_url, str(tmp_path / "x.png"), "--last=60", "--var=job=prometheus"]
    monkeypatch.setattr("sys.argv", ["drawing", *arguments])
    assert main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "ok     timeseries        1 fine" in lines
    assert any(line.startswith("error  timeseries        0 bad query: A: 1:7: parse error") for line in lines)


@pytest.mark.parametrize(
    "tool", [["tsc", "--noEmit"], ["prettier", "--check", "src"]], ids=["types", "format"]
)
def test_the_page_holds_to_its_types_and_its_format(page: Path, tool: list[str]) -> None:
    program, *arguments = tool
    folder = page.parent
    command = [str(folder / "node_modules/.bin" / program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_link_to_a_field_that_is_not_there_is_an_error(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.fine_points()
    table = next(panel for panel in board["panels"] if panel["type"] == "table")
    table["fieldConfig"]["defaults"]["links"][0]["url"] = "/d/x?var-handler=${__data.fields.Handler}"
    states = drawn({**board, "panels": [table]}, prometheus_url, tmp_path / "x.png")
    assert states["Linked and coloured"].state == "error"
    assert "a link is not filled in: /d/x" in states["Linked and coloured"].message


def test_what_stands_below_the_first_screen_is_painted_too(prometheus_url: str, tmp_path: Path) -> None:
    board = boards.fine_points()
    table = next(panel for panel in board["panels"] if panel["type"] == "table")
    low = {**table, "gridPos": {**table["gridPos"], "y": 80}}
    png = tmp_path / "low.png"
    states = drawn({**board, "panels": [low]}, prometheus_url, png)
    assert states["Linked and coloured"].state == "ok"
    with Image.open(png) as image:
        found = image.convert("RGB").crop((0, AROUND + 80 * ROW + 40, WIDTH, image.height)).getcolors(1 << 24)
    assert found is not None
    assert len(found) > 100
