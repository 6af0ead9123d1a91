"""What a partner was told of a driver: noted once an hour, and whenever it is something new."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csms.core import disclosures
from csms.core.disclosures import MAX_VALUES, Disclosure, Module, Told
from csms.storage.open import open_inline
from tests.support.charging import NOW


class Notes:
    """Notes about the card of one driver, told to one partner."""

    def __init__(self) -> None:
        self.store = open_inline()
        self.now = NOW

    def told(self, *facts: dict[str, Any], uid: str = "CARD", minutes: float = 0) -> int:
        self.now += timedelta(minutes=minutes)
        told = [Told("CA*NTH", uid, "RFID", Module.SESSION, f) for f in facts]
        return int(self.store.run(disclosures.note, "p1", told, self.now))

    async def row(self) -> Disclosure:
        (row,) = await self.store.reader.page(Disclosure)
        return row


async def test_the_same_within_an_hour_is_one_note() -> None:
    notes = Notes()
    assert notes.told({"valid": True}) == 1
    for _ in range(59):
        assert notes.told({"valid": True}, uid="card", minutes=1) == 0
    row = await notes.row()
    assert (row.times, row.first_at, row.last_at, row.uid) == (1, NOW, NOW, "CARD")
    assert notes.told({"valid": True}, minutes=1) == 1
    row = await notes.row()
    assert (row.times, row.first_at, row.last_at) == (2, NOW, NOW + timedelta(hours=1))


async def test_what_is_new_is_noted_at_once_and_stands_last() -> None:
    notes = Notes()
    for valid, changed in ((True, 1), (False, 1), (False, 0), (True, 1)):
        assert notes.told({"valid": valid}) == changed
    assert (await notes.row()).facts == {"valid": [False, True]}
    assert notes.told({"contract_id": "C1"}) == 1
    assert (await notes.row()).facts == {"valid": [False, True], "contract_id": ["C1"]}


async def test_two_charges_that_go_on_at_once_are_not_news_again_and_again() -> None:
    notes = Notes()
    places = [{"location": "LOC1 E1"}, {"location": "LOC2 E1"}]
    assert notes.told(*places) == 1
    for place in (*places, *places):
        assert notes.told(place, minutes=1) == 0
    assert notes.told(*places, minutes=1) == 0
    assert (await notes.row()).facts == {"location": ["LOC1 E1", "LOC2 E1"]}


async def test_a_row_stays_small() -> None:
    notes = Notes()
    for n in range(MAX_VALUES + 5):
        notes.told({"location": f"LOC{n}", "visual_number": "x" * 10_000})
    row = await notes.row()
    assert len(row.facts["location"]) == MAX_VALUES
    assert row.facts["location"][-1] == f"LOC{MAX_VALUES + 4}"
    assert len(row.facts["visual_number"][0]) < 600


async def test_partners_tokens_and_modules_have_rows_of_their_own() -> None:
    store = open_inline()
    for partner in ("p1", "p2"):
        told = [
            Told(party, uid, kind, module, {"uid": uid})
            for party in ("CA*NTH", "US*STH")
            for uid in ("A", "B")
            for kind in ("RFID", "APP_USER")
            for module in Module
        ]
        assert store.run(disclosures.note, partner, told, NOW) == len(told)
    assert await store.reader.count(Disclosure) == 2 * 8 * len(Module)
