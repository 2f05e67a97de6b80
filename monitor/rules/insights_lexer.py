"""The lexemes of Logs Insights queries, and how a query that cannot be read is answered."""

from __future__ import annotations

import re

from monitor.model.errors import ClientFault
from monitor.rules import regex
from monitor.rules.regex_program import BadRegex

MOST_CHARACTERS = 10_000
SKIPPED = re.compile(r"(?:\s|\#[^\n]*)*")
_LEXEME = re.compile(
    r"""(?P<number>(?:[0-9]{1,30}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3}(?![A-Za-z0-9_]))?)(?P<unit>[A-Za-z]+)?
    | (?P<name>[@A-Za-z_][@A-Za-z0-9_.]*) | `(?P<quoted>[^`]{1,1024})`
    | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<mark>=~|!=|<=|>=|[-+*/%^=<>()\[\],|])""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_RESERVED = ("and", "or", "not", "like", "in", "as", "by")


class Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        if len(text) > MOST_CHARACTERS:
            raise self.wrong(f"a query has at most {MOST_CHARACTERS} characters")
        self.skip()

    def skip(self) -> None:
        match = SKIPPED.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def wrong(self, why: str = "") -> ClientFault:
        found = self.text[self.at : self.at + 32].split("\n")[0].split(" ")[0]
        line = self.text.count("\n", 0, self.at) + 1
        place = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        message = why or (f"unexpected symbol found {found}" if found else "unexpected end of query")
        message = f"{message} at line {line} and position {place}"
        location = {
            "startCharOffset": self.at,
            "endCharOffset": min(self.at + max(len(found), 1), len(self.text)),
        }
        return ClientFault(
            "MalformedQueryException",
            message,
            details={"queryCompileError": {"location": location, "message": message}},
        )

    def lexeme(self) -> re.Match[str] | None:
        return _LEXEME.match(self.text, self.at)

    def take(self, end: int) -> None:
        self.at = end
        self.skip()

    def accept(self, *marks: str) -> str:
        match = self.lexeme()
        if match and match["mark"] in marks:
            self.take(match.end())
            return str(match["mark"])
        return ""

    def need(self, mark: str) -> None:
        if not self.accept(mark):
            raise self.wrong()

    def word(self, *words: str) -> str:
        match = self.lexeme()
        if match and match["name"] and match["name"].lower() in words:
            self.take(match.end())
            return str(match["name"]).lower()
        return ""

    def name(self) -> str:
        match = self.lexeme()
        if match and match["quoted"]:
            self.take(match.end())
            return str(match["quoted"])
        if match and match["name"] and match["name"].lower() not in _RESERVED:
            self.take(match.end())
            return str(match["name"])
        raise self.wrong()

    def quoted(self) -> str | None:
        match = self.lexeme()
        if match is None or (match["double"] is None and match["single"] is None):
            return None
        self.take(match.end())
        return _ESCAPED.sub(r"\1", match["double"] if match["double"] is not None else match["single"])

    def regex(self) -> regex.Regex | None:
        match = _REGEX.match(self.text, self.at)
        if match is None:
            return None
        try:
            found = regex.parse(match[1])
        except BadRegex as error:
            raise self.wrong(f"invalid regular expression: {error}") from error
        self.take(match.end())
        return found
