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
# Each character may cost as much as the program is long: of long programs less of the text is looked at.
MOST_WORK = 5_000_000
MOST_GROUPED_WORK = 500_000
_MOST_STEPS = 20_000  # kept of an automaton, before it is built anew
_MOST_CHARACTERS = 4096  # whose takers are kept
_START, _WORD, _OTHER = 0, 1, 2  # what stands before a place


class _State:
    """Where the automaton can be, and where each character leads; `None` in `steps`: the text matches."""

    __slots__ = ("before", "places", "steps")

    def __init__(self, places: frozenset[int], before: int) -> None:
        self.places, self.before = places, before
        self.steps: dict[str, _State | None] = {}


class Regex:
    """A compiled expression. The automaton inside only remembers: no answer depends on what was asked before."""

    __slots__ = ("_grouped_text", "_kept", "_program", "_start", "_states", "_taking", "_text")

    def __init__(self, program: Program) -> None:
        self._program = program
        length = len(program.instructions)
        self._text = min(MOST_TEXT, MOST_WORK // length)
        self._grouped_text = min(MOST_GROUPED_TEXT, MOST_GROUPED_WORK // length)
        self._taking: dict[str, frozenset[int]] = {}
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

    def _takers(self, char: str) -> frozenset[int]:
        """The places of the instructions that take this character."""
        if char not in self._taking:
            if len(self._taking) >= _MOST_CHARACTERS:
                self._taking.clear()
            self._taking[char] = frozenset(
                at
                for at, one in enumerate(self._program.instructions)
                if isinstance(one, Take) and one.has(char)
            )
        return self._taking[char]

    def search(self, text: str) -> bool:
        """Whether the expression matches anywhere in the text's first 262,144 characters; less of it for an expression
        of more than 19 instructions, 2,500 characters for the longest.
        """
        cut = len(text) > self._text
        text = text[: self._text]
        state: _State | None = self._start
        for char in text:
            assert state is not None
            state = state.steps[char] if char in state.steps else self._step(state, char)
            if state is None:
                return True
        assert state is not None
        if cut:  # this is not the text's end: $ does not stand here
            return False
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
            onward = frozenset((0, *(at + 1 for at in takers & self._takers(char))))
            found = self._state(onward, _WORD if _is_word(char) else _OTHER)
        state.steps[char] = found
        return found

    def _reach(self, places: frozenset[int], before: int, char: str) -> tuple[set[int], bool]:
        """The instructions that take a character, reached from the places without one; and whether the end is."""
        seen: set[int] = set()
        waiting = list(places)
        takers: set[int] = set()
        matched = False
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            instruction = self._program.instructions[at]
            if isinstance(instruction, Take):
                takers.add(at)
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
        """The named groups of the first match in the text's first 16,384 characters; None: there is no match. Of the
        text less for an expression of more than 30 instructions, 250 characters for the longest.

        A group that has no part in the match is not among them. Of the ways to match, the one that `re` would find.
        """
        if not self.search(text):
            return None
        saved = self._run(text, min(len(text) + 1, self._grouped_text))
        if saved is None:
            return None
        found = {}
        for name, number in self._program.names:
            start, end = saved[2 * number], saved[2 * number + 1]
            if start >= 0 and end >= 0:
                found[name] = text[start:end]
        return found

    def _run(self, text: str, places: int) -> tuple[int, ...] | None:
        """`places`: between characters, to be looked at; the last is behind the text."""
        nothing = (-1,) * (2 * self._program.groups + 2)
        threads: list[tuple[int, tuple[int, ...]]] = []
        best: tuple[int, ...] | None = None
        for at in range(places):
            char = text[at] if at < len(text) else ""
            before = _START if at == 0 else _WORD if _is_word(text[at - 1]) else _OTHER
            if best is None:
                threads.append((0, nothing))
            elif not threads:
                break
            onward: list[tuple[int, tuple[int, ...]]] = []
            seen: set[int] = set()
            takers = self._takers(char)
            for place, saved in threads:
                end = self._follow(place, saved, at, before, char, takers, seen, onward)
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
        takers: frozenset[int],
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
                if place in takers:
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
