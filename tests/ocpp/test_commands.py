"""What the versions share about commands: the raw call, and what never leaves."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.commands import Command, Kind
from csms.core.errors import Invalid
from csms.ocpp.versions import PROTOCOLS
from tests.support.ocpp import NOW, minimal_request


def raw(protocol: str, action: str, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    parameters = {"action": action, "payload": payload}
    command = Command("c1", 7, "s1", Kind.CALL.value, parameters, "sent", NOW, "test")
    return PROTOCOLS[protocol].encode(command)


def test_every_action_of_a_central_system_can_be_called(protocol: str) -> None:
    known = PROTOCOLS[protocol]
    for action in known.dialect.schemas.actions - set(known.dialect.routes):
        payload = minimal_request(known.version, action)
        assert raw(protocol, action, payload) == (action, payload)


def test_what_only_a_station_may_say_is_not_said(protocol: str) -> None:
    for action in set(PROTOCOLS[protocol].dialect.routes) - {"DataTransfer"}:
        with pytest.raises(Invalid, match="not a call that a central system makes"):
            raw(protocol, action, {})


def test_an_unknown_action_is_not_said(protocol: str) -> None:
    with pytest.raises(Invalid, match="not a call that a central system makes"):
        raw(protocol, "MakeCoffee", {})


def test_what_does_not_fit_the_schema_is_not_said(protocol: str) -> None:
    """Strict out: the fault is named by its place."""
    with pytest.raises(Invalid, match=r"^Reset /type: is missing$"):
        raw(protocol, "Reset", {})
    with pytest.raises(Invalid, match=r"^DataTransfer /vendorId: not of type string$") as caught:
        raw(protocol, "DataTransfer", {"vendorId": 4711})
    assert "4711" not in caught.value.detail
