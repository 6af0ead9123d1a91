"""The SQL: few statements, and padding that changes no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core.entities import SHAPES
from csms.core.metering import MeterSample
from csms.core.ports import Need
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.storage.open import open_inline
from csms.storage.sqlite import STATEMENTS
from csms.storage.statements import MAX_KEYS, padded
from tests.support.stores import NOW, card, knocker, station


@given(st.integers(1, MAX_KEYS))
def test_a_look_up_is_padded_to_one_of_few_sizes(count: int) -> None:
    assert count <= padded(count) <= MAX_KEYS
    assert padded(count) in {1, 4, 16, 64, 256}


@pytest.mark.parametrize("count", [1, 2, 4, 5, 17, 65, 256, 257, 300])
def test_padding_finds_each_row_once(count: int) -> None:
    store = open_inline()
    for n in range(count):
        store.run(lambda tx, n=n: tx.save(knocker(f"A{n}")))

    def look(tx):  # type: ignore[no-untyped-def]
        tx._work.load([Need(UnknownStation, None, (f"A{n}",)) for n in range(count)])
        return [tx.get(UnknownStation, f"A{n}") for n in range(count)]

    assert store.run(look) == [knocker(f"A{n}") for n in range(count)]


def test_statements_are_compiled_once() -> None:
    said = STATEMENTS.of[Token]
    assert said.select(("uid_key",), 4) is said.select(("uid_key",), 4)
    assert said.update(("blocked",)) is said.update(("blocked",))
    assert said.encoder(("blocked",)) is said.encoder(("blocked",))
    assert said.insert is said.insert


def test_a_look_up_by_one_field_is_a_list_and_by_several_one_term_each() -> None:
    assert "IN (?, ?, ?, ?)" in STATEMENTS.of[Token].select(("uid_key",), 4)
    composite = STATEMENTS.of[Token].select(("party_id", "uid_key", "kind"), 4)
    assert composite.count(" OR ") == 3
    assert composite.count("?") == 12


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_look_ups_use_an_index(kind: type) -> None:
    """Every key and finder, at every size."""
    database = open_inline().reader._database  # type: ignore[attr-defined]
    said = STATEMENTS.of[kind]
    for fields in (said.shape.key, *said.shape.finders.values()):
        for size in (1, 4, 256):
            sql = said.select(fields, size)
            values = ["x"] * (size * len(fields))
            plan = [row[3] for row in database.fetch(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert not any(step.startswith("SCAN") for step in plan), (fields, size, plan)


def test_values_are_encoded_in_the_order_of_the_fields() -> None:
    encode = STATEMENTS.of[Token].encoder(("blocked", "created_at", "uid", "expires_at"))
    values = [True, NOW, "X", None]
    assert encode(values) == [1, "2024-05-01T12:00:00.000000Z", "X", None]
    assert values[0] is True
    assert STATEMENTS.of[Station].encoder(("violations",))([{"a": 1}]) == ['{"a":1}']


@pytest.mark.parametrize(
    "row",
    [
        station("s1", violations={"ü": 1}, booted_at=NOW),
        card("X", expires_at=NOW, blocked=True),
        knocker("A"),
        MeterSample("s1", 0, 1, NOW, "d", NOW, "[]"),
    ],
    ids=lambda row: type(row).__name__,
)
def test_a_row_comes_back_as_it_went(row: tuple) -> None:
    said = STATEMENTS.of[type(row)]
    assert said.decode(said.encode_row(row)) == row
