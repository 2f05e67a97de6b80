"""The kernel's text files → numbers. Pure; whatever the text, the only error is BadFile."""

from __future__ import annotations

from dataclasses import dataclass

from exporters.sample import Interface

SHOWN_BYTES = 40


class BadFile(ValueError):
    """A file of the kernel that does not look like one."""


def _bad(what: str, text: bytes) -> BadFile:
    return BadFile(f"not {what}: {text[:SHOWN_BYTES]!r}")


def parse_number(text: bytes) -> int:
    """`123`, or `max` → 0 (no limit). Raises BadFile."""
    try:
        return int(text)
    except ValueError as error:
        if text.strip() == b"max":
            return 0
        raise _bad("a number", text) from error


def parse_flat(text: bytes) -> dict[bytes, int]:
    """Lines of `name number`. Raises BadFile."""
    fields = text.split()
    try:
        return dict(zip(fields[::2], map(int, fields[1::2]), strict=True))
    except ValueError as error:
        raise _bad("lines of name and number", text) from error


@dataclass(frozen=True, slots=True)
class _Layout:
    names: list[bytes]
    places: tuple[int | None, ...]  # of the wanted numbers, among the fields


class Picker:
    """Some numbers out of a `name number` file.

    A kernel writes its names always in the same order, so their places are learnt once and then only checked: a
    third of the cost of parse_flat on memory.stat. Safe to share between threads and files.
    """

    def __init__(self, *wanted: bytes, start: bytes = b"") -> None:
        """What is before `start`, where the file has that, is not looked at."""
        self._wanted, self._start = wanted, start
        self._layout = _Layout([], (None,) * len(wanted))
        self.nothing: list[int | None] = [None] * len(wanted)

    def pick(self, text: bytes) -> list[int | None]:
        """The wanted numbers in order, None for those the file has not. Raises BadFile."""
        fields = text[max(0, text.find(self._start)) :].split()
        layout = self._layout
        if fields[::2] != layout.names or len(fields) % 2:
            layout = self._learn(fields)
        try:
            return [None if place is None else int(fields[place]) for place in layout.places]
        except ValueError as error:
            raise _bad("lines of name and number", text) from error

    def _learn(self, fields: list[bytes]) -> _Layout:
        parse_flat(b" ".join(fields))  # raises when this is no such file
        places = {name: 2 * at + 1 for at, name in enumerate(fields[::2])}
        self._layout = _Layout(fields[::2], tuple(places.get(name) for name in self._wanted))
        return self._layout


def parse_blkio(text: bytes) -> tuple[int, int]:
    """v1 `major:minor Read|Write|… number` lines → (read, write). Raises BadFile."""
    if text.startswith(b"Total"):
        return 0, 0  # nothing yet: the common case
    read = write = 0
    for line in text.splitlines():
        parts = line.split()
        if len(parts) != 3:
            continue
        try:
            value = int(parts[2])
        except ValueError as error:
            raise _bad("a blkio line", line) from error
        if parts[1] == b"Read":
            read += value
        elif parts[1] == b"Write":
            write += value
    return read, write


def parse_io(text: bytes) -> tuple[int, int, int, int]:
    """v2 io.stat → (read bytes, written bytes, reads, writes) over all devices. Raises BadFile."""
    totals = {b"rbytes": 0, b"wbytes": 0, b"rios": 0, b"wios": 0}
    for line in text.splitlines():
        for item in line.split()[1:]:
            name, _, value = item.partition(b"=")
            if name in totals:
                try:
                    totals[name] += int(value)
                except ValueError as error:
                    raise _bad("an io.stat line", line) from error
    return totals[b"rbytes"], totals[b"wbytes"], totals[b"rios"], totals[b"wios"]


def parse_pressure(text: bytes) -> tuple[int | None, int | None]:
    """Pressure stall totals in µs: (some task waited, all tasks waited); None where not told. Raises BadFile."""
    some = full = None
    for line in text.splitlines():
        try:
            if line.startswith(b"some "):
                some = int(line.rpartition(b"total=")[2])
            elif line.startswith(b"full "):
                full = int(line.rpartition(b"total=")[2])
        except ValueError as error:
            raise _bad("a pressure line", line) from error
    return some, full


def parse_net_dev(text: bytes) -> tuple[Interface, ...]:
    """/proc/PID/net/dev without the loopback. Raises BadFile."""
    found = []
    for line in text.split(b"\n")[2:]:
        name, _, rest = line.partition(b":")
        name = name.strip()
        if not rest or name == b"lo":
            continue
        try:
            n = list(map(int, rest.split(None, 12)[:12]))
            found.append(Interface(name.decode(), n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]))
        except (ValueError, IndexError) as error:
            raise _bad("a net/dev line", line) from error
    return tuple(found)


def parse_proc_cgroup(text: str) -> dict[str, str]:
    """/proc/PID/cgroup: controller → path; "" is the unified (v2) hierarchy. Lines of another form are skipped."""
    found = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                found[controller] = parts[2]
    return found


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted cgroup hierarchy; `root` is the cgroup that shows at `point`."""

    root: str
    point: str


def parse_mountinfo(text: str) -> dict[str, Mount]:
    """/proc/PID/mountinfo: controller → where it is mounted; "" is the unified (v2) hierarchy.

    Of several mounts of one hierarchy the one that shows most of it wins. Lines of another form are skipped.
    """
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not dash or len(left) < 5 or len(right) < 3 or right[0] not in ("cgroup", "cgroup2"):
            continue
        mount = Mount(_unescape(left[3]), _unescape(left[4]))
        for controller in right[2].split(",") if right[0] == "cgroup" else [""]:
            if controller not in found or len(mount.root) < len(found[controller].root):
                found[controller] = mount
    return found


def _unescape(path: str) -> str:
    """mountinfo writes blanks in paths as octal."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
