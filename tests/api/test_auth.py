"""Who may do what; once and audited."""

from __future__ import annotations

import pytest

from csms.core.security import Role
from tests.api.conftest import Api


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
    await api("POST", "/tokens", Role.OPERATOR, json={"uid": "A"})
    audits = [row for row in await api.store.reader.journal(0, 100) if row.kind == "audit_recorded"]
    assert '"actor":"ope"' in audits[-1].data
    assert '"action":"token_added"' in audits[-1].data
