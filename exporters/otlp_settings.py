"""Whether and how telemetry leaves by OTLP: the standard OTEL_* variables, and nothing else.

Imports nothing of opentelemetry: who does not ask for OTLP pays neither memory nor start time for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal

log = logging.getLogger("moorwatch.otlp")

Signal = Literal["traces", "metrics"]
Protocol = Literal["grpc", "http/protobuf"]


def protocol(environ: Mapping[str, str], signal: Signal) -> Protocol | None:
    """How `signal` is sent, or None: it is not. (OpenTelemetry specification, "Environment Variable Specification" and
    "OTLP Exporter Configuration".)

    Unlike the SDK's own set-up, which exports to localhost when nothing is said, nothing said means nothing sent.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    upper = signal.upper()
    exporter = environ.get(f"OTEL_{upper}_EXPORTER", "").strip().lower()
    is_told = any(
        environ.get(f"OTEL_EXPORTER_OTLP_{infix}ENDPOINT", "").strip() for infix in ("", f"{upper}_")
    )
    if exporter not in ("", "none", "otlp"):
        log.warning("OTEL_%s_EXPORTER=%.40r is not known here: only otlp and none are", upper, exporter)
        return None
    if exporter == "none" or not (exporter or is_told):
        return None
    packed = _of(environ, upper, "COMPRESSION")
    if packed not in ("", "none", "gzip", "deflate"):
        log.error("OTLP %s are off: compression %.40r is not known", signal, packed)
        return None
    chosen = _of(environ, upper, "PROTOCOL")
    if chosen == "grpc":
        return "grpc"
    if chosen not in ("", "http/protobuf"):
        log.warning("OTLP protocol %.40r is not known here: %s go by http/protobuf", chosen, signal)
    return "http/protobuf"


def _of(environ: Mapping[str, str], signal: str, what: str) -> str:
    """The signal's own variable, or that of all."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{what}", "").strip().lower()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip().lower()


def milliseconds(environ: Mapping[str, str], name: str, default: float) -> float:
    """A duration in seconds; the specification ignores, with a warning, what is no number above 0."""
    text = environ.get(name, "").strip()
    try:
        value = float(text) if text else default * 1000
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        log.warning("%s=%.40r is not a number of milliseconds: %g s are used", name, text, default)
        return default
    return value / 1000


def count(environ: Mapping[str, str], name: str, default: int) -> int:
    """A number of things; what is none above 0 is ignored, with a warning."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0 and len(text) < 10):
        log.warning("%s=%.40r is not a number above 0: %d is used", name, text, default)
        return default
    return int(text)


class Losses:
    """Counts what a collector did not take, and says so once until it works again: until it took `calm` in a row."""

    def __init__(self, what: str, reason: Callable[[], str] = lambda: "", calm: int = 1) -> None:
        self._what, self._reason, self._calm = what, reason, calm
        self.dropped = 0
        self._is_failing = False
        self._taken = 0  # in a row

    def failed(self, count: int) -> None:
        self.dropped += count
        self._taken = 0
        if not self._is_failing:
            self._is_failing = True
            log.warning(
                "OTLP: the collector does not take our %s, they are dropped until it does (not said again): %s",
                self._what,
                self._reason() or "no reason is known",
            )

    def went_well(self) -> None:
        self._taken += 1
        if self._is_failing and self._taken >= self._calm:
            self._is_failing = False
            log.info("OTLP: the collector takes our %s again; %d were dropped", self._what, self.dropped)


class _Reason(logging.Handler):
    """The last failure, with the last attempt's own words: the former may say no more than "timeout"."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._failure, self._attempt = "", ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()[:400]
        if record.levelno >= logging.ERROR:
            self._failure = text
        else:
            self._attempt = text

    def __call__(self) -> str:
        return " ".join(filter(None, (self._failure, self._attempt)))


def hear_out() -> Callable[[], str]:
    """The SDK logs each failed attempt; from now on it tells only whoever asks for the last reason."""
    logger, handler = logging.getLogger("opentelemetry"), _Reason()
    logger.handlers = [h for h in logger.handlers if not isinstance(h, _Reason)] + [handler]
    logger.propagate = False
    return handler
