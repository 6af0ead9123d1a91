"""Bringing a PostgreSQL database to the schema: the same tables, whoever comes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from csms.core.errors import Invalid, StoreUnavailable
from csms.storage import schema
from csms.storage.schema import create_all, engine_on, revisions, upgrade
from csms.storage.server import server_of
from csms.storage.tables import metadata
from tests.storage.test_schema import indexes, upgrade_to
from tests.support.postgres import bare_database

pytestmark = pytest.mark.postgres


@pytest.fixture
def url() -> Iterator[str]:
    with bare_database() as made:
        yield made


@pytest.fixture
def engine(url: str) -> sa.Engine:
    return engine_on(server_of(url))


def collations(engine: sa.Engine) -> set[tuple[str, str]]:
    """Text columns that do not compare byte by byte."""
    query = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE data_type = 'text'"
        " AND table_schema = 'public' AND collation_name IS DISTINCT FROM 'C'"
    )
    with engine.connect() as connection:
        return {(row[0], row[1]) for row in connection.exec_driver_sql(query)}


def test_the_migrations_end_at_the_tables(engine: sa.Engine) -> None:
    """Also what autogeneration does not compare: the collation of texts."""
    assert upgrade(engine)[0] is None
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert collations(engine) == set()
    migrated = indexes(engine)
    with bare_database() as other:
        at_once = engine_on(server_of(other))
        create_all(at_once)
        assert indexes(at_once) == migrated


def test_upgrading_may_be_repeated(engine: sa.Engine) -> None:
    _, head = upgrade(engine)
    before = indexes(engine)
    assert upgrade(engine) == (head, head) == revisions(engine)
    assert indexes(engine) == before


def test_of_nodes_that_start_together_one_upgrades(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    create_table = op.create_table

    def counted(*args: Any, **kwargs: Any) -> Any:
        steps.append(threading.get_ident())
        return create_table(*args, **kwargs)

    monkeypatch.setattr(op, "create_table", counted)
    results: list[Any] = []

    def node() -> None:
        try:
            results.append(upgrade(engine_on(server_of(url))))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=node) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    befores = [before for before, _ in results]
    assert befores.count(None) == 1
    assert len({after for _, after in results}) == 1
    assert len(set(steps)) == 1


def test_an_interrupted_upgrade_leaves_nothing(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table, calls = op.create_table, []

    def killed(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return create_table(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_table", killed)
        with pytest.raises(KeyboardInterrupt):
            upgrade(engine)
    assert sa.inspect(engine).get_table_names() == []
    upgrade(engine)


def test_a_database_of_a_newer_version_is_refused(engine: sa.Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Invalid, match=r"9999.*newer version.*upgrade this program"):
        upgrade(engine)


def test_a_station_that_got_no_pings_keeps_that(engine: sa.Engine) -> None:
    """Step 0008, where structures are no text for the driver."""
    upgrade_to(engine, "0007")
    with engine.begin() as connection:
        for station_id, ping in (("quiet", "false"), ("known", "false"), ("other", "true")):
            connection.exec_driver_sql(
                "INSERT INTO stations (id, identity, party_id, registration, created_at,"
                f" generation, ping, violations) VALUES ('{station_id}', '{station_id}', 'CA*NTH',"
                f" 'new', '2024-05-01T12:00:00Z', 0, {ping}, '{{}}')"
            )
        connection.exec_driver_sql(
            "INSERT INTO station_policies (station_id, min_profile, switches, exceptions)"
            " VALUES ('known', 2, '{\"settle_s\": 5}', '{}')"
        )
    upgrade(engine)
    with engine.connect() as connection:
        query = "SELECT station_id, min_profile, switches FROM station_policies ORDER BY 1"
        found = connection.exec_driver_sql(query).all()
    assert [tuple(row) for row in found] == [
        ("known", 2, {"settle_s": 5, "ping": False}),
        ("quiet", 0, {"ping": False}),
    ]


def test_who_may_make_no_tables_is_told_what_to_do(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    guest = server_of(url.replace("csms@", "guest@"))
    with pytest.raises(StoreUnavailable, match=r"permission denied.*owner of the database"):
        upgrade(engine_on(guest))


def test_an_upgrade_that_another_holds_up_for_long_is_given_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schema.UPGRADE, "lock_timeout", "200ms")
    with psycopg.connect(url) as other:
        other.execute(schema.UPGRADE_LOCK)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            upgrade(engine_on(server_of(url)))
