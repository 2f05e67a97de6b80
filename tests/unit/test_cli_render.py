from __future__ import annotations

import click
import pytest

from monitor.cli import render


@pytest.mark.parametrize(
    ("running", "desired", "filled"),
    [(0, 0, 0), (0, 3, 0), (1, 100, 1), (99, 100, 9), (3, 3, 10), (5, 3, 10), (1, 2, 5)],
)
def test_a_bar_is_full_only_when_all_run(running: int, desired: int, filled: int) -> None:
    drawn = render.bar(running, desired)
    assert drawn == "█" * filled + "░" * (10 - filled)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.4, "0s"),
        (42, "42s"),
        (60, "1m"),
        (185, "3m 5s"),
        (7800, "2h 10m"),
        (3600, "1h"),
        (356400, "4d 3h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert render.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (512, "512 B"),
        (33_449_574, "31.9 MiB"),
        (2**40, "1.0 TiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert render.size(count) == text


def test_columns_are_measured_without_their_colour() -> None:
    lines = render.table([(click.style("ab", fg="red"), "x"), ("a", "yy")], ("N", "LONG"))
    assert [click.unstyle(line) for line in lines] == ["  N   LONG", "  ab  x", "  a   yy"]


def test_a_container_cannot_drive_the_terminal() -> None:
    assert render.plain("a\x1b[31mb\x07\nc\x9bd") == "a[31mb cd"


def test_clock_names_the_day_when_it_is_another() -> None:
    now = 1_800_000_000.0
    assert len(render.clock(now - 1, now)) == len("08:00:00")
    assert render.clock(now - 200_000, now).startswith("2027-01-1")
    assert render.clock(None, now) == "-"


def test_last_part() -> None:
    assert render.last_part("arn:aws:ecs:r:1:task/default/abc") == "abc"
    assert render.last_part("web") == "web"


def test_a_long_text_is_cut_for_a_column() -> None:
    assert render.shortened("short") == "short"
    assert render.shortened("x" * 100, 10) == "xxxxxxxxx…"
    assert render.shortened("four fives of words", 10) == "four five…"
