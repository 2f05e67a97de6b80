"""Log drivers of a container definition (ECS API reference, "LogConfiguration"; ECS developer guide, "Amazon ECS log
drivers")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.model.errors import ClientFault, client_exception
from monitor.rules import regex
from monitor.rules.regex_program import BadRegex

AWSLOGS = "awslogs"
LOG_DRIVERS = (AWSLOGS, "json-file", "syslog", "journald", "gelf", "fluentd", "local", "none")
_REQUIRED = ("awslogs-group", "awslogs-region")
_OPTIONS = frozenset(
    (
        *_REQUIRED,
        "awslogs-create-group",
        "awslogs-datetime-format",
        "awslogs-multiline-pattern",
        "awslogs-stream",
        "awslogs-stream-prefix",
        "max-buffer-size",
        "mode",
    )
)


def check(c: Mapping[str, Any]) -> None:
    """Raises ClientException."""
    log = c.get("logConfiguration") or {}
    driver = log.get("logDriver")
    if driver is not None and driver not in LOG_DRIVERS:
        raise client_exception(
            f"Container {c['name']!r}: logDriver {driver!r} is not available here; use one of "
            f"{', '.join(LOG_DRIVERS)}."
        )
    if log.get("secretOptions"):
        raise client_exception(
            f"Container {c['name']!r}: secretOptions need Secrets Manager or SSM; pass the value in options."
        )
    if driver == AWSLOGS:
        _awslogs(log.get("options") or {})


def _awslogs(options: Mapping[str, str]) -> None:
    missing = [name for name in _REQUIRED if not options.get(name)]
    if missing:
        raise client_exception(f"Log driver awslogs requires options: {', '.join(missing)}")
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise client_exception(f"Log driver awslogs disallows options: {', '.join(unknown)[:256]}")
    if options.get("awslogs-datetime-format") and options.get("awslogs-multiline-pattern"):
        raise client_exception(
            "Log driver awslogs takes one of awslogs-datetime-format and awslogs-multiline-pattern"
        )
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise _option("mode", options["mode"], "blocking or non-blocking")
    if options.get("awslogs-create-group", "false") not in ("true", "false"):
        raise _option("awslogs-create-group", options["awslogs-create-group"], "true or false")
    try:
        regex.parse(options.get("awslogs-multiline-pattern") or "")
    except BadRegex as error:
        pattern = options["awslogs-multiline-pattern"]
        raise _option("awslogs-multiline-pattern", pattern, f"a regular expression: {error}") from error


def _option(name: str, value: str, need: str) -> ClientFault:
    return client_exception(f"Log driver awslogs: option {name} is {value[:64]!r}, it has to be {need}")
