"""The schema: entities and tables say the same, and codecs lose nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core.entities import SHAPES
from csms.storage.tables import FLAGS, JSON, MOMENT, TABLES, journal, metadata, sequences


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


MOMENTS = st.datetimes(
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 12, 31),
)


@given(MOMENTS, MOMENTS)
def test_moments_are_kept_exactly_and_sort_as_text(one: datetime, other: datetime) -> None:
    texts = [MOMENT.to_db(at) for at in (one, other)]
    assert [MOMENT.from_db(text) for text in texts] == [one, other]
    assert (texts[0] < texts[1]) is (one < other)
    assert {len(text) for text in texts} == {27}


def test_a_moment_without_a_zone_is_none() -> None:
    with pytest.raises(ValueError, match="zone"):
        MOMENT.to_db(datetime(2024, 1, 1))
    assert MOMENT.from_db("2024-01-01T00:00:00.000000Z").tzinfo is UTC


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON_VALUES)
def test_structures_come_back(value: Any) -> None:
    assert JSON.from_db(JSON.to_db(value)) == value


@pytest.mark.parametrize("flags", [(), ("a",), ("a", "b_c")])
def test_flags_come_back(flags: tuple[str, ...]) -> None:
    assert FLAGS.from_db(FLAGS.to_db(flags)) == flags
