"""The schema: entities and tables say the same, and nothing is without an owner."""

from __future__ import annotations

from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from csms.core.entities import SHAPES
from csms.storage.tables import TABLES, journal, metadata, sequences


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_the_fields_of_an_entity_are_the_columns_of_its_table(kind: type[Any]) -> None:
    shape, table = SHAPES[kind], TABLES[kind]
    assert tuple(column.name for column in table.columns) == kind._fields
    assert tuple(column.name for column in table.primary_key) == shape.key
    indexes = {index.name: index for index in table.indexes}
    assert set(indexes) == {f"{table.name}_{name}" for name in shape.finders}
    for name, fields in shape.finders.items():
        index = indexes[f"{table.name}_{name}"]
        assert tuple(column.name for column in index.columns) == fields
        assert index.unique is (name in shape.unique)


def test_there_is_no_table_without_an_owner() -> None:
    ours = {table.name for table in TABLES.values()} | {journal.name, sequences.name}
    assert set(metadata.tables) == ours


def test_optional_fields_are_the_nullable_columns() -> None:
    for kind, table in TABLES.items():
        for name, hint in get_type_hints(kind).items():
            assert table.columns[name].nullable is (NoneType in get_args(hint)), (kind, name)
