"""Forgetting a driver: what it waits for, and that it comes to the same end however often it is
interrupted. (`tests/e2e/test_forgetting.py` looks into every table.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from csms.core import (
    disclosures,
    ends,
    errands,
    exchanged,
    forgetting,
    identity,
    neighbours,
    partners,
    quarantine,
)
from csms.core.cdrs import Cdr
from csms.core.disclosures import Module, Told
from csms.core.errands import Errand
from csms.core.errors import NotFound, Refused, StoreUnavailable
from csms.core.exchanged import CdrDelivery
from csms.core.forgetting import Forgetting, Stage, Wish
from csms.core.messages import IN, Message
from csms.core.metering import METER_STOP, MeterSample, Sample
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner
from csms.core.partners import State as PartnerState
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.core.visitors import VisitorToken
from csms.flows.forgetting import CHUNK, Forgetter, hindrance
from tests.flows.test_records import Office
from tests.support.charging import NOW, PARTY, at, origin, wh

PATIENCE = timedelta(days=7)
ENDPOINTS = [{"module": m, "interface": "RECEIVER", "url": "http://x"} for m in ("tokens", "cdrs")]


class Interrupted:
    """A store whose n-th write does not come about, or comes about and nobody hears of it."""

    def __init__(self, inner: Any, fail_at: int = 0, *, done: bool = False) -> None:
        self.reader, self._inner = inner.reader, inner
        self.fail_at, self.done = fail_at, done
        self.writes = 0
        self.most = 0

    async def transact(self, fn: Any, *args: Any, needs: Any = ()) -> Any:
        self.writes += 1
        self.most = max(self.most, len(args[2]) if fn is identity.rewrite else 0)
        failing = self.writes == self.fail_at
        if failing and not self.done:
            raise StoreUnavailable("on purpose")
        result = await self._inner.transact(fn, *args, needs=needs)
        if failing:
            raise StoreUnavailable("on purpose")
        return result


class Archive(Office):
    """The shop with a driver `CARD` who has charged, and who wants to be forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.store: Any = Interrupted(self.site.store)

    async def charged(self, card: str = "CARD", seconds: float = 0) -> int:
        number: int = self.site.start(seconds, card=card).transaction_id
        signed = {"context": METER_STOP, "signed": f'OCMF|{{"ID":"{card}"}}|{{}}'}
        reading: Any = {"value": "11000", "measurand": "x", **signed}
        self.site.meter([Sample(at(seconds + 900), (reading,))], number, seconds=seconds + 900)
        self.site.stop(number, seconds + 3_600, card=card)
        await self.close()
        return number

    def begin(self, uid: str = "CARD", party: str = PARTY, **more: Any) -> Forgetting:
        n = next(self.numbers)
        wish = Wish(f"f{n}", party, uid, f"forgotten-{n:016x}", **more)
        row: Forgetting = self.site.run(forgetting.begin, wish, "k1", self.now)
        return row

    def forgetter(self) -> Forgetter:
        return Forgetter(self.store, self.clock, PATIENCE, timedelta(0))

    def row(self, number: int = 1) -> Any:
        return self.site.get(Forgetting, f"f{number}")

    def partner(self, *endpoints: Any) -> None:
        row = Partner("p1", "South", PartnerState.REGISTERED, NOW, endpoints=list(endpoints))
        self.site.run(lambda tx: tx.save(row))

    def pushed(self, cursor: int) -> None:
        self.site.run(partners.note, "p1", "tokens", "push", self.now, cursor=cursor)

    def dump(self) -> str:
        return "\n".join(self.site.store.reader._database.connection.iterdump())  # type: ignore[attr-defined]


@pytest.fixture
def archive() -> Archive:
    made = Archive()
    made.now = at(10_000)
    return made


def said(archive: Archive) -> None:
    """What is said of the card beside its charges."""
    archive.site.run(quarantine.put, origin(), "stop", "unknown", {"token": {"uid": "CARD"}})
    rows = [
        Message("s1", at(n), n, IN, "call", "Authorize", '[2,"1","Authorize",{"idTag":"CARD"}]', 9)
        for n in range(3)
    ]
    archive.site.run(lambda tx: [tx.save(row) for row in rows])


@pytest.mark.parametrize("done", [False, True])
async def test_it_may_be_interrupted_at_any_write(done: bool) -> None:
    fail_at = 0
    while True:
        fail_at += 1
        archive = Archive()
        archive.now = at(10_000)
        await archive.charged()
        said(archive)
        archive.begin()
        archive.store = Interrupted(archive.site.store, fail_at, done=done)
        interrupted = False
        for _ in range(3):
            try:
                await archive.forgetter().go_on()
            except StoreUnavailable:
                interrupted = True
                # Somebody asks once more, with another pseudonym.
                if archive.row().state != Stage.DONE:
                    assert archive.begin().id == "f1"
        row = archive.row()
        assert row.state == Stage.DONE
        assert "CARD" not in archive.dump()
        assert archive.dump().count("forgotten-0000000000000002") == 0
        (cdr,) = archive.site.rows(Cdr)
        assert cdr.token_uid == "forgotten-0000000000000001"
        if not interrupted:
            assert fail_at > 10
            return


async def test_what_is_left_is_a_bill_under_another_name(archive: Archive) -> None:
    number = await archive.charged()
    (before,) = archive.site.rows(Cdr)
    t_before = archive.site.transaction(number)
    journal = await archive.site.store.reader.journal(0, 1_000)
    archive.begin()
    await archive.forgetter().go_on()
    (cdr,) = archive.site.rows(Cdr)
    name = archive.row().pseudonym
    text = json.dumps(dict(before.data)).replace("CARD", name)
    contract = before.data["cdr_token"]["contract_id"]
    assert cdr.data == json.loads(text.replace(contract, name))
    assert cdr == before._replace(token_uid=name, data=cdr.data)
    t = archive.site.transaction(number)
    assert t == t_before._replace(
        token_uid=name,
        token_key=name,
        stop_token_uid=name,
        start_key=str(t_before.start_key).replace("card", name),
    )
    after = await archive.site.store.reader.journal(0, 1_000)
    assert [row[:4] for row in after[: len(journal)]] == [row[:4] for row in journal]
    (sample,) = archive.site.rows(MeterSample)
    assert name in sample.readings
    assert archive.site.rows(Token) == []
    assert (archive.row().uid, archive.row().names) == (name, {})
    with pytest.raises(NotFound):
        archive.begin()


async def test_a_charge_that_is_priced_again_is_billed_to_whom_it_was(archive: Archive) -> None:
    """Its driver is not known any more, and its bill says who pays."""
    number = archive.site.start().transaction_id
    archive.site.meter([wh(6_000, 900)], number)
    archive.site.run(ends.close, number, at(1_000))
    await archive.close()
    archive.begin()
    await archive.forgetter().go_on()
    archive.site.stop(number)
    found = {cdr.id: cdr for cdr in await archive.close()}
    assert set(found) == {"R1", "R1-C", "R2"}
    assert (found["R2"].before_taxes, found["R2"].token_party) == ("3.00", PARTY)
    assert {cdr.token_uid for cdr in found.values()} == {archive.row().pseudonym}


async def test_many_rows_are_rewritten_a_little_at_a_time(archive: Archive) -> None:
    await archive.charged()
    text = '[2,"1","Authorize",{"idTag":"card"}]'
    rows = [Message("s1", at(n), n, IN, "call", None, text, 9) for n in range(2_500)]
    for n in range(0, 2_500, 500):
        archive.site.run(lambda tx, n=n: [tx.save(row) for row in rows[n : n + 500]])
    for n in range(1_300):
        archive.site.run(quarantine.put, origin(n), "stop", f"reason {n}", {"idTag": "CARD"})
    archive.begin()
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE
    assert archive.row().rewritten > 3_800
    assert "card" not in archive.dump().casefold().replace("card is", "")
    assert archive.store.most == CHUNK


# -- what it waits for -----------------------------------------------------------------------------


def test_nobody_is_forgotten_while_it_charges(archive: Archive) -> None:
    number = archive.site.start().transaction_id
    with pytest.raises(Refused, match=f"transaction {number} of this token is open"):
        archive.begin()
    assert archive.site.rows(Forgetting) == []
    assert not archive.site.rows(Token)[0].blocked


async def test_a_charge_that_begins_meanwhile_is_waited_for(archive: Archive) -> None:
    """A station that was offline has let the driver charge."""
    archive.begin()
    number = archive.site.start(20_000).transaction_id
    await archive.forgetter().go_on()
    assert f"transaction {number}" in archive.row().waits_for
    archive.site.stop(number, 21_000)
    await archive.close()
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE
    assert archive.row().waits_for is None


async def test_partners_are_told_first(archive: Archive) -> None:
    archive.partner(*ENDPOINTS)
    archive.pushed(await archive.site.store.reader.journal_end())
    archive.begin()
    assert archive.site.rows(Token)[0].blocked
    for _ in range(2):
        await archive.forgetter().go_on()
        assert archive.row().state == Stage.TELLING
        assert archive.row().waits_for.startswith("South was not told yet")
    archive.pushed(archive.row().told_seq)
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE


async def test_a_partner_that_cannot_be_told_is_waited_for_so_long(archive: Archive) -> None:
    archive.partner(*ENDPOINTS)
    archive.begin()
    archive.now += PATIENCE - timedelta(seconds=1)
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.TELLING
    archive.now += timedelta(seconds=1)
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE


async def test_a_partner_that_only_reads_our_list_has_to_read_it_again(archive: Archive) -> None:
    archive.partner()

    def read(valid: bool) -> None:
        told = [Told(PARTY, "CARD", "RFID", Module.LIST, {"valid": valid})]
        archive.site.run(disclosures.note, "p1", told, archive.now)

    read(True)
    archive.begin()
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.TELLING
    read(False)
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE


async def test_a_session_elsewhere_is_waited_for(archive: Archive) -> None:
    body = {
        "status": "ACTIVE",
        "cdr_token": {"country_code": "CA", "party_id": "NTH", "uid": "card"},
    }
    key = ("sessions", "US*STH", "s9", "S9", "p1", archive.now, archive.now)
    archive.site.run(lambda tx: tx.save(NeighbourObject(*key, json.dumps(body))))
    archive.begin()
    await archive.forgetter().go_on()
    assert archive.row().waits_for == "session S9 at US*STH goes on"
    archive.now += timedelta(days=1)
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE


async def test_a_record_that_is_not_settled_is_waited_for(archive: Archive) -> None:
    archive.partner(*ENDPOINTS)
    await archive.charged()
    (cdr,) = archive.site.rows(Cdr)
    body = json.dumps({"cdr_token": dict(cdr.data["cdr_token"])})
    archive.site.run(exchanged.owe, "p1", cdr, body, archive.now)

    async def why() -> Any:
        reader = archive.site.store.reader
        assert await hindrance(reader, "US*STH", "CARD", archive.now) is None
        return await hindrance(reader, PARTY, "card", archive.now)

    assert await why() == (
        f"record {cdr.id} for South is due, not settled; csms roaming deliveries shows why"
    )
    (row,) = archive.site.rows(CdrDelivery)
    archive.site.run(exchanged.sending, row.key, archive.now)
    assert "is sent, not settled" in await why()
    archive.site.run(exchanged.refused, row.key, "CARD is unknown", archive.now)
    assert await why() is None
    archive.begin()
    archive.pushed(10_000)
    await archive.forgetter().go_on()
    (row,) = archive.site.rows(CdrDelivery)
    assert row.error == f"{archive.row().pseudonym} is unknown"


async def test_a_record_that_is_not_in_the_outbox_yet_is_waited_for(archive: Archive) -> None:
    """Between sealing it and the next turn of the pump."""
    archive.partner(*ENDPOINTS)
    archive.site.run(lambda tx: tx.save(visitor(uid="VISITING")))
    await archive.charged("VISITING")
    reader, (cdr,) = archive.site.store.reader, archive.site.rows(Cdr)
    why = await hindrance(reader, "US*STH", "VISITING", archive.now)
    assert why == f"record {cdr.id} is not on its way to South yet; try again in a minute"
    # Whose the bill is, is known by the connection that the driver came over.
    archive.site.run(partners.remove, "p1", archive.now)
    assert await hindrance(reader, "US*STH", "VISITING", archive.now) is None
    roles = [{"role": "EMSP", "party": "US*STH", "name": "South"}]
    anew = Partner("p2", "South", PartnerState.REGISTERED, NOW, roles=roles, endpoints=ENDPOINTS)
    archive.site.run(lambda tx: tx.save(anew))
    assert await hindrance(reader, "US*STH", "VISITING", archive.now) == why
    archive.site.run(exchanged.owe, "p2", cdr, None, archive.now)
    assert await hindrance(reader, "US*STH", "VISITING", archive.now) is None


async def test_a_charge_that_is_not_billed_yet_is_waited_for(archive: Archive) -> None:
    number = archive.site.start().transaction_id
    archive.site.stop(number)
    reader = archive.site.store.reader
    assert f"transaction {number} is not billed" in str(
        await hindrance(reader, PARTY, "CARD", archive.now)
    )
    await archive.close()
    assert await hindrance(reader, PARTY, "CARD", archive.now) is None


# -- whose token -----------------------------------------------------------------------------------


def visitor(party: str = "US*STH", uid: str = "CARD", kind: str = "RFID") -> VisitorToken:
    said: Any = ("p1", "US-C1", "South", True, "ALLOWED", NOW, NOW)
    number = {"visual_number": "DF-1"}
    return VisitorToken(party, uid.casefold(), kind, uid, *said, data=number)


def settled(archive: Archive, *rows: Cdr) -> None:
    """The network of the driver has taken its bills."""
    for cdr in rows:
        archive.site.run(exchanged.owe, "p1", cdr, "{}", archive.now)
        key = "p1", cdr.party_id, cdr.id_key
        archive.site.run(exchanged.confirmed, key, None, archive.now)


async def test_a_visitor_is_forgotten_without_telling_anybody(archive: Archive) -> None:
    archive.partner(*ENDPOINTS)
    archive.site.run(lambda tx: tx.save(visitor(uid="VISITING")))
    number = await archive.charged("VISITING")
    (cdr,) = archive.site.rows(Cdr)
    assert cdr.data["cdr_token"]["contract_id"] == "US-C1"
    settled(archive, cdr)
    archive.begin("visiting", "US*STH")
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE
    for word in ("VISITING", "visiting", "US-C1", "DF-1"):
        assert word not in archive.dump()
    (cdr,) = archive.site.rows(Cdr)
    assert (cdr.token_party, cdr.token_uid) == ("US*STH", archive.row().pseudonym)
    # Its network tells of it anew.
    archive.site.run(lambda tx: tx.save(visitor(uid="VISITING")))
    again = await archive.charged("VISITING", 20_000)
    settled(archive, *(cdr for cdr in archive.site.rows(Cdr) if cdr.transaction_id == again))
    assert archive.site.transaction(again).token_uid == "VISITING"
    assert archive.site.transaction(number).token_uid == archive.row().pseudonym
    archive.begin("VISITING", "US*STH")
    await archive.forgetter().go_on()
    assert archive.row(2).pseudonym != archive.row(1).pseudonym
    assert archive.site.transaction(number).token_uid == archive.row(1).pseudonym


async def test_what_was_billed_to_another_party_with_that_uid_stays(archive: Archive) -> None:
    number = await archive.charged()
    archive.site.run(lambda tx: tx.save(visitor()))
    archive.begin("CARD", "US*STH")
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE
    assert archive.site.transaction(number).token_uid == "CARD"
    (cdr,) = archive.site.rows(Cdr)
    assert cdr.token_uid == "CARD"
    assert [token.uid for token in archive.site.rows(Token)] == ["CARD"]
    assert archive.site.rows(VisitorToken) == []


def test_one_of_several_kinds_is_not_forgotten_alone(archive: Archive) -> None:
    archive.site.card("CARD", kind="app")
    with pytest.raises(Refused, match="has it as rfid as well"):
        archive.begin(kind="app")
    with pytest.raises(NotFound):
        archive.begin(kind="other")
    archive.begin()
    assert all(token.blocked for token in archive.site.rows(Token))


async def test_what_begins_after_the_token_is_gone_is_a_new_appearance(archive: Archive) -> None:
    await archive.charged()
    archive.begin()
    since: Callable[[], datetime] = archive.clock
    archive.site.run(forgetting.take_out, "f1", "transactions", since())
    number = archive.site.start(20_000).transaction_id
    await archive.forgetter().go_on()
    assert archive.row().state == Stage.DONE
    assert archive.site.transaction(number).token_uid == "CARD"
    assert archive.site.transaction(number).open
    assert len({t.token_uid for t in archive.site.rows(Transaction)}) == 2


async def test_a_session_that_is_told_again_stays_under_the_pseudonym(archive: Archive) -> None:
    """Partners' lists are read in full once a day, and they go on naming the uid."""
    token = {"country_code": "CA", "party_id": "NTH", "uid": "CARD", "contract_id": "OLD-C1"}
    body = json.dumps({"status": "COMPLETED", "cdr_token": token, "kwh": 1})
    row = NeighbourObject("sessions", "US*STH", "", "S9", "p1", archive.now, archive.now, body)
    archive.site.run(neighbours.put, row)
    archive.begin()
    await archive.forgetter().go_on()
    for told in (body, body.replace('"kwh": 1', '"kwh": 2')):
        archive.site.run(neighbours.put, row._replace(body=told))
        (kept,) = archive.site.rows(NeighbourObject)
        name = archive.row().pseudonym
        assert kept.body == told.replace("CARD", name).replace("OLD-C1", name)


async def test_a_contract_that_was_another_one_at_the_time_goes_as_well(archive: Archive) -> None:
    archive.site.run(lambda tx: tx.save(visitor(uid="VISITING")))
    await archive.charged("VISITING")
    told = [Told("US*STH", "VISITING", "RFID", Module.CDR, {"contract_id": "US-C1"})]
    archive.site.run(disclosures.note, "p1", told, archive.now)

    def renewed(tx: Any) -> None:
        token = tx.get(VisitorToken, "US*STH", "visiting", "RFID")
        tx.save(token._replace(contract_id="US-C2"))

    archive.site.run(renewed)
    archive.begin("VISITING", "US*STH")
    await archive.forgetter().go_on()
    for word in ("VISITING", "US-C1", "US-C2"):
        assert word not in archive.dump()


async def test_what_takes_long_is_looked_at_once_a_minute(archive: Archive) -> None:
    archive.partner(*ENDPOINTS)
    archive.begin()
    forgetter = archive.forgetter()
    writes = []
    for seconds in (0, 1, 59, 1, 30, 29, 1):
        archive.now += timedelta(seconds=seconds)
        before = archive.store.writes
        await forgetter.go_on()
        writes.append(archive.store.writes > before)
    assert writes == [True, True, False, True, False, False, True]


async def test_one_that_cannot_be_gone_on_with_keeps_no_other(archive: Archive) -> None:
    archive.site.card("OTHER")
    archive.begin()
    archive.begin("OTHER")
    archive.site.run(lambda tx: tx.save(tx.get(Forgetting, "f1")._replace(names={"uids": [1]})))
    await archive.forgetter().go_on()
    assert archive.row(1).state == Stage.REWRITING
    assert archive.row(2).state == Stage.DONE


async def test_a_charge_that_was_asked_for_elsewhere_is_waited_for(archive: Archive) -> None:
    errand = Errand("e1", "START_SESSION", "sent", "p1", "US*STH", "k1", NOW, at(60))
    errand = errand._replace(token_party=PARTY, token_uid="CARD")
    archive.site.run(lambda tx: tx.save(errand))
    reader = archive.site.store.reader
    why = await hindrance(reader, PARTY, "card", archive.now)
    assert why == "US*STH is asked to start a charge; try again in a minute"
    archive.site.run(errands.told, "e1", "REJECTED", "CARD is unknown", archive.now)
    assert await hindrance(reader, PARTY, "card", archive.now) is None
    archive.begin()
    await archive.forgetter().go_on()
    (row,) = archive.site.rows(Errand)
    name = archive.row().pseudonym
    assert (row.token_uid, row.detail) == (name, f"{name} is unknown")
    assert "CARD" not in archive.dump()
