"""The threads beside sampling: the rare looks, and Docker's stats for containers without visible cgroups."""

from __future__ import annotations

import threading

from exporters.docker import Questions
from exporters.exporter import Exporter
from exporters.rare import RareLooks
from exporters.stats import StatsPoller


def start_beside(exporter: Exporter, questions: Questions, stop: threading.Event) -> list[threading.Thread]:
    """Start them; they end after `stop`. They alone ask Docker anything, so that a daemon that hangs holds up
    neither samples nor scrapes."""
    exporter.stats = StatsPoller(questions.stats)
    looks = RareLooks(
        lambda: [t.identity for t in exporter.tracked()], exporter.took_rare, questions.inspect, exporter.proc
    )

    def rarely() -> None:
        exporter.data_root = questions.data_root()
        looks.run(stop)

    threads = [
        threading.Thread(target=rarely, name="rare-looks", daemon=True),
        threading.Thread(target=exporter.stats.run, args=(stop,), name="docker-stats", daemon=True),
    ]
    for thread in threads:
        thread.start()
    return threads
