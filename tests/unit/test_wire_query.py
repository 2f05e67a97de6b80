"""Form fields to values: lists by number, times, and what a field may not be."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from botocore.model import ShapeResolver

from monitor.model.errors import AwsError
from monitor.wire import query, shapes

SHAPES = {
    "All": {
        "type": "structure",
        "members": {
            "Names": {"shape": "Names"},
            "Flat": {"shape": "Flat"},
            "Map": {"shape": "Map"},
            "At": {"shape": "At"},
            "Count": {"shape": "Count"},
            "Ratio": {"shape": "Ratio"},
            "On": {"shape": "On"},
        },
    },
    "Names": {"type": "list", "member": {"shape": "Name"}},
    "Flat": {"type": "list", "member": {"shape": "Name", "locationName": "Item"}, "flattened": True},
    "Map": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "Name"}},
    "Name": {"type": "string"},
    "At": {"type": "timestamp"},
    "Count": {"type": "integer"},
    "Ratio": {"type": "double"},
    "On": {"type": "boolean"},
}
ALL = ShapeResolver(SHAPES).get_shape_by_name("All")


def read(form: str) -> Any:
    return shapes.decode(ALL, query.nested(ALL, query.form(form.encode(), "")))


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("", {}),
        ("Unknown=1&Names.other.1=x", {"Names": []}),
        ("Names.member.10=j&Names.member.9=i&Names.member.1=a", {"Names": ["a", "i", "j"]}),
        ("Names=", {"Names": []}),
        ("Names=&Names.member.1=a", {"Names": ["a"]}),
        ("Names.member.1=a&Names=", {"Names": ["a"]}),
        ("Names.member.x=a&Names.member.1=b", {"Names": ["b"]}),
        ("Item.2=b&Item.1=a", {"Flat": ["a", "b"]}),
        (
            "Map.entry.1.key=a&Map.entry.1.value=1&Map.entry.2.key=b&Map.entry.2.value=",
            {"Map": {"a": "1", "b": ""}},
        ),
        ("At=2026-01-02T03:04:05Z", {"At": 1767323045.0}),
        ("At=2026-01-02T04:04:05.500%2B01:00", {"At": 1767323045.5}),
        ("At=2026-01-02T03:04:05", {"At": 1767323045.0}),
        ("At=1767323045.25", {"At": 1767323045.25}),
        ("Count=-3&Ratio=1e3&On=TRUE", {"Count": -3, "Ratio": 1000.0, "On": True}),
        ("Count=1&Count=2", {"Count": 2}),
    ],
)
def test_forms(form: str, value: Any) -> None:
    assert read(form) == value


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("Count=1_000", "Count must be a whole number, got a string"),
        ("Count=%D9%A3", "Count must be a whole number, got a string"),
        ("Count=" + "9" * 5000, "Count must be a whole number, got a string"),
        ("Count=" + "9" * 20, "Count must be a whole number of at most 32 bits"),
        ("Ratio=nan", "Ratio must be a number of 64 bits"),
        ("Ratio=much", "Ratio must be a number of 64 bits, got a string"),
        ("At=soon", "At must be a timestamp"),
        ("At=inf", "At must be a timestamp"),
        ("On=1", "On must be a boolean, got a string"),
        ("Names=a", "Names must be a list, got a string"),
        ("Names.member=a", "Names must be a list, got a string"),
        ("Map=a", "Map must be an object, got a string"),
        ("Count.x=1", "Count must be a whole number, got an object"),
        ("Count=1&Count.x=1", "Count.x is both a value and a structure"),
        ("Count.x=1&Count=1", "Count is both a value and a structure"),
    ],
)
def test_fields_that_are_not_what_the_shape_names(form: str, message: str) -> None:
    with pytest.raises(AwsError) as refused:
        read(form)
    assert refused.value.status == 400
    assert message in refused.value.message


def test_a_query_string_and_a_body_are_one_form() -> None:
    assert query.form(b"a=1&b=2", "b=0&c=3") == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "\ttab", "<&>\"'", "é漢😀"])
def test_text_arrives_as_it_is(text: str) -> None:
    body = query.render_error("Code", text, True, "request-1")
    assert ET.fromstring(body).findtext("Error/Message") == text


@pytest.mark.parametrize("text", ["a\x00b", "a\ufffeb", "a\ud800b", "a\x1bb"])
def test_text_that_xml_has_no_word_for(text: str) -> None:
    body = query.render_error("Code", text, True, "request-1")
    assert ET.fromstring(body).findtext("Error/Message") == "a\ufffdb"
