"""Logs Insights queries as they are read: commands and expressions as frozen nodes."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.rules.insights_values import Value
from monitor.rules.regex import Regex

# -- expressions -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value


@dataclass(frozen=True, slots=True)
class FieldName:
    name: str


@dataclass(frozen=True, slots=True)
class Period:
    """What bin and the functions on dates are given: 5m."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class Call:
    """`function` in lower case."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function over the records of a group; without `argument` it is count(*)."""

    function: str
    argument: Node | None
    percentile: float = 0.0


@dataclass(frozen=True, slots=True)
class Negative:
    inner: Node


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one rank, from left to right; in one node, so that a long one is not a deep one."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Compared:
    operator: str  # = != < <= > >=
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Like:
    """`pattern`: a text that is contained, or an expression that is found."""

    value: Node
    pattern: str | Regex


@dataclass(frozen=True, slots=True)
class In:
    value: Node
    among: tuple[Node, ...]


Node = Literal | FieldName | Period | Call | Aggregate | Negative | Not | Chain | Compared | Like | In


@dataclass(frozen=True, slots=True)
class Named:
    """An expression and the column it becomes: its alias, or itself as written.

    Without an alias it may also be a column that an earlier command made of the same text: `sort count(*)`.
    """

    name: str
    node: Node
    aliased: bool = False


# -- commands ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fields:
    items: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Display:
    items: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    condition: Node


@dataclass(frozen=True, slots=True)
class Stats:
    items: tuple[Named, ...]
    by: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    keys: tuple[tuple[Named, bool], ...]  # whether descending


@dataclass(frozen=True, slots=True)
class Limit:
    count: int


@dataclass(frozen=True, slots=True)
class Parse:
    """`pattern`: the literal texts around the stars, or an expression with named groups."""

    value: Node
    pattern: tuple[str, ...] | Regex
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dedup:
    keys: tuple[Named, ...]


Command = Fields | Display | Filter | Stats | Sort | Limit | Parse | Dedup
