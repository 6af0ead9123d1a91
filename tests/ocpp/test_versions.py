"""Which version a link speaks (OCPP-J 2.0.1 3.2)."""

from __future__ import annotations

import pytest

from csms.ocpp.versions import PROTOCOLS, choose


def test_the_versions_that_we_speak() -> None:
    assert {name: p.version for name, p in PROTOCOLS.items()} == {
        "ocpp1.6": "1.6",
        "ocpp2.0.1": "2.0.1",
        "ocpp2.1": "2.1",
    }
    assert all(name == p.subprotocol for name, p in PROTOCOLS.items())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6"], "ocpp1.6"),
        (["ocpp1.6", "ocpp2.1"], "ocpp1.6"),  # the station's order, not ours
        (["ocpp2.1", "ocpp1.6"], "ocpp2.1"),
        (["ocpp1.5", "mqtt", "ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp2.0"], None),
        (["OCPP1.6"], None),
        ([], None),
    ],
)
def test_the_first_that_we_speak_is_chosen(offered: list[str], chosen: str | None) -> None:
    found = choose(offered)
    assert (found.subprotocol if found else None) == chosen
