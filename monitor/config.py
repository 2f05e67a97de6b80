"""Settings of every process, read once by a main from the environment and STATE/moorwatch.toml.

Each value keeps the origin it came from, so that `moorwatch doctor` can show it. Nothing else reads the
environment. Precedence: environment, file, default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_PASSWORD = re.compile(r"//.*@")  # of a URL: not for logs and screens
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ConfigError(Exception):
    """A setting that cannot be used; the message names it, its origin and what it must be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Units are in the names. `origins` maps a setting to where its value came from."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 4580
    agent_port: int = 4581
    region: str = "us-east-1"
    account: str = "000000000001"
    auth: str = "sigv4"
    cluster: str = "default"
    docker_host: str = ""
    log_level: str = "info"
    task_retention_seconds: float = 30 * 86400.0
    agent_silence_seconds: float = 3.0
    agent_grace_seconds: float = 60.0
    healthy_after_seconds: float = 10.0
    container_cleanup_seconds: float = 3600.0
    stop_timeout_seconds: float = 30.0
    attributes: str = ""
    metric_labels: str = ""
    metadata: bool = True
    introspection_port: int = 51678
    series_limit: int = 1_000_000
    metrics_limit_bytes: int = 4 * 1024**3
    metrics_backend: str = "embedded"
    metrics_backend_credentials_file: str = ""
    logs_limit_bytes: int = 2 * 1024**3
    shared: bool = True
    smtp_url: str = ""
    smtp_from: str = ""
    smtp_password_file: str = ""
    hooks_dir: str = ""
    alertmanager_url: str = ""
    statsd_port: int = 0
    statsd_window_seconds: int = 60
    otlp_port: int = 0
    custom_metrics_host: str = "127.0.0.1"
    custom_metrics_namespace: str = "CWAgent"
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def agent_metrics(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.agent_port}/metrics"

    @property
    def credentials_file(self) -> Path:
        return self.state / "credentials.json"

    @property
    def database(self) -> Path:
        return self.state / "control.sqlite"

    @property
    def metrics_file(self) -> Path:
        return self.state / "metrics.sqlite"

    @property
    def logs_file(self) -> Path:
        return self.state / "logs.sqlite"


def default_state(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/moorwatch")
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "moorwatch"


def load(environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read settings. `overrides` are command-line options; None values in it are not set.

    Raises ConfigError.
    """
    origins: dict[str, str] = {}
    values: dict[str, Any] = {}
    given = {k: v for k, v in (overrides or {}).items() if v is not None}

    if "state" in given:
        state, origins["state"] = Path(given["state"]), "option --state"
    elif environ.get("MOORWATCH_STATE"):
        state, origins["state"] = Path(environ["MOORWATCH_STATE"]), "environment MOORWATCH_STATE"
    else:
        state, origins["state"] = default_state(environ), "default"
    values["state"] = state.expanduser().absolute()

    path = values["state"] / "moorwatch.toml"
    from_file = _read_file(path)
    for item in fields(Settings):
        name = item.name
        if name in ("state", "origins"):
            continue
        variable = f"MOORWATCH_{name.upper()}"
        if name in given:
            raw, origin = given[name], f"option --{name.replace('_', '-')}"
        elif environ.get(variable, "") != "":
            raw, origin = environ[variable], f"environment {variable}"
        elif name in from_file:
            raw, origin = from_file.pop(name), str(path)
        elif name == "docker_host" and environ.get("DOCKER_HOST"):
            raw, origin = environ["DOCKER_HOST"], "environment DOCKER_HOST"
        elif name == "region" and (environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")):
            which = "AWS_REGION" if environ.get("AWS_REGION") else "AWS_DEFAULT_REGION"
            raw, origin = environ[which], f"environment {which}"
        else:
            origins[name] = "default"
            continue
        origins[name] = origin
        values[name] = _convert(name, str(item.type), raw, origin)
        from_file.pop(name, None)
    if from_file:
        raise ConfigError(
            f"{path}: unknown setting {', '.join(sorted(from_file))}; remove it or mend its name"
        )
    settings = Settings(origins=origins, **values)
    _validate(settings)
    return settings


def _is_url(text: str, *schemes: str, user: bool = False) -> bool:
    """Settings are shown: a password has a file of its own."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    is_plain = not (parts.password or parts.query or parts.fragment or (parts.username and not user))
    return parts.scheme in schemes and bool(parts.hostname) and is_plain


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _convert(name: str, kind: str, raw: Any, origin: str) -> Any:
    try:
        if kind == "int":
            return int(raw)
        if kind == "float":
            return float(raw)
        if kind == "bool":
            return _BOOLEANS[str(raw).lower()]
    except KeyError as error:
        raise ConfigError(f"{name} = {raw!r} ({origin}) must be true or false") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} = {raw!r} ({origin}) must be a number") from error
    return str(raw)


def _validate(s: Settings) -> None:
    def check(name: str, good: bool, need: str) -> None:
        if not good:
            value = getattr(s, name)
            if isinstance(value, str):
                value = _PASSWORD.sub("//…@", value)
            raise ConfigError(f"{name} = {value!r} ({s.origins.get(name, 'default')}) must be {need}")

    check("auth", s.auth in ("sigv4", "none"), "'sigv4' or 'none'")
    check("account", re.fullmatch(r"\d{12}", s.account) is not None, "12 digits")
    check("region", re.fullmatch(r"[a-z0-9-]{1,32}", s.region) is not None, "letters, digits and hyphens")
    check("port", 0 <= s.port < 65536, "a TCP port")
    check("agent_port", 0 <= s.agent_port < 65536, "a TCP port")
    check("cluster", re.fullmatch(r"[A-Za-z0-9_-]{1,255}", s.cluster) is not None, "a cluster name")
    for name in (
        "task_retention_seconds",
        "agent_silence_seconds",
        "agent_grace_seconds",
        "container_cleanup_seconds",
        "stop_timeout_seconds",
    ):
        check(name, getattr(s, name) > 0, "above zero")
    check("introspection_port", 0 <= s.introspection_port < 65536, "a TCP port, or 0 for none")
    check("statsd_port", 0 <= s.statsd_port < 65536, "a UDP port, or 0 for none")
    check("statsd_window_seconds", s.statsd_window_seconds in (1, 5, 10, 30, 60), "1, 5, 10, 30 or 60")
    check("otlp_port", 0 <= s.otlp_port < 65536, "a TCP port, or 0 for none")
    check(
        "custom_metrics_namespace",
        re.fullmatch(r"(?!AWS/)[A-Za-z0-9._/#-][A-Za-z0-9._/#:-]{0,254}", s.custom_metrics_namespace)
        is not None,
        "a namespace, not one of AWS/",
    )
    check("series_limit", s.series_limit > 0, "above zero")
    for name in ("metrics_limit_bytes", "logs_limit_bytes"):
        check(name, getattr(s, name) >= 0, "zero (no limit) or above")
    check(
        "metrics_backend",
        s.metrics_backend == "embedded" or _is_url(s.metrics_backend, "http", "https"),
        "'embedded', or the http(s) URL of a Prometheus-compatible back-end, no password in it",
    )
    is_url = not s.alertmanager_url or _is_url(s.alertmanager_url, "http", "https")
    check("alertmanager_url", is_url, "http://host:9093, no password in it")
    is_url = not s.smtp_url or _is_url(s.smtp_url, "smtp", "smtps", user=True)
    check("smtp_url", is_url, "smtp://[user@]host or smtps://…, no password in it")
    check("healthy_after_seconds", 0 <= s.healthy_after_seconds <= 3600, "between 0 and 3600")
    if s.auth == "none" and s.host not in LOOPBACK:
        raise ConfigError(
            f"auth = 'none' ({s.origins.get('auth')}) is refused on {s.host}: anyone who can start a container "
            "owns the machine. Listen on 127.0.0.1, or use auth = 'sigv4'."
        )
