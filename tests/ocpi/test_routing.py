"""What a handler is given: addresses and bodies that must agree."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from csms.core.errors import Invalid
from csms.core.partners import Partner
from csms.ocpi.headers import Ids, Routing
from csms.ocpi.routing import Call, Foreign, patch_of, same_as_address
from tests.support.ocpi_objects import NOW

ROLES = [{"role": "EMSP", "party": "NL*EXA", "name": "x"}]


def call(*rest: str, body: Any = None, roles: Any = ROLES) -> Call:
    partner = Partner("p", "x", "registered", NOW, roles=roles)
    blank: Any = None
    network: Any = SimpleNamespace(parties=lambda *roles: ("CA*NTH",))
    return Call(
        network, partner, blank, "PUT", rest, {}, body, Ids("r", "c"), Routing(), "http://x", []
    )


def test_an_address_must_be_of_a_party_that_the_partner_speaks_for() -> None:
    assert call("nl", "exa", "1").owner("EMSP") == "NL*EXA"
    assert call("NL", "EXA", "1").owner() == "NL*EXA"
    for foreign in (call("NL", "OTH", "1"), call("NL", "EXA", "1", roles=[])):
        with pytest.raises(Foreign):
            foreign.owner("EMSP")
    with pytest.raises(Foreign):
        call("NL", "EXA", "1").owner("CPO")


def test_a_hub_passes_on_what_others_own() -> None:
    hub = [{"role": "HUB", "party": "NL*HUB", "name": "x"}]
    assert call("NL", "OTH", "1", roles=hub).owner("EMSP") == "NL*OTH"
    with pytest.raises(Foreign):
        call("CA", "NTH", "1", roles=hub).owner("EMSP")


def test_body_and_address_must_say_the_same() -> None:
    same_as_address(call("nl", "EXA", "Loc1"), "NL", "exa", "LOC1")
    for wrong in (("NL", "OTH", "Loc1"), ("NL", "EXA", "Loc2")):
        with pytest.raises(Invalid):
            same_as_address(call("nl", "EXA", "Loc1"), *wrong)


def test_a_patch_says_when_it_was() -> None:
    body = {"valid": False, "last_updated": "2026-01-01T00:00:00Z"}
    assert patch_of(call(body=body)) == body
    for wrong in ({"valid": False}, [], None):
        with pytest.raises(Invalid):
            patch_of(replace(call(), body=wrong))
