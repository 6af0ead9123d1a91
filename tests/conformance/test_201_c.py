"""OCPP 2.0.1 block C, authorization: what a station is told of a token."""

from __future__ import annotations

from tests.support.conformance import (
    BLOCKED,
    EXPIRED,
    GROUP,
    INVALID,
    MASTER,
    MASTER_GROUP,
    VALID,
    VALID_2,
    Operator,
)
from tests.support.conformance_2 import CHARGED_WH, Station2, rfid

ACCEPTED = {"status": "Accepted"}


def of_group(info: dict[str, object], group: str) -> bool:
    """Accepted, with the group that may stop it."""
    told = info.get("groupIdToken")
    return info["status"] == "Accepted" and isinstance(told, dict) and told["idToken"] == group


async def test_TC_C_02_unknown_token(station: Station2) -> None:
    """A card that nobody knows may not charge."""
    await station.boots()
    assert await station.authorizes(INVALID) == {"status": "Invalid"}


async def test_TC_C_06_blocked_token(station: Station2) -> None:
    """A card that was blocked is told so."""
    await station.boots()
    assert await station.authorizes(BLOCKED) == {"status": "Blocked"}


async def test_TC_C_07_expired_token(station: Station2) -> None:
    """A card whose time is over is told so."""
    await station.boots()
    assert (await station.authorizes(EXPIRED))["status"] == "Expired"


async def test_TC_C_08_cached_and_accepted(station: Station2, operator: Operator) -> None:
    """A station that knows the card does not ask first; its event is answered for the card."""
    await station.boots()
    await station.plugs_in()
    answer = await station.event("Updated", "Authorized", token=VALID)
    assert answer["idTokenInfo"]["status"] == "Accepted"
    assert (await operator.transaction())["token_uid"] == VALID


async def test_TC_C_20_cached_and_invalid_by_now(station: Station2, operator: Operator) -> None:
    """A card that the station remembers as good and that is not: the event is answered Invalid."""
    await station.boots()
    await station.plugs_in()
    answer = await station.event("Updated", "Authorized", token=INVALID)
    assert answer["idTokenInfo"]["status"] == "Invalid"
    assert (await operator.transaction())["outcome"] == "invalid"


async def test_TC_C_37_cache_cleared(station: Station2, operator: Operator) -> None:
    """The station forgets the cards that it remembers."""
    await station.boots()
    asked = operator.asks("clear_cache")
    await station.is_asked("ClearCache", {}, ACCEPTED)
    assert await asked.outcome() == ("accepted", None)


async def test_TC_C_38_cache_not_cleared(station: Station2, operator: Operator) -> None:
    """The station has no cache, or does not clear it: the operator is told."""
    await station.boots()
    asked = operator.asks("clear_cache")
    await station.is_asked("ClearCache", {}, {"status": "Rejected"})
    assert await asked.outcome() == ("rejected", "Rejected")


async def test_TC_C_39_stopped_by_the_group(station: Station2, operator: Operator) -> None:
    """Two cards of a group: every answer names the group, and one stops what the other started."""
    await station.boots()
    await station.plugs_in()
    assert of_group(await station.authorizes(VALID_2), GROUP)
    answer = await station.event("Updated", "Authorized", token=VALID)
    assert of_group(answer["idTokenInfo"], GROUP)
    await station.charges()
    assert of_group(await station.authorizes(VALID_2), GROUP)
    assert of_group(await station.stop_is_authorized(VALID_2), GROUP)
    await station.goes("EVConnected")
    await station.unplugs()
    ended = await operator.transaction()
    assert (ended["token_uid"], ended["energy_wh"]) == (VALID, CHARGED_WH)


async def two_charges(station: Station2) -> None:
    """Both EVSEs charge, each for its own card."""
    await station.boots()
    await station.charges(VALID, 1)
    await station.charges(VALID_2, 2)


async def test_TC_C_47_master_pass_stops_all(station: Station2, operator: Operator) -> None:
    """Whoever holds the master pass ends every charge of the station; each is told the group."""
    await two_charges(station)
    assert of_group(await station.authorizes(MASTER), MASTER_GROUP)
    for evse in (1, 2):
        answer = await station.ends("StopAuthorized", "MasterPass", evse, token=rfid(MASTER))
        assert of_group(answer["idTokenInfo"], MASTER_GROUP)
    ended = await operator.transactions()
    assert [t["stop_reason"] for t in ended] == ["MasterPass", "MasterPass"]
    assert [t["token_uid"] for t in ended] == [VALID, VALID_2]
    assert {t["stop_token_uid"] for t in ended} == {MASTER}


async def test_TC_C_48_master_pass_stops_one(station: Station2, operator: Operator) -> None:
    """The holder of the master pass ends one charge; the other goes on."""
    await two_charges(station)
    assert of_group(await station.authorizes(MASTER), MASTER_GROUP)
    answer = await station.ends("StopAuthorized", "MasterPass", 2, token=rfid(MASTER))
    assert of_group(answer["idTokenInfo"], MASTER_GROUP)
    assert [t["open"] for t in await operator.transactions()] == [True, False]


async def test_TC_C_49_master_pass_without_a_screen(station: Station2, operator: Operator) -> None:
    """A station without a screen ends all charges at the master pass, whatever card it names."""
    await two_charges(station)
    assert of_group(await station.authorizes(MASTER), MASTER_GROUP)
    for evse, token in ((1, VALID), (2, VALID_2)):
        answer = await station.ends("StopAuthorized", "MasterPass", evse, token=rfid(token))
        assert of_group(answer["idTokenInfo"], GROUP)
    assert [t["open"] for t in await operator.transactions()] == [False, False]
