"""The pause container: holds the namespaces that the containers of one task share.

A machine of one's own has no elastic network interfaces. In networkMode awsvpc each task gets a network namespace
with an address of its own on Docker's default bridge instead; pidMode and ipcMode `task` are shared the same way. Its
one program waits for ever. No registry is asked for it: its image is made here, of a program of some 200 bytes.
"""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping
from typing import Any

REPOSITORY, TAG = "moorwatch/pause", "1"  # raise the tag when the program changes
IMAGE = f"{REPOSITORY}:{TAG}"
# The names that Amazon's agent gives to the same containers: "~" cannot be in the name of a task definition's.
NETWORK_PAUSE = "~internal~ecs~pause"
NAMESPACE_PAUSE = "~internal~ecs~pause~namespace"
TYPE_LABEL = "moorwatch.container-type"
CHANGES = ['ENTRYPOINT ["/pause"]', f"LABEL {TYPE_LABEL}=pause"]
MEMORY_BYTES = 16 * 1024 * 1024

# Both programs say `rt_sigaction(SIGCHLD, ignore)`, so that orphans of a shared process namespace, whose first process
# it is, leave no zombies; then they wait for signals, for ever. `act` is the kernel's struct sigaction after the code:
# handler SIG_IGN (1), and no flags, restorer or mask.
_ACT = struct.pack("<4Q", 1, 0, 0, 0)
_X86_64 = bytes.fromhex(
    "b80d000000"  # mov eax, 13         rt_sigaction(
    "bf11000000"  # mov edi, 17           SIGCHLD,
    "488d3513000000"  # lea rsi, [rip+19] act,
    "31d2"  # xor edx, edx                no old one,
    "41ba08000000"  # mov r10d, 8         size of a mask)
    "0f05"  # syscall
    "b822000000"  # mov eax, 34         again: pause()
    "0f05"  # syscall
    "ebf7"  # jmp again
)
_AARCH64 = struct.pack(
    "<14I",
    0xD28010C8,  # mov x8, #134         rt_sigaction(
    0xD2800220,  # mov x0, #17            SIGCHLD,
    0x10000181,  # adr x1, act            act,
    0xD2800002,  # mov x2, #0             no old one,
    0xD2800103,  # mov x3, #8             size of a mask)
    0xD4000001,  # svc #0
    0xD2800928,  # mov x8, #73          again: ppoll(
    0xD2800000,  # mov x0, #0             nothing,
    0xD2800001,  # mov x1, #0             0 of it,
    0xD2800002,  # mov x2, #0             no timeout,
    0xD2800003,  # mov x3, #0             the mask as it is,
    0xD2800004,  # mov x4, #0             of size 0)
    0xD4000001,  # svc #0
    0x17FFFFF9,  # b again
)
_PROGRAMS = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}  # ELF's number of the machine, code
_BASE, _HEADERS = 0x400000, 64 + 56


class NoPause(Exception):
    """There is no pause program for the machine."""


def program(architecture: str) -> bytes:
    """A static ELF program: header, one segment (read, execute) that is the whole file, code, act. Raises NoPause."""
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
    if name not in _PROGRAMS:
        raise NoPause(
            f"tasks with namespaces of their own (networkMode awsvpc, pidMode or ipcMode task) run on "
            f"{' and '.join(_PROGRAMS)}, not on {architecture}: use networkMode bridge, host or none"
        )
    machine, code = _PROGRAMS[name]
    size = _HEADERS + len(code) + len(_ACT)
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bit, little endian, version 1
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code + _ACT


def root_file_system(architecture: str) -> bytes:
    """The image as a tar. Raises NoPause."""
    binary = program(architecture)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(binary), 0o755
        tar.addfile(entry, io.BytesIO(binary))
    return buffer.getvalue()


def holder(payload: Mapping[str, Any]) -> str:
    """The name of the task's pause container; "" when its containers share nothing that needs one."""
    if payload.get("networkMode") == "awsvpc":
        return NETWORK_PAUSE
    return NAMESPACE_PAUSE if "task" in (payload.get("pidMode"), payload.get("ipcMode")) else ""


def is_internal(name: str) -> bool:
    """Whether a container of that name is the agent's own, none of the task definition."""
    return name.startswith("~internal~")
