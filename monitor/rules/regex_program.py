"""What a regular expression is made of, and the program of few instructions that it becomes.

A repetition with bounds becomes as many copies, so the program's length, which is bounded, tells how long a step takes.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_INSTRUCTIONS = 2000

Range = tuple[int, int]


class BadRegex(ValueError):
    """`str()` says what is wrong, in a few words."""


# -- instructions ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Take:
    """One character of these."""

    ranges: tuple[Range, ...]
    folded: bool = False

    def has(self, char: str) -> bool:
        return self._has(char) or (self.folded and (self._has(char.lower()) or self._has(char.upper())))

    def _has(self, char: str) -> bool:
        return len(char) == 1 and any(low <= ord(char) <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Split:
    """Go on at both; the first is preferred."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Jump:
    to: int


@dataclass(frozen=True, slots=True)
class Save:
    """The place in the text is kept: 2n is where group n starts, 2n + 1 where it ends."""

    slot: int


@dataclass(frozen=True, slots=True)
class Here:
    """Holds at a place: `^` the start, `$` the end, `b` the edge of a word, `B` none."""

    kind: str


@dataclass(frozen=True, slots=True)
class Found:
    pass


Instruction = Take | Split | Jump | Save | Here | Found


@dataclass(frozen=True, slots=True)
class Program:
    instructions: tuple[Instruction, ...]
    names: tuple[tuple[str, int], ...]  # named groups, in the order written
    groups: int


# -- nodes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    inner: Node
    fewest: int
    most: int | None
    lazy: bool


@dataclass(frozen=True, slots=True)
class Group:
    number: int
    inner: Node


Node = Take | Here | Sequence | Either | Repeat | Group


# -- compiling ---------------------------------------------------------------------------------------------


class Compiler:
    def __init__(self) -> None:
        self.program: list[Instruction] = []

    def emit(self, instruction: Instruction) -> int:
        if len(self.program) >= MOST_INSTRUCTIONS:
            raise BadRegex("the regular expression is too complex")
        self.program.append(instruction)
        return len(self.program) - 1

    def node(self, node: Node) -> None:
        if isinstance(node, Take | Here):
            self.emit(node)
        elif isinstance(node, Sequence):
            for part in node.parts:
                self.node(part)
        elif isinstance(node, Group):
            self.emit(Save(2 * node.number))
            self.node(node.inner)
            self.emit(Save(2 * node.number + 1))
        elif isinstance(node, Either):
            self.either(node)
        else:
            self.repeat(node)

    def either(self, node: Either) -> None:
        ends = []
        for branch in node.branches[:-1]:
            split = self.emit(Jump(0))
            self.node(branch)
            ends.append(self.emit(Jump(0)))
            self.program[split] = Split(split + 1, len(self.program))
        self.node(node.branches[-1])
        for end in ends:
            self.program[end] = Jump(len(self.program))

    def repeat(self, node: Repeat) -> None:
        for _ in range(node.fewest):
            self.node(node.inner)
        if node.most is None:
            split = self.emit(Jump(0))
            self.node(node.inner)
            self.emit(Jump(split))
            self.program[split] = self.split(split + 1, len(self.program), node.lazy)
            return
        splits = []
        for _ in range(node.most - node.fewest):
            splits.append(self.emit(Jump(0)))
            self.node(node.inner)
        for split in splits:
            self.program[split] = self.split(split + 1, len(self.program), node.lazy)

    def split(self, inner: int, after: int, lazy: bool) -> Split:
        return Split(after, inner) if lazy else Split(inner, after)
