"""Shown: what of Docker's labels goes on `ecs_container_info`, and how many series a scrape may have. Pure.

Labels of containers are anybody's text: only those that are named are shown, on one metric, cut to a length; joins
bring them to the others (`* on(task, container) group_left(label_team) ecs_container_info`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_LABELS = 20
MOST_CHARACTERS = 128
SERIES_LIMIT = 1_000_000


class BadLabels(ValueError):
    """A list of labels that cannot be shown; the message says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """`labels`: names of Docker labels. `series`: the most of one exposition; containers beyond are left out."""

    labels: tuple[str, ...] = ()
    series: int = SERIES_LIMIT

    def of(self, labels: Mapping[str, str]) -> dict[str, str]:
        """label_NAME → value, for each that is to be shown; "" where a container has it not."""
        return {label_name(name): labels.get(name, "")[:MOST_CHARACTERS] for name in self.labels}


def label_name(name: str) -> str:
    """com.example.team → label_com_example_team."""
    return f"label_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"


def parse_labels(text: str) -> tuple[str, ...]:
    """`a,b`. Raises BadLabels."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if len(names) > MOST_LABELS:
        raise BadLabels(f"at most {MOST_LABELS} labels can be shown, got {len(names)}")
    alike = [n for n in names if sum(label_name(n) == label_name(o) for o in names) > 1]
    if alike:
        raise BadLabels(
            f"{' and '.join(alike)} would both be shown as {label_name(alike[0])}: name one of them"
        )
    return names
