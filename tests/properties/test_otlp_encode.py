"""Whatever is sampled of whomever, OTLP tells the same values of the same containers, and no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporters import names, otlp_names
from exporters.exporter import Exporter
from exporters.otlp_encode import Encoder, nanoseconds
from exporters.sample import ContainerIdentity, Interface, Sample
from exporters.tracked import Reader
from tests.fakes.otlp import Received

TEXT = st.text(max_size=12)  # lone surrogates too
SECONDS = st.floats(0, 1e12, allow_nan=False)
COUNTERS = st.integers(0, 2**64 - 1)


def value_of(field: str) -> st.SearchStrategy[float | int | None]:
    return st.none() | (SECONDS if field.endswith("_seconds") else COUNTERS)


SAMPLES = st.fixed_dictionaries({field: value_of(field) for field in names.SAMPLE_METRICS})
# Nothing but Unicode, as two names with half a character in them may be the same once they are sent.
INTERFACES = st.lists(
    st.builds(Interface, st.text(st.characters(codec="utf-8"), max_size=8), *([COUNTERS] * 8)),
    max_size=3,
    unique_by=lambda i: i.name,
)
CONTAINERS = st.lists(
    st.tuples(TEXT, SAMPLES, INTERFACES, st.floats(0, 2e9), st.none() | st.floats(0, 2e9)), max_size=4
)
Key = tuple[str, tuple[tuple[str, str], ...]]


class _One:
    quota_cores: float | None = None

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def read(self, at: float) -> Sample:
        return self.sample

    def close(self) -> None:
        """Nothing is held."""


def wanted(sample: Sample) -> dict[Key, float]:
    """The values that are to be sent, conventions applied by hand."""
    out: dict[Key, float] = {}
    for field, column in zip(names.SAMPLE_METRICS, otlp_names.SAMPLE, strict=True):
        value = getattr(sample, field)
        if value is not None:
            if field == "page_faults":
                value = max(0, value - (sample.major_page_faults or 0))
            out[column.instrument.name, column.attributes] = float(value)
    for interface in sample.network:
        for field, column in zip(names.NETWORK_METRICS, otlp_names.NETWORK, strict=True):
            who = (("network.interface.name", interface.name), *column.attributes)
            out[column.instrument.name, tuple(sorted(who))] = float(getattr(interface, field))
    return out | {("ecs.container." + name, ()): value for name, value in derived(sample).items()}


def derived(one: Sample) -> dict[str, float]:
    """What follows from a container's first sample."""
    out = {"last_seen_timestamp": one.at}
    if one.cpu_periods and one.cpu_throttled_periods is not None:
        out["cpu_throttled_ratio"] = 0.0
    if one.memory_working_set_bytes is not None and one.memory_limit_bytes:
        out["memory_limit_ratio"] = one.memory_working_set_bytes / one.memory_limit_bytes
    return out


@given(containers=CONTAINERS)
def test_what_is_sampled_is_sent(
    containers: list[tuple[str, dict[str, float | int | None], list[Interface], float, float | None]],
) -> None:
    samples = {
        f"c{n}": Sample(at=at, container_id=f"c{n}", network=tuple(interfaces), **values)  # type: ignore[arg-type]
        for n, (_, values, interfaces, at, _) in enumerate(containers)
    }

    def open_reader(identity: ContainerIdentity, _: bool) -> Reader:
        return _One(samples[identity.id])

    exporter = Exporter(now=lambda: 1.0, open_reader=open_reader)
    for n, (name, _, _, _, started) in enumerate(containers):
        exporter.track(ContainerIdentity(id=f"c{n}", name=name, image=name, pid=1, started_at=started))
    received = Received()
    for body in Encoder(exporter, {}, {}).bodies():
        received.take_metrics(ExportMetricsServiceRequest.FromString(body.data))
    own = {c.instrument.name for c in otlp_names.IDENTITY} | {otlp_names.UPTIME.name}
    for container_id, sample in samples.items():
        points = [p for p in received.points if p.resource.get("container.id") == container_id]
        found = {
            (p.metric, tuple(sorted(p.attributes.items()))): p.value for p in points if p.metric not in own
        }
        assert {key: float(value) for key, value in found.items()} == wanted(sample)
        assert all(p.at == nanoseconds(sample.at) for p in points)
        assert all(p.start <= p.at for p in points)
