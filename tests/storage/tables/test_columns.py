"""Codecs: what goes into a column comes back, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.storage.tables.columns import FLAGS, JSON, MOMENT

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
