"""What the exporter costs: CPU µs per container and sample, and per rendered sample; scrapes; memory.

    make bench-exporter    (python -m tests.performance.bench_exporter [--containers 10,50,150] [--recorded 1000,5000])

Sampling is measured on real containers of a Docker daemon (DOCKER_HOST, or a private one) beside its physical floor in
the same run: the same descriptors read and thrown away; and on trees of recorded cgroup files, for sizes no machine at
hand has. netdata, where it is installed, watches the same real containers. Rendering is beside prometheus_client
rendering as many samples. Trust the ratios.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
import psutil
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from exporters.cgroups import READ_BYTES, CgroupReader
from exporters.docker import identity
from exporters.exporter import Exporter
from exporters.host import raise_descriptor_limit
from exporters.render import render
from exporters.sample import ContainerIdentity, Interface, Sample
from exporters.server import MetricsServer
from tests.conftest import free_port
from tests.performance.bench_replace import docker_host
from tests.unit import exporters_trees as trees

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


@contextmanager
def real(client: docker.APIClient, containers: int) -> Iterator[list[ContainerIdentity]]:
    """So many containers that run, and who they are."""
    started: list[str] = []
    try:
        for _ in range(containers):
            made = client.create_container(
                IMAGE, ["sleep", "3600"], labels={LABEL: "1"}, host_config=client.create_host_config()
            )
            started.append(made["Id"])
            client.start(made["Id"])
        yield [identity(client.inspect_container(each)) for each in started]
    finally:
        for container_id in started:
            client.remove_container(container_id, force=True)


def bench_real(client: docker.APIClient, containers: int, rounds: int) -> Sample:
    """Print what `containers` real ones cost; returns the sample of one of them."""
    with real(client, containers) as found:
        sample = bench_sampling(found, rounds, Path("/sys/fs/cgroup"), Path("/proc"))
        bench_netdata(containers)
        return sample


def bench_sampling(found: Sequence[ContainerIdentity], rounds: int, root: Path, proc: Path) -> Sample:
    before = psutil.Process().memory_info().rss
    exporter = Exporter(root, proc)
    try:
        for who in found:
            exporter.track(who)
        sample = exporter.sample_all()[0]
        readers = [t.reader for t in exporter.tracked() if isinstance(t.reader, CgroupReader)]
        kept = [open_files for reader in readers if (open_files := reader.descriptors())]
        descriptors = [fd for open_files in kept for fd in open_files]
        full = cpu_seconds(exporter.sample_all, rounds) / len(found)
        floor = cpu_seconds(lambda: [os.pread(fd, READ_BYTES, 0) for fd in descriptors], rounds) / len(kept)
        print(
            f"{len(found)} containers, {len(descriptors) / len(kept):.0f} files each, CPU µs a container-sample"
        )
        if len(kept) < len(found):
            print(f"  the files of {len(found) - len(kept)} are opened each time: no descriptors are left")
        print(f"  read only (floor)    {floor * 1e6:7.1f}")
        print(f"  read and understood  {full * 1e6:7.1f}   {full / floor:.2f} × the floor")
        print(
            f"  of a core, each second  {full * 100:.2%} for 100 containers; each ten seconds {full * 10:.3%}"
        )
        bench_scrapes(exporter, len(found))
        grown = psutil.Process().memory_info().rss - before
        print(f"  resident memory      {grown / 2**20:7.1f} MiB more than without")
        return sample
    finally:
        exporter.close()


def bench_scrapes(exporter: Exporter, containers: int) -> None:
    """Over HTTP, one after the other; p50 and p99 of the wall time."""
    server = MetricsServer(exporter, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    took = []
    try:
        for _ in range(100 if containers <= 1000 else 10):
            started = time.perf_counter()
            connection.request("GET", "/metrics")
            size = len(connection.getresponse().read())
            took.append(time.perf_counter() - started)
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        thread.join()
    took.sort()
    p50, p99 = took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]
    print(f"  scrape of {size / 1e6:6.2f} MB   p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")


def bench_recorded(containers: int, rounds: int) -> None:
    """Trees of recorded v1 files on a file system in memory."""
    base = Path(tempfile.mkdtemp(prefix="mw-trees-", dir="/dev/shm"))
    try:
        found = []
        for number in range(containers):
            container_id, pid = f"{number:064x}", 10_000 + number
            root, proc = trees.v1_tree(base, f"/docker/{container_id}", pid=pid)
            found.append(
                ContainerIdentity(container_id, f"c{number}", IMAGE, pid, _labels(number), cpu_shares=128)
            )
        print("recorded files:", end=" ")
        bench_sampling(found, rounds, root, proc)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def bench_netdata(containers: int, seconds: float = 20.0) -> None:
    """Its CPU for the same containers: what its cgroups plugin uses each second."""
    program = shutil.which("netdata", path="/usr/sbin:/usr/bin")
    if program is None:
        print("  netdata              not installed")
        return
    base = Path(tempfile.mkdtemp(prefix="mw-netdata-"))
    port = free_port()
    off = "\n".join(f"    {name} = no" for name in NETDATA_PLUGINS)
    (base / "netdata.conf").write_text(
        f"[global]\n    run as user = root\n[directories]\n    cache = {base}\n    lib = {base}\n    log = {base}\n"
        f"[db]\n    mode = ram\n    update every = 1\n[plugins]\n{off}\n    cgroups = yes\n"
        f"[web]\n    bind to = 127.0.0.1:{port}\n[ml]\n    enabled = no\n[health]\n    enabled = no\n"
        "[plugin:cgroups]\n    enable by default cgroups matching = *docker*\n"
        "    run script to rename cgroups matching = !*\n"
    )
    process = subprocess.Popen(
        [program, "-D", "-c", str(base / "netdata.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        watched = psutil.Process(process.pid)
        seen = _charted(port, containers)
        if not seen:
            print("  netdata              does not find these containers")
            return
        used = _cpu_of(watched)
        threading.Event().wait(seconds)
        cost = (_cpu_of(watched) - used) / seconds / containers
        memory = watched.memory_info().rss / 2**20
        print(
            f"  netdata              {cost * 1e6:7.1f} a second and container, {seen} charts, {memory:.0f} MiB"
        )
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(base, ignore_errors=True)


def _charted(port: int, containers: int) -> int:
    """netdata's charts of containers, once it has found them all; 0: it has not within a minute."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/charts", timeout=10) as answer:
                charts = [name for name in json.load(answer)["charts"] if name.startswith("cgroup_")]
        except (OSError, ValueError):
            charts = []
        if len({name.partition(".")[0] for name in charts}) >= containers:
            return len(charts)
        threading.Event().wait(1)
    return 0


NETDATA_PLUGINS = (
    "proc",
    "diskspace",
    "tc",
    "idlejitter",
    "timex",
    "checks",
    "apps",
    "charts.d",
    "go.d",
    "node.d",
    "python.d",
    "perf",
    "slabinfo",
    "ioping",
    "cups",
    "nfacct",
    "statsd",
    "loops",
    "netdata monitoring",
    "netdata monitoring extended",
)


def _cpu_of(process: psutil.Process) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True)))


def bench_one_large_scrape(sample: Sample, containers: int) -> None:
    """Whether anything else is held up meanwhile: a thread that should tick each millisecond."""
    exporter = Exporter(open_reader=lambda who, _: _Recorded(who.id, sample))
    for number in range(containers):
        exporter.track(ContainerIdentity(f"{number:064x}", f"c{number}", IMAGE, 1, _labels(number)))
    gc.freeze()
    late: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.001):
            started = time.perf_counter()
            time.sleep(0)
            late.append(time.perf_counter() - started)

    ticker = threading.Thread(target=tick)
    ticker.start()
    started = time.perf_counter()
    size = len(render(exporter))
    took = time.perf_counter() - started
    stop.set()
    ticker.join()
    late.sort()
    print(
        f"one scrape of {containers} containers: {size / 1e6:.0f} MB in {took:.2f} s; another thread waited "
        f"{late[len(late) // 2] * 1e3:.2f} ms (p50), {late[-1] * 1e3:.1f} ms at most"
    )


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


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def main() -> None:
    p = argparse.ArgumentParser(description="What the exporter costs.")
    p.add_argument("--containers", type=_sizes, default=[10, 50, 150], help="real ones (default 10,50,150)")
    p.add_argument("--recorded", type=_sizes, default=[1000, 5000], help="from files (default 1000,5000)")
    p.add_argument("--rounds", type=int, default=100, help="rounds of samples (default 100)")
    p.add_argument("--rendered", type=int, default=1000, help="containers to render (default 1000)")
    options = p.parse_args()
    raise_descriptor_limit()
    sample = None
    with docker_host() as url:
        client = docker.APIClient(base_url=url, version="auto", timeout=60)
        for containers in options.containers:
            sample = bench_real(client, containers, options.rounds)
        client.close()
    assert sample is not None
    for containers in options.recorded:
        bench_recorded(containers, ROUNDS_A_SLICE)
    bench_rendering(sample, options.rendered, ROUNDS_A_SLICE * 2)
    bench_one_large_scrape(sample, 10_000)


if __name__ == "__main__":
    main()
