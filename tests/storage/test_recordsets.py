"""SQL for sets of rows: one statement for any number, always by an index, in the order given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from csms.core.entities import SHAPES
from csms.core.tokens import Token
from csms.storage.postgres import STATEMENTS, PostgresDatabase
from csms.storage.recordsets import NAMES
from csms.storage.tables import TABLES
from tests.support.stores import NOW, card, postgres_site


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PostgresDatabase]:
    with postgres_site(tmp_path) as site:
        made = site.database()
        yield made
        made.close()


def plan(database: PostgresDatabase, sql: str, *parameters: object) -> list[str]:
    return [row[0].strip() for row in database.fetch(f"EXPLAIN {sql}", parameters)]


def in_the_order_given(steps: list[str]) -> bool:
    """The rows given are gone through first, and each is looked up by an index; or (in a table with
    hardly a row) all are gone through by the key, which is the order that they are given in."""
    places = [step for step in steps if "Function Scan" in step or "Index" in step]
    first = "Function Scan" in places[0] or "_pkey" in places[0]
    return first and not any("Seq Scan" in step for step in steps)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_every_statement_uses_an_index_and_keeps_the_order(
    database: PostgresDatabase, kind: type
) -> None:
    said = STATEMENTS.of[kind]
    for fields in (said.shape.key, *said.shape.finders.values()):
        assert in_the_order_given(plan(database, said._look_up(fields), [["x"]], 1)), fields
    others = [f for f in said.shape.fields if f not in said.shape.key]
    assert in_the_order_given(plan(database, said.delete, [["x"]]))
    for changed in filter(None, (others[:1], others)):
        assert in_the_order_given(plan(database, said.update(tuple(changed)), [["x"]]))


@pytest.mark.postgres
def test_the_journal_is_trimmed_by_its_index(database: PostgresDatabase) -> None:
    steps = plan(database, STATEMENTS.journal_trim, [[1, 2]])
    assert "journal_pkey" in steps[-2]
    assert steps[-1].startswith("Index Cond: (seq <")


def test_statements_are_made_once_for_any_number_of_keys() -> None:
    said = STATEMENTS.of[Token]
    one, _ = said.look_up(("uid_key",), [("a",)])
    two, parameters = said.look_up(("uid_key",), [("a",), ("b",)])
    assert one is two
    assert parameters == [[["a"], ["b"]], 2_000]
    assert said.update(("blocked",)) is said.update(("blocked",))
    assert said.insert is said.insert


def test_structures_travel_as_text_and_truth_as_truth() -> None:
    said = STATEMENTS.of[Token]
    row = card("X", blocked=True, expires_at=NOW)
    assert True in said.encode_row(row)
    assert said.decode(said.encode_row(row)) == row
    for kind, table in TABLES.items():
        for column in table.columns:
            if str(column.type.compile(dialect=said._dialect)) == "JSON":
                assert "::json" in STATEMENTS.of[kind].insert


def test_there_are_names_for_all_columns() -> None:
    assert max(2 * len(table.columns) for table in TABLES.values()) <= len(NAMES)
