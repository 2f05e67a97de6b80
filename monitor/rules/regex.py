"""Regular expressions that take time in proportion to the text, whatever the expression and the text are.

Python's `re` goes back and tries again, so that a user's expression can make it take longer than anyone lives. Here all
ways to go on are followed at once: to tell whether a text matches by an automaton built as the text needs it, to tell
its groups by one thread for each instruction (Thompson's and Pike's constructions).
"""

from __future__ import annotations

from functools import lru_cache

from monitor.rules.regex_parse import parse as parse_program
from monitor.rules.regex_program import Found, Here, Jump, Program, Save, Split, Take

MOST_TEXT = 262_144  # what is looked at of a text: as much as a log event may hold
MOST_GROUPED_TEXT = 16_384  # and where the groups are asked for, which is slower
_MOST_STEPS = 20_000  # kept of an automaton, before it is built anew
_START, _WORD, _OTHER = 0, 1, 2  # what stands before a place


class _State:
    """Where the automaton can be, and where each character leads; `None` in `steps`: the text matches."""

    __slots__ = ("before", "places", "steps")

    def __init__(self, places: frozenset[int], before: int) -> None:
        self.places, self.before = places, before
        self.steps: dict[str, _State | None] = {}


class Regex:
    """A compiled expression. The automaton inside only remembers: no answer depends on what was asked before."""

    __slots__ = ("_kept", "_program", "_start", "_states")

    def __init__(self, program: Program) -> None:
        self._program = program
        self._forget()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the named groups, in the order written."""
        return tuple(name for name, _ in self._program.names)

    def _forget(self) -> None:
        self._states: dict[tuple[frozenset[int], int], _State] = {}
        self._kept = 0
        self._start = self._state(frozenset((0,)), _START)

    def _state(self, places: frozenset[int], before: int) -> _State:
        return self._states.setdefault((places, before), _State(places, before))

    def search(self, text: str) -> bool:
        """Whether the expression matches anywhere in the text's first 262,144 characters."""
        text = text[:MOST_TEXT]
        state: _State | None = self._start
        for char in text:
            assert state is not None
            state = state.steps[char] if char in state.steps else self._step(state, char)
            if state is None:
                return True
        assert state is not None
        return (state.steps[""] if "" in state.steps else self._step(state, "")) is None

    def _step(self, state: _State, char: str) -> _State | None:
        """`char` is empty at the end of the text."""
        if self._kept >= _MOST_STEPS:
            self._forget()
        self._kept += 1
        found: _State | None = None
        takers, matched = self._reach(state.places, state.before, char)
        if not matched:
            # The place 0 again at each character: the match may start anywhere.
            onward = frozenset((0, *(at + 1 for at, take in takers if char and take.has(char))))
            found = self._state(onward, _WORD if _is_word(char) else _OTHER)
        state.steps[char] = found
        return found

    def _reach(self, places: frozenset[int], before: int, char: str) -> tuple[list[tuple[int, Take]], bool]:
        """The instructions that take a character, reached from the places without one; and whether the end is."""
        seen: set[int] = set()
        waiting = list(places)
        takers: list[tuple[int, Take]] = []
        matched = False
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            instruction = self._program.instructions[at]
            if isinstance(instruction, Take):
                takers.append((at, instruction))
            elif isinstance(instruction, Split):
                waiting += (instruction.second, instruction.first)
            elif isinstance(instruction, Jump):
                waiting.append(instruction.to)
            elif isinstance(instruction, Found):
                matched = True
            elif isinstance(instruction, Save) or _holds(instruction, before, char):
                waiting.append(at + 1)
        return takers, matched

    def groups(self, text: str) -> dict[str, str] | None:
        """The named groups of the first match in the text's first 16,384 characters; None: there is no match.

        A group that has no part in the match is not among them. Of the ways to match, the one that `re` would find.
        """
        if not self.search(text):
            return None
        text = text[:MOST_GROUPED_TEXT]
        saved = self._run(text)
        if saved is None:
            return None
        found = {}
        for name, number in self._program.names:
            start, end = saved[2 * number], saved[2 * number + 1]
            if start >= 0 and end >= 0:
                found[name] = text[start:end]
        return found

    def _run(self, text: str) -> tuple[int, ...] | None:
        nothing = (-1,) * (2 * self._program.groups + 2)
        threads: list[tuple[int, tuple[int, ...]]] = []
        best: tuple[int, ...] | None = None
        for at in range(len(text) + 1):
            char = text[at] if at < len(text) else ""
            before = _START if at == 0 else _WORD if _is_word(text[at - 1]) else _OTHER
            if best is None:
                threads.append((0, nothing))
            elif not threads:
                break
            onward: list[tuple[int, tuple[int, ...]]] = []
            seen: set[int] = set()
            for place, saved in threads:
                end = self._follow(place, saved, at, before, char, seen, onward)
                if end is not None:
                    best = end  # what comes after in the list is less preferred
                    break
            threads = onward
        return best

    def _follow(
        self,
        place: int,
        saved: tuple[int, ...],
        at: int,
        before: int,
        char: str,
        seen: set[int],
        onward: list[tuple[int, tuple[int, ...]]],
    ) -> tuple[int, ...] | None:
        """One thread without taking a character, in the order of preference; then those that take it, into `onward`."""
        waiting = [(place, saved)]
        while waiting:
            place, saved = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            instruction = self._program.instructions[place]
            if isinstance(instruction, Take):
                if char and instruction.has(char):
                    onward.append((place + 1, saved))
            elif isinstance(instruction, Split):
                waiting += ((instruction.second, saved), (instruction.first, saved))
            elif isinstance(instruction, Jump):
                waiting.append((instruction.to, saved))
            elif isinstance(instruction, Found):
                return saved
            elif isinstance(instruction, Save):
                slot = instruction.slot
                waiting.append((place + 1, (*saved[:slot], at, *saved[slot + 1 :])))
            elif _holds(instruction, before, char):
                waiting.append((place + 1, saved))
        return None


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


def _holds(here: Here, before: int, char: str) -> bool:
    if here.kind == "^":
        return before == _START
    if here.kind == "$":
        return char == ""
    edge = (before == _WORD) != _is_word(char)
    return edge if here.kind == "b" else not edge


@lru_cache(maxsize=256)
def parse(text: str) -> Regex:
    """Raises BadRegex."""
    return Regex(parse_program(text))
