"""/roaming/errands: what other networks are asked for; the partner is a double behind HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from csms.core.errands import Errand, Status
from csms.core.neighbours import NeighbourObject
from csms.core.partners import Partner, State
from csms.core.security import Role
from csms.ocpi.client import Client
from csms.ocpi.errands import Errands
from csms.ocpi.network import CPO, EMSP, Network, OwnRole
from csms.vault import Vault
from tests.support import ocpi_objects as objects
from tests.support.ocpi import LOOPBACK, Answers

from .conftest import KEYRING, NOW, Api, serving

START = {"party_id": "US*STH", "location_id": "LOC1", "token": "CARD"}
SESSION = {
    "id": "S1",
    "status": "ACTIVE",
    "cdr_token": {"country_code": "CA", "party_id": "NTH", "uid": "CARD"},
}


def errand(party: str = "CA*NTH", errand_id: str = "x1", **changes: Any) -> Errand:
    """A start with a token of that party."""
    made = Errand(
        errand_id, "START_SESSION", Status.TAKEN, "p1", "US*STH", "k", NOW, NOW, token_party=party
    )
    return made._replace(**changes)


class South:
    """The partner: what it was asked, and what it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.says: Any = {"result": "ACCEPTED", "timeout": 30}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.url.path.rsplit("/", 1)[-1], json.loads(request.content)))
        return httpx.Response(200, json={"status_code": 1000, "data": self.says, "timestamp": "x"})


@asynccontextmanager
async def roaming() -> AsyncIterator[tuple[Api, South]]:
    async with serving() as api:
        south, vault = South(), Vault(KEYRING.keys, "k")
        system = api.app.state.system
        client = Client(LOOPBACK, system.new_id, transport=Answers(south))
        network = Network(
            store=api.store,
            keyring=KEYRING,
            vault=vault,
            client=client,
            roles=tuple(OwnRole(role, "CA*NTH", "North") for role in (CPO, EMSP)),
            clock=lambda: NOW,
            new_id=system.new_id,
            new_secret=system.new_secret,
        )
        network.reachable_at("http://127.0.0.1:1/ocpi")
        partner = Partner(
            "p1",
            "South",
            State.REGISTERED,
            NOW,
            their_token=vault.seal("their-token", "p1"),
            endpoints=[
                {"module": "commands", "interface": "RECEIVER", "url": "http://127.0.0.1:2/c"}
            ],
        )
        place = json.dumps(objects.location("LOC1"))
        rows = (
            partner,
            NeighbourObject("locations", "US*STH", "loc1", "LOC1", "p1", NOW, NOW, place),
            NeighbourObject("sessions", "US*STH", "s1", "S1", "p1", NOW, NOW, json.dumps(SESSION)),
        )
        for row in rows:
            api.store.run(lambda tx, row=row: tx.save(row))
        object.__setattr__(system, "errands", Errands(network, api.bus))
        await api("POST", "/tokens", json={"uid": "CARD"})
        yield api, south
        await client.close()


async def test_a_start_is_sent_once_and_audited() -> None:
    async with roaming() as (api, south):
        headers = {"Idempotency-Key": "once"}
        first = await api("POST", "/roaming/errands/start", json=START, headers=headers)
        again = await api("POST", "/roaming/errands/start", json=START, headers=headers)
        assert first.status_code == again.status_code == 202, first.text
        assert first.json() == again.json()
        assert (first.json()["status"], first.json()["evse_uid"]) == ("taken", "E1")
        ((what, body),) = south.asked
        assert what == "START_SESSION"
        assert body["token"]["uid"] == "CARD"
        audit = (await api.audits())[-1]
        assert (audit["action"], audit["target"]) == ("roaming_start", "US*STH LOC1")
        (listed,) = (await api("GET", "/roaming/errands", Role.VIEWER)).json()["items"]
        one = await api("GET", f"/roaming/errands/{listed['id']}", Role.VIEWER)
        assert one.json() == listed == first.json()


async def test_a_token_that_is_blocked_is_refused_here() -> None:
    async with roaming() as (api, south):
        await api("PATCH", "/tokens/CA*NTH/rfid/CARD", json={"blocked": True})
        refused = await api("POST", "/roaming/errands/start", json=START)
        assert (refused.status_code, refused.json()["code"]) == (409, "refused")
        assert "CARD is blocked" in refused.json()["detail"]
        unknown = await api("POST", "/roaming/errands/start", json={**START, "token": "NONE"})
        assert unknown.status_code == 404
        kind = await api("POST", "/roaming/errands/start", json={**START, "token_kind": "magic"})
        assert kind.status_code == 422
        assert south.asked == []


async def test_stop_and_unlock() -> None:
    async with roaming() as (api, south):
        body = {"party_id": "US*STH", "session_id": "S1"}
        south.says = {"result": "UNKNOWN_SESSION", "timeout": 0}
        stopped = await api("POST", "/roaming/errands/stop?wait=1", json=body)
        assert stopped.json()["status"] == "rejected"
        assert stopped.json()["detail"] == "UNKNOWN_SESSION"
        south.says = {"result": "ACCEPTED", "timeout": 30}
        body = {"party_id": "US*STH", "location_id": "LOC1", "evse_uid": "E1", "connector_id": "1"}
        unlocked = await api("POST", "/roaming/errands/unlock", json=body)
        assert unlocked.json()["status"] == "taken"
        assert [what for what, _ in south.asked] == ["STOP_SESSION", "UNLOCK_CONNECTOR"]


async def test_what_is_asked_elsewhere_is_asked_by_who_may(api: Api) -> None:
    none = await api("POST", "/roaming/errands/start", json=START)
    assert "roaming is not set up" in none.json()["detail"]
    viewer = await api("POST", "/roaming/errands/start", Role.VIEWER, json=START)
    assert viewer.status_code == 403


@pytest.mark.parametrize("party", ["CA*NTH", "US*CPT"])
async def test_a_key_for_a_party_starts_and_stops_for_its_own_drivers(party: str) -> None:
    async with roaming() as (api, south):
        body = {"name": "depot", "role": "operator", "parties": [party]}
        key = (await api("POST", "/keys", json=body)).json()["key"]
        headers = {"Authorization": f"Bearer {key}"}
        mine = party == "CA*NTH"
        start = await api("POST", "/roaming/errands/start", None, json=START, headers=headers)
        assert start.status_code == (202 if mine else 404)
        named = {**START, "token_party": "CA*NTH"}
        start = await api("POST", "/roaming/errands/start", None, json=named, headers=headers)
        assert start.status_code == (202 if mine else 403)
        stop = {"party_id": "US*STH", "session_id": "S1"}
        answer = await api("POST", "/roaming/errands/stop", None, json=stop, headers=headers)
        assert answer.status_code == (202 if mine else 404)
        unlock = {**stop, "location_id": "LOC1", "evse_uid": "E1", "connector_id": "1"}
        del unlock["session_id"]
        answer = await api("POST", "/roaming/errands/unlock", None, json=unlock, headers=headers)
        assert answer.status_code == 403
        assert len(south.asked) == (3 if mine else 0)
