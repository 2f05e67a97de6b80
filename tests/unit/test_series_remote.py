"""The remote metric store without a back-end: what it sends, how it names series, what it says when nobody answers."""

from __future__ import annotations

from pathlib import Path

import cramjam
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from monitor import config
from monitor.model.arn import Scope
from monitor.model.metric import MetricKey
from monitor.rules.statistics import of_values
from monitor.series import labels, remote_write
from monitor.series.base import Datum, Series, SeriesError
from monitor.series.prometheus import PrometheusStore
from monitor.series.promql import Backend
from tests.conftest import free_port

HOME = Scope("111122223333", "us-east-1")
NOON = 1_800_000_000 - 1_800_000_000 % 86_400
AWKWARD = Series(HOME, MetricKey.of("Shop", "Latency", {"a.b": 'x"\\\n', "a_b": "é", "a b": ""}), "Seconds")


def write_request() -> type:
    """Prometheus's message, described anew from its specification."""
    file = descriptor_pb2.FileDescriptorProto(name="write.proto", package="t", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    shapes = {
        "Label": [("name", 1, kinds.TYPE_STRING, ""), ("value", 2, kinds.TYPE_STRING, "")],
        "Sample": [("value", 1, kinds.TYPE_DOUBLE, ""), ("timestamp", 2, kinds.TYPE_INT64, "")],
        "TimeSeries": [
            ("labels", 1, kinds.TYPE_MESSAGE, ".t.Label"),
            ("samples", 2, kinds.TYPE_MESSAGE, ".t.Sample"),
        ],
        "WriteRequest": [("timeseries", 1, kinds.TYPE_MESSAGE, ".t.TimeSeries")],
    }
    for name, parts in shapes.items():
        message = file.message_type.add(name=name)
        for part, number, kind, of in parts:
            label = kinds.LABEL_REPEATED if of else kinds.LABEL_OPTIONAL
            message.field.add(name=part, number=number, type=kind, label=label, type_name=of or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.WriteRequest"))


def test_a_request_is_what_a_protobuf_library_reads() -> None:
    samples = [(NOON * 1000 + 1, 1.5), (NOON * 1000 + 2, -0.0), (-1, 1e300)]
    encoded = remote_write.labels({"metric": "é" * 200, "__name__": "x"})
    body = remote_write.request([remote_write.timeseries(encoded, samples)] * 2)
    read = write_request().FromString(bytes(cramjam.snappy.decompress_raw(body)))
    assert len(read.timeseries) == 2
    found = read.timeseries[1]
    assert [(one.name, one.value) for one in found.labels] == [("__name__", "x"), ("metric", "é" * 200)]
    assert [(s.timestamp, s.value) for s in found.samples] == samples


def test_labels_tell_the_metric_again() -> None:
    found = labels.of(AWKWARD, 60)
    assert labels.key(found) == AWKWARD.key
    assert {n: v for n, v in found.items() if n.startswith("d_")} == {
        "d_a_2e_b": 'x"\\\n',
        "d_a__b": "é",
        "d_a_20_b": "",
    }
    assert len({labels.identity(Series(HOME, AWKWARD.key, unit)) for unit in ("Seconds", "None")}) == 2


def test_dimensions_no_label_can_hold_are_refused() -> None:
    long = {f"{n:02}{'n' * 200}": "v" * 1024 for n in range(30)}
    with pytest.raises(SeriesError, match="longer than a label"):
        labels.of(Series(HOME, MetricKey.of("Shop", "Latency", long)), 60)


async def test_a_backend_that_is_away_is_told_at_once_to_readers_and_in_time_to_writers() -> None:
    store = PrometheusStore(
        Backend(f"http://127.0.0.1:{free_port()}", write_seconds=0.2), lambda: float(NOON)
    )
    try:
        with pytest.raises(SeriesError, match="cannot read"):
            await store.select([AWKWARD], NOON, NOON + 60, 60)
        with pytest.raises(SeriesError, match="cannot"):
            await store.append([Datum(AWKWARD, NOON, of_values([1.0], [1.0]))])
        assert store.facts().points_refused == 1
        assert store.facts().points_written == 0
    finally:
        await store.close()
    with pytest.raises(SeriesError, match="closed"):
        store.append([])


def test_credentials_others_can_read_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("user:password")
    secret.chmod(0o640)
    with pytest.raises(SeriesError, match="chmod 600"):
        Backend("http://127.0.0.1:1", str(secret))
    secret.chmod(0o600)
    assert Backend("http://127.0.0.1:1/", str(secret)).url == "http://127.0.0.1:1"


@pytest.mark.parametrize("url", ["vm:8428", "ftp://vm", "http://user:secret@vm", "http://vm?x=1", "http://["])
def test_a_backend_that_is_no_plain_url_is_refused(tmp_path: Path, url: str) -> None:
    environ = {"MOORWATCH_STATE": str(tmp_path), "MOORWATCH_METRICS_BACKEND": url}
    with pytest.raises(config.ConfigError, match="metrics_backend"):
        config.load(environ)


def test_a_backend_is_embedded_or_a_url(tmp_path: Path) -> None:
    environ = {"MOORWATCH_STATE": str(tmp_path)}
    assert config.load(environ).metrics_backend == "embedded"
    environ["MOORWATCH_METRICS_BACKEND"] = "https://vm:8428/prefix"
    assert config.load(environ).metrics_backend == "https://vm:8428/prefix"
