"""Quirks 1 to 7, 11, 73: how stations knock, byte for byte over real sockets, and then charge."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from csms.core.quirks import Catalogue, Entry
from csms.storage.open import open_inline
from tests.support.charges import charges
from tests.support.ocpp_links import WITHIN_S, Central, basic, listening, until


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with listening(open_inline(), close_timeout_s=1.0) as central:
        yield central


class Bytes:
    """A station that writes its own handshake and its own frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self, path: str, *headers: str) -> str:
        """The head of the answer."""
        lines = (f"GET {path} HTTP/1.1", "Host: csms", *headers, "", "")
        self._writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(WITHIN_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
        return head.decode()

    def frame(self, data: bytes, *, rsv1: bool = False) -> None:
        """One masked text frame, with a mask of zeros."""
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        self._writer.write(bytes([0xC1 if rsv1 else 0x81]) + size + b"\0\0\0\0" + data)

    async def read(self) -> Any:
        async with asyncio.timeout(WITHIN_S):
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2))
            data = await self._reader.readexactly(size)
        assert first == 0x81, f"opcode {first & 15}: {data!r}"
        return json.loads(data)

    async def calls(self, action: str, payload: dict[str, Any]) -> Any:
        """The payload of the result."""
        self.frame(json.dumps([2, "1", action, payload]).encode())
        kind, message_id, answer = await self.read()
        assert (kind, message_id) == (3, "1"), answer
        return answer


@asynccontextmanager
async def station(central: Central) -> AsyncIterator[Bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", central.gateway.port)
    try:
        yield Bytes(reader, writer)
    finally:
        writer.transport.abort()


def login(central: Central, identity: str = "CS 1") -> str:
    return f"Authorization: {basic(identity, central.secrets[identity])}"


WEBSOCKET = ("Upgrade: websocket", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==")
VERSION = "Sec-WebSocket-Version: 13"


async def test_quirk_1_no_subprotocol_and_the_switch_says_which(central: Central) -> None:
    await central.onboard(switches={"version": "1.6"})
    async with station(central) as raw:
        head = await raw.request(
            "/CS%201", "Connection: Upgrade", *WEBSOCKET, VERSION, login(central)
        )
        assert head.startswith("HTTP/1.1 101")
        assert "Sec-WebSocket-Protocol" not in head
        await charges(central, raw)
    assert (await central.station()).protocol == "1.6"
    assert await central.violations() == {"no_subprotocol": 1}


async def test_quirk_1_is_off_by_default_and_told_to_the_operator(central: Central) -> None:
    await central.onboard()
    async with central.connect(subprotocols=(), wait=False) as link:
        assert (await link.closed())[0] == 1002
    rows = []

    async def told() -> None:
        while not rows:
            found = await central.store.reader.journal(0, 100)
            rows.extend(row for row in found if row.kind == "link_refused")
            await asyncio.sleep(0)

    await asyncio.wait_for(told(), WITHIN_S)
    assert json.loads(rows[0].data)["reason"] == "no_subprotocol"


@pytest.mark.parametrize("connection", [(), ("Connection: keep-alive",)])
async def test_quirk_2_connection_upgrade_is_missing(
    central: Central, connection: tuple[str, ...]
) -> None:
    await central.onboard()
    async with station(central) as raw:
        head = await raw.request(
            "/CS%201",
            *connection,
            *WEBSOCKET,
            VERSION,
            "Sec-WebSocket-Protocol: ocpp1.6",
            login(central),
        )
        assert head.startswith("HTTP/1.1 101")
        await charges(central, raw)
    assert await central.violations() == {"missing_upgrade_header": 1}


@pytest.mark.parametrize("path", ["//ocpp//CS%201/", "/CS%201/", "/ocpp/CS%201//"])
async def test_quirk_3_slashes(central: Central, path: str) -> None:
    await central.onboard()
    async with central.connect(path=path) as link:
        await charges(central, link)


@pytest.mark.parametrize("path", ["/ws://host:9000/ocpp/CS%201", "/wss://host/ocpp/x/CS%201"])
async def test_quirk_4_the_whole_url_inside_the_path(central: Central, path: str) -> None:
    await central.onboard()
    async with central.connect(path=path) as link:
        await charges(central, link)


async def test_quirk_5_a_serial_behind_the_configured_url(central: Central) -> None:
    await central.onboard("SN-77")
    async with central.connect("SN-77", path="/ocpp/CS%201/SN-77") as link:
        await charges(central, link, "SN-77")


@pytest.mark.parametrize(
    ("identity", "path"), [("RDAM|123", "/ocpp/RDAM%7C123"), ("Stra ße", "/Stra%20%C3%9Fe")]
)
async def test_quirk_6_a_percent_encoded_identity(
    central: Central, identity: str, path: str
) -> None:
    await central.onboard(identity)
    async with central.connect(identity, path=path) as link:
        await charges(central, link, identity)


@pytest.mark.parametrize("identity", ["cp-1_A", "cp-1_a", "Ä.1+2~3", "0"])
async def test_quirk_7_any_characters_and_case_matters(central: Central, identity: str) -> None:
    await central.onboard("CP-1_a")
    await central.onboard(identity)
    path = f"/ocpp/{identity.encode().hex('%')}" if identity == "0" else None
    async with central.connect(identity, path=path and f"/ocpp/{identity}") as link:
        await charges(central, link, identity)
    assert (await central.station("CP-1_a")).generation == 0


# -- compression -----------------------------------------------------------------------------------


def deflated(text: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return (made.compress(text) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_quirk_11_compressed_frames_that_nobody_announced(central: Central) -> None:
    await central.onboard(switches={"compression": "assumed"})
    async with station(central) as raw:
        await raw.request(
            "/CS%201",
            "Connection: Upgrade",
            *WEBSOCKET,
            VERSION,
            "Sec-WebSocket-Protocol: ocpp1.6",
            login(central),
        )
        raw.frame(deflated(b'[2,"1","Heartbeat",{}]'), rsv1=True)
        assert "currentTime" in (await raw.read())[2]
        await charges(central, raw)


async def test_quirk_11_no_compression_for_who_breaks_on_it(central: Central) -> None:
    await central.onboard(switches={"compression": "off"})
    async with central.connect(compression="deflate") as link:
        assert "Sec-WebSocket-Extensions" not in link.connection.response.headers
        await charges(central, link)


# -- versions --------------------------------------------------------------------------------------


async def test_quirk_73_a_version_is_forced_where_it_is_offered(central: Central) -> None:
    await central.onboard(switches={"version": "1.6"})
    async with central.connect(subprotocols=("ocpp2.0.1", "ocpp1.6")) as link:
        assert link.connection.subprotocol == "ocpp1.6"
    async with central.connect(subprotocols=("ocpp2.0.1",)) as link:
        assert link.connection.subprotocol == "ocpp2.0.1"


async def test_quirk_73_what_is_known_of_a_make_holds_from_its_next_link() -> None:
    known = Catalogue((Entry("fox", "Fox*", "*", "*", {"version": "1.6"}, "a/b#1"),))
    async with listening(open_inline(), catalogue=known) as central:
        await central.onboard()
        offers = ("ocpp2.0.1", "ocpp1.6")
        async with central.connect(subprotocols=offers) as link:
            assert link.connection.subprotocol == "ocpp2.0.1"
            boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "FoxESS", "model": "A"}}
            await link.calls("BootNotification", boot)
            await until(lambda: central.link().switches.version == "1.6")
        await until(lambda: central.link() is None)
        async with central.connect(subprotocols=offers) as link:
            assert link.connection.subprotocol == "ocpp1.6"
