"""What a running system shows of its limits and queues, read where it is kept."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from csms.app import Running, running
from csms.settings import Settings
from tests.test_app import settings


async def shown(system: Running) -> dict[str, float]:
    """Metric (with its labels) -> value."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{system.http_port}/metrics")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_every_limit_is_shown_beside_its_use(tmp_path: Path) -> None:
    given: Settings = settings(
        tmp_path,
        ocpp={"port": 0, "host": "127.0.0.1", "max_links": 7, "contacts_at_once": 3},
        ocpi={"requests_at_once": 5},
        messages={"rows_per_s": 11},
    )
    async with running(given) as system:
        found = await shown(system)
    limits = {name: value for name, value in found.items() if name.endswith("_limit")}
    assert limits["csms_links_limit"] == 7
    assert limits["csms_contacts_limit"] == 3
    assert limits["csms_partner_calls_limit"] == 5
    assert limits["csms_messages_waiting_limit"] == 22
    assert limits["csms_reader_connections_busy_limit"] >= 1
    for limit in limits:
        used = found[limit.removesuffix("_limit")]
        assert 0 <= used <= limits[limit]


async def test_without_a_part_there_is_no_metric_of_it(tmp_path: Path) -> None:
    async with running(settings(tmp_path, messages={"enabled": False})) as system:
        found = await shown(system)
    assert not [name for name in found if re.match(r"csms_(messages|tls_handshakes|bus)", name)]


async def test_answers_of_the_api_are_counted_by_status(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as system, httpx.AsyncClient() as client:
        for method in ("GET", "BREW"):
            await client.request(method, f"http://127.0.0.1:{system.http_port}/api/v1/stations")
        found = await shown(system)
    assert found['csms_http_answers_total{method="GET",status="401"}'] == 1
    (other,) = [name for name in found if 'http_answers_total{method="other"' in name]
    assert found[other] == 1, "a method that somebody makes up is no new label"
