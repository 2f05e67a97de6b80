"""What the exporter costs: CPU µs per container and sample, and per rendered sample.

    python -m tests.performance.bench_exporter [--containers 10] [--rounds 200] [--rendered 1000]

Sampling is measured on real containers of the Docker daemon at DOCKER_HOST beside its physical floor in the same
run: the same descriptors read and thrown away. Rendering needs no daemon: the sample of a real or recorded
container is shown under many names, beside prometheus_client rendering as many samples. Trust the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import docker
import docker.errors
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from exporters.cgroups import READ_BYTES, CgroupReader
from exporters.docker import identity
from exporters.exporter import Exporter
from exporters.render import render
from exporters.sample import ContainerIdentity, Interface, Sample

IMAGE = "moorwatch/busybox:local"
LABEL = "moorwatch.bench.exporter"
ROUNDS_A_SLICE = 10


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """CPU seconds of one call: the median of slices, so that a neighbour's burst does not count."""
    found = []
    for _ in range(max(1, times // ROUNDS_A_SLICE)):
        started = time.process_time()
        for _ in range(ROUNDS_A_SLICE):
            work()
        found.append((time.process_time() - started) / ROUNDS_A_SLICE)
    return statistics.median(found)


def bench_sampling(containers: int, rounds: int) -> Sample:
    """Print the cost of sampling `containers` real ones; returns the sample of one of them."""
    try:
        client = docker.APIClient(base_url=os.environ.get("DOCKER_HOST"), version="auto", timeout=60)
    except docker.errors.DockerException as error:
        raise SystemExit(f"no Docker daemon answers; set DOCKER_HOST to one: {error}") from error
    started: list[str] = []
    exporter = Exporter()
    readers: list[CgroupReader] = []
    try:
        for _ in range(containers):
            made = client.create_container(
                IMAGE, ["sleep", "3600"], labels={LABEL: "1"}, host_config=client.create_host_config()
            )
            started.append(made["Id"])
            client.start(made["Id"])
            who = identity(client.inspect_container(made["Id"]))
            exporter.track(who)
            readers.append(CgroupReader(who))
        sample = exporter.sample_all()[0]
        descriptors = [fd for reader in readers for fd in reader.descriptors()]
        full = cpu_seconds(exporter.sample_all, rounds) / containers
        floor = cpu_seconds(lambda: [os.pread(fd, READ_BYTES, 0) for fd in descriptors], rounds) / containers
        print(
            f"{containers} containers, {len(descriptors) / containers:.0f} files each, CPU µs a container-sample"
        )
        print(f"  read only (floor)    {floor * 1e6:7.1f}")
        print(f"  read and understood  {full * 1e6:7.1f}   {full / floor:.2f} × the floor")
        return sample
    finally:
        exporter.close()
        for reader in readers:
            reader.close()
        for container_id in started:
            client.remove_container(container_id, force=True)
        client.close()


def bench_rendering(sample: Sample, containers: int, rounds: int) -> None:
    exporter = Exporter(open_reader=lambda who, _: _Recorded(who.id, shown))
    shown = sample._replace(network=sample.network or (Interface("eth0", *([1] * 8)),))
    for number in range(containers):
        who = ContainerIdentity(
            id=f"{number:064x}", name=f"c{number}", image=IMAGE, pid=1, labels=_labels(number)
        )
        exporter.track(who)
    text = render(exporter)
    count = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    cost = cpu_seconds(lambda: render(exporter), rounds)
    print(f"{containers} containers, {count} samples, {len(text) / 1e6:.1f} MB: rendering")
    print(f"  ours                 {cost / count * 1e6:7.2f} µs CPU a sample, {cost * 1e3:.1f} ms in all")
    registry = CollectorRegistry()
    gauge = Gauge(
        "g", "A gauge.", ("cluster", "service", "family", "revision", "task", "container"), registry=registry
    )
    for number in range(2000):
        gauge.labels("default", "web", "web", "1", f"{number:032x}", "app").set(number)
    peer = cpu_seconds(lambda: generate_latest(registry), ROUNDS_A_SLICE)
    print(f"  prometheus_client    {peer / 2000 * 1e6:7.2f} µs CPU a sample")


class _Recorded:
    """A reader that always gives one and the same sample."""

    quota_cores = 0.0

    def __init__(self, container_id: str, sample: Sample) -> None:
        self._sample = sample._replace(container_id=container_id)

    def read(self, at: float) -> Sample:
        return self._sample._replace(at=at)

    def close(self) -> None:
        """Nothing is held."""


def _labels(number: int) -> dict[str, str]:
    ecs = "com.amazonaws.ecs."
    return {
        f"{ecs}cluster": "default",
        f"{ecs}container-name": "app",
        f"{ecs}task-arn": f"arn:aws:ecs:us-east-1:000000000001:task/default/{number:032x}",
        f"{ecs}task-definition-family": "web",
        f"{ecs}task-definition-version": "7",
        "moorwatch.service": f"service-{number // 10}",
    }


def main() -> None:
    p = argparse.ArgumentParser(description="What the exporter costs.")
    p.add_argument("--containers", type=int, default=10, help="real containers to sample (default 10)")
    p.add_argument("--rounds", type=int, default=200, help="rounds of samples (default 200)")
    p.add_argument("--rendered", type=int, default=1000, help="containers to render (default 1000)")
    options = p.parse_args()
    sample = bench_sampling(options.containers, options.rounds)
    bench_rendering(sample, options.rendered, ROUNDS_A_SLICE * 2)


if __name__ == "__main__":
    main()
