"""Every scenario beside this file is played; see runner.py for their language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.runner import BadScenario, Scenario

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.scenario"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_scenario(path: Path) -> None:
    assert Scenario().play(path) > 0, "a scenario without expectations shows nothing"


@pytest.mark.parametrize(
    "line", ["instance a", "0: fly", "5: instance a\n4: instance b", "0: / web flying 1"]
)
def test_a_wrong_scenario_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "wrong.scenario"
    path.write_text(
        "0: instance z\n0: define web\n0: service web 1\n".replace("0:", "0:") * line.startswith("0: /")
        + line
    )
    with pytest.raises(BadScenario):
        Scenario().play(path)


def test_an_expectation_that_does_not_hold_fails(tmp_path: Path) -> None:
    path = tmp_path / "untrue.scenario"
    path.write_text("0: instance z\n0: define web\n0: service web 2 / web running 3\n")
    with pytest.raises(AssertionError, match=r"untrue.scenario:3: .*\n  found \{'running': '2'\}"):
        Scenario().play(path)
