"""The table of metrics obeys Prometheus's rules, and the docs are made from it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from exporters import names
from exporters.__main__ import main, parser
from exporters.rare import Rare
from exporters.sample import ContainerIdentity, Interface, Sample
from exporters.tracked import Counts
from exporters.usage import Usage

METRICS_PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_each_name_comes_once() -> None:
    found = [m.name for m in names.every()]
    assert sorted(set(found)) == sorted(found)


@pytest.mark.parametrize("metric", names.every(), ids=lambda m: m.name)
def test_prometheus_naming(metric: names.Metric) -> None:
    assert re.fullmatch(r"(ecs|moorwatch)_[a-z0-9_]+", metric.name)
    assert metric.kind in ("counter", "gauge", "histogram")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_count", "_sum", "_bucket")), "taken by histograms"
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in metric.labels)
    assert len(set(metric.labels)) == len(metric.labels)
    assert metric.help.endswith(".")
    assert metric.source in ("exporter", "agent", "control")


@pytest.mark.parametrize("metric", [m for m in names.every() if m.kind != "gauge"], ids=lambda m: m.name)
def test_no_counter_carries_a_task_unless_it_is_read_off_its_cgroup(metric: names.Metric) -> None:
    read_off = [*names.SAMPLE_METRICS.values(), *names.NETWORK_METRICS.values()]
    assert "task" not in metric.labels or metric in read_off


def test_each_column_of_the_exposition_has_its_field() -> None:
    unshown = {"at", "container_id", "network", "oom_kills"}  # OOM kills are counted per service instead
    assert set(names.SAMPLE_METRICS) == set(Sample._fields) - unshown
    assert set(names.NETWORK_METRICS) == set(Interface._fields) - {"name"}
    shown_elsewhere = {"by_code", "last_exit_code", "since"}
    assert set(names.GROUP_METRICS) == {f.name for f in fields(Counts)} - shown_elsewhere
    assert tuple(names.USAGE_METRICS) == Usage._fields
    assert set(names.RARE_METRICS) == set(Rare._fields) - {"sockets"}
    assert set(names.IDENTITY_METRICS) <= {f.name for f in fields(ContainerIdentity)}


def test_units_are_in_the_names() -> None:
    table = {m.name: m.unit for m in names.every()}
    assert table["ecs_container_cpu_seconds_total"] == "seconds"
    assert table["ecs_container_memory_usage_bytes"] == "bytes"
    assert table["ecs_container_processes"] == ""


def test_the_committed_page_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names"]) == 0
    assert METRICS_PAGE.read_text() == capsys.readouterr().out, (
        "run: python -m exporters names > docs/metrics.md"
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:4582", ("::1", 4582)), ("0.0.0.0:80", ("0.0.0.0", 80))],
)
def test_listen(text: str, meant: tuple[str, int]) -> None:
    assert parser().parse_args(["--listen", text]).listen == meant


@pytest.mark.parametrize(
    ("option", "text", "told"),
    [
        ("--listen", "foo", "like 127.0.0.1:4582"),
        ("--listen", "localhost:80", "must be an IP address and a port"),
        ("--listen", "127.0.0.1:70000", "must be an IP address and a port"),
        ("--labels", "a.b,a_b", "would both be shown as label_a_b"),
        ("--labels", ",".join(f"l{n}" for n in range(21)), "at most 20 labels"),
        ("--series-limit", "0", "whole number from 1 on"),
        ("--series-limit", "many", "whole number from 1 on"),
        ("--interval", "0", "seconds from 0.1 to 3600"),
        ("--interval", "nan", "seconds from 0.1 to 3600"),
        ("--interval", "soon", "seconds from 0.1 to 3600"),
    ],
)
def test_bad_options_are_told(option: str, text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([option, text])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
