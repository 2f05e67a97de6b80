"""The demo and test image, moorwatch/busybox:local, made on the machine from its static busybox.

No registry is asked. The image carries the checksum of what it was made of, so that making it again does
nothing until the machine's busybox (or this recipe) changes.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

from monitor.cli.docker_api import DockerApi

REPOSITORY, TAG = "moorwatch/busybox", "local"
IMAGE = f"{REPOSITORY}:{TAG}"
LABEL = "moorwatch.busybox"
_RECIPE = "1"  # raise it when the layout below changes
_PT_INTERP = 3
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"


class NoBusybox(Exception):
    """The image cannot be made; the message says what to install."""


def ensure_image(docker: DockerApi) -> bool:
    """Have the image at the daemon. True when it had to be made.

    Raises NoBusybox, DockerUnreachable, DockerRefused.
    """
    found = docker.image(IMAGE)
    try:
        binary = find_busybox().read_bytes()
    except NoBusybox:
        if found is not None:  # somebody loaded it: good enough
            return False
        raise
    checksum = hashlib.sha256(_RECIPE.encode() + binary).hexdigest()
    if found is not None and ((found.get("Config") or {}).get("Labels") or {}).get(LABEL) == checksum:
        return False
    changes = ["ENV PATH=/bin", 'CMD ["sh"]', f"LABEL {LABEL}={checksum}"]
    docker.import_image(REPOSITORY, TAG, root_file_system(binary, applets(find_busybox())), changes)
    return True


def find_busybox() -> Path:
    """The machine's statically linked busybox. Raises NoBusybox."""
    found = shutil.which("busybox", path="/bin:/usr/bin:/usr/local/bin")
    if found is None:
        raise NoBusybox("no busybox on this machine; install it with 'sh deploy/system.sh' (busybox-static)")
    path = Path(found).resolve()
    if not is_static(path.read_bytes()):
        raise NoBusybox(f"{path} is linked dynamically; install busybox-static with 'sh deploy/system.sh'")
    return path


def is_static(elf: bytes) -> bool:
    """Whether an ELF program runs without a loader: it has no PT_INTERP header."""
    if elf[:4] != b"\x7fELF" or len(elf) < 64:
        return False
    order = "<" if elf[5] == 1 else ">"
    if elf[4] == 2:  # 64 bit
        (offset,) = struct.unpack_from(order + "Q", elf, 32)
        size, count = struct.unpack_from(order + "HH", elf, 54)
    else:
        (offset,) = struct.unpack_from(order + "I", elf, 28)
        size, count = struct.unpack_from(order + "HH", elf, 42)
    if size < 4 or offset + size * count > len(elf):
        return False
    kinds = (struct.unpack_from(order + "I", elf, offset + size * i)[0] for i in range(count))
    return _PT_INTERP not in kinds


def applets(busybox: Path) -> list[str]:
    """The commands this busybox can be. Raises NoBusybox."""
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=False, timeout=30)
    names = [name for name in done.stdout.split() if "/" not in name and name != "busybox"]
    if done.returncode != 0 or "sh" not in names:
        raise NoBusybox(
            f"'{busybox} --list' names no shell; install busybox-static with 'sh deploy/system.sh'"
        )
    return names


def root_file_system(binary: bytes, names: list[str]) -> bytes:
    """A tar of a small root file system; equal input gives equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder, mode in (
            ("bin", 0o755),
            ("etc", 0o755),
            ("root", 0o700),
            ("tmp", 0o1777),
            ("usr", 0o755),
        ):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        _file(tar, "bin/busybox", binary, 0o755)
        _file(tar, "etc/passwd", _PASSWD.encode(), 0o644)
        _file(tar, "etc/group", _GROUP.encode(), 0o644)
        for name in sorted(set(names) - {"busybox"}):  # busybox itself must stay the program
            _link(tar, f"bin/{name}", "busybox")
        _link(tar, "usr/bin", "../bin")
    return buffer.getvalue()


def _file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)
