"""Entities declare how they are addressed; a wrong declaration is found at import."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from csms.core.entities import SHAPES, entity


class Thing(NamedTuple):
    """Not an entity."""

    id: str
    group: str


@pytest.mark.parametrize(
    "declared",
    [
        {"table": "things", "key": ("nothing",)},
        {"table": "things", "key": ("id",), "finders": {"g": ("nothing",)}},
        {"table": "things", "key": ("id",), "unique": ("g",)},
        {"table": "stations", "key": ("id",)},
    ],
    ids=["key", "finder", "unique", "table twice"],
)
def test_a_wrong_declaration_is_found_at_once(declared: dict) -> None:
    before = dict(SHAPES)
    with pytest.raises(AssertionError):
        entity(declared.pop("table"), **declared)(Thing)
    assert before == SHAPES


def test_every_key_and_finder_names_fields() -> None:
    for shape in SHAPES.values():
        assert shape.fields == shape.kind._fields
        assert set(shape.key) <= set(shape.fields)
        assert shape.unique <= set(shape.finders)
