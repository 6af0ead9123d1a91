"""Many stations at a time, through the API."""

from __future__ import annotations

import time
from typing import Any

from csms.core import security
from csms.core.security import Credential, Role
from csms.core.stations import Station
from tests.api.conftest import KEYRING, Api


async def imported(api: Api, *rows: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    headers = more.pop("headers", {})
    body = {"rows": list(rows), **more}
    answer = await api("POST", "/station-imports", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


async def test_each_row_stands_alone(api: Api) -> None:
    await api.add_station("THERE")
    rows = await imported(
        api,
        {"identity": "NEW", "evses": 2, "vendor": "Maker"},
        {"identity": "THERE"},
        {"identity": "a/b"},
        {"identity": "WEAK", "secret": "1234"},
        {"identity": "WEAK-2", "secret": "1234", "weak_secret": True},
        {"identity": "OWN", "secret": "a long enough secret of its own"},
        {"identity": "THEIRS", "party_id": "nobody"},
    )
    results = [row["result"] for row in rows]
    assert results == ["added", "unchanged", "refused", "refused", "added", "added", "refused"]
    assert [row["token"] is not None for row in rows] == [True] + [False] * 6
    assert "may be guessed" in rows[3]["detail"]
    shown = (await api("GET", "/stations/WEAK-2")).json()
    assert shown["exceptions"] == {"weak_secret": True}
    assert (await api("GET", "/stations/NEW")).json()["vendor"] == "Maker"


async def test_tokens_work_and_given_secrets_do_too(api: Api) -> None:
    own = "a long enough secret of its own"
    rows = await imported(api, {"identity": "NEW"}, {"identity": "OWN", "secret": own})
    for row, secret in zip(rows, (rows[0]["token"], own), strict=True):
        (station,) = await api.store.reader.page(Station, {"identity": row["identity"]})
        found = await api.store.reader.page(Credential, {"station_id": station.id})
        assert security.verify_any(KEYRING, found, secret.encode()) is not None


async def test_a_rehearsal_does_nothing(api: Api) -> None:
    rows = await imported(api, {"identity": "NEW"}, {"identity": "a/b"}, dry_run=True)
    assert [row["result"] for row in rows] == ["added", "refused"]
    assert rows[0]["token"] is None
    assert await api.store.reader.count(Station) == 0


async def test_a_batch_that_is_sent_again_gives_the_same_tokens(api: Api) -> None:
    headers = {"Idempotency-Key": "batch"}
    first = await imported(api, {"identity": "A"}, {"identity": "B"}, headers=headers)
    again = await imported(api, {"identity": "A"}, {"identity": "B"}, headers=headers)
    assert first == again
    assert first[0]["token"] != first[1]["token"]
    # As another request they are there already, and nobody gets another token.
    later = await imported(api, {"identity": "A"}, {"identity": "B"})
    assert [(row["result"], row["token"]) for row in later] == [("unchanged", None)] * 2


async def test_what_is_too_much_or_not_allowed(api: Api) -> None:
    many = [{"identity": f"S{n}"} for n in range(201)]
    answer = await api("POST", "/station-imports", json={"rows": many})
    assert answer.status_code in (413, 422)
    answer = await api("POST", "/station-imports", Role.OPERATOR, json={"rows": many[:1]})
    assert answer.status_code == 403


async def test_secrets_that_came_with_rows_are_not_in_the_audit_trail(api: Api) -> None:
    await imported(api, {"identity": "OWN", "secret": "a long enough secret of its own"})
    for path in ("/audit", "/stations"):
        assert "long enough" not in (await api("GET", path)).text


async def test_a_thousand_stations_take_seconds(api: Api) -> None:
    began = time.monotonic()
    for start in range(0, 1_000, 100):
        rows = [{"identity": f"S{n}"} for n in range(start, start + 100)]
        assert {row["result"] for row in await imported(api, *rows)} == {"added"}
    assert time.monotonic() - began < 30
    assert await api.store.reader.count(Station) == 1_000
