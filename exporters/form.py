"""In which form a scrape is answered: text or OpenMetrics by the Accept header, gzip by Accept-Encoding."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field

from prometheus_client.exposition import choose_encoder, gzip_accepted

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text"
GZIP_FROM_BYTES = 1400  # less fits into one packet
GZIP_LEVEL = 1  # 2 µs a sample; level 6 costs three times that for a tenth less
MOST_HEADER = 2000


@dataclass(frozen=True, slots=True)
class Form:
    """`is_openmetrics`: OpenMetrics 1.0, else Prometheus's text format 0.0.4."""

    is_openmetrics: bool = False
    is_gzip: bool = False
    content_type: str = TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def negotiate(accept: str, accept_encoding: str) -> Form:
    """The two headers → the form; whatever they say, something can be answered."""
    _, content_type = choose_encoder(accept[:MOST_HEADER])
    is_openmetrics = content_type.startswith(OPENMETRICS)
    kind = f"{OPENMETRICS}; version=1.0.0; charset=utf-8" if is_openmetrics else TEXT_TYPE
    return Form(is_openmetrics, gzip_accepted(accept_encoding[:MOST_HEADER]), kind)


def pack(body: bytes, form: Form) -> Answer:
    headers = {"Content-Type": form.content_type, "Vary": "Accept, Accept-Encoding"}
    if form.is_gzip and len(body) >= GZIP_FROM_BYTES:
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    return Answer(body, headers)
