"""What every store promises to functions that share a batch: nobody notices the neighbours but by
what they have committed (DESIGN 2A).

Nothing here may name a database: a new kind of store passes this folder unchanged.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from csms.core.commands import Command
from csms.core.errors import AlreadyExists, StoreRefused
from csms.core.metering import MeterSample
from csms.core.ports import Need, Tx
from csms.core.quarantine import Quarantined
from csms.core.stations import Station, UnknownStation
from csms.core.tokens import Token
from csms.storage.store import QueuedStore
from tests.support.stores import (
    NOW,
    card,
    fail,
    held,
    journal_targets,
    kept,
    knock_again,
    knocker,
    later,
    put,
    put_and_tell,
    station,
    together,
    until,
)

# -- neighbours in one batch ---------------------------------------------------------------------


async def test_neighbours_of_a_raising_function_commit(store: QueuedStore) -> None:
    results = await together(
        store,
        (put_and_tell, knocker("A")),
        (fail, knocker("B")),
        (put_and_tell, knocker("C")),
    )
    assert isinstance(results[1], AlreadyExists)
    assert [row.identity for row in await store.reader.page(UnknownStation)] == ["A", "C"]
    assert await journal_targets(store) == ["A", "C"]


async def test_the_second_to_save_a_new_key_unseen_fails_alone(store: QueuedStore) -> None:
    results = await together(
        store,
        (put_and_tell, knocker("A", 1)),
        (put_and_tell, knocker("A", 2), "second"),
        (put_and_tell, knocker("B")),
    )
    assert results[0] is None
    assert isinstance(results[1], StoreRefused)
    assert results[2] is None
    assert (await store.reader.get(UnknownStation, "A")) == knocker("A", 1)
    assert await journal_targets(store) == ["A", "B"]


async def test_the_second_that_looks_first_sees_the_first(store: QueuedStore) -> None:
    assert await together(store, *[(knock_again, "A")] * 3) == [1, 2, 3]
    assert (await store.reader.get(UnknownStation, "A")) == knocker("A", 3)


async def test_saving_unseen_over_a_stored_row_fails_whoever_else_reads_it(
    store: QueuedStore,
) -> None:
    """The outcome must not depend on what a neighbour in the batch happened to load."""
    await store.transact(put, knocker("A", 1))
    alone = await together(store, (put, knocker("A", 9)))
    beside = await together(
        store, (lambda tx: tx.get(UnknownStation, "A"),), (put, knocker("A", 9))
    )
    assert isinstance(alone[0], StoreRefused)
    assert isinstance(beside[1], StoreRefused)
    assert (await store.reader.get(UnknownStation, "A")) == knocker("A", 1)


async def test_a_unique_value_taken_twice_fails_the_second_alone(store: QueuedStore) -> None:
    results = await together(
        store,
        (put_and_tell, station("s1", "SAME")),
        (put_and_tell, station("s2", "SAME")),
        (put_and_tell, station("s3")),
    )
    assert isinstance(results[1], StoreRefused)
    assert [row.id for row in await store.reader.page(Station)] == ["s1", "s3"]
    assert await journal_targets(store) == ["s1", "s3"]


BAD_VALUES = {
    "integer beyond 64 bits": knocker("bad", 2**64),
    "lone surrogate": knocker("bad", address="\ud800"),
    "lone surrogate in a key": knocker("bad\udfff"),
    "wrong type": knocker("bad", address=object()),  # type: ignore[arg-type]
    "a time that is none": knocker("bad")._replace(last_seen_at="yesterday"),  # type: ignore[arg-type]
    "a time without a zone": knocker("bad")._replace(last_seen_at=datetime(2024, 1, 1)),
    "integer beyond 64 bits in a structure": kept("bad", payload={"n": 2**64}),
    "lone surrogate in a structure": kept("bad", payload={"t": "\ud800"}),
    "no JSON at all": kept("bad", payload={"t": object()}),
    "nothing where something must be": knocker("bad")._replace(remote_address=None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("bad", BAD_VALUES.values(), ids=BAD_VALUES)
async def test_a_value_that_cannot_be_stored_fails_its_function_alone(
    store: QueuedStore, bad: Any
) -> None:
    results = await together(
        store,
        *[(put_and_tell, knocker(f"A{n}")) for n in range(5)],
        (put_and_tell, bad, "culprit"),
        *[(put_and_tell, knocker(f"B{n}")) for n in range(6)],
    )
    assert isinstance(results.pop(5), StoreRefused)
    assert results == [None] * 11
    assert await store.reader.count(UnknownStation) == 11
    assert await store.reader.count(Quarantined) == 0
    expected = [f"A{n}" for n in range(5)] + [f"B{n}" for n in range(6)]
    assert await journal_targets(store) == expected
    assert store.trouble is None


@pytest.mark.parametrize("target", ["\ud800", 2**70, object()], ids=["text", "number", "object"])
async def test_an_event_that_cannot_be_stored_fails_its_function_alone(
    store: QueuedStore, target: Any
) -> None:
    results = await together(
        store,
        (put_and_tell, knocker("A")),
        (put_and_tell, knocker("bad"), target),
        (put_and_tell, knocker("B")),
    )
    assert isinstance(results[1], StoreRefused)
    assert [row.identity for row in await store.reader.page(UnknownStation)] == ["A", "B"]
    assert await journal_targets(store) == ["A", "B"]


async def test_a_nul_fails_alone_or_comes_back_exactly(store: QueuedStore) -> None:
    row = knocker("a\0b", address="\0")
    results = await together(store, (put, knocker("A")), (put, row), (put, knocker("B")))
    assert results[0] == knocker("A")
    assert results[2] == knocker("B")
    if isinstance(results[1], StoreRefused):
        assert await store.reader.count(UnknownStation) == 2
    else:
        assert await store.reader.get(UnknownStation, "a\0b") == row


async def test_a_key_that_cannot_be_asked_for_fails_its_function_alone(store: QueuedStore) -> None:
    results = await together(
        store,
        (put, knocker("A")),
        (lambda tx: tx.get(UnknownStation, "\ud800"),),
        (put, knocker("B")),
    )
    assert isinstance(results[1], StoreRefused)
    assert await store.reader.count(UnknownStation) == 2


async def test_a_need_that_makes_no_sense_fails_its_function_alone(store: QueuedStore) -> None:
    async with held(store):
        good = store.transact(put, knocker("A"))
        bad = store.transact(put, knocker("B"), needs=[Need(Token, "no_such_finder", ("x",))])
    await good
    with pytest.raises(Exception, match="no_such_finder"):
        await bad
    assert await store.reader.count(UnknownStation) == 1


async def test_any_exception_reaches_its_caller_and_nobody_else(store: QueuedStore) -> None:
    def stop_iteration(tx: Tx) -> None:
        next(iter(()))

    def leave(tx: Tx) -> None:
        raise SystemExit(3)

    results = await together(
        store,
        (put, knocker("A")),
        (stop_iteration,),
        (put, knocker("B")),
    )
    assert results[0] == knocker("A")
    assert isinstance(results[1], RuntimeError)
    assert results[2] == knocker("B")
    failed = store.transact(leave)
    await until(failed.done)  # type: ignore[attr-defined]
    assert isinstance(failed.exception(), SystemExit)  # type: ignore[attr-defined]
    assert await store.transact(knock_again, "A") == 2


# -- finders in one batch ------------------------------------------------------------------------


def uids(tx: Tx, key: str) -> list[str]:
    return [token.kind for token in tx.find(Token, "uid", key)]


async def test_finders_see_what_earlier_functions_added(store: QueuedStore) -> None:
    """Also where nobody had looked before the row was added."""
    results = await together(
        store, (put, card("X", "rfid")), (uids, "x"), (put, card("X", "app")), (uids, "x")
    )
    assert results[1] == ["rfid"]
    assert results[3] == ["app", "rfid"]


async def test_finders_see_what_earlier_functions_changed_away(store: QueuedStore) -> None:
    await store.transact(put, station("s1", "OLD"))

    def rename(tx: Tx) -> None:
        row = tx.get(Station, "s1")
        assert row is not None
        tx.save(row._replace(identity="NEW"))

    def named(tx: Tx, identity: str) -> list[str]:
        return [row.id for row in tx.find(Station, "identity", identity)]

    results = await together(store, (rename,), (named, "OLD"), (named, "NEW"))
    assert results[1:] == [[], ["s1"]]
    results = await together(store, (named, "NEW"), (named, "OLD"))
    assert results == [["s1"], []]


async def test_finders_see_what_earlier_functions_deleted(store: QueuedStore) -> None:
    await store.transact(put, card("X"))
    results = await together(
        store,
        (uids, "x"),
        (lambda tx: tx.delete(Token, "CA*NTH", "x", "rfid"),),
        (uids, "x"),
        (put, card("X", "rfid", label="again")),
        (uids, "x"),
    )
    assert [results[0], results[2], results[4]] == [["rfid"], [], ["rfid"]]
    assert await store.reader.page(Token) == [card("X", "rfid", label="again")]


async def test_finders_do_not_see_what_a_raising_function_did(store: QueuedStore) -> None:
    results = await together(store, (fail, card("X")), (uids, "x"))
    assert results[1] == []


async def test_a_finder_sees_its_own_functions_changes(store: QueuedStore) -> None:
    def add_and_look(tx: Tx) -> list[str]:
        assert uids(tx, "x") == []
        tx.save(card("X", "app"))
        tx.save(card("X", "rfid"))
        tx.delete(Token, "CA*NTH", "x", "rfid")
        return uids(tx, "x")

    assert await store.transact(add_and_look) == ["app"]


async def test_nothing_is_found_by_no_value(store: QueuedStore) -> None:
    """Tokens without a transaction are not equal to each other, in the database or before it."""
    row = Command("c1", 1, "s1", "reset", {}, "queued", NOW, "test")

    def look(tx: Tx) -> list[Any]:
        return list(tx.find(Command, "idempotency_key", None))

    assert (await together(store, (put, row), (look,)))[1] == []
    assert await store.transact(look) == []


async def test_text_differs_by_case_and_kind(store: QueuedStore) -> None:
    await store.transact(put, station("s1", "abc"))
    await store.transact(put, station("s2", "ABC"))
    found = await store.transact(lambda tx: tx.find(Station, "identity", "ABC"))
    assert [row.id for row in found] == ["s2"]


async def test_a_look_up_with_very_many_rows_does_not_hide_those_of_another(
    store: QueuedStore,
) -> None:
    """A finder gives at most 1,000 rows; the neighbour in the batch still gets all of its own."""

    def fill(tx: Tx, first: int) -> None:
        for n in range(first, first + 500):
            tx.save(kept(f"a{n:05}", "busy"))

    for first in range(0, 4_500, 500):
        await store.transact(fill, first)
    await store.transact(put, kept("z", "quiet"))
    needs = [Need(Quarantined, "station", (who,)) for who in ("busy", "quiet")]
    found = await store.transact(lambda tx: tx.find(Quarantined, "station", "quiet"), needs=needs)
    assert [row.id for row in found] == ["z"]


# -- deletes, updates and moments in one batch -----------------------------------------------------


async def test_deleted_and_inserted_again_in_one_batch(store: QueuedStore) -> None:
    await store.transact(put, knocker("A", 5))
    results = await together(
        store,
        (lambda tx: tx.delete(UnknownStation, "A"),),
        (put, knocker("A", 1)),
        (knock_again, "A"),
    )
    assert results[2] == 2
    assert await store.reader.page(UnknownStation) == [knocker("A", 2)]


async def test_a_row_makes_room_for_another_with_its_unique_value(store: QueuedStore) -> None:
    await store.transact(put, station("s1", "SAME"))
    await together(store, (lambda tx: tx.delete(Station, "s1"),), (put, station("s0", "SAME")))
    assert [row.id for row in await store.reader.page(Station)] == ["s0"]


async def test_added_and_deleted_in_one_batch_is_nothing(store: QueuedStore) -> None:
    await together(store, (put, knocker("A")), (lambda tx: tx.delete(UnknownStation, "A"),))
    assert await store.reader.count(UnknownStation) == 0


async def test_a_partial_update_leaves_the_other_fields(store: QueuedStore) -> None:
    await store.transact(put, station("s1", vendor="V", model="M"))

    def change(tx: Tx, **fields: Any) -> None:
        row = tx.get(Station, "s1")
        assert row is not None
        tx.save(row._replace(**fields))

    await together(
        store,
        (lambda tx: change(tx, vendor=None),),
        (lambda tx: change(tx, firmware="F"),),
        (lambda tx: change(tx, violations={"x": 1}),),
    )
    expected = station("s1", model="M", firmware="F", violations={"x": 1})
    assert await store.reader.get(Station, "s1") == expected


async def test_a_moment_is_the_same_key_in_every_zone(store: QueuedStore) -> None:
    east = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    row = MeterSample("s1", 0, 1, NOW, "d", NOW, "[]")
    await store.transact(put, row)
    for at in (NOW, east):
        assert await store.transact(lambda tx, at=at: tx.get(MeterSample, "s1", 0, 1, at, "d"))
    results = await together(
        store,
        (put, row._replace(at=east + timedelta(seconds=1))),
        (lambda tx: tx.get(MeterSample, "s1", 0, 1, later(1), "d"),),
    )
    assert results[1] is not None
