from __future__ import annotations

import io
import struct
import tarfile

import pytest

from monitor.cli import image


def opened(names: list[str]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(image.root_file_system(b"#!binary", names)))


def test_busybox_itself_stays_the_program() -> None:
    with opened(["sh", "busybox", "ls", "sh"]) as tar:
        names = tar.getnames()
        assert names.count("bin/busybox") == 1
        assert tar.getmember("bin/busybox").isreg()
        program = tar.extractfile("bin/busybox")
        assert program is not None
        assert program.read() == b"#!binary"
        assert tar.getmember("bin/sh").linkname == "busybox"
        assert names.count("bin/sh") == 1


def test_tmp_is_open_to_all_and_users_are_known() -> None:
    with opened(["sh"]) as tar:
        assert tar.getmember("tmp").mode == 0o1777
        passwd = tar.extractfile("etc/passwd")
        assert passwd is not None
        assert [line.split(b":")[0] for line in passwd] == [b"root", b"nobody"]


def test_equal_input_gives_equal_bytes() -> None:
    assert image.root_file_system(b"x", ["b", "a"]) == image.root_file_system(b"x", ["a", "b"])


def elf(*kinds: int, bits: int = 64, order: str = "<") -> bytes:
    data = 1 if order == "<" else 2
    start, size = (64, 56) if bits == 64 else (52, 32)
    head = bytearray(64)
    head[:6] = b"\x7fELF" + bytes([2 if bits == 64 else 1, data])
    if bits == 64:
        struct.pack_into(order + "Q", head, 32, start)
        struct.pack_into(order + "HH", head, 54, size, len(kinds))
    else:
        struct.pack_into(order + "I", head, 28, start)
        struct.pack_into(order + "HH", head, 42, size, len(kinds))
    body = b"".join(struct.pack(order + "I", kind).ljust(size, b"\0") for kind in kinds)
    return (bytes(head[:start]) + body).ljust(128, b"\0")


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_static_programs_have_no_interpreter(bits: int, order: str) -> None:
    assert image.is_static(elf(1, 1, bits=bits, order=order))
    assert not image.is_static(elf(1, 3, bits=bits, order=order))


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n" * 20, b"\x7fELF", elf(1)[:70]])
def test_what_is_no_program_is_not_static(data: bytes) -> None:
    assert not image.is_static(data)
