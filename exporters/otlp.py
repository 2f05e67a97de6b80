"""The samples of /metrics, sent by OTLP: off unless the standard OTEL_* variables ask for it.

A thread of its own takes the newest round each OTEL_METRIC_EXPORT_INTERVAL and hands it to the SDK's exporter, which
knows endpoints, headers, TLS, compression and retries. A collector that is down or slow costs its rounds: they are
counted, said once, and never wait in memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Protocol

from exporters import otlp_settings
from exporters.exporter import Exporter
from exporters.otlp_settings import Losses

log = logging.getLogger("moorwatch.otlp")

DEFAULT_INTERVAL_SECONDS = 60.0
# The specification's variables for the whole process; what they say of it is not true of the containers.
_OF_THE_PROCESS = ("service.", "telemetry.", "process.")


class Sender(Protocol):
    """The SDK's exporter, for a request that is serialized already."""

    def send(self, data: bytes, points: int) -> bool: ...

    def shutdown(self, timeout_millis: float = ...) -> None: ...


class OtlpMetrics:
    """Made by `start`; `close` sends the last round if the collector answers at once."""

    def __init__(
        self,
        exporter: Exporter,
        sender: Sender,
        service: str,
        interval_seconds: float,
        losses: Losses,
    ) -> None:
        from opentelemetry.sdk.resources import Resource

        from exporters.otlp_encode import Encoder, Value

        own: dict[str, Value] = {k: str(v) for k, v in Resource.create().attributes.items()}
        if str(own.get("service.name", "")).startswith("unknown_service"):
            own["service.name"] = service
        shared = {k: v for k, v in own.items() if not k.startswith(_OF_THE_PROCESS)}
        self._encoder = Encoder(exporter, own, shared)
        self._sender, self._interval = sender, interval_seconds
        self.losses = losses
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._stop.wait(self._interval)
            try:
                self.export()
            except Exception:
                # The top of the thread's loop: a round that cannot be told must not be the last.
                log.exception("a round of OTLP metrics failed")

    def export(self) -> None:
        """One round. What the collector does not take is dropped."""
        failed = 0
        for body in self._encoder.bodies():
            # After one failure the others of the round would only wait for their own timeouts.
            if failed or not self._sender.send(body.data, body.points):
                failed += body.points
        if failed:
            self.losses.failed(failed)
        else:
            self.losses.went_well()

    def close(self, seconds: float = 2.0) -> None:
        self._stop.set()
        self._thread.join(seconds)
        self._sender.shutdown()


def start(exporter: Exporter, environ: Mapping[str, str], service: str) -> OtlpMetrics | None:
    """Begin to export, or None: it is not asked for, or cannot be (which is logged: it must not cost the samples)."""
    protocol = otlp_settings.protocol(environ, "metrics")
    if protocol is None:
        return None
    interval = otlp_settings.milliseconds(environ, "OTEL_METRIC_EXPORT_INTERVAL", DEFAULT_INTERVAL_SECONDS)
    try:
        sender: Sender
        if protocol == "grpc":
            from exporters.otlp_grpc import GrpcSender

            sender = GrpcSender()
        else:
            from exporters.otlp_http import HttpSender

            sender = HttpSender()
    except ImportError as error:
        log.error("OTLP metrics by %s are off: %s; pip install 'moorwatch[otlp-grpc]'", protocol, error)
        return None
    except (ValueError, RuntimeError) as error:  # a variable that the SDK cannot read
        log.error("OTLP metrics are off: %s", error)
        return None
    wished = environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    if wished not in ("", "cumulative"):
        log.warning("OTLP metrics are cumulative; the temporality %.40r is not to be had here", wished)
    losses = Losses("metrics", otlp_settings.hear_out())
    log.info("OTLP metrics every %g s by %s", interval, protocol)
    return OtlpMetrics(exporter, sender, service, interval, losses)
