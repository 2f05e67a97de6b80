"""A network bridge for our own Docker daemon, so that it shares no addresses with another on the machine.

Two daemons on Docker's default bridge would give the same address to two containers. Each daemon of ours gets
a bridge named after its state folder, with a range of its own that no route on the machine covers; stopping
the daemon takes the bridge and its packet filter rules away again. Linux only, root only.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import shlex
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

# ioctl numbers of <linux/sockios.h>
_SIOCGIFADDR, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8915, 0x8916, 0x891C
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCBRADDBR, _SIOCBRDELBR = 0x89A0, 0x89A1
_IFF_UP = 0x1

POOL = ipaddress.IPv4Network("10.213.0.0/16")
PREFIX = 22  # 1022 containers a daemon, 64 daemons a machine
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BridgeError(Exception):
    """The bridge cannot be made; the message says why."""


def ensure(name: str, seed: int) -> ipaddress.IPv4Interface:
    """Have the bridge up with an address of its own. Keeps the one it has. Raises BridgeError."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with contextlib.suppress(FileExistsError):
                fcntl.ioctl(sock, _SIOCBRADDBR, name.encode() + b"\0")
            address = _address(sock, name)
            if address is None:
                address = choose(seed, routes((Path("/proc/net/route")).read_text()))
                _set_inet(sock, _SIOCSIFADDR, name, str(address.ip))
                _set_inet(sock, _SIOCSIFNETMASK, name, str(address.netmask))
            _set_flags(sock, name, up=True)
            return address
    except OSError as error:
        raise BridgeError(f"cannot make network bridge {name}: {error.strerror or error}") from error


def remove(name: str) -> None:
    """Take the bridge and the rules that name it away; nothing happens when there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            _set_flags(sock, name, up=False)
            fcntl.ioctl(sock, _SIOCBRDELBR, name.encode() + b"\0")
    except OSError as error:
        if exists(name):
            raise BridgeError(f"cannot remove network bridge {name}: {error.strerror or error}") from error
    _remove_rules(name)


def exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def routes(table: str) -> list[ipaddress.IPv4Network]:
    """The networks in the text of /proc/net/route, the default route left out."""
    found = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 7:
            destination, mask = (struct.pack("<I", int(columns[i], 16)) for i in (1, 7))
            network = ipaddress.IPv4Network((destination, str(ipaddress.IPv4Address(mask))), strict=False)
            if network.prefixlen:
                found.append(network)
    return found


def choose(seed: int, taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Interface:
    """A gateway address in a free part of the pool; `seed` says where the search starts."""
    parts = list(POOL.subnets(new_prefix=PREFIX))
    networks = list(taken)
    for step in range(len(parts)):
        part = parts[(seed + step) % len(parts)]
        if not any(part.overlaps(network) for network in networks):
            return ipaddress.IPv4Interface(f"{part.network_address + 1}/{PREFIX}")
    raise BridgeError(f"every part of {POOL} is routed elsewhere on this machine")


def _address(sock: socket.socket, name: str) -> ipaddress.IPv4Interface | None:
    try:
        answer = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("16s24x", name.encode()))
    except OSError:  # an interface without an address answers so
        return None
    return ipaddress.IPv4Interface((answer[20:24], PREFIX))


def _set_inet(sock: socket.socket, request: int, name: str, address: str) -> None:
    packed = struct.pack("16sHH4s16x", name.encode(), socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(sock, request, packed)


def _set_flags(sock: socket.socket, name: str, *, up: bool) -> None:
    answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16s24x", name.encode()))
    (flags,) = struct.unpack_from("H", answer, 16)
    flags = flags | _IFF_UP if up else flags & ~_IFF_UP
    fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags))


def _remove_rules(name: str) -> None:
    """Docker leaves its rules behind when it stops; those of a bridge that is gone have no meaning."""
    save, change = (shutil.which(tool, path=SYSTEM_PATH) for tool in ("iptables-save", "iptables"))
    if save is None or change is None:
        return
    dump = subprocess.run([save], capture_output=True, text=True, check=False, timeout=30).stdout
    for table, rule in rules_naming(name, dump):
        command = [change, "--wait", "5", "-t", table, "-D", *rule]
        subprocess.run(command, capture_output=True, check=False, timeout=30)


def rules_naming(name: str, dump: str) -> list[tuple[str, list[str]]]:
    """The rules about interface `name` in the text of iptables-save, as (table, words after -A)."""
    found: list[tuple[str, list[str]]] = []
    table = ""
    for line in dump.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A ") and name in (words := shlex.split(line)[1:]):
            found.append((table, words))
    return found
