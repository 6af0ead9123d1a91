"""Bringing a database to the schema: empty, up to date, too new, broken, interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage.schema import _config, create_all, engine_for, revisions, upgrade
from csms.storage.tables import metadata


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    return engine_for(tmp_path / "store.db")


def upgrade_to(engine: sa.Engine, revision: str) -> None:
    with engine.connect() as connection:
        command.upgrade(_config(connection), revision)
        connection.commit()


def indexes(engine: sa.Engine) -> dict[str, Any]:
    """Everything that SQLite keeps of the schema, by name, without the spelling of the DDL."""
    inspector = sa.inspect(engine)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)],
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (i["name"], tuple(i["column_names"]), i["unique"])
                for i in inspector.get_indexes(table)
            ),
        )
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def test_the_migrations_end_at_the_tables(engine: sa.Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_schema_of_tests_is_the_migrated_one(engine: sa.Engine, tmp_path: Path) -> None:
    """Also what autogeneration does not compare: WITHOUT ROWID, AUTOINCREMENT, indexes."""
    at_once = engine_for(tmp_path / "at_once.db")
    upgrade(engine)
    create_all(at_once)
    with at_once.connect() as connection:
        connection.commit()
    assert indexes(engine) == indexes(at_once)
    words = ("WITHOUT ROWID", "AUTOINCREMENT")
    for word in words:
        query = f"SELECT name FROM sqlite_master WHERE sql LIKE '%{word}%' ORDER BY name"
        found = []
        for each in (engine, at_once):
            with each.connect() as connection:
                found.append(connection.exec_driver_sql(query).scalars().all())
        assert found[0] == found[1] != []


def test_upgrading_may_be_repeated(engine: sa.Engine) -> None:
    before, head = upgrade(engine)
    assert before is None
    schema = indexes(engine)
    assert upgrade(engine) == (head, head) == revisions(engine)
    assert indexes(engine) == schema


def test_a_database_of_a_newer_version_is_refused(engine: sa.Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Invalid, match=r"9999.*newer version.*upgrade this program"):
        upgrade(engine)
    assert revisions(engine)[0] == "9999"


def test_what_is_no_database_is_said_to_be_unusable(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("a shopping list, and a long one " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        upgrade(engine_for(path))
    with pytest.raises(StoreUnavailable):
        upgrade(engine_for(tmp_path / "no" / "such" / "folder" / "store.db"))


def test_an_interrupted_upgrade_can_be_repeated(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is killed half-way leaves nothing, not a schema that nobody can mend."""
    calls = 0
    create_table = op.create_table

    def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return create_table(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_table", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade(engine)
    assert sa.inspect(engine).get_table_names() == []
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("name", ["plain.db", "a b.db", "a?b#c%d.db", "ü.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    upgrade(engine_for(tmp_path / name))
    assert (tmp_path / name).stat().st_size > 0


def test_a_station_that_got_no_pings_keeps_that(engine: sa.Engine) -> None:
    """Step 0008: the column became a switch of the station's policy."""
    upgrade_to(engine, "0007")
    with engine.begin() as connection:
        for station_id, ping in (("quiet", 0), ("known", 0), ("other", 1)):
            connection.exec_driver_sql(
                "INSERT INTO stations (id, identity, party_id, registration, created_at,"
                f" generation, ping, violations)"
                f" VALUES ('{station_id}', '{station_id}', 'CA*NTH', 'new',"
                f" '2024-05-01T12:00:00.000000Z', 0, {ping}, '{{}}')"
            )
        connection.exec_driver_sql(
            """INSERT INTO station_policies (station_id, min_profile, switches, exceptions)
            VALUES ('known', 2, '{"settle_s": 5}', '{}')"""
        )
    upgrade(engine)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT station_id, min_profile, switches FROM station_policies ORDER BY station_id"
        ).all()
    assert [(row[0], row[1], json.loads(row[2])) for row in found] == [
        ("known", 2, {"settle_s": 5, "ping": False}),
        ("quiet", 0, {"ping": False}),
    ]


def test_a_record_of_before_is_of_the_connection_that_its_driver_came_over(
    engine: sa.Engine,
) -> None:
    """Step 0022: what was entered when the charge began; else to whom it was sent; else who speaks
    for its driver's party, unless that began only later."""
    upgrade_to(engine, "0020")
    at = "2024-05-01T12:00:00.000000Z"
    rows: list[tuple[str, dict[str, Any]]] = [
        (
            "cdrs",
            {
                "party_id": "CA*NTH",
                "id_key": name,
                "id": name,
                "transaction_id": number,
                "created_at": at,
                "started_at": at,
                "ended_at": at,
                "token_party": party,
                "currency": "CAD",
                "energy_wh": 1,
                "before_taxes": "1",
                "after_taxes": "1",
                "data": "{}",
            },
        )
        for number, (name, party) in enumerate(
            [
                ("hub", "FR*OTH"),
                ("sent", "US*STH"),
                ("old", "US*STH"),
                ("later", "DE*EST"),
                ("ours", "CA*NTH"),
            ],
            start=1,
        )
    ]
    rows += [
        (
            "visits",
            {
                "transaction_id": 1,
                "party_id": "FR*OTH",
                "uid_key": "a",
                "type": "RFID",
                "uid": "A",
                "partner_id": "p-hub",
                "contract_id": "C",
                "auth_method": "WHITELIST",
                "contract": "{}",
            },
        ),
        (
            "cdr_deliveries",
            {
                "partner_id": "p-gone",
                "party_id": "CA*NTH",
                "id_key": "sent",
                "cdr_id": "sent",
                "state": "confirmed",
                "created_at": at,
                "next_at": at,
                "body": "{}",
                "attempts": 1,
            },
        ),
    ]
    for partner_id, party, registered_at in (
        ("p-south", "US*STH", "2024-04-30T12:00:00.000000Z"),
        ("p-east", "DE*EST", "2024-05-02T12:00:00.000000Z"),
    ):
        made = {
            "id": partner_id,
            "name": partner_id,
            "state": "registered",
            "created_at": at,
            "encoding": "base64",
            "roles": "[]",
            "endpoints": "[]",
            "deviations": "{}",
            "contract": "{}",
            "registered_at": registered_at,
        }
        speaks = {"party_id": party, "role": "EMSP", "partner_id": partner_id, "name": "x"}
        rows += [("partners", made), ("partner_parties", speaks)]
    with engine.begin() as connection:
        for table, row in rows:
            names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), row)
    upgrade(engine)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id, partner_id FROM cdrs ORDER BY id").all()
    assert dict(tuple(row) for row in found) == {
        "hub": "p-hub",
        "sent": "p-gone",
        "old": "p-south",
        "later": None,
        "ours": None,
    }
