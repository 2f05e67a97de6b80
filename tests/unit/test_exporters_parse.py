"""Parsers of the kernel's files on recorded texts."""

from __future__ import annotations

import pytest

from exporters import parse
from exporters.parse import BadFile, Mount, Picker
from exporters.sample import Interface
from tests.unit import exporters_trees as trees


def test_numbers_and_no_limit() -> None:
    assert parse.parse_number(b"123\n") == 123
    assert parse.parse_number(b"max\n") == 0


def test_lines_of_name_and_number() -> None:
    assert parse.parse_flat(b"oom 2\noom_kill 1\n") == {b"oom": 2, b"oom_kill": 1}
    assert parse.parse_flat(b"") == {}


def test_picker_takes_the_wanted_numbers_in_order_and_none_for_what_is_not_there() -> None:
    picker = Picker(b"b", b"missing", b"a")
    assert picker.pick(b"a 1\nb 2\nc 3\n") == [2, None, 1]
    assert picker.pick(b"a 10\nb 20\nc 30\n") == [20, None, 10]


def test_picker_notices_a_file_of_another_layout() -> None:
    picker = Picker(b"a", b"b")
    assert picker.pick(b"a 1\nb 2\n") == [1, 2]
    assert picker.pick(b"b 2\na 1\n") == [1, 2]
    assert picker.pick(b"a 5\n") == [5, None]


def test_picker_with_a_start_leaves_out_what_is_before() -> None:
    picker = Picker(b"a", start=b"limit ")
    assert picker.pick(b"a 1\nlimit 7\na 9\n") == [9]
    assert picker.pick(b"a 1\n") == [1]


@pytest.mark.parametrize("text", [b"a\n", b"a 1\nb\n", b"a x\n"])
def test_picker_refuses_what_is_no_such_file(text: bytes) -> None:
    picker = Picker(b"a")
    assert picker.pick(b"a 1\n") == [1]
    with pytest.raises(BadFile):
        picker.pick(text)


def test_blkio_adds_up_devices() -> None:
    text = trees.V1_FILES["blkio/blkio.throttle.io_service_bytes_recursive"].encode()
    assert parse.parse_blkio(text) == (5096, 8192)
    assert parse.parse_blkio(b"Total 0\n") == (0, 0)
    assert parse.parse_blkio(b"") == (0, 0)


def test_io_stat_adds_up_devices() -> None:
    assert parse.parse_io(trees.V2_FILES["io.stat"].encode()) == (5096, 8192, 5, 2)
    assert parse.parse_io(b"") == (0, 0, 0, 0)
    assert parse.parse_io(b"254:0 \n") == (0, 0, 0, 0)


def test_pressure_totals() -> None:
    assert parse.parse_pressure(trees.PRESSURE.encode()) == (11724, 6799)
    assert parse.parse_pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n") == (5, None)
    with pytest.raises(BadFile):
        parse.parse_pressure(b"some avg10=0.00 total=\n")


def test_net_dev_without_loopback() -> None:
    assert parse.parse_net_dev(trees.NET_DEV.encode()) == (Interface("eth0", 9001, 12, 1, 2, 1234, 7, 3, 4),)


def test_net_dev_of_old_kernels_that_put_no_blank_after_the_colon() -> None:
    text = trees.NET_DEV.replace("eth0:    9001", "eth0:9001123456")
    assert parse.parse_net_dev(text.encode())[0].rx_bytes == 9001123456


@pytest.mark.parametrize(
    "line", [b"eth0: 1 2 3", b"eth0: 1 2 3 4 5 6 7 8 x 10 11 12 13 14 15 16", b"\xff: " + b"1 " * 16]
)
def test_net_dev_refuses_what_is_no_such_file(line: bytes) -> None:
    with pytest.raises(BadFile):
        parse.parse_net_dev(b"\n\n" + line)


def test_proc_cgroup_names_controllers_and_the_unified_hierarchy() -> None:
    text = "12:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/a:b\nnonsense\n"
    assert parse.parse_proc_cgroup(text) == {
        "cpu": "/docker/abc",
        "cpuacct": "/docker/abc",
        "name=systemd": "/docker/abc",
        "": "/docker/a:b",
    }


def test_mountinfo_finds_each_controller() -> None:
    text = trees.mountinfo({"/sys/fs/cgroup/cpu,cpuacct": "cpu,cpuacct", "/sys/fs/cgroup/unified": ""})
    found = parse.parse_mountinfo(text)
    assert found["cpu"] == found["cpuacct"] == Mount("/", "/sys/fs/cgroup/cpu,cpuacct")
    assert found[""] == Mount("/", "/sys/fs/cgroup/unified")


def test_mountinfo_takes_the_mount_that_shows_most_and_undoes_octal_blanks() -> None:
    part = trees.mountinfo({"/else/where": "memory"}, root="/docker/abc")
    whole = trees.mountinfo({"/sys/fs/my\\040cgroup": "memory"})
    assert parse.parse_mountinfo(part + whole)["memory"] == Mount("/", "/sys/fs/my cgroup")
    assert parse.parse_mountinfo(whole + part)["memory"] == Mount("/", "/sys/fs/my cgroup")
