"""OCPP 2.0.1 block A, security: TLS, passwords, security profiles."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.certificates import station_context
from tests.support.conformance_2 import Station2
from tests.support.conformance_tls import Secured, asked, secured


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured(tmp_path) as found:
        yield found


@pytest.fixture(params=["ocpp2.0.1", "ocpp2.1"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _variable(component: str, name: str, status: str) -> dict[str, object]:
    told = {"component": {"name": component}, "variable": {"name": name}}
    return {"setVariableResult": [{**told, "attributeStatus": status}]}


async def _is_given_a_password(
    home: Secured, version: str, status: str
) -> tuple[str, dict[str, object]]:
    """The station is sent a password, and says that; it, and what the operator is told."""
    async with home.link(version, secure=True) as wire:
        await Station2(wire).boots()
        told = home.begins("POST", "/credentials", {})
        message_id, payload = await asked(wire, "SetVariables")
        (one,) = payload["setVariableData"]
        assert one["component"] == {"name": "SecurityCtrlr"}
        assert one["variable"] == {"name": "BasicAuthPassword"}
        answer = _variable("SecurityCtrlr", "BasicAuthPassword", status)
        await wire._answer(message_id, "SetVariables", answer)
        return one["attributeValue"], await told


async def test_TC_A_01_basic_authentication(home: Secured, version: str) -> None:
    """A station that shows its identity and its password comes in, and boots."""
    assert await home.status(version, secure=True) == 101
    async with home.link(version, secure=True) as wire:
        assert (await Station2(wire).boots())["status"] == "Accepted"


async def test_TC_A_02_a_user_name_that_is_not_the_identity(home: Secured, version: str) -> None:
    """The right password under another name is refused before the upgrade; its own name is not."""
    assert await home.status(version, secure=True, user="SOMEBODY-ELSE") == 401
    assert await home.status(version, secure=True) == 101


async def test_TC_A_03_a_wrong_password(home: Secured, version: str) -> None:
    """A wrong password is refused before the upgrade, and so is an empty one; the right one is
    not slowed down by them."""
    for wrong in ("0123456789abcdef0123456789abcdef01234567", ""):
        assert await home.status(version, secure=True, secret=wrong) == 401
    assert await home.status(version, secure=True) == 101


async def test_TC_A_04_tls_with_a_server_certificate(home: Secured, version: str) -> None:
    """A station that trusts the authority of the server connects over TLS, and boots."""
    async with home.link(version, secure=True) as wire:
        assert (await Station2(wire).boots())["status"] == "Accepted"
    assert (await home.operator.station())["profile"] == 2


async def test_TC_A_06_tls_of_a_version_that_is_too_low(home: Secured, version: str) -> None:
    """A station that offers nothing above TLS 1.1 gets no connection."""
    context = station_context("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await home.connect(version, secure=True, context=context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    (await home.connect(version, secure=True, context=context)).transport.abort()


async def test_TC_A_09_a_new_password_is_accepted(home: Secured, version: str) -> None:
    """The station reconnects with the new password; from then on the old one is refused."""
    password, told = await _is_given_a_password(home, version, "Accepted")
    assert (told["pushed"], told["token"]) == ("accepted", None)
    assert not await home.knows(password)
    async with home.link(version, secure=True, secret=password) as wire:
        await Station2(wire).boots()
    assert await home.status(version, secure=True) == 401
    assert await home.status(version, secure=True, secret=password) == 101


async def test_TC_A_10_a_new_password_is_rejected(home: Secured, version: str) -> None:
    """The old password goes on working, the new one never does, and the link stays."""
    password, told = await _is_given_a_password(home, version, "Rejected")
    assert told["pushed"] == "refused"
    assert await home.status(version, secure=True, secret=password) == 401
    async with home.link(version, secure=True) as wire:
        assert (await Station2(wire).boots())["status"] == "Accepted"


async def test_TC_A_19_a_higher_security_profile(home: Secured, version: str) -> None:
    """A new network profile goes before the old one, the station resets and boots over TLS; then it
    cannot come back without."""
    async with home.link(version, secure=False) as wire:
        await Station2(wire).boots()
        wish = {"profile": 2, "slot": 2, "priority": [1]}
        told = home.begins("POST", "/profile", wish)
        message_id, payload = await asked(wire, "SetNetworkProfile")
        assert payload["configurationSlot"] == 2
        assert payload["connectionData"] == {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": home.url,
            "messageTimeout": 30,
            "securityProfile": 2,
            "ocppInterface": "Wired0",
        }
        await wire._answer(message_id, "SetNetworkProfile", {"status": "Accepted"})
        message_id, payload = await asked(wire, "SetVariables")
        (one,) = payload["setVariableData"]
        assert one["variable"] == {"name": "NetworkConfigurationPriority"}
        assert one["attributeValue"] == "2,1"
        answer = _variable("OCPPCommCtrlr", "NetworkConfigurationPriority", "Accepted")
        await wire._answer(message_id, "SetVariables", answer)
        await wire.is_asked("Reset", {"type": "OnIdle"}, {"status": "Accepted"})
        assert (await told)["outcome"] == "accepted"
    # It may fall back as long as it has not booted on the new one (A05.FR.08).
    assert await home.status(version, secure=False) == 101
    async with home.link(version, secure=True) as wire:
        assert (await Station2(wire).boots("RemoteReset"))["status"] == "Accepted"
    assert await home.status(version, secure=False) == 403
    assert (await home.operator.station())["min_profile"] == 2
