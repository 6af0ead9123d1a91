"""csms and a network that runs on `extrawest-ocpi` (another team's OCPI 2.2.1), over real HTTP.

What that library does otherwise than the specification says is asserted as well, so that a version
of it that changed is noticed: what is forgiven shows in the partner's deviations.
"""

from __future__ import annotations

import json
from typing import Any

from chargers.car import Car
from chargers.charger import Charger
from chargers.profile import ChargerProfile
from csms.core.visitors import VisitorToken
from tests.api.test_locations import CONNECTOR, LOCATION
from tests.api.test_tariffs import TARIFF
from tests.interop.conftest import NAME, THEIRS, Foreign, North
from tests.support.ocpi_objects import cdr, location, session, tariff, token
from tests.support.waiting import until

THEM = {"country_code": "US", "party_id": "EWO"}
APP = token("APP-1", type="APP_USER", whitelist="NEVER", **THEM)
CARD = token("CARD-1", whitelist="NEVER", **THEM)


def plain(value: Any) -> Any:
    """A value with floats, as the other network has them."""
    return json.loads(json.dumps(value, default=float))


async def first(foreign: Foreign, role: str, module: str) -> Any:
    return next(iter(await foreign.kept(role, module)), None)


async def charger_of(north: North) -> Charger:
    """A station of ours at a published place with a price; ready to be run."""
    secret = (await north.do("POST", "/stations", {"identity": "CP-1"}))["token"]
    place = {"station": "CP-1", "evse": 1, "uid": "E1", "evse_id": "CA*NTH*E1"}
    evses = [place | {"connectors": [CONNECTOR]}]
    await north.do("PUT", "/locations", LOCATION | {"evses": evses})
    price = await north.do("POST", "/tariffs", TARIFF)
    body = {"location_id": LOCATION["id"]}
    await north.do("POST", f"/tariffs/CA*NTH/{price['id']}/assignments", body)
    profile = ChargerProfile(id="CP-1", version="2.0.1", token=secret)
    return Charger(profile, f"ws://127.0.0.1:{north.running.ocpp_port}/ocpp")


# -- registration ----------------------------------------------------------------------------------


async def test_we_complete_their_invitation(north: North, foreign: Foreign) -> None:
    registered = await north.register(foreign)
    assert registered["steps"][-1] == "their new token works"
    roles = {(r["role"], r["party"]) for r in registered["roles"]}
    assert roles == {("CPO", THEIRS), ("EMSP", THEIRS)}
    rotated = await north.do("POST", f"/partners/{NAME}/rotate")
    assert rotated["steps"][-1] == "their new token works"
    assert (await north.do("DELETE", f"/partners/{NAME}"))["steps"] == ["they were told"]
    assert await foreign.hand("GET", "/partner") == {}


async def test_they_complete_our_invitation(north: North, foreign: Foreign) -> None:
    invited = await north.do("POST", "/partners", {"name": NAME})
    body = {"url": invited["url"], "token": invited["token"]}
    told = await foreign.hand("POST", "/register", body)
    assert told == {"status_code": 1000, "roles": ["CPO", "EMSP"]}
    assert (await north.partner())["state"] == "registered"


# -- they as eMSP, we as CPO -----------------------------------------------------------------------


async def test_their_driver_charges_here(north: North, foreign: Foreign) -> None:
    """They read our lists, order a start and a stop, hear both results, and hold the location, the
    session and the bill that we told; their own schemas have read every object."""
    station = await charger_of(north)
    await north.do("POST", "/tokens", {"uid": "04E1A2B3"})
    await north.register(foreign)
    for module in ("locations", "tariffs", "tokens"):
        assert await foreign.hand("POST", f"/pull/{module}") == {"taken": 1}, module
    async with station as charger:
        await charger.booted()
        charger.plug_in(1, Car(soc=0.2))
        start = {"token": APP, "location_id": LOCATION["id"], "evse_uid": "E1"}
        said = await foreign.hand(
            "POST", "/order/START_SESSION", start | {"authorization_reference": "REF-1"}
        )
        assert said["data"]["result"] == "ACCEPTED", said
        told = await until(lambda: first(foreign, "EMSP", "sessions"))
        assert (told["status"], told["auth_method"]) == ("ACTIVE", "COMMAND")
        # The library changes the case of every CiString.
        assert told["authorization_reference"] == "ref-1"

        async def charging() -> bool:
            return (await first(foreign, "EMSP", "locations"))["evses"][0]["status"] == "CHARGING"

        await until(charging)
        said = await foreign.hand("POST", "/order/STOP_SESSION", {"session_id": told["id"]})
        assert said["data"]["result"] == "ACCEPTED", said
        bill = await until(lambda: first(foreign, "EMSP", "cdrs"))
        assert (bill["session_id"], bill["cdr_token"]["uid"]) == (told["id"], "app-1")

        async def completed() -> bool:
            return bool((await first(foreign, "EMSP", "sessions"))["status"] == "COMPLETED")

        async def results() -> Any:
            told = await foreign.kept("EMSP", "commands")
            return {r["id"]: r["result"] for r in told} if len(told) == 2 else None

        await until(completed)
        assert await until(results) == {
            "start_session-1": "ACCEPTED",
            "stop_session-1": "ACCEPTED",
        }

        async def settled() -> bool:
            (row,) = (await north.do("GET", "/roaming/deliveries"))["items"]
            return bool(row["state"] == "confirmed")

        await until(settled)
    for module in ("sessions", "cdrs"):
        assert await foreign.hand("POST", f"/pull/{module}") == {"taken": 1}, module


async def test_their_network_is_asked_about_a_card_that_is_shown_here(
    north: North, foreign: Foreign
) -> None:
    """It answers with a list where one object belongs (mod_tokens, POST)."""
    station = await charger_of(north)
    await foreign.hand("PUT", "/kept/EMSP/tokens", CARD)
    await north.register(foreign)
    async with station as charger:
        await charger.booted()
        charger.plug_in(1, Car(soc=0.2))
        await charger.tap(1, "CARD-1")
        told = await until(lambda: first(foreign, "EMSP", "sessions"))
    assert (told["auth_method"], told["authorization_reference"]) == ("AUTH_REQUEST", "foreign-1")
    (asked,) = await foreign.hand("GET", "/asked")
    assert (asked["authorize"], asked["location_id"]) == ("card-1", "depot")
    assert (await north.partner())["deviations"]["data: one_in_a_list"] >= 1


async def test_what_they_cannot_read_is_refused_and_holds_up_nothing(
    north: North, foreign: Foreign
) -> None:
    """They answer HTTP 422 without an envelope; status_codes has 2001 for that."""
    await north.register(foreign)
    long = LOCATION | {"id": "LONG", "address": "1 " + "Long " * 10 + "Street"}
    await north.do("PUT", "/locations", long)

    async def noted() -> Any:
        rows = (await north.partner())["modules"]
        return any(row["module"] == "locations" and row["error"] == "HTTP 422" for row in rows)

    await until(noted)
    await north.do("PUT", "/locations", LOCATION)
    kept = await until(lambda: first(foreign, "EMSP", "locations"))
    assert kept["id"] == "depot"


# -- they as CPO, we as eMSP -----------------------------------------------------------------------


async def test_our_driver_charges_there(north: North, foreign: Foreign) -> None:
    """We read their places and prices; they hold our token and ask about it, try the start that we
    order, and tell the result, the session and the bill."""
    await foreign.hand("PUT", "/kept/CPO/locations", plain(location(**THEM)))
    await foreign.hand("PUT", "/kept/CPO/tariffs", plain(tariff(**THEM)))
    await north.register(foreign)
    (place,) = (await north.do("GET", "/roaming/locations"))["items"]
    assert (place["party_id"], place["id"]) == (THEIRS, "loc1")

    await north.do("POST", "/tokens", {"uid": "04E1A2B3"})
    held = await until(lambda: first(foreign, "CPO", "tokens"))
    assert (held["uid"], held["valid"]) == ("04e1a2b3", True)
    info = (await foreign.hand("POST", "/authorize/04E1A2B3"))["data"]
    assert (info["allowed"], info["token"]["uid"]) == ("ALLOWED", "04E1A2B3")

    body = {"party_id": THEIRS, "location_id": place["id"], "token": "04E1A2B3"}
    errand = await north.do("POST", "/roaming/errands/start", body, wait=20)
    assert (errand["status"], errand["result"]) == ("accepted", "ACCEPTED")
    (asked,) = await foreign.hand("GET", "/asked")
    assert (asked["command"], asked["evse_uid"]) == ("START_SESSION", "e1")

    driver = {name: held[name] for name in ("country_code", "party_id", "uid", "type")}
    told = {
        **THEM,
        "cdr_token": {**driver, "contract_id": held["contract_id"]},
        "authorization_reference": asked["authorization_reference"],
    }
    await foreign.hand("PUT", "/kept/CPO/sessions", plain(session(**told)))
    assert (await foreign.push(north.running, "sessions", "S1"))["status_code"] == 1000
    known = await north.do("GET", f"/roaming/errands/{errand['id']}")
    assert known["session_id"] == "s1"

    bill = plain(cdr(tariffs=[tariff(**THEM)], **told))
    await foreign.hand("PUT", "/kept/CPO/cdrs", bill)
    await foreign.push(north.running, "cdrs", "C1")
    (kept,) = (await north.do("GET", "/roaming/cdrs"))["items"]
    assert (kept["id"], kept["before_taxes"], kept["difference"]) == ("c1", "2.63", "0")
    # One answer in a list; a slash that the library leaves out; a field that its schema lacks.
    assert (await north.partner())["deviations"] == {
        "data: one_in_a_list": 1,
        "address: no_slash": 1,
        "evse_uid: missing": 1,
    }
    # What was told once is read again from their lists without harm.
    steps = (await north.do("POST", f"/partners/{NAME}/sync"))["steps"]
    assert [step for step in steps if "read in full" in step] == [
        f"{module}: read in full"
        for module in ("tokens", "locations", "tariffs", "sessions", "cdrs")
    ]
    assert len((await north.do("GET", "/roaming/cdrs"))["items"]) == 1


async def test_a_list_whose_links_lead_nowhere_is_read_as_far_as_it_goes(
    north: North, foreign: Foreign
) -> None:
    """Their Link headers name https and an address that they do not serve."""
    for number in range(60):
        await foreign.hand("PUT", "/kept/EMSP/tokens", {**CARD, "uid": f"CARD-{number}"})
    await north.register(foreign)
    rows = {(m["module"], m["direction"]): m for m in (await north.partner())["modules"]}
    assert rows["tokens", "pull"]["error"]
    assert rows["cdrs", "pull"]["error"] is None
    held = await north.running.store.reader.page(VisitorToken, limit=100)
    assert len(held) == 50
