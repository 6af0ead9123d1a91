"""Who may do what; once and audited."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.security import Credential, Role
from tests.api.conftest import Api, serving


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Bearer adm.wrong", "Bearer nobody.in", "Basic adm.in", "adm.in"],
)
async def test_without_a_valid_key_nothing_is_shown(api: Api, header: str) -> None:
    answer = await api("GET", "/stations", None, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorized"
    assert ("is not valid" in answer.json()["detail"]) is (
        len(header.split()) > 1 and "Be" in header
    )


async def test_roles_are_steps(api: Api) -> None:
    for role, expected in ((Role.VIEWER, 403), (Role.OPERATOR, 201), (Role.ADMIN, 201)):
        answer = await api("POST", "/tokens", role, json={"uid": f"OF-{role}"})
        assert answer.status_code == expected
    for role, expected in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, 200)):
        assert (await api("GET", "/keys", role)).status_code == expected


async def test_a_revoked_key_is_worth_nothing(api: Api) -> None:
    assert (await api("DELETE", "/keys/vie")).status_code == 200
    assert (await api("GET", "/stations", Role.VIEWER)).status_code == 401


async def test_a_repeated_write_gets_the_first_answer_and_changes_nothing(api: Api) -> None:
    again = {"headers": {"Idempotency-Key": "k1"}, "json": {"identity": "CP-1"}}
    first = await api("POST", "/stations", **again)
    second = await api("POST", "/stations", **again)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len((await api("GET", "/stations")).json()["items"]) == 1
    stored = await api.store.reader.journal(0, 1000)
    assert first.json()["token"] not in "".join(row.data for row in stored)


async def test_a_key_used_for_another_request_is_refused(api: Api) -> None:
    for identity, expected in (("CP-1", 201), ("CP-2", 422)):
        answer = await api(
            "POST", "/stations", headers={"Idempotency-Key": "k1"}, json={"identity": identity}
        )
        assert answer.status_code == expected


async def test_the_keys_of_two_senders_are_apart(api: Api) -> None:
    for role in (Role.ADMIN, Role.OPERATOR):
        answer = await api(
            "POST", "/tokens", role, headers={"Idempotency-Key": "k"}, json={"uid": f"T{role}"}
        )
        assert answer.status_code == 201


async def test_every_write_is_audited(api: Api) -> None:
    await api("POST", "/tokens", Role.OPERATOR, json={"uid": "A/1"})
    await api("PATCH", "/tokens/CA*NTH/rfid/A/1", json={"blocked": True})
    added, blocked = await api.audits()
    assert (added["actor"], added["action"], added["target"]) == ("ope", "token_added", "A/1")
    assert (blocked["actor"], blocked["action"]) == ("adm", "token_blocked")
    assert blocked["target"] == "A/1"


# -- secrets and retries ---------------------------------------------------------------------------

WITH_KEY = {"headers": {"Idempotency-Key": "k1"}}
# A write that answers with a secret, and where in the answer it is.
SECRETS_ISSUED = [
    ("/stations", {"identity": "CP-9"}, "token"),
    ("/stations/CP-1/credentials", None, "token"),
    ("/keys", {"name": "night", "role": "viewer"}, "key"),
]
issuing = pytest.mark.parametrize(("path", "body", "name"), SECRETS_ISSUED)


@issuing
async def test_a_secret_follows_from_nothing(path: str, body: Any, name: str) -> None:
    """Two systems with the same keys, and everything that a request says."""
    issued = []
    for _ in range(2):
        async with serving() as api:
            await api.add_station("CP-1")
            answer = await api("POST", path, json=body, **WITH_KEY)
            issued.append(answer.json()[name].rpartition(".")[2])
    assert issued[0] != issued[1]
    assert all(len(secret) >= 32 for secret in issued)


@issuing
async def test_a_retry_is_shown_the_same_secret(api: Api, path: str, body: Any, name: str) -> None:
    await api.add_station("CP-1")
    first, *others = [(await api("POST", path, json=body, **WITH_KEY)) for _ in range(3)]
    assert first.status_code == 201
    assert [other.json() for other in others] == [first.json()] * 2
    # The station was told once.
    assert len(api.telling.asked) == ("credentials" in path)
    assert api.stations.dropped == []
    everything = await api.store.reader.journal(0, 1_000)
    assert first.json()[name].rpartition(".")[2] not in "".join(row.data for row in everything)


@issuing
async def test_a_secret_that_is_forgotten_is_not_made_up(
    api: Api, path: str, body: Any, name: str
) -> None:
    """It is stored nowhere: after a restart a retry can only be told what happened."""
    await api.add_station("CP-1")
    assert (await api("POST", path, json=body, **WITH_KEY)).status_code == 201
    dropped = list(api.stations.dropped)
    credentials = await api.store.reader.page(Credential)
    api.app.state.system.recent_secrets.clear()
    for _ in range(2):
        answer = await api("POST", path, json=body, **WITH_KEY)
        assert (answer.status_code, answer.json()["code"]) == (409, "refused")
        assert "rotate" in answer.json()["detail"]
    assert api.stations.dropped == dropped
    assert await api.store.reader.page(Credential) == credentials


async def test_a_secret_that_was_never_issued_is_not_remembered(api: Api) -> None:
    """The first attempt failed: the next one is another."""
    await api.add_station("CP-1")
    answer = await api("POST", "/stations", json={"identity": "CP-1"}, **WITH_KEY)
    assert answer.status_code == 409
    assert api.app.state.system.recent_secrets == {}


async def test_secrets_of_two_senders_are_apart(api: Api) -> None:
    """The Idempotency-Key of one says nothing to another."""
    other = (await api("POST", "/keys", json={"name": "two", "role": "admin"})).json()["key"]
    await api.add_station("CP-1")
    first = await api("POST", "/stations/CP-1/credentials", **WITH_KEY)
    headers = {"Authorization": f"Bearer {other}", **WITH_KEY["headers"]}
    second = await api("POST", "/stations/CP-1/credentials", None, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["token"] != second.json()["token"]


async def test_a_key_of_a_shown_secret_is_for_one_request(api: Api) -> None:
    await api("POST", "/stations", json={"identity": "CP-1"}, **WITH_KEY)
    answer = await api("POST", "/stations", json={"identity": "CP-2"}, **WITH_KEY)
    assert answer.status_code == 422
    assert "token" not in answer.json()
