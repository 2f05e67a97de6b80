"""Wildcards: * stands for any text, also for none. Matched from left to right, without ever going back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`parts`: the literal texts between the stars, so one more than there are stars; at least one."""

    parts: tuple[str, ...]

    def matches(self, text: str) -> bool:
        """Each part is taken where it first stands after the one before: with * alone, no other place can do better."""
        first, *inner = self.parts
        if not inner:
            return text == first
        last = inner.pop()
        at, end = len(first), len(text) - len(last)
        if end < at or not text.startswith(first) or not text.endswith(last):
            return False
        for part in inner:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    @property
    def stars(self) -> int:
        return len(self.parts) - 1


def plain(text: str) -> Wildcard:
    """Every * of the text is a wildcard; nothing is escaped."""
    return Wildcard(tuple(text.split("*")))
