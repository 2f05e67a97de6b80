"""Whatever is sampled of whomever, prometheus_client's parser reads back exactly that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporters import names
from exporters.exporter import Exporter
from exporters.metric import CONTAINER_LABELS
from exporters.render import render
from exporters.sample import ContainerIdentity, Interface, Sample
from exporters.tracked import Reader

# Everything but lone surrogates, which UTF-8 has no form for, and line breaks that Python's splitlines knows beside
# "\n": the oracle cuts there, Prometheus does not.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12
)
SECONDS = st.floats(0, 1e12, allow_nan=False)
COUNTERS = st.integers(0, 2**63)


class _One:
    quota_cores = 0.0

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def read(self, at: float) -> Sample:
        return self.sample

    def close(self) -> None:
        """Nothing is held."""


def value_of(field: str) -> st.SearchStrategy[float | int | None]:
    return st.none() | (SECONDS if field.endswith("_seconds") else COUNTERS)


SAMPLES = st.fixed_dictionaries({field: value_of(field) for field in names.SAMPLE_METRICS})
INTERFACES = st.lists(st.builds(Interface, TEXT, *([COUNTERS] * 8)), max_size=2, unique_by=lambda i: i.name)
CONTAINERS = st.lists(st.tuples(TEXT, TEXT, SAMPLES, INTERFACES), max_size=3, unique_by=lambda c: c[0])


@given(containers=CONTAINERS)
def test_what_is_rendered_is_read_back(
    containers: list[tuple[str, str, dict[str, float | int | None], list[Interface]]],
) -> None:
    samples = {
        name: Sample(at=1.0, container_id=name, network=tuple(interfaces), **values)  # type: ignore[arg-type]
        for name, _, values, interfaces in containers
    }

    def open_reader(identity: ContainerIdentity, _: bool) -> Reader:
        return _One(samples[identity.id])

    exporter = Exporter(open_reader=open_reader)
    for name, service, _, _ in containers:
        labels = {"moorwatch.service": service}
        exporter.track(ContainerIdentity(id=name, name=name, image="i", pid=1, labels=labels))
    found = {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(render(exporter).decode())
        for s in family.samples
    }
    for name, service, values, interfaces in containers:
        who = {**dict.fromkeys(CONTAINER_LABELS, ""), "service": service, "container": name}
        for field, metric in names.SAMPLE_METRICS.items():
            assert found.get((metric.name, tuple(sorted(who.items())))) == values[field]
        for interface in interfaces:
            key = tuple(sorted({**who, "interface": interface.name}.items()))
            for field, metric in names.NETWORK_METRICS.items():
                assert found[metric.name, key] == getattr(interface, field)
