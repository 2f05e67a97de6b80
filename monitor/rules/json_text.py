"""JSON as the standard has it: no NaN, no Infinity, no nesting that would exhaust the stack."""

from __future__ import annotations

import json
from typing import Any


class BadJson(ValueError):
    """The text is not JSON, or is nested too deep to be read."""


def _refuse(constant: str) -> Any:
    raise BadJson(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def loads(text: str) -> Any:
    """Raises BadJson."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadJson("Invalid JSON") from error
