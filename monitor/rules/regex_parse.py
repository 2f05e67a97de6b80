"""Regular expressions, read: text → a program of few instructions, which monitor.rules.regex runs in linear time.

    either := sequence {"|" sequence}
    sequence := {atom ["*" | "+" | "?" | "{n}" | "{n,}" | "{n,m}"] ["?"]}
    atom := character | "." | class | escape | "^" | "$" | "(" either ")" | "(?:" … | "(?<name>" … | "(?i)" | "(?s)"

The syntax is Java's, which is what CloudWatch Logs takes. What cannot be matched in linear time (back-references,
looking ahead or behind, possessive quantifiers) is refused, and what nobody has asked for (\\p{…}, && in classes) too.
"""

from __future__ import annotations

from monitor.rules.regex_program import (
    BadRegex,
    Compiler,
    Either,
    Found,
    Group,
    Here,
    Node,
    Program,
    Range,
    Repeat,
    Save,
    Sequence,
    Take,
)

MOST_CHARACTERS = 1024
MOST_DEPTH = 30
MOST_REPEATS = 1000

_DIGITS: tuple[Range, ...] = ((48, 57),)
_SPACES: tuple[Range, ...] = ((9, 13), (32, 32))
_WORDS: tuple[Range, ...] = ((48, 57), (65, 90), (95, 95), (97, 122))
_CLASSES = {"d": _DIGITS, "s": _SPACES, "w": _WORDS}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b", "0": "\0"}
_LAST = 0x10FFFF


# -- reading -----------------------------------------------------------------------------------------------


def parse(text: str) -> Program:
    """Raises BadRegex."""
    if len(text) > MOST_CHARACTERS:
        raise BadRegex(f"a regular expression has at most {MOST_CHARACTERS} characters")
    parser = _Parser(text)
    node = parser.either()
    if parser.at < len(text):
        raise BadRegex("unmatched )")
    compiler = Compiler()
    compiler.emit(Save(0))
    compiler.node(node)
    compiler.emit(Save(1))
    compiler.emit(Found())
    return Program(tuple(compiler.program), tuple(parser.names.items()), parser.groups)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth, self.groups = text, 0, 0, 0
        self.folded = self.dot_all = False
        self.names: dict[str, int] = {}

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def accept(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def next(self, where: str) -> str:
        if self.at >= len(self.text):
            raise BadRegex(f"unfinished {where}")
        self.at += 1
        return self.text[self.at - 1]

    def either(self) -> Node:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise BadRegex(f"groups are nested more than {MOST_DEPTH} deep")
        flags = self.folded, self.dot_all
        branches = [self.sequence()]
        while self.accept("|"):
            branches.append(self.sequence())
        self.folded, self.dot_all = flags  # a flag holds to the end of its group
        self.depth -= 1
        return branches[0] if len(branches) == 1 else Either(tuple(branches))

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.peek() not in "|)":
            atom = self.atom()
            if atom is not None:
                parts.append(self.repeated(atom))
        return Sequence(tuple(parts))

    def repeated(self, atom: Node) -> Node:
        bounds = self.bounds()
        if bounds is None:
            return atom
        if isinstance(atom, Here):
            raise BadRegex("nothing to repeat")
        lazy = self.accept("?")
        if self.peek() in ("*", "+") or self.bounds() is not None:
            raise BadRegex("possessive or multiple quantifiers are not supported")
        return Repeat(atom, *bounds, lazy)

    def bounds(self) -> tuple[int, int | None] | None:
        for mark, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.accept(mark):
                return bounds
        if not self.accept("{"):
            return None
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at : max(end, self.at)].partition(",")
        if not low and comma and high:
            low = "0"
        if end < 0 or not _is_count(low) or (comma and high and not _is_count(high)):
            raise BadRegex("bad repetition")
        self.at = end + 1
        fewest = int(low)
        most = (int(high) if high else None) if comma else fewest
        if fewest > MOST_REPEATS or (most or 0) > MOST_REPEATS or (most is not None and most < fewest):
            raise BadRegex("bad repetition")
        return fewest, most

    def atom(self) -> Node | None:
        """None: it only set a flag."""
        char = self.next("pattern")
        if char == "(":
            return self.group()
        if char == "[":
            return self.set()
        if char == ".":
            return Take(((0, _LAST),) if self.dot_all else ((0, 9), (11, 12), (14, _LAST)))
        if char in "^$":
            return Here(char)
        if char == "\\":
            return self.escape()
        if char in "*+?{":
            raise BadRegex("nothing to repeat")
        return self.literal(char)

    def literal(self, char: str) -> Take:
        return Take(((ord(char), ord(char)),), self.folded)

    def group(self) -> Node | None:
        number = 0
        flags = self.folded, self.dot_all
        if self.accept("?"):
            if self.peek(2) in ("<=", "<!") or self.peek() in ("=", "!", ">"):
                raise BadRegex("looking ahead or behind and atomic groups are not supported")
            if self.accept("<") or self.accept("P<"):
                number = self.named()
            elif not self.accept(":") and not self.flags():
                return None
        else:
            self.groups = number = self.groups + 1
        inner = self.either()
        self.folded, self.dot_all = flags
        if not self.accept(")"):
            raise BadRegex("unmatched (")
        return Group(number, inner) if number else inner

    def named(self) -> int:
        end = self.text.find(">", self.at)
        name = self.text[self.at : end] if end >= 0 else ""
        if not name.isidentifier() or not name.isascii() or len(name) > 64:
            raise BadRegex("bad name of a group")
        if name in self.names:
            raise BadRegex("two groups have the same name")
        self.at = end + 1
        self.groups = self.names[name] = self.groups + 1
        return self.groups

    def flags(self) -> bool:
        """(?i) sets a flag for what follows, (?i: … ) for the group: True."""
        while (flag := self.next("group")) not in ":)":
            if flag == "i":
                self.folded = True
            elif flag == "s":
                self.dot_all = True
            else:
                raise BadRegex(f"(?{flag} is not supported")
        return flag == ":"

    def escape(self) -> Node:
        char = self.next("escape")
        if char in "bB":
            return Here(char)
        if char == "A":
            return Here("^")
        if char in "zZ":
            return Here("$")
        ranges = self.escaped(char)
        return Take(ranges, self.folded)

    def escaped(self, char: str) -> tuple[Range, ...]:
        if char in "dsw":
            return _CLASSES[char]
        if char in "DSW":
            return _complement(_CLASSES[char.lower()])
        if char in "xu":
            digits = self.peek(2 if char == "x" else 4)
            if len(digits) != (2 if char == "x" else 4) or not all(
                one in "0123456789abcdefABCDEF" for one in digits
            ):
                raise BadRegex("bad escape")
            self.at += len(digits)
            return ((int(digits, 16), int(digits, 16)),)
        char = _CONTROLS.get(char, char)
        if char.isascii() and char.isdigit():
            raise BadRegex("back-references are not supported")
        if char.isascii() and char.isalpha():
            raise BadRegex(f"\\{char} is not supported")
        return ((ord(char), ord(char)),)

    def set(self) -> Take:
        negated = self.accept("^")
        ranges: list[Range] = []
        if self.peek() == "]":
            raise BadRegex("empty class")
        while not self.accept("]"):
            low = self.member()
            if (
                len(low) == 1
                and low[0][0] == low[0][1]
                and self.peek() == "-"
                and self.peek(2) not in ("-]", "-")
            ):
                self.at += 1
                high = self.member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    raise BadRegex("bad range of characters")
                low = ((low[0][0], high[0][1]),)
            ranges += low
        found = tuple(ranges)
        if not negated:
            return Take(found, self.folded)
        return Take(_complement(_both_cases(found) if self.folded else found))

    def member(self) -> tuple[Range, ...]:
        char = self.next("class")
        if char == "[" or (char == "&" and self.peek() == "&"):
            raise BadRegex("classes in classes are not supported")
        return self.escaped(self.next("class")) if char == "\\" else ((ord(char), ord(char)),)


def _is_count(text: str) -> bool:
    return 0 < len(text) < 6 and text.isascii() and text.isdigit()


def _both_cases(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """With the other case of ASCII's letters."""
    letters = [
        (ord(other), ord(other))
        for low, high in ranges
        for code in range(max(low, 65), min(high, 122) + 1)
        if (other := chr(code).swapcase()) != chr(code)
    ]
    return (*ranges, *letters)


def _complement(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    found: list[Range] = []
    at = 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    if at <= _LAST:
        found.append((at, _LAST))
    return tuple(found)
