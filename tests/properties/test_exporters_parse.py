"""Parsers of the kernel's and Docker's texts: read back what was written, and never break on garbage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporters import docker, parse
from exporters.parse import BadFile, Picker
from exporters.sample import Interface
from tests.unit import exporters_trees as trees

NAMES = st.from_regex(rb"[a-z_.]{1,12}", fullmatch=True)
COUNTERS = st.integers(0, 2**64 - 1)
FLAT = st.dictionaries(NAMES, COUNTERS, max_size=12)
RECORDED = [
    *(text.encode() for text in trees.V1_FILES.values()),
    *(text.encode() for text in trees.V2_FILES.values()),
    trees.NET_DEV.encode(),
]
SHARED = Picker(b"a", b"b", b"oom_kill", start=b"limit ")


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A recorded file with a piece of it replaced by anything."""
    text = draw(st.sampled_from(RECORDED))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    return text[:start] + draw(st.binary(max_size=20)) + text[end:]


def flat(pairs: dict[bytes, int]) -> bytes:
    return b"".join(b"%s %d\n" % pair for pair in pairs.items())


@pytest.mark.parametrize(
    "read",
    [
        parse.parse_number,
        parse.parse_flat,
        parse.parse_blkio,
        parse.parse_io,
        parse.parse_pressure,
        parse.parse_net_dev,
        SHARED.pick,
    ],
    ids=lambda read: read.__qualname__,
)
@given(text=st.binary() | spoilt())
@example(b"")
@example(b"9" * 5000)
@example(b"a " + b"9" * 5000)
@example(b"\n\neth0:" + b" 1" * 7)
def test_whatever_the_text_the_only_error_is_bad_file(read: Callable[[bytes], Any], text: bytes) -> None:
    told = ""
    try:
        read(text)
    except BadFile as error:
        told = str(error)
    assert len(told) < 300, "the message must not carry the whole file"


@given(text=st.text())
def test_lists_of_cgroups_and_mounts_have_no_errors(text: str) -> None:
    parse.parse_proc_cgroup(text)
    parse.parse_mountinfo(text)
    parse.parse_mountinfo(f"30 23 0:30 / /x rw - cgroup2 {text}")


@given(pairs=FLAT)
def test_flat_files_come_back(pairs: dict[bytes, int]) -> None:
    assert parse.parse_flat(flat(pairs)) == pairs


@given(files=st.lists(FLAT, max_size=4), wanted=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_a_picker_picks_what_parse_flat_finds_whatever_it_read_before(
    files: list[dict[bytes, int]], wanted: list[bytes]
) -> None:
    picker = Picker(*wanted)
    for pairs in files:
        assert picker.pick(flat(pairs)) == [pairs.get(name) for name in wanted]


@given(devices=st.lists(st.tuples(COUNTERS, COUNTERS), max_size=4))
def test_blkio_and_io_stat_add_up(devices: list[tuple[int, int]]) -> None:
    v1 = b"".join(
        b"254:%d Read %d\n254:%d Write %d\n254:%d Total %d\n" % (n, r, n, w, n, r + w)
        for n, (r, w) in enumerate(devices)
    )
    v2 = b"".join(
        b"254:%d rbytes=%d wbytes=%d rios=%d wios=%d dbytes=0 dios=0\n" % (n, r, w, w, r)
        for n, (r, w) in enumerate(devices)
    )
    reads, writes = sum(r for r, _ in devices), sum(w for _, w in devices)
    assert parse.parse_blkio(v1 + b"Total %d\n" % (reads + writes)) == (reads, writes)
    assert parse.parse_io(v2) == (reads, writes, writes, reads)


@given(
    found=st.lists(
        st.builds(Interface, st.from_regex(r"eth[0-9]{1,4}", fullmatch=True), *([COUNTERS] * 8)), max_size=4
    )
)
def test_interfaces_come_back(found: list[Interface]) -> None:
    text = "header\nheader\n    lo: " + "1 " * 16 + "\n"
    for i in found:
        text += (
            f"{i.name:>6}: {i.rx_bytes} {i.rx_packets} {i.rx_errors} {i.rx_dropped} 0 0 0 0 "
            f"{i.tx_bytes} {i.tx_packets} {i.tx_errors} {i.tx_dropped} 0 0 0 0\n"
        )
    assert parse.parse_net_dev(text.encode()) == tuple(found)


@given(
    text=st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", fullmatch=True)
)
@example("9999-12-31T23:59:59-23:59")
@example("0002-01-01T00:00:00+23:59")
def test_a_timestamp_is_a_number_or_none(text: str) -> None:
    assert isinstance(docker.timestamp(text), float | None)


@given(code=st.text(max_size=12), action=st.text(max_size=30), at=st.integers(0, 2**63))
def test_an_event_of_any_text_is_understood(code: str, action: str, at: int) -> None:
    actor = {"ID": "c", "Attributes": {"exitCode": code}}
    found = docker.event({"Type": "container", "Action": action, "Actor": actor, "timeNano": at})
    assert found is not None
    assert found.kind == action.partition(":")[0]
