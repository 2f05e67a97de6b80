"""The log driver awslogs, as an order has it, and what Docker is told instead (Docker documentation, "Amazon CloudWatch
Logs logging driver"; ECS developer guide, "Example Amazon ECS task definition: Route logs to CloudWatch").

Docker keeps the container's output in files of its own (driver `local`), and the agent ships it from there: so an
outage of the control plane costs disk space, not lines, and neither end of the pipe waits for the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.agent.mapping import BadPayload
from monitor.rules import regex
from monitor.rules.regex import Regex
from monitor.rules.regex_program import BadRegex

AWSLOGS = "awslogs"
LABEL = "moorwatch.awslogs"
# What is kept of a container that cannot be shipped for a while: 100 MB, compressed. Then the oldest goes.
BUFFER = {"max-size": "20m", "max-file": "5"}
_DIRECTIVES = {
    "a": "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "A": "[A-Z][a-z]{5,8}",
    "w": "[0-6]",
    "d": "[0-9]{2}",
    "b": "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
    "B": "[A-Z][a-z]{2,8}",
    "m": "[0-9]{2}",
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "H": "[0-9]{2}",
    "I": "[0-9]{2}",
    "p": "[AP]M",
    "M": "[0-9]{2}",
    "S": "[0-9]{2}",
    "L": "\\.[0-9]{3}",
    "f": "[0-9]{6}",
    "z": "[+-][0-9]{4}",
    "Z": "[A-Z]{1,4}T",
    "j": "[0-9]{3}",
}


@dataclass(frozen=True, slots=True)
class Shipping:
    """Where a container's output goes. `region`: "" for the agent's own. `first_line`: the expression that finds
    where a new event begins; "": with every line."""

    group: str
    stream: str
    region: str
    makes_group: bool = False
    first_line: str = ""

    @property
    def starts_event(self) -> Regex | None:
        return regex.parse(self.first_line) if self.first_line else None


def of_order(log: Mapping[str, Any], task_id: str, container: str) -> Shipping | None:
    """Of an order's LogConfig; None for another driver. Without a prefix the stream is named by the container's id,
    which is not known before it is made: "" then. Raises BadPayload."""
    if log.get("Type") != AWSLOGS:
        return None
    options = log.get("Config") or {}
    group = str(options.get("awslogs-group") or "")
    if not group:
        raise BadPayload("the log driver awslogs needs the option awslogs-group")
    prefix = str(options.get("awslogs-stream-prefix") or "")
    stream = f"{prefix}/{container}/{task_id}" if prefix else str(options.get("awslogs-stream") or "")
    first_line = str(options.get("awslogs-multiline-pattern") or "")
    if not first_line and options.get("awslogs-datetime-format"):
        first_line = pattern_of(str(options["awslogs-datetime-format"]))
    try:
        regex.parse(first_line)
    except BadRegex as error:
        raise BadPayload(f"awslogs-multiline-pattern {first_line[:64]!r}: {error}") from error
    is_made = str(options.get("awslogs-create-group") or "false").lower() == "true"
    return Shipping(group, stream, str(options.get("awslogs-region") or ""), is_made, first_line)


def pattern_of(datetime_format: str) -> str:
    """strftime's directives as a regular expression (Docker documentation, "awslogs-datetime-format")."""
    out = []
    for literal, directive in re.findall(r"([^%]+)|%(.?)", datetime_format):
        if literal:
            out.append(re.escape(literal).replace("\\ ", " ").replace("\\-", "-"))
        else:
            out.append("%" if directive == "%" else _DIRECTIVES.get(directive, re.escape(directive)))
    return "".join(out)


def for_docker(log: Mapping[str, Any]) -> dict[str, Any]:
    """The LogConfig that Docker is given in its place. Its own buffer between container and file is as asked for."""
    options = log.get("Config") or {}
    kept = {name: str(options[name]) for name in ("mode", "max-buffer-size") if options.get(name)}
    return {"Type": "local", "Config": BUFFER | kept}


def label_of(shipping: Shipping) -> str:
    """What the container remembers of it."""
    return json.dumps(
        {
            "group": shipping.group,
            "stream": shipping.stream,
            "region": shipping.region,
            "makes_group": shipping.makes_group,
            "first_line": shipping.first_line,
        }
    )


def of_label(text: str, container_id: str) -> Shipping | None:
    """None for what is not ours."""
    try:
        found = json.loads(text)
        shipping = Shipping(
            str(found["group"]),
            str(found["stream"]) or container_id,
            str(found["region"]),
            found["makes_group"] is True,
            str(found["first_line"]),
        )
        regex.parse(shipping.first_line)
    except (ValueError, KeyError, TypeError, BadRegex):
        return None
    return shipping
