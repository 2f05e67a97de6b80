"""The part of JSONPath that EventBridge has (user guide, "Amazon EventBridge input transformation").

path := "$" {"." name | "." "*" | "[" digits "]" | "[" "*" "]"}
name := letters, digits, "-", "_", "/", "@", ":"; a blank is not part of it
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

MOST_CHARACTERS = 256
MOST_FOUND = 1000
_QUOTED = re.compile(r"\.?\['([^'\[\]]{1,200})'\]")
_STEP = re.compile(r"\.([A-Za-z0-9_/@:-]+)|\.(\*)|\[([0-9]{1,9})\]|\[(\*)\]")


class BadPath(ValueError):
    """The text is no path, or is one of a kind that EventBridge does not have."""


class Missing:
    """What a path finds where there is nothing; JSON's null is a value."""


MISSING = Missing()
EVERY = None  # a step to all members or elements


@dataclass(frozen=True, slots=True)
class JsonPath:
    steps: tuple[str | int | None, ...]

    @property
    def wildcards(self) -> int:
        return self.steps.count(EVERY)

    def find(self, value: Any) -> Any:
        """The value there or MISSING; with a * in the path a list of those found, at most 1,000."""
        found = [value]
        for step in self.steps:
            found = list(islice((below for one in found for below in _below(one, step)), MOST_FOUND))
        if EVERY in self.steps:
            return found or MISSING
        return found[0] if found else MISSING


def _below(value: Any, step: str | int | None) -> list[Any]:
    if step is EVERY:
        if isinstance(value, Mapping):
            return list(value.values())
        return list(value) if isinstance(value, list | tuple) else []
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list | tuple) and step < len(value) else []
    return [value[step]] if isinstance(value, Mapping) and step in value else []


@lru_cache(maxsize=1024)
def parse(text: str, brackets: bool = False) -> JsonPath:
    """`brackets`: a name may stand as in $.['a.b'], which CloudWatch Logs takes and EventBridge does not.

    Raises BadPath.
    """
    if len(text) > MOST_CHARACTERS or not text.startswith("$"):
        raise BadPath(text[:MOST_CHARACTERS])
    steps: list[str | int | None] = []
    at = 1
    while at < len(text):
        if brackets and (quoted := _QUOTED.match(text, at)):
            steps.append(quoted[1])
            at = quoted.end()
            continue
        match = _STEP.match(text, at)
        if match is None:
            raise BadPath(text)
        name, _, index, _ = match.groups()
        steps.append(name if name is not None else int(index) if index is not None else EVERY)
        at = match.end()
    return JsonPath(tuple(steps))
