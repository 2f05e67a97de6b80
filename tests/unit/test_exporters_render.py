"""The exposition, read back with prometheus_client's parser."""

from __future__ import annotations

import gzip
import math
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from exporters import names
from exporters.exporter import Exporter
from exporters.form import Form, negotiate
from exporters.metric import GROUP_LABELS
from exporters.rare import Rare, Sockets
from exporters.render import SERIES_A_CONTAINER, exposition, own_registry, render, written
from exporters.sample import ContainerIdentity, Interface, RuntimeEvent, Sample
from exporters.shown import Shown
from exporters.tracked import Reader

ECS = "com.amazonaws.ecs."
Key = tuple[str, tuple[tuple[str, str], ...]]
SAMPLE = Sample(
    at=5.0,
    container_id="a",
    cpu_seconds=1.25,
    cpu_periods=3,
    memory_usage_bytes=123_456_789_012,
    memory_limit_bytes=0,
    oom_kills=0,
    io_stalled_seconds=1e-06,
    network=(Interface("eth0", 1, 2, 3, 4, 5, 6, 7, 8), Interface("eth1", 9, 0, 0, 0, 10, 0, 0, 0)),
)
LABELS = {
    "cluster": "default",
    "service": "web",
    "family": "fam",
    "revision": "3",
    "task": "t1",
    "container": "app",
}
GROUP = {name: LABELS[name] for name in GROUP_LABELS}


def who(container_id: str = "a", **more: object) -> ContainerIdentity:
    labels = {
        f"{ECS}cluster": "default",
        f"{ECS}container-name": "app",
        f"{ECS}task-arn": "arn:aws:ecs:r:1:task/default/t1",
        f"{ECS}task-definition-family": "fam",
        f"{ECS}task-definition-version": "3",
        "moorwatch.service": "web",
    }
    identity = ContainerIdentity(id=container_id, name="n", image="i:1", pid=7, labels=labels, started_at=9.5)
    return replace(identity, **more)  # type: ignore[arg-type]


class _One:
    quota_cores = 0.0

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def read(self, at: float) -> Sample:
        return self.sample

    def close(self) -> None:
        """Nothing is held."""


def exporter_of(
    *identities: ContainerIdentity, sample: Sample = SAMPLE, shown: Shown | None = None
) -> Exporter:
    def open_reader(identity: ContainerIdentity, _: bool) -> Reader:
        return _One(sample._replace(container_id=identity.id))

    exporter = Exporter(now=lambda: 100.0, open_reader=open_reader, shown=shown)
    for identity in identities:
        exporter.track(identity)
    return exporter


def read_back(exporter: Exporter) -> dict[Key, float]:
    """Sample → value; fails on one that comes twice."""
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(render(exporter).decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} comes twice"
            found[key] = sample.value
    return found


def key(name: str, labels: dict[str, str] | None = None) -> Key:
    return name, tuple(sorted((labels or {}).items()))


def test_every_field_comes_back_as_it_was() -> None:
    found = read_back(exporter_of(who()))
    for field, metric in names.SAMPLE_METRICS.items():
        assert found.get(key(metric.name, LABELS)) == getattr(SAMPLE, field), metric.name
    for interface in SAMPLE.network:
        for field, metric in names.NETWORK_METRICS.items():
            labels = {**LABELS, "interface": interface.name}
            assert found[key(metric.name, labels)] == getattr(interface, field), metric.name


def test_the_families_are_those_of_the_table_with_its_types_and_help() -> None:
    families = list(text_string_to_metric_families(render(exporter_of(who())).decode()))
    table = [m for m in names.every() if m.source == "exporter"]
    assert [(f.name, f.type, f.documentation) for f in families] == [
        (m.name.removesuffix("_total") if m.kind == "counter" else m.name, m.kind, m.help) for m in table
    ]
    assert len({f.name for f in families}) == len(families)


def test_what_is_not_known_is_left_out_not_shown_as_0() -> None:
    found = read_back(exporter_of(who(), sample=Sample(5.0, "a")))
    assert key("ecs_container_cpu_seconds_total", LABELS) not in found
    assert key("ecs_container_memory_usage_bytes", LABELS) not in found
    assert found[key("ecs_container_start_time_seconds", LABELS)] == 9.5


def test_failure_counters_are_there_at_0_without_a_task_s_id() -> None:
    exporter = exporter_of()
    exporter.declare_service("default", "web", ["app"])
    found = read_back(exporter)
    for metric in names.GROUP_METRICS.values():
        assert found[key(metric.name, GROUP)] == 0


def test_counters_outlive_their_container_and_its_samples_do_not() -> None:
    exporter = exporter_of(who())
    exporter.on_event(RuntimeEvent("die", "a", 50.0, exit_code=137, labels=who().labels))
    found = read_back(exporter)
    assert found[key("ecs_container_failed_exits_total", GROUP)] == 1
    assert found[key("ecs_exporter_containers")] == 0
    assert not [name for name, labels in found if dict(labels).get("task")]


@pytest.mark.parametrize(
    "text",
    ['say "hi"', "back\\slash", "two\nlines", "\\n", 'trailing\\"', "naïve ☕", "a,b{c}=d", " ", "tab\t"],
)
def test_labels_of_any_text_come_back(text: str) -> None:
    identity = ContainerIdentity(id="a", name=text, image=text, pid=7)
    found = read_back(exporter_of(identity))
    labels = {**dict.fromkeys(LABELS, ""), "container": text}
    assert found[key("ecs_container_cpu_seconds_total", labels)] == 1.25
    info = {**labels, "image": text, "docker_id": "a", "docker_name": text}
    assert found[key("ecs_container_info", info)] == 1


def test_a_label_that_is_no_unicode_does_not_cost_the_scrape() -> None:
    found = read_back(exporter_of(ContainerIdentity(id="a", name="x\ud800y", image="i", pid=7), who("b")))
    assert found[key("ecs_container_cpu_seconds_total", LABELS)] == 1.25
    assert found[key("ecs_exporter_containers")] == 2


def test_of_two_containers_with_the_same_labels_the_newest_is_shown() -> None:
    old, new = who("a", started_at=1.0), who("b", started_at=2.0)
    for order in ((old, new), (new, old)):
        assert read_back(exporter_of(*order))[key("ecs_container_start_time_seconds", LABELS)] == 2.0


@pytest.mark.parametrize(
    ("docker", "status"),
    [("healthy", "HEALTHY"), ("unhealthy", "UNHEALTHY"), ("starting", "UNKNOWN"), ("", "UNKNOWN")],
)
def test_health_is_one_of_three(docker: str, status: str) -> None:
    found = read_back(exporter_of(who(has_health_check=True, health=docker)))
    values = {
        s: found[key("ecs_container_health_status", {**LABELS, "status": s})]
        for s in ("HEALTHY", "UNHEALTHY", "UNKNOWN")
    }
    assert values == {s: float(s == status) for s in values}


def test_without_a_health_check_there_is_no_health() -> None:
    assert not [name for name, _ in read_back(exporter_of(who())) if name == "ecs_container_health_status"]


def test_the_exporter_tells_of_itself() -> None:
    exporter = exporter_of(who())
    exporter.sample_all(97.0)
    exporter.set_docker_up(True)
    found = read_back(exporter)
    assert found[key("ecs_exporter_sample_age_seconds")] == 3.0
    assert found[key("ecs_agent_docker_up")] == 1
    assert found[key("ecs_host_cpus")] >= 1
    assert all(math.isfinite(value) for value in found.values())


def scrape(exporter: Exporter, accept: str = "", encoding: str = "") -> tuple[dict[str, str], bytes]:
    form = negotiate(accept, encoding)
    answer = exposition(exporter, form, written(own_registry(), form))
    return answer.headers, answer.body


PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def test_the_text_format_is_what_anyone_gets_who_asks_for_nothing_else() -> None:
    headers, body = scrape(exporter_of())
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(headers["Content-Length"]) == len(body)
    assert body.endswith(b"\n")
    assert b"# EOF" not in body
    assert b"process_resident_memory_bytes" in body


def test_openmetrics_says_the_same_as_the_text_format() -> None:
    exporter = exporter_of(who(has_health_check=True, health="healthy"))
    exporter.on_event(RuntimeEvent("die", "z", 50.0, exit_code=137, labels=who().labels))
    exporter.took_rare("a", Rare(4096, 2, 1024, 0.5, 0, (Sockets("tcp", "inuse", 3),)))
    headers, body = scrape(exporter, PROMETHEUS_ACCEPTS)
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert body.endswith(b"# EOF\n")
    found: dict[Key, float] = {}
    units = {}
    for family in openmetrics_families(body.decode()):
        units[family.name] = family.unit
        found |= {key(s.name, s.labels): s.value for s in family.samples}
    as_text = {
        k: v
        for k, v in read_back(exporter).items()
        if not k[0].startswith(("ecs_host_", "ecs_exporter_render"))  # these change by themselves
    }
    assert {k: found.get(k) for k in as_text} == as_text
    assert units["ecs_container_cpu_seconds"] == "seconds"
    assert found[key("ecs_container_exits_created", GROUP)] == 100.0


def test_what_is_long_is_sent_in_gzip_to_those_who_take_it() -> None:
    headers, body = scrape(exporter_of(who()), encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert int(headers["Content-Length"]) == len(body)
    assert b"ecs_container_cpu_seconds_total" in gzip.decompress(body)


@pytest.mark.parametrize(
    ("accept", "encoding", "meant"),
    [
        ("", "", (False, False)),
        ("*/*", "deflate, gzip;q=1.0", (False, True)),
        ("application/openmetrics-text", "identity", (True, False)),
        ("application/openmetrics-text; version=1.0.0", "", (True, False)),
        ("application/openmetrics-text; version=0.0.1", "", (False, False)),
        ("text/plain;version=0.0.4", "GZIP", (False, True)),
        ("nonsense;;,;version=,", ";;,", (False, False)),
        ("x," * 100_000, "gzip" * 100_000, (False, False)),
    ],
)
def test_negotiation(accept: str, encoding: str, meant: tuple[bool, bool]) -> None:
    form = negotiate(accept, encoding)
    assert (form.is_openmetrics, form.is_gzip) == meant


def test_labels_that_are_named_are_shown_on_the_info_alone() -> None:
    identity = who()
    labels = {**identity.labels, "com.example/team": 'core "A"' + "x" * 500}
    exporter = exporter_of(who(labels=labels), shown=Shown(("com.example/team", "stage")))
    carrying = [
        (s.name, s.labels)
        for f in text_string_to_metric_families(render(exporter).decode())
        for s in f.samples
        if any(name.startswith("label_") for name in s.labels)
    ]
    ((name, found),) = carrying
    assert name == "ecs_container_info"
    assert (found["label_stage"], found["label_com_example_team"]) == ("", 'core "A"' + "x" * 120)


def test_containers_beyond_the_limit_of_series_are_left_out_and_counted() -> None:
    exporter = exporter_of(
        *(ContainerIdentity(id=n, name=n, image="", pid=1) for n in ("a", "b", "c")),
        shown=Shown(series=2 * SERIES_A_CONTAINER),
    )
    render(exporter)
    found = read_back(exporter)
    seen = {dict(labels)["container"] for name, labels in found if name == "ecs_container_info"}
    assert seen == {"a", "b"}
    assert found[key("ecs_exporter_dropped_series_total")] == 2 * SERIES_A_CONTAINER


def test_exit_codes_are_counted_and_the_last_is_told() -> None:
    exporter = exporter_of()
    for code in (0, 137, 137, 3):
        exporter.on_event(RuntimeEvent("die", "z", 50.0, exit_code=code, labels=who().labels))
    found = read_back(exporter)
    by_code = {
        dict(labels)["exit_code"]: v
        for (n, labels), v in found.items()
        if n == "ecs_container_exits_by_code_total"
    }
    assert by_code == {"0": 1, "137": 2, "3": 1}
    assert found[key("ecs_container_last_exit_code", GROUP)] == 3


def test_the_form_that_nobody_asked_for_is_text() -> None:
    assert render(exporter_of()).splitlines()[0] == render(exporter_of(), Form()).splitlines()[0]
