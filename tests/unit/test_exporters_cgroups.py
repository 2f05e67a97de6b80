"""CgroupReader on recorded v1, v2 and hybrid trees."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporters.cgroups import CgroupReader, Gone, NotVisible, Unreadable
from exporters.hierarchy import Hierarchies, own_part
from exporters.parse import BadFile
from exporters.sample import ContainerIdentity, Interface, Sample
from tests.unit import exporters_trees as trees

ETH0 = Interface("eth0", 9001, 12, 1, 2, 1234, 7, 3, 4)
_TICKS = os.sysconf("SC_CLK_TCK")


def who(pid: int = trees.PID, network_mode: str = "bridge") -> ContainerIdentity:
    return ContainerIdentity(
        id=trees.CONTAINER, name="web", image="busybox", pid=pid, network_mode=network_mode
    )


def reader_of(root: Path, proc: Path) -> CgroupReader:
    return CgroupReader(who(), root, proc)


def sample_of(
    root: Path, proc: Path, identity: ContainerIdentity | None = None, keep_open: bool = True
) -> Sample:
    reader = CgroupReader(identity or who(), root, proc, keep_open=keep_open)
    try:
        return reader.read(100.0)
    finally:
        reader.close()


@pytest.mark.parametrize("keep_open", [True, False])
def test_v1_every_fact(tmp_path: Path, keep_open: bool) -> None:
    assert sample_of(*trees.v1_tree(tmp_path), keep_open=keep_open) == Sample(
        at=100.0,
        container_id=trees.CONTAINER,
        cpu_seconds=2.5,
        cpu_user_seconds=150 / _TICKS,
        cpu_system_seconds=90 / _TICKS,
        cpu_periods=200,
        cpu_throttled_periods=50,
        cpu_throttled_seconds=1.5,
        memory_usage_bytes=65_536_000,
        memory_cache_bytes=12_288_000,
        memory_working_set_bytes=65_536_000 - 8_192_000,
        memory_rss_bytes=53_248_000,
        memory_mapped_file_bytes=4096,
        memory_swap_bytes=8192,
        memory_active_anon_bytes=4096,
        memory_inactive_anon_bytes=49152,
        memory_active_file_bytes=4096,
        memory_inactive_file_bytes=8_192_000,
        memory_unevictable_bytes=0,
        memory_peak_bytes=66_000_000,
        memory_limit_bytes=67_108_864,
        memory_failures=7,
        page_faults=1164,
        major_page_faults=3,
        oom_kills=2,
        pids=5,
        blkio_read_bytes=5096,
        blkio_write_bytes=8192,
        blkio_reads=5,
        blkio_writes=2,
        network=(ETH0,),
    )


@pytest.mark.parametrize("keep_open", [True, False])
def test_v2_every_fact(tmp_path: Path, keep_open: bool) -> None:
    assert sample_of(*trees.v2_tree(tmp_path), keep_open=keep_open) == Sample(
        at=100.0,
        container_id=trees.CONTAINER,
        cpu_seconds=2.5,
        cpu_user_seconds=1.5,
        cpu_system_seconds=1.0,
        cpu_periods=200,
        cpu_throttled_periods=50,
        cpu_throttled_seconds=1.5,
        memory_usage_bytes=65_536_000,
        memory_cache_bytes=8_192_000,
        memory_working_set_bytes=65_536_000 - 8_192_000,
        memory_rss_bytes=53_248_000,
        memory_mapped_file_bytes=4096,
        memory_swap_bytes=8192,
        memory_active_anon_bytes=4096,
        memory_inactive_anon_bytes=49152,
        memory_active_file_bytes=4096,
        memory_inactive_file_bytes=8_192_000,
        memory_unevictable_bytes=0,
        memory_kernel_bytes=1_081_344,
        memory_peak_bytes=66_000_000,
        memory_limit_bytes=67_108_864,
        memory_failures=7,
        page_faults=1164,
        major_page_faults=3,
        oom_kills=2,
        pids=5,
        blkio_read_bytes=5096,
        blkio_write_bytes=8192,
        blkio_reads=5,
        blkio_writes=2,
        cpu_waiting_seconds=0.011724,
        memory_waiting_seconds=0.5,
        memory_stalled_seconds=0.006799,
        io_waiting_seconds=0.011724,
        io_stalled_seconds=0.25,
        network=(ETH0,),
    )


def test_v1_a_task_s_quota_holds_its_containers_back(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    own = next((root / "cpu").rglob(f"*{trees.CONTAINER}*"))
    trees.write(own, {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"})
    reader = reader_of(root, proc)
    assert (reader.quota_cores, reader.read(100.0).cpu_throttled_periods) == (0.0, 50)
    reader.close()
    above = {"cpu.cfs_quota_us": "25000\n", "cpu.cfs_period_us": "100000\n"}
    trees.write(
        own.parent, {**above, "cpu.stat": "nr_periods 9\nnr_throttled 7\nthrottled_time 2000000000\n"}
    )
    reader = reader_of(root, proc)
    found = reader.read(100.0)
    assert (reader.quota_cores, found.cpu_periods, found.cpu_throttled_periods) == (0.25, 9, 7)
    assert (found.cpu_throttled_seconds, found.cpu_seconds) == (2.0, 2.5)
    reader.close()


def test_v2_a_task_s_quota_holds_its_containers_back(tmp_path: Path) -> None:
    root, proc = trees.v2_tree(tmp_path)
    own = next(root.rglob(f"*{trees.CONTAINER}*"))
    trees.write(own, {"cpu.max": "max 100000\n"})
    text = "usage_usec 9000000\nuser_usec 1\nsystem_usec 1\nnr_periods 9\nnr_throttled 7\nthrottled_usec 2000000\n"
    trees.write(own.parent, {"cpu.max": "50000 100000\n", "cpu.stat": text})
    reader = reader_of(root, proc)
    found = reader.read(100.0)
    assert (reader.quota_cores, found.cpu_periods, found.cpu_throttled_periods) == (0.5, 9, 7)
    assert (found.cpu_throttled_seconds, found.cpu_seconds) == (2.0, 2.5)
    reader.close()
    trees.write(own, {"cpu.max": "200000 100000\n"})  # its own goes before
    reader = reader_of(root, proc)
    assert (reader.quota_cores, reader.read(100.0).cpu_periods) == (2.0, 200)
    reader.close()


def test_hybrid_takes_pressure_from_the_v2_side(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    trees.write(root / "unified" / "docker" / trees.CONTAINER, trees.PRESSURE_FILES)
    (proc / str(trees.PID) / "cgroup").write_text(
        (proc / str(trees.PID) / "cgroup").read_text().replace("0::/", f"0::/docker/{trees.CONTAINER}")
    )
    table = proc / "self" / "mountinfo"
    table.write_text(table.read_text() + trees.mountinfo({"/sys/fs/cgroup/unified": ""}))
    found = sample_of(root, proc)
    assert (found.cpu_seconds, found.memory_usage_bytes) == (2.5, 65_536_000)
    assert (found.cpu_waiting_seconds, found.io_stalled_seconds) == (0.011724, 0.25)


def test_v1_controllers_mounted_together(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    inner = f"docker/{trees.CONTAINER}"
    both = root / "cpu,cpuacct"
    for controller in ("cpu", "cpuacct"):
        shutil.copytree(root / controller / inner, both / inner, dirs_exist_ok=True)
        shutil.rmtree(root / controller)
    mounts = {f"/sys/fs/cgroup/{c}": c for c in ("cpu,cpuacct", "memory", "pids", "blkio")}
    (proc / "self" / "mountinfo").write_text(trees.mountinfo(mounts))
    found = sample_of(root, proc)
    assert (found.cpu_seconds, found.cpu_periods) == (2.5, 200)


def test_a_mount_that_shows_only_a_part_is_cut_off(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    for controller in ("cpu", "cpuacct", "memory", "pids", "blkio"):
        (root / controller / "docker" / trees.CONTAINER).rename(root / controller / trees.CONTAINER)
    mounts = {f"/sys/fs/cgroup/{c}": c for c in ("cpu", "cpuacct", "memory", "pids", "blkio")}
    (proc / "self" / "mountinfo").write_text(trees.mountinfo(mounts, root="/docker"))
    assert sample_of(root, proc).memory_usage_bytes == 65_536_000


def test_without_a_mount_table_the_usual_places_are_tried(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    shutil.rmtree(proc / "self")
    assert sample_of(root, proc).cpu_seconds == 2.5


def test_what_is_mounted_later_is_found(tmp_path: Path) -> None:
    root, proc = trees.v2_tree(tmp_path)
    table = proc / "self" / "mountinfo"
    full = table.read_text()
    table.write_text(trees.mountinfo({"/elsewhere": "freezer"}))
    hierarchies = Hierarchies(root, proc)
    with pytest.raises(NotVisible):
        CgroupReader(who(), root, proc, hierarchies)
    table.write_text(full)
    reader = CgroupReader(who(), root, proc, hierarchies)
    assert reader.read(1.0).cpu_seconds == 2.5
    reader.close()


def test_the_mount_table_of_process_1_stands_in_for_a_foreign_proc(tmp_path: Path) -> None:
    root, proc = trees.v2_tree(tmp_path)
    (proc / "self").rename(proc / "1")
    assert sample_of(root, proc).cpu_seconds == 2.5


def test_a_process_that_moved_itself_below_is_counted_with_its_whole_container(tmp_path: Path) -> None:
    inside = f"/docker/{trees.CONTAINER}"
    assert (
        sample_of(*trees.v2_tree(tmp_path / "v2", inside, listed=f"{inside}/init.scope")).cpu_seconds == 2.5
    )
    assert (
        sample_of(*trees.v1_tree(tmp_path / "v1", inside, listed=f"{inside}/init.scope")).cpu_seconds == 2.5
    )


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/docker/abc", "/docker/abc"),
        ("/docker/abc/init.scope", "/docker/abc"),
        ("/ecs/task/abc", "/ecs/task/abc"),
        ("/system.slice/docker-abc.scope/x/y", "/system.slice/docker-abc.scope"),
        ("/docker/outer/docker/abc/z", "/docker/outer/docker/abc"),
        ("/user.slice", None),
        ("/", None),
    ],
)
def test_own_part(path: str, own: str | None) -> None:
    assert own_part(path, "abc") == own


def test_v1_no_limit_is_shown_as_0(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path, f"/ecs/task/{trees.CONTAINER}")
    stat = root / "memory" / "ecs" / "task" / trees.CONTAINER / "memory.stat"
    stat.write_text(trees.V1_MEMORY_STAT.replace("67108864", "9223372036854771712"))
    assert sample_of(root, proc).memory_limit_bytes == 0


@pytest.mark.parametrize(
    ("own", "above", "in_force"),
    [
        ("max", "max", 0),
        ("max", "1000000", 1_000_000),
        ("2000000", "1000000", 1_000_000),
        ("500000", "max", 500_000),
    ],
)
def test_v2_limit_of_the_task_counts_for_its_containers(
    tmp_path: Path, own: str, above: str, in_force: int
) -> None:
    root, proc = trees.v2_tree(tmp_path, f"/ecs/task/{trees.CONTAINER}")
    (root / "ecs" / "task" / "memory.max").write_text(f"{above}\n")
    (root / "ecs" / "task" / trees.CONTAINER / "memory.max").write_text(f"{own}\n")
    assert sample_of(root, proc).memory_limit_bytes == in_force


def test_host_network_has_no_counters_of_its_own(tmp_path: Path) -> None:
    assert sample_of(*trees.v1_tree(tmp_path), who(network_mode="host")).network == ()


def test_what_the_kernel_does_not_tell_stays_none(tmp_path: Path) -> None:
    root, proc = trees.v2_tree(tmp_path)
    folder = root / "system.slice" / f"docker-{trees.CONTAINER}.scope"
    for name in ("memory.peak", "memory.swap.current", "io.stat", "cpu.pressure"):
        (folder / name).unlink()
    (folder / "cpu.stat").write_text("usage_usec 7000000\nuser_usec 1\nsystem_usec 2\n")
    found = sample_of(root, proc)
    assert found.cpu_seconds == 7.0
    assert found.cpu_periods is None
    assert found.memory_peak_bytes is None
    assert found.memory_swap_bytes is None
    assert found.blkio_reads is None
    assert found.cpu_waiting_seconds is None


def test_gone_when_there_is_no_such_process(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    with pytest.raises(Gone, match="no process 99"):
        CgroupReader(who(pid=99), root, proc)


def test_another_container_s_process_is_never_read(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path, f"/docker/{trees.CONTAINER[::-1]}")
    with pytest.raises(NotVisible, match="--pid=host"):
        CgroupReader(who(), root, proc)


def test_a_cgroup_that_does_not_show_says_so(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    shutil.rmtree(root)
    with pytest.raises(NotVisible, match="can be read from here"):
        CgroupReader(who(), root, proc)


def test_gone_when_the_cgroup_is_removed(tmp_path: Path) -> None:
    root, proc = trees.v2_tree(tmp_path)
    reader = CgroupReader(who(), root, proc, keep_open=False)
    reader.read(1.0)
    shutil.rmtree(root)
    with pytest.raises(Gone):
        reader.read(2.0)


def test_gone_after_close_and_no_descriptor_is_left(tmp_path: Path) -> None:
    reader = CgroupReader(who(), *trees.v2_tree(tmp_path))
    held = reader.descriptors()
    assert len(held) == 13
    reader.close()
    reader.close()
    with pytest.raises(Gone):
        reader.read(1.0)
    for fd in held:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_garbage_is_a_typed_error(tmp_path: Path) -> None:
    root, proc = trees.v1_tree(tmp_path)
    (root / "memory" / "docker" / trees.CONTAINER / "memory.stat").write_bytes(b"\x00\xff nothing like it")
    with pytest.raises(BadFile, match="name and number"):
        sample_of(root, proc)


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open("/dev/null", os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(probe)


def test_when_descriptors_run_out_the_container_is_not_taken_for_gone(tmp_path: Path) -> None:
    reader = CgroupReader(who(), *trees.v2_tree(tmp_path), keep_open=False)
    with no_descriptors_left(), pytest.raises(Unreadable, match="Too many open files"):
        reader.read(1.0)
    assert reader.read(2.0).cpu_seconds == 2.5
