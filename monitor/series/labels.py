"""Series as labels of a Prometheus-compatible back-end, and back.

Names of dimensions may hold any character while label names, before Prometheus 3, hold few: so `dimensions` carries
them whole, as JSON, and is what is read back; `d_NAME` are for people's own queries, the first dimensions of a
metric only, because back-ends bound the labels of a series. `id` finds a series with one short matcher.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.series.base import Series, SeriesError

NAME = "moorwatch_datapoint"
COUNT, SUM, MIN, MAX = "count", "sum", "min", "max"
VALUE, TIMES = "value", "times"  # a value of a point, and how often it came
MOST_LABELLED = 10
MOST_BYTES = 16_000  # VictoriaMetrics cuts longer values

_PLAIN = re.compile("[a-zA-Z0-9]")


def identity(series: Series) -> str:
    text = json.dumps([series.scope.account, series.scope.region, *_names(series)], ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def of(series: Series, step: int) -> dict[str, str]:
    """All labels but `stat`. Raises SeriesError when the dimensions are too long for a label."""
    namespace, name, dimensions, unit = _names(series)
    if len(dimensions.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise SeriesError(f"the dimensions of {namespace} {name[:100]} are longer than a label can be")
    out = {f"d_{escaped(n)}": v for n, v in series.key.dimensions[:MOST_LABELLED]}
    return out | {
        "__name__": NAME,
        "account": series.scope.account,
        "region": series.scope.region,
        "namespace": namespace,
        "metric": name,
        "dimensions": dimensions,
        "unit": unit,
        "step": str(step),
        "id": identity(series),
    }


def key(labels: Mapping[str, str]) -> MetricKey:
    """Raises ValueError, KeyError for labels that are not ours."""
    pairs = tuple((str(n), str(v)) for n, v in json.loads(labels["dimensions"]))
    return MetricKey(labels["namespace"], labels["metric"], pairs)


def matchers(scope: Scope, wanted: Mapping[str, str]) -> str:
    """A selector of the series of `scope` whose labels are as wanted."""
    every = {"account": scope.account, "region": scope.region, **wanted}
    return f"{NAME}{{{','.join(f'{n}={quoted(v)}' for n, v in every.items())}}}"


def dimensions_text(key: MetricKey) -> str:
    return json.dumps(key.dimensions, separators=(",", ":"), ensure_ascii=False)


def escaped(name: str) -> str:
    """A label name of its own for any name: what label names do not have becomes _HEX_."""
    return "".join(c if _PLAIN.match(c) else "__" if c == "_" else f"_{ord(c):x}_" for c in name)


def quoted(value: str) -> str:
    """A PromQL string."""
    body = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{body}"'


def _names(series: Series) -> tuple[str, str, str, str]:
    return series.key.namespace, series.key.name, dimensions_text(series.key), series.unit
