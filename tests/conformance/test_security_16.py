"""OCPP 1.6 with the Security Whitepaper: passwords, TLS, security profiles, sub-protocols."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.conformance_16 import Station16
from tests.support.conformance_tls import Secured, asked, secured

V16 = "ocpp1.6"
ACCEPTED = {"status": "Accepted"}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured(tmp_path) as found:
        yield found


async def test_TC_073_a_new_password(home: Secured) -> None:
    """AuthorizationKey as 40 hexadecimal digits; the station shows the bytes that they stand for.
    When it has, the old password is over."""
    async with home.link(V16, secure=True) as wire:
        await Station16(wire).boots()
        told = home.begins("POST", "/credentials", {})
        message_id, payload = await asked(wire, "ChangeConfiguration")
        key = payload["value"]
        assert payload == {"key": "AuthorizationKey", "value": key}
        assert len(bytes.fromhex(key)) == 20
        await wire._answer(message_id, "ChangeConfiguration", ACCEPTED)
        assert (await told)["pushed"] == "accepted"
    assert not await home.knows(key)
    async with home.link(V16, secure=True, secret=bytes.fromhex(key)) as wire:
        await Station16(wire).boots()
    assert await home.status(V16, secure=True) == 401
    assert await home.status(V16, secure=True, secret=key) == 101


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_TC_073_a_new_password_that_is_refused(home: Secured, status: str) -> None:
    """Security Whitepaper A01.FR.04: the station has its old password."""
    async with home.link(V16, secure=True) as wire:
        await Station16(wire).boots()
        told = home.begins("POST", "/credentials", {})
        message_id, payload = await asked(wire, "ChangeConfiguration")
        await wire._answer(message_id, "ChangeConfiguration", {"status": status})
        assert (await told)["pushed"] == "refused"
    assert await home.status(V16, secure=True, secret=payload["value"]) == 401
    assert await home.status(V16, secure=True) == 101


async def test_TC_083_a_higher_security_profile(home: Secured) -> None:
    """SecurityProfile, then a reset; when it has booted over TLS, it cannot come back without."""
    async with home.link(V16, secure=False) as wire:
        await Station16(wire).boots()
        told = home.begins("POST", "/profile", {"profile": 2})
        wanted = {"key": "SecurityProfile", "value": "2"}
        await wire.is_asked("ChangeConfiguration", wanted, ACCEPTED)
        await wire.is_asked("Reset", {"type": "Soft"}, ACCEPTED)
        assert (await told)["outcome"] == "accepted"
    assert await home.status(V16, secure=False) == 101
    async with home.link(V16, secure=True) as wire:
        await Station16(wire).boots()
    assert await home.status(V16, secure=False) == 403


async def test_TC_085_basic_authentication(home: Secured) -> None:
    """Identity and password, of which the station sends the bytes."""
    for shown in (home.secret, bytes.fromhex(home.secret)):
        async with home.link(V16, secure=False, secret=shown) as wire:
            assert (await Station16(wire).boots())["status"] == "Accepted"
    for wrong in ("x" * 40, "", bytes.fromhex(home.secret)[:-1]):
        assert await home.status(V16, secure=False, secret=wrong) == 401
    with pytest.raises(InvalidStatus):
        await home.connect(V16, secure=False, user="CP-2")


async def test_TC_086_tls_with_a_server_certificate(home: Secured) -> None:
    """The station checks the certificate and boots; one that trusts others does not come."""
    async with home.link(V16, secure=True) as wire:
        assert (await Station16(wire).boots())["status"] == "Accepted"
    with pytest.raises(ssl.SSLCertVerificationError):
        await home.connect(V16, secure=True, context=ssl.create_default_context())


@pytest.mark.parametrize("secure", [False, True])
async def test_TC_088_the_sub_protocol(home: Secured, secure: bool) -> None:
    """Without a common one the handshake ends without the header, and the link with it."""
    connection = await home.connect("ocpp0.9", secure=secure)
    assert connection.response is not None
    assert "Sec-WebSocket-Protocol" not in connection.response.headers
    await connection.wait_closed()
    assert connection.close_code == 1002
    connection = await home.connect(V16, secure=secure)
    assert connection.subprotocol == V16
    connection.transport.abort()
