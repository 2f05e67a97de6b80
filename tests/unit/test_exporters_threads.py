"""Exporter on recorded files, from several threads at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exporters.exporter import Exporter
from exporters.sample import ContainerIdentity, RuntimeEvent
from tests.unit import exporters_trees as trees

STARTED = 1000.0


def recorded() -> ContainerIdentity:
    return ContainerIdentity(id=trees.CONTAINER, name="web", image="i", pid=trees.PID, started_at=STARTED + 1)


def test_on_recorded_files(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    exporter = Exporter(root, proc, now=lambda: STARTED)
    exporter.track(recorded())
    assert [s.cpu_seconds for s in exporter.sample_all()] == [2.5]
    exporter.close()
    assert exporter.tracked() == []


def test_threads_may_sample_scrape_and_tell_at_once(tmp_path: Path) -> None:
    """Whoever is told last wins; nothing breaks and no descriptor is read after it was closed."""
    root, proc = trees.v1_tree(tmp_path)
    exporter = Exporter(root, proc, now=lambda: STARTED)
    identity = recorded()

    def repeat(work: Callable[[], object]) -> None:
        for _ in range(200):
            work()

    def stranger(kind: str) -> None:
        exporter.on_event(RuntimeEvent(kind, "x", STARTED, labels={"name": "other"}))

    works: list[Callable[[], object]] = [
        exporter.sample_all,
        lambda: exporter.track(identity),
        lambda: exporter.forget(identity.id),
        lambda: (exporter.counts(), exporter.tracked(), exporter.last_words(identity.id)),
        lambda: stranger("start"),
        lambda: stranger("destroy"),
    ]
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(repeat, work) for work in works]:
            future.result()
    assert exporter.read_errors == 0
    exporter.close()
