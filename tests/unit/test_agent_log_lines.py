"""Docker's records into lines, lines into events and batches; the options of awslogs; places to go back to."""

from __future__ import annotations

import random

import pytest

from monitor.agent.log_lines import MOST_BYTES, MOST_EVENTS, MOST_LINE, OVERHEAD, Batch, Events, Line, Records
from monitor.agent.log_options import Shipping, for_docker, label_of, of_label, of_order, pattern_of
from monitor.agent.mapping import BadPayload
from monitor.rules import regex

SECOND = b"2026-11-23T10:20:30"
NS = 1_795_429_230_000_000_000  # of that second


def lines_of(*chunks: bytes) -> list[tuple[int, str]]:
    records = Records()
    found = [line for chunk in chunks for line in records.feed(chunk)]
    return [(line.place - NS, line.text) for line in [*found, *records.rest()]]


def record(ns: int, text: bytes) -> bytes:
    return SECOND + b".%09dZ " % ns + text


def test_records_become_lines() -> None:
    assert lines_of(
        record(5, b"one\n"), record(7, b"\n"), record(9, b"tw\xc3\xb6\r\n"), record(10, b"\xff\n")
    ) == [
        (5, "one"),
        (7, ""),
        (9, "twö"),
        (10, "\ufffd"),
    ]


def test_a_long_line_comes_in_parts_with_a_time_each() -> None:
    assert lines_of(record(5, b"be"), record(6, b"gin"), record(7, b" end\n"), record(8, b"next\n")) == [
        (5, "begin end"),
        (8, "next"),
    ]


def test_a_terminal_s_output_comes_in_pieces_of_any_size() -> None:
    whole = record(1, b"first\r\n") + record(2, b"second\r\n") + record(3, b"third\r\n")
    assert lines_of(whole) == [(1, "first"), (2, "second"), (3, "third")]


def test_times_that_do_not_grow_are_told_apart_and_again_the_same() -> None:
    chunks = [record(5, b"a\n"), record(5, b"b\n"), record(3, b"c\n"), record(6, b"d\n"), record(9, b"e\n")]
    assert lines_of(*chunks) == [(5, "a"), (6, "b"), (7, "c"), (8, "d"), (9, "e")]
    assert lines_of(*chunks) == lines_of(*chunks)


def test_what_is_longer_than_an_event_is_split() -> None:
    found = lines_of(record(5, b"x" * (MOST_LINE + 10)), record(6, b"\n"))
    assert [len(text) for _, text in found] == [MOST_LINE, 10]


def test_what_has_begun_is_told_at_the_end() -> None:
    assert lines_of(record(5, b"no line feed")) == [(5, "no line feed")]


def batches(events: Events, texts: list[str]) -> list[Batch]:
    found = [b for n, text in enumerate(texts) for b in events.add([Line(NS + n, text)])]
    return [*found, *events.flush(is_whole=True)]


def test_batches_keep_to_the_service_s_limits() -> None:
    found = batches(Events(None), ["x"] * (MOST_EVENTS + 1))
    assert [len(b.events) for b in found] == [MOST_EVENTS, 1]
    found = batches(Events(None), ["y" * 200_000] * 12)
    assert max(sum(len(text) + OVERHEAD for _, text in b.events) for b in found) <= MOST_BYTES
    assert sum(len(b.events) for b in found) == 12
    day_apart = Events(None)
    lines = [Line(NS, "a"), Line(NS + 90_000 * 10**9, "b")]
    assert [len(b.events) for b in (*day_apart.add(lines), *day_apart.flush(is_whole=True))] == [1, 1]


def test_several_lines_are_one_event_where_the_pattern_says_so() -> None:
    events = Events(regex.parse("^[A-Z]"))
    assert list(events.add([Line(NS, "Error"), Line(NS + 1, "  at x"), Line(NS + 2, "Next")])) == []
    (batch,) = events.flush(is_whole=False)
    assert batch == Batch(((NS // 1_000_000, "Error\n  at x"),), NS + 1)  # "Next" may go on
    assert not events.is_empty
    (batch,) = events.flush(is_whole=True)
    assert [text for _, text in batch.events] == ["Next"]
    assert events.is_empty


def test_any_cut_goes_on_where_it_was() -> None:
    """Shipping that is broken off after any batch and begun again tells every line once."""
    chance = random.Random(3)
    chunks = [record(chance.randrange(50), b"line %d\n" % n) for n in range(200)]
    chunks.sort(key=lambda c: c[:30])
    everything = [text for _, text in lines_of(*chunks)]
    stored, told = 0, []
    while True:
        records, events = Records(), Events(None)
        taken: list[Batch] = []
        for chunk in chunks:
            taken += events.add(line for line in records.feed(chunk) if line.place > stored)
            if chance.random() < 0.1:
                taken += events.flush(is_whole=False)
            if taken:
                break
        else:
            taken += events.flush(is_whole=True)
        if not taken:
            break
        told += [text for _, text in taken[0].events]
        stored = taken[0].place  # the agent is killed here
    assert told == everything


# -- options -------------------------------------------------------------------------------------------------


def order(**options: str) -> dict[str, object]:
    names = {name.replace("_", "-"): value for name, value in options.items()}
    return {"Type": "awslogs", "Config": names}


def test_where_the_output_goes() -> None:
    found = of_order(order(awslogs_group="g", awslogs_stream_prefix="shop", awslogs_region="r"), "0a", "app")
    assert found == Shipping("g", "shop/app/0a", "r")
    assert of_order({"Type": "json-file"}, "0a", "app") is None
    made = of_order(order(awslogs_group="g", awslogs_create_group="true"), "0a", "app")
    assert made is not None
    assert (made.stream, made.makes_group) == ("", True)
    remembered = of_label(label_of(made), "c0ffee")
    assert remembered == Shipping("g", "c0ffee", "", makes_group=True)
    assert of_label("{}", "c0ffee") is None


def test_docker_keeps_the_log_with_the_buffer_that_was_asked_for() -> None:
    found = for_docker(order(awslogs_group="g", mode="non-blocking", max_buffer_size="4m"))
    assert found == {
        "Type": "local",
        "Config": {"max-size": "20m", "max-file": "5", "mode": "non-blocking", "max-buffer-size": "4m"},
    }


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("[%b %d, %Y %H:%M:%S]", "[May 01, 2017 19:00:01] A message"),
        ("%Y-%m-%dT%H:%M:%S%L%z", "2017-05-01T19:00:01.123+0000 x"),
        ("%y%m%d 100%%", "170501 100% x"),
        ("%A, %B %I %p", "Monday, January 07 PM x"),
    ],
)
def test_formats_of_times_are_patterns(given: str, line: str) -> None:
    found = regex.parse(pattern_of(given))
    assert found.search(line)
    assert not found.search("  at some.function(file.py:1)")


def test_what_cannot_be_shipped_is_refused() -> None:
    with pytest.raises(BadPayload, match="awslogs-group"):
        of_order(order(), "0a", "app")
    with pytest.raises(BadPayload, match="multiline"):
        of_order(order(awslogs_group="g", awslogs_multiline_pattern="("), "0a", "app")
