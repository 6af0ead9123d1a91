"""/forgettings: whom to forget, and how far that is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csms.core.security import Role
from csms.core.tokens import Token
from csms.core.visitors import VisitorToken
from csms.core.writes import RememberedWrite
from csms.flows.forgetting import Forgetter

from .conftest import NOW, Api

BODY = {"uid": "04E1A2B3"}


def visitor(party: str, uid: str = "04E1A2B3") -> VisitorToken:
    told: Any = ("p1", "C1", "South", True, "ALLOWED", NOW, NOW)
    return VisitorToken(party, uid.casefold(), "RFID", uid, *told)


async def finish(api: Api) -> None:
    await Forgetter(api.store, lambda: NOW, timedelta(days=7), timedelta(0)).go_on()


async def test_a_driver_is_forgotten_and_only_an_admin_does_it(api: Api) -> None:
    await api("POST", "/tokens", json={**BODY, "label": "Ana"})
    for role in (Role.VIEWER, Role.OPERATOR):
        assert (await api("POST", "/forgettings", role, json=BODY)).status_code == 403
    began = await api("POST", "/forgettings", json=BODY, headers={"Idempotency-Key": "x"})
    assert began.status_code == 202, began.text
    row = began.json()
    assert (row["state"], row["party_id"], row["kind"]) == ("telling", "CA*NTH", "rfid")
    assert "04E1A2B3" not in began.text
    (token,) = await api.store.reader.page(Token)
    assert token.blocked
    again = (await api("POST", "/forgettings", json=BODY)).json()
    assert (again["id"], again["pseudonym"]) == (row["id"], row["pseudonym"])
    await finish(api)
    shown = (await api("GET", f"/forgettings/{row['id']}", Role.VIEWER)).json()
    assert (shown["state"], shown["pseudonym"]) == ("done", row["pseudonym"])
    # The same request once more gets the first answer, and tells nothing.
    retried = await api("POST", "/forgettings", json=BODY, headers={"Idempotency-Key": "x"})
    assert (retried.status_code, retried.json()) == (202, row)
    assert (await api("POST", "/forgettings", json=BODY)).status_code == 404
    assert (await api("GET", "/forgettings")).json()["items"] == [shown]


async def test_it_is_audited_without_the_uid(api: Api) -> None:
    await api("POST", "/tokens", json=BODY)
    key = {"Idempotency-Key": "forget-1"}
    row = (await api("POST", "/forgettings", json=BODY, headers=key)).json()
    audit = (await api("GET", "/audit")).json()["items"]
    (entry,) = [e for e in audit if e["action"] == "token_forgotten"]
    assert entry["target"] == row["id"]
    assert entry["facts"] == {"party_id": "CA*NTH", "kind": None}
    (kept,) = await api.store.reader.page(RememberedWrite)
    assert "04E1A2B3" not in str(kept)


async def test_while_it_is_forgotten_nothing_about_a_token_changes(api: Api) -> None:
    await api("POST", "/tokens", json=BODY)
    await api("POST", "/forgettings", json=BODY)
    path = "/tokens/CA*NTH/rfid/04E1A2B3"
    unblock = await api("PATCH", path, json={"blocked": False})
    assert unblock.status_code == 409
    assert "being forgotten" in unblock.json()["detail"]
    assert (await api("POST", "/tokens", json={**BODY, "kind": "app"})).status_code == 409
    await finish(api)
    assert (await api("PATCH", path, json={"blocked": False})).status_code == 404
    assert (await api("POST", "/tokens", json=BODY)).status_code == 201


async def test_of_several_parties_one_has_to_be_named(api: Api) -> None:
    await api("POST", "/tokens", json=BODY)
    api.store.run(lambda tx: tx.save(visitor("US*STH")))
    unclear = await api("POST", "/forgettings", json=BODY)
    assert unclear.status_code == 422
    assert "CA*NTH, US*STH" in unclear.json()["detail"]
    named = await api("POST", "/forgettings", json={**BODY, "party_id": "US*STH"})
    assert named.json()["party_id"] == "US*STH"
    nobody = await api("POST", "/forgettings", json={**BODY, "party_id": "DE*EST"})
    assert nobody.status_code == 404
