"""Exporter: who is tracked, what is counted, what is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporters import tracked as kept
from exporters.cgroups import Gone
from exporters.exporter import LAST_WORDS_KEPT, Exporter
from exporters.parse import BadFile
from exporters.sample import ContainerIdentity, RuntimeEvent, Sample
from exporters.tracked import Counts, Reader
from tests.unit import exporters_trees as trees

ECS = "com.amazonaws.ecs."
GROUP = ("default", "web", "app")
STARTED = 1000.0


def labels(service: str = "web", task: str = "t1", container: str = "app") -> dict[str, str]:
    return {
        f"{ECS}cluster": "arn:aws:ecs:us-east-1:000000000001:cluster/default",
        f"{ECS}container-name": container,
        f"{ECS}task-arn": f"arn:aws:ecs:us-east-1:000000000001:task/default/{task}",
        f"{ECS}task-definition-family": "fam",
        f"{ECS}task-definition-version": "3",
        "moorwatch.service": service,
    }


def who(container_id: str = "a", pid: int = 10, started_at: float = STARTED + 1) -> ContainerIdentity:
    return ContainerIdentity(
        id=container_id, name=f"n-{container_id}", image="i", pid=pid, labels=labels(), started_at=started_at
    )


def event(kind: str, container_id: str = "a", at: float = STARTED + 5, **more: object) -> RuntimeEvent:
    return RuntimeEvent(kind, container_id, at, labels=labels(), **more)  # type: ignore[arg-type]


class Script:
    """Readers that give what a test says, per container: a sample, or an error to raise."""

    def __init__(self) -> None:
        self.samples: dict[str, Sample | Exception] = {}
        self.closed: list[str] = []
        self.kept_open: list[bool] = []

    def __call__(self, identity: ContainerIdentity, keep_open: bool) -> Reader:
        self.kept_open.append(keep_open)
        if isinstance(self.samples.get(f"open {identity.id}"), Exception):
            raise self.samples[f"open {identity.id}"]  # type: ignore[misc]
        return _Scripted(self, identity.id)


class _Scripted:
    quota_cores = 0.0

    def __init__(self, script: Script, container_id: str) -> None:
        self.script, self.container_id = script, container_id

    def read(self, at: float) -> Sample:
        found = self.script.samples.get(self.container_id, Sample(at, self.container_id))
        if isinstance(found, Exception):
            raise found
        return found._replace(at=at)

    def close(self) -> None:
        self.script.closed.append(self.container_id)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def exporter(script: Script) -> Exporter:
    return Exporter(now=lambda: STARTED, open_reader=script)


def counts(exporter: Exporter) -> Counts:
    return dict(exporter.counts())[GROUP]


def test_labels_of_ecs() -> None:
    identity = who()
    assert (identity.cluster, identity.service, identity.family, identity.revision) == (
        "default",
        "web",
        "fam",
        "3",
    )
    assert (identity.task, identity.container, identity.group) == ("t1", "app", GROUP)


def test_a_container_that_is_no_task_s_goes_by_its_name() -> None:
    assert ContainerIdentity(id="a", name="redis", image="i", pid=1).group == ("", "", "redis")


def test_tracking_samples_at_once_and_each_round(exporter: Exporter) -> None:
    exporter.track(who())
    assert exporter.latest("a") is not None
    assert [s.container_id for s in exporter.sample_all(STARTED + 7)] == ["a"]
    latest = exporter.latest("a")
    assert latest is not None
    assert latest.at == STARTED + 7
    assert exporter.sampled_at == STARTED + 7


def test_tracking_declares_the_failure_counters_at_0(exporter: Exporter) -> None:
    exporter.track(who())
    assert counts(exporter) == Counts(since=counts(exporter).since)


def test_a_service_s_counters_exist_from_its_declaration_until_it_is_retired(exporter: Exporter) -> None:
    exporter.declare_service("default", "web", ["app", "sidecar"])
    exporter.declare_service("default", "api", ["app"])
    assert [group for group, _ in exporter.counts()] == [
        ("default", "api", "app"),
        GROUP,
        ("default", "web", "sidecar"),
    ]
    exporter.retire_service("default", "web")
    assert [group for group, _ in exporter.counts()] == [("default", "api", "app")]


def test_declaring_again_keeps_the_counts(exporter: Exporter) -> None:
    exporter.on_event(event("die", exit_code=1))
    exporter.declare_service("default", "web", ["app"])
    assert counts(exporter).exits == 1


def test_tracking_twice_changes_nothing(exporter: Exporter, script: Script) -> None:
    exporter.track(who())
    exporter.track(who())
    assert len(exporter.tracked()) == 1
    assert script.closed == []


def test_a_container_restarted_in_place_is_read_anew(exporter: Exporter, script: Script) -> None:
    exporter.track(who(pid=10))
    exporter.track(who(pid=11))
    assert [t.identity.pid for t in exporter.tracked()] == [11]
    assert script.closed == ["a"]


def test_a_container_without_process_is_not_tracked(exporter: Exporter) -> None:
    exporter.track(who(pid=0))
    assert exporter.tracked() == []


def test_what_only_holds_a_task_s_namespaces_is_neither_sampled_nor_counted(exporter: Exporter) -> None:
    holder = labels(container="~internal~ecs~pause")
    exporter.track(replace(who(), labels=holder))
    for kind in ("start", "die"):
        exporter.on_event(RuntimeEvent(kind, "a", STARTED + 5, exit_code=137, labels=holder))
    assert exporter.tracked() == []
    assert exporter.counts() == []


def test_one_that_is_gone_is_forgotten_and_leaves_last_words(exporter: Exporter, script: Script) -> None:
    script.samples["a"] = Sample(0, "a", memory_usage_bytes=50, memory_peak_bytes=70, memory_limit_bytes=90)
    exporter.track(who())
    script.samples["a"] = Gone("over")
    assert exporter.sample_all() == []
    assert exporter.tracked() == []
    assert script.closed == ["a"]
    words = exporter.last_words("a")
    assert words is not None
    assert (words.memory_bytes, words.memory_peak_bytes, words.memory_limit_bytes) == (50, 70, 90)


def test_a_bad_file_costs_one_sample_only(exporter: Exporter, script: Script) -> None:
    exporter.track(who())
    script.samples["a"] = BadFile("bad")
    assert exporter.sample_all() == []
    assert exporter.read_errors == 1
    del script.samples["a"]
    assert len(exporter.sample_all()) == 1


def test_the_peak_is_the_highest_seen_where_the_kernel_keeps_none(exporter: Exporter, script: Script) -> None:
    for used in (10, 80, 30):
        script.samples["a"] = Sample(0, "a", memory_usage_bytes=used)
        exporter.track(who())
        exporter.sample_all()
    words = exporter.last_words("a")
    assert words is not None
    assert (words.memory_bytes, words.memory_peak_bytes, words.memory_limit_bytes) == (30, 80, None)


def test_a_look_out_of_turn_is_the_last_word(exporter: Exporter, script: Script) -> None:
    exporter.track(who())
    script.samples["a"] = Sample(0, "a", memory_usage_bytes=5, oom_kills=1)
    assert exporter.sample_now("a") is not None
    exporter.on_event(event("die", exit_code=137))
    words = exporter.last_words("a")
    assert words is not None
    assert (words.memory_bytes, words.oom_kills) == (5, 1)
    assert exporter.sample_now("a") is None


def test_last_words_are_bounded(exporter: Exporter) -> None:
    for number in range(LAST_WORDS_KEPT + 5):
        exporter.track(who(str(number)))
        exporter.forget(str(number))
    assert exporter.last_words("4") is None
    assert exporter.last_words("5") is not None


def test_exits_are_counted_by_service_and_container(exporter: Exporter) -> None:
    exporter.track(who())
    exporter.on_event(event("die", exit_code=137))
    exporter.on_event(event("die", "b", exit_code=0))
    assert (counts(exporter).exits, counts(exporter).failed_exits) == (2, 1)
    assert exporter.tracked() == []


def test_starts_and_restarts_in_place(exporter: Exporter) -> None:
    exporter.track(who())
    exporter.on_event(event("start"))
    exporter.on_event(event("die", exit_code=1))
    exporter.track(who(pid=11, started_at=STARTED + 6))
    exporter.on_event(event("start", at=STARTED + 6))
    assert (counts(exporter).starts, counts(exporter).restarts) == (2, 1)


def test_a_death_told_late_does_not_hit_the_process_that_runs_now(exporter: Exporter) -> None:
    exporter.track(who(pid=11, started_at=STARTED + 60))
    exporter.on_event(event("die", at=STARTED + 50, exit_code=1))
    assert counts(exporter).exits == 1
    assert len(exporter.tracked()) == 1


Step = Callable[[Exporter, Script], None]


def oom_event(exporter: Exporter, _: Script) -> None:
    exporter.on_event(event("oom"))


def oom_read(exporter: Exporter, script: Script) -> None:
    script.samples["a"] = Sample(0, "a", oom_kills=1)
    exporter.sample_all()


def gone(exporter: Exporter, script: Script) -> None:
    script.samples["a"] = Gone("over")
    exporter.sample_all()


def die(exporter: Exporter, _: Script) -> None:
    exporter.on_event(event("die", exit_code=137))


@pytest.mark.parametrize(
    "steps",
    [
        [oom_event, die],
        [oom_read, die],
        [oom_event, oom_read, die],
        [oom_read, oom_event, die],
        [oom_read, gone, oom_event, die],
        [gone, oom_event, die],
        [die, oom_event],
        [oom_read, die, oom_event],
    ],
    ids=lambda steps: "-".join(s.__name__ for s in steps),
)
def test_an_oom_kill_counts_once_whoever_tells_first(
    exporter: Exporter, script: Script, steps: list[Step]
) -> None:
    exporter.track(who())
    for step in steps:
        step(exporter, script)
    assert counts(exporter).oom_kills == 1


def test_further_oom_kills_in_a_living_container_count_by_the_kernel(
    exporter: Exporter, script: Script
) -> None:
    exporter.track(who())
    for kills in (1, 3):
        script.samples["a"] = Sample(0, "a", oom_kills=kills)
        exporter.sample_all()
    assert counts(exporter).oom_kills == 3


def test_oom_kills_of_before_our_start_are_no_news(exporter: Exporter, script: Script) -> None:
    script.samples["a"] = Sample(0, "a", oom_kills=4)
    exporter.track(who(started_at=STARTED - 100))
    exporter.sample_all()
    assert counts(exporter).oom_kills == 0
    script.samples["a"] = Sample(0, "a", oom_kills=5)
    exporter.sample_all()
    assert counts(exporter).oom_kills == 1


def test_oom_kills_before_the_first_look_at_a_new_container_count(exporter: Exporter, script: Script) -> None:
    script.samples["a"] = Sample(0, "a", oom_kills=2)
    exporter.track(who(started_at=STARTED + 1))
    assert counts(exporter).oom_kills == 2


def test_health_is_kept_and_turns_to_unhealthy_are_counted(exporter: Exporter) -> None:
    exporter.track(replace(who(), health="starting", has_health_check=True))
    assert exporter.tracked()[0].health == "starting"
    for health in ("unhealthy", "healthy", "unhealthy"):
        exporter.on_event(event("health_status", health=health))
    assert exporter.tracked()[0].health == "unhealthy"
    assert counts(exporter).unhealthy == 2


def test_what_no_task_owns_is_uncounted_when_it_is_removed(exporter: Exporter) -> None:
    for kind in ("start", "die", "destroy"):
        exporter.on_event(RuntimeEvent(kind, "x", STARTED, labels={"name": "ci-job-81231"}))
        exporter.on_event(event(kind))
    assert [group for group, _ in exporter.counts()] == [GROUP]


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch, exporter: Exporter) -> None:
    monkeypatch.setattr(kept, "GROUPS_KEPT", 3)
    for name in "abcd":
        exporter.declare("default", "web", name)
        exporter.declare("default", "web", "a")
    assert [group[2] for group, _ in exporter.counts()] == ["a", "c", "d"]


def test_replace_tracks_what_runs_and_forgets_the_rest(exporter: Exporter) -> None:
    exporter.track(who("a"))
    exporter.track(who("b"))
    exporter.replace([who("b"), who("c")])
    assert sorted(t.identity.id for t in exporter.tracked()) == ["b", "c"]
    assert exporter.last_words("a") is not None


def test_event_lag_and_sample_age() -> None:
    now = STARTED
    exporter = Exporter(now=lambda: now, open_reader=Script())
    assert exporter.age_seconds() == 0
    exporter.sample_all()
    now += 4
    exporter.on_event(event("start", at=now - 1.5))
    assert exporter.age_seconds() == 4
    assert exporter.event_lag_seconds == 1.5


def test_beyond_half_the_descriptors_files_are_not_kept_open(
    monkeypatch: pytest.MonkeyPatch, script: Script
) -> None:
    monkeypatch.setattr("exporters.host.descriptor_limit", lambda: 96)
    exporter = Exporter(now=lambda: STARTED, open_reader=script)
    for number in range(5):
        exporter.track(who(str(number)))
    assert script.kept_open == [True, True, True, False, False]


def test_containers_that_cannot_be_seen_are_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, proc = trees.v1_tree(tmp_path)
    shutil.rmtree(root)
    exporter = Exporter(root, proc, now=lambda: STARTED)
    hidden = replace(who(trees.CONTAINER), pid=trees.PID)
    exporter.replace([hidden])
    exporter.replace([hidden])
    assert exporter.unreadable() == 1
    assert len(caplog.records) == 1
    exporter.replace([])
    assert exporter.unreadable() == 0
