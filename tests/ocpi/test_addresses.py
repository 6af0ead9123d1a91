"""Which addresses are called, and that the one that was judged is the one that is called."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest

from csms.core.errors import Invalid, PartnerUnreachable
from csms.ocpi import addresses
from csms.ocpi.addresses import Policy

PUBLIC = Policy()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "not an address",
    ],
)
def test_what_is_not_public_is_not_called(address: str) -> None:
    assert not PUBLIC.takes(address)


def test_public_addresses_and_named_networks_are_called() -> None:
    assert PUBLIC.takes("93.184.216.34")
    assert PUBLIC.takes("2606:2800:220:1:248:1893:25c8:1946")
    named = Policy.of(False, ["10.0.0.0/8", "::1/128"])
    assert named.takes("10.9.9.9")
    assert named.takes("::1")
    assert not named.takes("192.168.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "ftp://example.com",
        "https://",
        "https://user:word@example.com/",
        "file:///etc/passwd",
        "https://example.com:99999/",
        "",
    ],
)
def test_addresses_that_are_never_called(url: str) -> None:
    with pytest.raises(Invalid):
        addresses.checked(url, PUBLIC)


def test_http_is_called_only_where_it_is_allowed() -> None:
    assert addresses.checked("http://example.com/x#y", Policy(True)).path == "/x"


async def test_the_address_that_was_judged_is_the_one_that_is_called() -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])

    async def look_up(host: str, port: int) -> Sequence[str]:
        return next(answers)

    url = httpx.URL("https://example.com/x")
    assert str(await addresses.pinned(url, PUBLIC, look_up)) == "https://93.184.216.34/x"
    with pytest.raises(PartnerUnreachable, match="not public"):
        await addresses.pinned(url, PUBLIC, look_up)


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def look_up(host: str, port: int) -> Sequence[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(PartnerUnreachable, match=r"10\.0\.0\.1"):
        await addresses.pinned(httpx.URL("https://example.com"), PUBLIC, look_up)


async def test_a_name_that_does_not_resolve() -> None:
    async def look_up(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(PartnerUnreachable, match="resolved"):
        await addresses.pinned(httpx.URL("https://example.invalid"), PUBLIC, look_up)


async def test_names_are_resolved_by_the_system() -> None:
    assert set(await addresses.resolve("localhost", 80)) & {"127.0.0.1", "::1"}
