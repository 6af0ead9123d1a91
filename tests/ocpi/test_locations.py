"""The locations module between two networks over real HTTP (OCPI 2.2.1 mod_locations)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from csms.bus.local import LocalBus
from csms.core import locations as places
from csms.core import tariffs as prices
from csms.core.events import LocationChanged
from csms.core.locations import Location, LocationEvse
from csms.core.neighbours import NeighbourObject
from csms.core.occupancy import Status
from csms.core.tariffs import Tariff
from csms.ocpi import locations
from csms.ocpi.feeds import FEEDS
from csms.ocpi.network import LOOKED_AT_ONCE, Limits
from csms.ocpi.publisher import Publisher
from csms.ocpi.wire import reading
from tests.support import ocpi_objects as objects
from tests.support.ocpi import NOW, Side, connected

RECEIVER = "/2.2.1/receiver/locations"
SENDER = "/2.2.1/sender/locations"
(FEED,) = [feed for feed in FEEDS if feed.name == "locations"]
LATER = "2026-01-01T11:00:00Z"


@asynccontextmanager
async def networks(**limits: Any) -> AsyncIterator[tuple[Side, Side]]:
    north = Side("CA*NTH", limits=Limits(**limits)).offers(*locations.MODULES)
    south = Side("US*STH").offers(*locations.MODULES)
    async with connected(north, south) as both:
        yield both


CONNECTOR = {
    **{k: v for k, v in objects.connector().items() if k != "last_updated"},
    "capabilities": ["ISO_15118_2_PLUG_AND_CHARGE"],
}


def evse(uid: str = "E1", **changes: Any) -> LocationEvse:
    made = LocationEvse("", uid.casefold(), uid, "", NOW, NOW, connectors=[CONNECTOR])
    return made._replace(**changes)


def place(side: Side, location_id: str = "LOC1", *evses: LocationEvse, **changes: Any) -> None:
    made = Location(
        side.party,
        location_id.casefold(),
        location_id,
        side.now,
        side.now,
        "1 Main St",
        "Montréal",
        "CAN",
        "45.500000",
        "-73.600000",
        "America/Toronto",
    )
    side.store.run(places.put, made._replace(**changes), evses or (evse(),), side.now)


def theirs(location_id: str = "L1", **changes: Any) -> dict[str, Any]:
    owner = {"country_code": "US", "party_id": "STH"}
    return objects.location(location_id, **{**owner, **changes})


async def kept(side: Side, party: str = "US*STH", key: str = "l1") -> Any:
    row = await side.store.reader.get(NeighbourObject, "locations", party, key)
    return reading.load(row.body.encode()) if row else None


# -- told by us ------------------------------------------------------------------------------------


async def test_a_place_is_told_without_what_only_later_versions_have() -> None:
    async with networks() as (north, south):
        data = {"parking_places": [{"id": "1"}], "help_phone": "+1", "facilities": ["CAFE"]}
        place(north, data=data)
        (told,) = (await south.asks(north, "GET", SENDER)).json()["data"]
        assert (told["country_code"], told["party_id"], told["id"]) == ("CA", "NTH", "LOC1")
        assert told["facilities"] == ["CAFE"]
        assert "parking_places" not in told
        assert "help_phone" not in told
        (shown,) = told["evses"]
        assert (shown["uid"], shown["status"]) == ("E1", "UNKNOWN")
        assert "capabilities" not in shown["connectors"][0]
        assert shown["connectors"][0]["last_updated"] == "2026-01-01T12:00:00Z"


async def test_an_evse_that_does_not_say_what_is_required_is_left_out() -> None:
    async with networks() as (north, south):
        place(north, "LOC1", evse("E1"), evse("E2", connectors=[{"id": "1"}]))
        (told,) = (await south.asks(north, "GET", SENDER)).json()["data"]
        assert [e["uid"] for e in told["evses"]] == ["E1"]


async def test_what_is_private_and_what_is_removed_is_told_as_such() -> None:
    """M2, M3: nothing is deleted, and who may see a place is for the reader to heed."""
    async with networks() as (north, south):
        named = {"publish_allowed_to": [{"uid": "CARD", "type": "RFID"}]}
        place(north, "LOC1", evse("E1"), evse("E2"), publish=False, data=named)
        north.store.run(places.remove_evse, "CA*NTH", "E1", north.now)
        (told,) = (await south.asks(north, "GET", SENDER)).json()["data"]
        assert (told["publish"], told["publish_allowed_to"]) == (False, named["publish_allowed_to"])
        assert {e["uid"]: e["status"] for e in told["evses"]} == {"E1": "REMOVED", "E2": "UNKNOWN"}


def named(told: Any) -> dict[str, list[str]]:
    """The tariffs of the connectors of a location."""
    return {e["uid"]: e["connectors"][0].get("tariff_ids", []) for e in told["evses"]}


def tariffed(side: Side) -> None:
    """A place with a tariff for all, and one of its own for the EVSE E1."""
    place(side, "LOC1", evse("E1"), evse("E2"))
    for tariff_id, uid in (("ALL", None), ("ONE", "E1")):
        row = Tariff(side.party, tariff_id.casefold(), 0, tariff_id, True, NOW, NOW, "CAD")
        side.store.run(prices.put, row, side.now)
        side.store.run(prices.assign, side.party, tariff_id, "LOC1", uid, side.now)


async def test_the_tariffs_that_apply_are_named() -> None:
    """mod_locations, Connector.tariff_ids: only one of each type is active at the same time. The
    price that is shown is the one that is charged: that of the EVSE takes the place of the others.
    """
    async with networks() as (north, south):
        tariffed(north)
        (told,) = (await south.asks(north, "GET", SENDER)).json()["data"]
        assert named(told) == {"E1": ["ONE"], "E2": ["ALL"]}
        for uid, ids in named(told).items():
            row = north.store.run(places.require_evse, "CA*NTH", uid)
            assert [t.id for t in north.store.run(prices.applying, row)] == ids


@pytest.mark.parametrize("how", ["unassigned", "retired"])
async def test_a_place_is_told_anew_when_other_tariffs_apply(how: str) -> None:
    async with networks() as (north, south):
        publisher = Publisher(north.network, LocalBus())
        partner = await north.partner(south)
        for _ in range(2):
            assert await publisher.push(partner, FEED)
        tariffed(north)
        assert await publisher.push(partner, FEED)
        assert named(await kept(south, "CA*NTH", "loc1")) == {"E1": ["ONE"], "E2": ["ALL"]}
        north.later(minutes=1)
        if how == "unassigned":
            north.store.run(prices.unassign, "CA*NTH", "ONE", "LOC1", "E1", north.now)
        else:
            north.store.run(prices.retire, "CA*NTH", "ONE", north.now)
        assert await publisher.push(partner, FEED)
        told = await kept(south, "CA*NTH", "loc1")
        assert named(told) == {"E1": ["ALL"], "E2": ["ALL"]}
        changed = {e["uid"] for e in told["evses"] if e["last_updated"] == told["last_updated"]}
        assert changed == {"E1"}


async def test_one_location_evse_or_connector_can_be_read() -> None:
    async with networks() as (north, south):
        place(north)
        for path, field, value in (
            ("loc1", "id", "LOC1"),
            ("LOC1/e1", "uid", "E1"),
            ("LOC1/E1/1", "id", "1"),
        ):
            found = await south.asks(north, "GET", f"{SENDER}/{path}")
            assert found.json()["data"][field] == value
        for path in ("NONE", "LOC1/NONE", "LOC1/E1/9"):
            assert (await south.asks(north, "GET", f"{SENDER}/{path}")).status_code == 404


async def test_a_filter_takes_whole_locations_and_pages_keep_their_order() -> None:
    async with networks(page=2) as (north, south):
        for n in range(3):
            place(north, f"L{n}", evse(f"E{n}"))
            north.later(hours=1)
        answer = await south.asks(north, "GET", SENDER)
        assert [told["id"] for told in answer.json()["data"]] == ["L0", "L1"]
        assert answer.headers["X-Total-Count"] == "3"
        since = await south.asks(north, "GET", f"{SENDER}?date_from=2026-01-01T13:00:00Z")
        assert [told["id"] for told in since.json()["data"]] == ["L1", "L2"]


# -- told to us ------------------------------------------------------------------------------------


async def test_a_place_is_kept_with_unknown_fields_and_read_again() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/L1"
        given = theirs(later={"a": 1})
        assert (await south.asks(north, "PUT", path, given)).status_code == 201
        assert (await south.asks(north, "PUT", path, given)).status_code == 200
        assert (await south.asks(north, "GET", path)).json()["data"] == given
        got = await south.asks(north, "GET", f"{path}/E1/1")
        assert got.json()["data"] == objects.connector()


async def test_a_status_moves_everything_above_it() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/L1"
        await south.asks(north, "PUT", path, theirs())
        change = {"status": "CHARGING", "last_updated": LATER}
        answer = await south.asks(north, "PATCH", f"{path}/E1", change)
        assert answer.json()["status_code"] == 1000
        found = await kept(north)
        assert (found["last_updated"], found["evses"][0]["last_updated"]) == (LATER, LATER)
        assert found["evses"][0]["status"] == "CHARGING"
        # What comes late changes nothing.
        late = {"status": "AVAILABLE", "last_updated": "2026-01-01T10:30:00Z"}
        assert (await south.asks(north, "PATCH", f"{path}/E1", late)).json()["status_code"] == 1000
        assert await kept(north) == found


async def test_evses_and_connectors_are_added_and_replaced() -> None:
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/L1"
        await south.asks(north, "PUT", path, theirs())
        for uid in ("E2", "e1"):
            body = objects.evse(uid, status="RESERVED", last_updated=LATER)
            answer = await south.asks(north, "PUT", f"{path}/{uid}", body)
            assert answer.json()["status_code"] == 1000
        connector = objects.connector(id="2", last_updated="2026-01-01T11:30:00Z")
        await south.asks(north, "PUT", f"{path}/E2/2", connector)
        found = await kept(north)
        assert [e["uid"] for e in found["evses"]] == ["E2", "e1"]
        assert [c["id"] for c in found["evses"][0]["connectors"]] == ["1", "2"]
        assert found["last_updated"] == "2026-01-01T11:30:00Z"
        assert found["evses"][1]["last_updated"] == LATER
        removed = {"status": "REMOVED", "last_updated": "2026-01-01T11:40:00Z"}
        await south.asks(north, "PATCH", f"{path}/E2", removed)
        assert (await kept(north))["evses"][0]["status"] == "REMOVED"


@pytest.mark.parametrize(
    ("method", "path", "body", "http", "status"),
    [
        ("PUT", "US/STH/OTHER", theirs(), 200, 2001),
        ("PUT", "US/STH/L1", theirs(party_id="XXX"), 200, 2001),
        ("PUT", "US/STH/L1", theirs(city=None), 200, 2001),
        ("PUT", "US/STH/L9/E1", objects.evse(), 200, 2000),
        ("PUT", "US/STH/L1/E9", objects.evse(), 200, 2001),
        ("PUT", "US/STH/L1/E1", [], 200, 2001),
        ("PUT", "US/STH/L1/E1", objects.evse(connectors=[]), 200, 2001),
        ("PATCH", "US/STH/L1", {"city": "x"}, 200, 2001),
        ("PATCH", "US/STH/L1", {"city": "x", "last_updated": "soon"}, 200, 2001),
        ("PATCH", "US/STH/L1", {"id": "OTHER", "last_updated": LATER}, 200, 2001),
        ("PATCH", "US/STH/L1/E9", {"status": "CHARGING", "last_updated": LATER}, 200, 2000),
        ("GET", "US/STH/L9", None, 404, 2000),
        ("GET", "CA/NTH/L1", None, 404, 2000),
        ("DELETE", "US/STH/L1", None, 405, 2000),
    ],
)
async def test_what_cannot_be_done_changes_nothing(
    method: str, path: str, body: Any, http: int, status: int
) -> None:
    async with networks() as (north, south):
        await south.asks(north, "PUT", f"{RECEIVER}/US/STH/L1", theirs())
        before = await kept(north)
        answer = await south.asks(north, method, f"{RECEIVER}/{path}", body)
        assert (answer.status_code, answer.json()["status_code"]) == (http, status)
        assert await kept(north) == before


async def test_a_partner_reaches_only_places_of_its_own_parties() -> None:
    async with networks() as (north, south):
        east = Side("DE*EST").offers(*locations.MODULES)
        async with east.up():
            await east.register(north, north.invite(east.party))
            await south.asks(north, "PUT", f"{RECEIVER}/US/STH/L1", theirs())
            change = {"status": "REMOVED", "last_updated": LATER}
            for method, path, body in (
                ("GET", "US/STH/L1", None),
                ("PUT", "US/STH/L1", theirs(city="Elsewhere")),
                ("PATCH", "US/STH/L1/E1", change),
                ("PUT", "US/STH/L1/E1", objects.evse(last_updated=LATER)),
            ):
                answer = await east.asks(north, method, f"{RECEIVER}/{path}", body)
                assert answer.status_code == 404, (method, path)
            assert await kept(north) == reading.load(reading.dump(theirs()))


async def test_an_evse_that_is_gone_without_a_word_stays_as_removed() -> None:
    """M2, and pitfall 8 of the field: what refers to it still finds it."""
    async with networks() as (north, south):
        path = f"{RECEIVER}/US/STH/L1"
        both = theirs(evses=[objects.evse("E1"), objects.evse("E2")])
        await south.asks(north, "PUT", path, both)
        for _ in range(2):
            await south.asks(north, "PUT", path, theirs(last_updated=LATER))
            found = {e["uid"]: e for e in (await kept(north))["evses"]}
            assert {uid: e["status"] for uid, e in found.items()} == {
                "E1": "AVAILABLE",
                "E2": "REMOVED",
            }
            assert found["E2"]["last_updated"] == LATER
        partner = await north.partner(south)
        assert partner.deviations == {"evses: gone without REMOVED": 1}
        # It may come back.
        await south.asks(north, "PUT", path, {**both, "last_updated": LATER})
        assert {e["status"] for e in (await kept(north))["evses"]} == {"AVAILABLE"}


# -- the client ------------------------------------------------------------------------------------


async def test_a_status_is_patched_and_what_is_not_known_there_is_put() -> None:
    async with networks() as (north, south):
        place(north)
        partner = await north.partner(south)
        assert await locations.push(north.network, partner, "CA*NTH", "LOC1", "E1") == []
        assert [r.method for r in north.faults.sent] == ["PATCH", "PUT"]
        assert (await kept(south, "CA*NTH", "loc1"))["evses"][0]["status"] == "UNKNOWN"
        north.faults.sent.clear()
        north.later(minutes=1)

        def occupy(tx: Any) -> None:
            row = places.require_evse(tx, "CA*NTH", "E1")
            tx.save(row._replace(status=Status.OUT_OF_ORDER, last_updated=north.now))

        north.store.run(occupy)
        assert await locations.push(north.network, partner, "CA*NTH", "LOC1", "E1") == []
        assert [r.method for r in north.faults.sent] == ["PATCH"]
        found = await kept(south, "CA*NTH", "loc1")
        assert found["evses"][0]["status"] == "OUTOFORDER"
        assert found["last_updated"] == "2026-01-01T12:01:00Z"


async def test_changes_of_a_place_arrive_by_the_pump_as_one_request() -> None:
    async with networks() as (north, south):
        publisher = Publisher(north.network, LocalBus())
        assert await publisher.push(await north.partner(south), FEED)
        place(north, "LOC1", evse("E1"), evse("E2"))
        place(north, "LOC1", evse("E1"), evse("E2"), city="Laval")
        north.faults.sent.clear()
        assert await publisher.push(await north.partner(south), FEED)
        assert [r.method for r in north.faults.sent] == ["PUT"]
        found = await kept(south, "CA*NTH", "loc1")
        assert found["city"] == "Laval"
        assert len(found["evses"]) == 2


async def test_what_changes_of_an_evse_arrives_as_a_whole() -> None:
    async with networks() as (north, south):
        publisher = Publisher(north.network, LocalBus())
        partner = await north.partner(south)
        place(north)
        for _ in range(2):
            assert await publisher.push(partner, FEED)
        await locations.push(north.network, partner, "CA*NTH", "LOC1")
        changed = {**CONNECTOR, "max_amperage": 16}
        place(north, "LOC1", evse("E1", evse_id="CA*NTH*E1", connectors=[changed]))
        assert await publisher.push(partner, FEED)
        (told,) = (await kept(south, "CA*NTH", "loc1"))["evses"]
        assert (told["evse_id"], told["connectors"][0]["max_amperage"]) == ("CA*NTH*E1", 16)


async def test_a_list_is_pulled() -> None:
    async with networks(page=1) as (north, south):
        place(north, "LOC1", evse("E1"))
        place(north, "LOC2", evse("E2"))
        pulled = await locations.pull(south.network, await south.partner(north), None)
        assert (pulled.faults, pulled.newest) == ([], NOW)
        assert (await kept(south, "CA*NTH", "loc2"))["evses"][0]["uid"] == "E2"


async def test_the_statuses_of_many_evses_are_looked_at_together_and_told_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with networks() as (north, south):
        publisher = Publisher(north.network, LocalBus())
        partner = await north.partner(south)
        for n in range(LOOKED_AT_ONCE + 8):
            place(north, f"LOC{n}", evse(f"E{n}"))
        for _ in range(2):
            assert await publisher.push(partner, FEED)
        north.later(minutes=1)

        def occupied(tx: Any, n: int) -> None:
            row = places.require_evse(tx, "CA*NTH", f"E{n}")
            tx.save(row._replace(status=Status.CHARGING, last_updated=north.now))
            tx.record(
                LocationChanged(
                    at=north.now,
                    station_id=None,
                    party_id="CA*NTH",
                    location_id=f"LOC{n}",
                    evse_uid=f"E{n}",
                    status="charging",
                )
            )

        for n in range(LOOKED_AT_ONCE + 8):
            north.store.run(occupied, n)
        read: list[str] = []
        inner = north.store.reader.page

        async def counted(kind: Any, *args: Any, **more: Any) -> Any:
            read.append(kind.__name__)
            return await inner(kind, *args, **more)

        monkeypatch.setattr(north.store.reader, "page", counted)
        north.faults.sent.clear()
        assert await publisher.push(partner, FEED)
        assert [r.method for r in north.faults.sent] == ["PATCH"] * (LOOKED_AT_ONCE + 8)
        looked = [kind for kind in read if kind.startswith("Location")]
        assert sorted(looked) == ["Location", "Location", "LocationEvse", "LocationEvse"]
        for n in (0, LOOKED_AT_ONCE + 7):
            (told,) = (await kept(south, "CA*NTH", f"loc{n}"))["evses"]
            assert told["status"] == "CHARGING"
