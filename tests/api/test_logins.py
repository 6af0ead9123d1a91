"""How stations log in, through the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from csms.api.problems import STATUS
from csms.core import guests, logins, security, stations
from csms.core.inquiries import ChangeProfile, GivePassword, NoAnswer, Setting, Settings
from csms.core.logins import Login, Profile
from csms.core.policies import Policy
from csms.core.security import BASIC, Credential, Role
from csms.core.stations import Registration, Station
from csms.core.writes import RememberedWrite
from tests.api.conftest import KEYRING, NOW, Api

APPLIED = Settings((("AuthorizationKey", Setting.APPLIED, None),))
REJECTED = Settings((("AuthorizationKey", Setting.REJECTED, "Rejected"),))


async def opens(api: Api, secret: str, station: str = "CP-1") -> bool:
    """Whether the station could log in with that."""
    row = (await api("GET", f"/stations/{station}")).json()
    found = await api.store.reader.page(Credential, {"station_id": row["id"]})
    return security.verify_any(KEYRING, found, secret.encode()) is not None


async def linked(api: Api, station: dict[str, Any], profile: Profile = Profile.BASIC) -> None:
    """The station has a link, and one that has booted."""
    origin = api.origin(station["id"])
    api.store.run(stations.link_opened, origin, "node", "192.0.2.7", Login(profile, None))


# -- tokens ----------------------------------------------------------------------------------------


async def test_a_new_token_is_sent_to_the_station_and_the_old_one_works_meanwhile(api: Api) -> None:
    """TC_A_09, 1.6 TC_073."""
    added = await api.add_station()
    api.telling.says = APPLIED
    answer = (await api("POST", "/stations/CP-1/credentials")).json()
    assert (answer["pushed"], answer["token"], answer["old_works"]) == ("accepted", None, True)
    (asked,) = api.telling.asked
    assert isinstance(asked, GivePassword)
    assert await opens(api, asked.password)
    assert await opens(api, added["token"])
    assert api.stations.dropped == []


async def test_a_token_that_the_station_refuses_is_taken_back(api: Api) -> None:
    """TC_A_10."""
    added = await api.add_station()
    api.telling.says = REJECTED
    answer = (await api("POST", "/stations/CP-1/credentials")).json()
    assert (answer["pushed"], answer["token"]) == ("refused", None)
    assert answer["detail"] == "the station answered Rejected"
    (asked,) = api.telling.asked
    assert isinstance(asked, GivePassword)
    assert not await opens(api, asked.password)
    assert await opens(api, added["token"])


@pytest.mark.parametrize("how", ["timed_out", "offline", "by_hand"])
async def test_a_token_that_may_have_to_be_typed_in_is_shown(api: Api, how: str) -> None:
    added = await api.add_station()
    if how == "offline":
        api.stations.connected.clear()
    api.telling.says = NoAnswer("timed_out")
    body = {"by_hand": how == "by_hand"}
    answer = (await api("POST", "/stations/CP-1/credentials", json=body)).json()
    expected = {"timed_out": "no_answer", "offline": "not_sent", "by_hand": "by_hand"}
    assert answer["pushed"] == expected[how]
    assert await opens(api, answer["token"])
    assert await opens(api, added["token"])
    assert len(api.telling.asked) == (how == "timed_out")


async def test_at_once_the_old_token_is_over_and_so_is_the_link(api: Api) -> None:
    added = await api.add_station()
    answer = (await api("POST", "/stations/CP-1/credentials", json={"at_once": True})).json()
    assert (answer["pushed"], answer["old_works"]) == ("by_hand", False)
    assert await opens(api, answer["token"])
    assert not await opens(api, added["token"])
    assert api.stations.dropped == [added["id"]]


async def test_a_repeated_request_asks_the_station_once_and_makes_one_token(api: Api) -> None:
    await api.add_station()
    api.telling.says = APPLIED
    headers = {"Idempotency-Key": "k"}
    first = (await api("POST", "/stations/CP-1/credentials", headers=headers)).json()
    again = (await api("POST", "/stations/CP-1/credentials", headers=headers)).json()
    assert first["pushed"] == "accepted"
    assert again == first
    assert len(api.telling.asked) == 1
    api.app.state.system.recent_told.clear()
    later = (await api("POST", "/stations/CP-1/credentials", headers=headers)).json()
    assert (later["pushed"], len(api.telling.asked)) == ("no_answer", 1)
    assert later["detail"] == "this request was carried out before"


async def test_during_a_rotation_there_are_two_tokens_and_neither_is_shown(api: Api) -> None:
    await api.add_station()
    api.telling.says = APPLIED
    path = "/stations/CP-1/credentials"
    assert len((await api("GET", path, Role.VIEWER)).json()) == 1
    await api("POST", path)
    listed = (await api("GET", path, Role.VIEWER)).json()
    assert [set(token) for token in listed] == [{"created_at", "used_at", "weak"}] * 2


async def test_a_token_that_was_sent_is_nowhere_in_clear(api: Api) -> None:
    """Rule 7: not in the ledger, the journal, the audit trail, what is remembered of writes."""
    await api.add_station()
    api.telling.says = APPLIED
    await api("POST", "/stations/CP-1/credentials", headers={"Idempotency-Key": "k"})
    await api("PATCH", "/stations/CP-1/exceptions", json={"weak_secret": "73654322"})
    (asked,) = api.telling.asked
    assert isinstance(asked, GivePassword)
    kept = [row.data for row in await api.store.reader.journal(0, 1_000)]
    kept += [str(row) for row in await api.store.reader.page(RememberedWrite)]
    kept += [(await api("GET", path)).text for path in ("/audit", "/commands", "/stations")]
    assert not [text for text in kept if asked.password in text or "73654322" in text]


async def test_only_an_admin_decides_how_stations_log_in(api: Api) -> None:
    await api.add_station()
    for method, path in (
        ("POST", "credentials"),
        ("POST", "profile"),
        ("PATCH", "exceptions"),
        ("DELETE", "exceptions"),
        ("POST", "accept"),
    ):
        body = {"profile": 2} if path == "profile" else {}
        denied = await api(method, f"/stations/CP-1/{path}", Role.OPERATOR, json=body)
        assert denied.status_code == STATUS["forbidden"], path


# -- security profiles -----------------------------------------------------------------------------


async def test_a_profile_that_the_station_has_is_required_at_once(api: Api) -> None:
    station = await api.add_station()
    await linked(api, station, Profile.BASIC_OVER_TLS)
    answer = (await api("POST", "/stations/CP-1/profile", json={"profile": 2})).json()
    assert (answer["outcome"], answer["min_profile"]) == ("required", 2)
    assert api.telling.asked == []
    shown = (await api("GET", "/stations/CP-1")).json()
    assert (shown["profile"], shown["min_profile"], shown["wanted_profile"]) == (2, 2, None)


async def test_a_higher_profile_is_set_in_the_station_which_is_reset(api: Api) -> None:
    """TC_A_19, 1.6 TC_083."""
    station = await api.add_station()
    await linked(api, station)
    api.telling.says = APPLIED
    body = {"profile": 2, "url": "wss://host:9443/ocpp", "slot": 2, "priority": [1]}
    answer = (await api("POST", "/stations/CP-1/profile", json=body)).json()
    assert (answer["outcome"], answer["reset"]) == ("accepted", "accepted")
    assert (answer["min_profile"], answer["wanted_profile"]) == (0, 2)
    assert api.telling.asked == [ChangeProfile(2, "wss://host:9443/ocpp", 2, (1,))]
    assert [command.kind for command in api.stations.performed] == ["reset"]


async def test_a_station_that_moves_away_is_told_where_and_how(api: Api) -> None:
    """Nothing is required of it here, not even where it has that profile; it may come back."""
    station = await api.add_station()
    await linked(api, station, Profile.BASIC_OVER_TLS)
    api.telling.says = APPLIED
    body = {
        "profile": 2,
        "url": "wss://other/ocpp",
        "elsewhere": True,
        "identity": "NEW-1",
        "password": "secret of another system",
    }
    answer = (await api("POST", "/stations/CP-1/profile", json=body)).json()
    assert (answer["outcome"], answer["wanted_profile"]) == ("accepted", None)
    assert api.telling.asked == [
        ChangeProfile(2, "wss://other/ocpp", identity="NEW-1", password=body["password"])
    ]
    (audit,) = [a for a in await api.audits() if a["action"] == "station_sent_elsewhere"]
    assert audit["target"] == "CP-1"
    assert "secret of another system" not in str(audit)


@pytest.mark.parametrize(
    "body",
    [{"elsewhere": True}, {"identity": "X"}, {"url": "wss://h/ocpp", "password": "long enough"}],
)
async def test_a_login_is_for_another_system_alone(api: Api, body: dict[str, Any]) -> None:
    await linked(api, await api.add_station())
    answer = await api("POST", "/stations/CP-1/profile", json={"profile": 1, **body})
    assert answer.status_code == 422
    assert api.telling.asked == []


async def test_a_refused_profile_leaves_everything_as_it_was(api: Api) -> None:
    await linked(api, await api.add_station())
    api.telling.says = REJECTED
    body = {"profile": 2, "url": "wss://host:9443/ocpp"}
    answer = (await api("POST", "/stations/CP-1/profile", json=body)).json()
    assert (answer["outcome"], answer["wanted_profile"]) == ("refused", None)
    assert api.stations.performed == []


async def test_without_tls_nobody_is_sent_there(api: Api) -> None:
    await linked(api, await api.add_station())
    answer = await api("POST", "/stations/CP-1/profile", json={"profile": 2})
    assert answer.status_code == 409
    assert "csms init --tls" in answer.json()["detail"]
    assert api.telling.asked == []


async def test_a_station_that_is_offline_cannot_be_told(api: Api) -> None:
    await api.add_station()
    body = {"profile": 2, "url": "wss://host/ocpp"}
    answer = await api("POST", "/stations/CP-1/profile", json=body)
    assert answer.json()["code"] == "station_offline"


async def test_a_lower_profile_may_be_allowed_again(api: Api) -> None:
    station = await api.add_station()
    api.store.run(logins.require_profile, station["id"], Profile.BASIC_OVER_TLS, NOW)
    answer = (await api("POST", "/stations/CP-1/profile", json={"profile": 1})).json()
    assert (answer["outcome"], answer["min_profile"]) == ("required", 1)


# -- exceptions ------------------------------------------------------------------------------------


async def test_exceptions_are_set_shown_and_taken_back(api: Api) -> None:
    await api.add_station()
    body = {"user": "admin", "no_auth": ["10.0.0.0/8"]}
    shown = (await api("PATCH", "/stations/CP-1/exceptions", json=body)).json()
    assert shown["exceptions"] == body
    (listed,) = (await api("GET", "/stations")).json()["items"]
    assert listed["exceptions"] == body
    audits = [a for a in await api.audits() if a["action"] == "exceptions_changed"]
    assert len(audits) == 1
    shown = (await api("DELETE", "/stations/CP-1/exceptions")).json()
    assert shown["exceptions"] == {}


async def test_a_weak_secret_is_an_exception_and_a_good_one_needs_none(api: Api) -> None:
    await api.add_station()
    path = "/stations/CP-1/exceptions"
    shown = (await api("PATCH", path, json={"weak_secret": "73654322"})).json()
    assert shown["exceptions"] == {"weak_secret": True}
    assert await opens(api, "73654322")
    good = "a long enough secret of its own"
    shown = (await api("PATCH", path, json={"weak_secret": good})).json()
    assert await opens(api, good)


@pytest.mark.parametrize(
    "body", [{"no_auth": ["everywhere"]}, {"user": "a:b"}, {"weak_secret": ""}, {"other": 1}]
)
async def test_an_exception_that_is_none(api: Api, body: dict[str, Any]) -> None:
    await api.add_station()
    answer = await api("PATCH", "/stations/CP-1/exceptions", json=body)
    assert answer.status_code == 422
    assert await api.store.reader.page(Policy) == []


# -- stations that wait ----------------------------------------------------------------------------


async def waits(api: Api, secret: str | None, *, connected: bool = True) -> str:
    guest = Station("g1", "G-1", "CA*NTH", Registration.PENDING, NOW)
    credential = None
    if secret is not None:
        key_id, hashed = KEYRING.hash(secret.encode())
        weak = logins.is_weak(secret.encode())
        credential = Credential("c1", "g1", BASIC, key_id, hashed, NOW, weak=weak)
    api.store.run(stations.knock, "G-1", "192.0.2.7", NOW)
    api.store.run(guests.welcome, guest, credential, NOW)
    if connected:
        api.stations.connected.add("g1")
        await linked(api, {"id": "g1"})
    return "g1"


async def test_one_that_waits_is_listed_and_accepted_with_the_secret_that_it_has(api: Api) -> None:
    await waits(api, "a long enough secret of its own")
    (listed,) = (await api("GET", "/unknown-stations")).json()["items"]
    assert (listed["identity"], listed["pending"]) == ("G-1", True)
    assert (await api("GET", "/stations/G-1")).json()["guest"] is True
    answer = (await api("POST", "/stations/G-1/accept", json={})).json()
    assert (answer["pushed"], answer["token"], answer["boot"]) == ("kept", None, "accepted")
    shown = (await api("GET", "/stations/G-1")).json()
    assert (shown["guest"], shown["registration"], shown["exceptions"]) == (False, "accepted", {})
    assert [c.parameters for c in api.stations.performed] == [{"message": "boot"}]
    assert (await api("GET", "/unknown-stations")).json()["items"] == []


async def test_one_with_a_weak_secret_gets_a_new_one(api: Api) -> None:
    await waits(api, "73654322")
    api.telling.says = APPLIED
    answer = (await api("POST", "/stations/G-1/accept", json={})).json()
    assert answer["pushed"] == "accepted"
    (asked,) = api.telling.asked
    assert isinstance(asked, GivePassword)
    assert await opens(api, asked.password, "G-1")
    # Until it has used that, the weak one works, and everybody sees it.
    assert await opens(api, "73654322", "G-1")
    assert (await api("GET", "/stations/G-1")).json()["exceptions"] == {"weak_secret": True}


async def test_one_may_keep_its_weak_secret(api: Api) -> None:
    await waits(api, "73654322")
    body = {"keep_weak_secret": True, "party_id": "US*SOM"}
    answer = (await api("POST", "/stations/G-1/accept", json=body)).json()
    assert (answer["pushed"], answer["token"]) == ("kept", None)
    shown = (await api("GET", "/stations/G-1")).json()
    assert (shown["party_id"], shown["exceptions"]) == ("US*SOM", {"weak_secret": True})


async def test_one_that_is_gone_gets_a_token_to_be_typed_in(api: Api) -> None:
    await waits(api, None, connected=False)
    answer = (await api("POST", "/stations/G-1/accept", json={})).json()
    assert (answer["pushed"], answer["boot"]) == ("not_sent", "not connected")
    assert await opens(api, answer["token"], "G-1")


async def test_one_of_the_network_is_accepted_and_keeps_what_it_has(api: Api) -> None:
    added = await api.add_station()
    await api("PATCH", "/stations/CP-1", json={"registration": "pending"})
    answer = (await api("POST", "/stations/CP-1/accept", json={"party_id": "US*SOM"})).json()
    assert (answer["pushed"], answer["token"]) == ("kept", None)
    shown = (await api("GET", "/stations/CP-1")).json()
    assert (shown["registration"], shown["party_id"]) == ("accepted", "CA*NTH")
    assert await opens(api, added["token"])


async def test_a_station_may_be_called_unknown(api: Api) -> None:
    await api.add_station("unknown")
    assert (await api("GET", "/stations/unknown")).json()["identity"] == "unknown"
    assert json.loads((await api("GET", "/unknown-stations")).text)["items"] == []
