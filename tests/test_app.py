"""The composition root: everything put together, on free ports."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from csms.app import _listener, running
from csms.core.errors import Invalid
from csms.fresh import ensure_admin_key, keyring_of, new_secret
from csms.settings import Settings
from tests.support.certificates import write_pair
from tests.support.stores import prepared
from tests.support.system import free_port


def settings(folder: Path, **more: object) -> Settings:
    given = {
        "ocpp": {"port": 0, "host": "127.0.0.1"},
        "http": {"port": 0},
        "store": {"url": prepared(folder)},
        "security": {"keys": {"k": "0" * 64}, "current": "k"},
        **more,
    }
    return Settings.model_validate(given)


async def test_a_system_comes_up_serves_and_goes(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as system:
        await ensure_admin_key(system.store, system.api.keyring, "first.secret")
        await ensure_admin_key(system.store, system.api.keyring, "first.secret")
        base = f"http://127.0.0.1:{system.http_port}"
        async with httpx.AsyncClient(base_url=base) as client:
            assert (await client.get("/readyz")).json() == {"status": "ready"}
            key = {"Authorization": "Bearer first.secret"}
            assert (await client.get("/api/v1/stations", headers=key)).json()["items"] == []
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{base}/healthz")


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    for expected in (201, 409):
        async with running(settings(tmp_path)) as system:
            await ensure_admin_key(system.store, system.api.keyring, "first.secret")
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{system.http_port}",
                headers={"Authorization": "Bearer first.secret"},
            ) as client:
                answer = await client.post("/api/v1/stations", json={"identity": "CP-1"})
                assert answer.status_code == expected


async def test_who_connects_over_http_and_says_nothing_is_closed(tmp_path: Path) -> None:
    async with running(settings(tmp_path, http={"port": 0, "header_timeout_s": 0.2})) as system:
        reader, writer = await asyncio.open_connection("127.0.0.1", system.http_port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("trusted", "address"), [((), "127.0.0.1"), (("127.0.0.1",), "203.0.113.9")]
)
async def test_nobody_chooses_from_where_it_was_in_the_audit_trail(
    tmp_path: Path, trusted: tuple[str, ...], address: str
) -> None:
    """Not who connects from this machine either, unless that is said to be a proxy."""
    given = settings(tmp_path, http={"port": 0, "trusted_proxies": trusted})
    async with running(given) as system:
        await ensure_admin_key(system.store, system.api.keyring, "first.secret")
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{system.http_port}/api/v1",
            headers={"Authorization": "Bearer first.secret"},
        ) as client:
            said = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
            await client.post("/stations", json={"identity": "CP-1"}, headers=said)
            (entry,) = (await client.get("/audit")).json()["items"]
    assert entry["remote_address"] == address


async def test_the_url_for_installers_can_be_set(tmp_path: Path) -> None:
    public = {"port": 0, "host": "127.0.0.1", "public_url": "wss://ocpp.example.com/ocpp"}
    async with running(settings(tmp_path, ocpp=public)) as system:
        assert system.station_url == "wss://ocpp.example.com/ocpp"


def test_nobody_waits_at_a_port_before_the_system_serves() -> None:
    """Another process that shares it could answer meanwhile."""
    with _listener("127.0.0.1", 0, shares=True) as early:
        port = early.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with _listener("127.0.0.1", port, shares=True) as late:
            late.listen()
            for _ in range(20):
                socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(OSError, match=f"127.0.0.1 port {port}"):
                _listener("127.0.0.1", port)


async def test_a_node_may_take_no_stations(tmp_path: Path) -> None:
    """It says where those beside it take them, and warns while nobody does."""
    port = free_port()
    own = {"port": port, "host": "127.0.0.1"}
    async with running(settings(tmp_path, ocpp=own, nodes={"takes_stations": False})) as system:
        assert (system.ocpp_port, system.tls_port) == (None, None)
        assert system.station_url == f"ws://127.0.0.1:{port}/ocpp"
        assert system.api.warnings() == [
            "no node takes stations: start one with nodes.takes_stations = true"
        ]
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))


def test_a_system_without_hashing_keys_does_not_start() -> None:
    with pytest.raises(Invalid, match=r"security\.current"):
        keyring_of(Settings())


def test_secrets_have_160_bits_and_fit_every_version() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 40 for secret in made)


async def test_the_page_about_metrics_names_those_there_are(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs/metrics.md").read_text()
    written = dict(re.findall(r"^\| `(csms_\w+)` \| (\w+) \|", page, re.MULTILINE))
    pair = write_pair(tmp_path)
    files = {"certificate": str(pair.certificate), "key": str(pair.key)}
    ocpp = {"port": 0, "host": "127.0.0.1", "tls": {"port": 0, "certificates": [files]}}
    # Nobody listens there: the feed and its metrics are there all the same.
    given = settings(tmp_path, ocpp=ocpp, bus={"url": "mqtt://127.0.0.1:1"})
    async with running(given) as system, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{system.http_port}/metrics")
    found = dict(re.findall(r"^# TYPE (csms_\w+) (\w+)", answer.text, re.MULTILINE))
    # Prometheus's own companion of counters and histograms.
    found = {name: kind for name, kind in found.items() if not name.endswith("_created")}
    assert found == written


def numbers(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting that is a number and no port."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from numbers(field.annotation, f"{prefix}{name}.")
        elif field.annotation in (int, float) and not name.endswith("port"):
            yield f"{prefix}{name}"


def test_the_page_says_of_every_number_where_it_is_seen_at_work() -> None:
    page = (Path(__file__).parent.parent / "docs/metrics.md").read_text()
    metrics = set(re.findall(r"^\| `(csms_\w+)` \| \w+ \|", page, re.MULTILINE))
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_.*]+)` \| (.+) \|$", page, re.MULTILINE))
    found = {re.sub(r"^retention\..*", "retention.*", name) for name in numbers(Settings)}
    assert set(rows) == found
    for setting, seen in rows.items():
        named = {re.sub(r"_total$", "", m) for m in re.findall(r"csms_\w+", seen)}
        assert named <= {re.sub(r"_total$", "", m) for m in metrics}, setting
        assert named or seen.startswith("nothing: "), setting


async def test_readyz_warns_before_a_limit_is_reached(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as system, httpx.AsyncClient() as client:
        assert system.api.warnings() == []
        system.store.max_queue = -1
        answer = await client.get(f"http://127.0.0.1:{system.http_port}/readyz")
    assert answer.status_code == 200
    assert "store.max_queue" in answer.json()["warnings"][0]
