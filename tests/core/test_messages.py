"""The message log keeps what was said, and no secret of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from csms.core import messages, security
from csms.core.messages import IN, MAX_SEARCHED, Message, shown
from csms.core.security import HIDDEN
from tests.support.charging import Site, at


def call(action: str, payload: Any) -> str:
    return json.dumps([2, "m1", action, payload])


@pytest.mark.parametrize(
    "frame",
    [
        call("ChangeConfiguration", {"key": "AuthorizationKey", "value": "hunter2"}),
        call("ChangeConfiguration", {"key": "authorizationkey", "value": "hunter2"}),
        json.dumps([3, "m1", {"configurationKey": [{"key": "WifiPSK", "value": "hunter2"}]}]),
        call(
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "attributeValue": "hunter2",
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                    }
                ]
            },
        ),
        call(
            "SetNetworkProfile",
            {
                "configurationSlot": 1,
                "connectionData": {
                    "basicAuthPassword": "hunter2",
                    "apn": {"apnPassword": "hunter2"},
                    "vpn": {"server": "v", "user": "u", "password": "hunter2", "key": "hunter2"},
                },
            },
        ),
        call("Authorize", {"idToken": {"idToken": "hunter2", "type": "KeyCode"}}),
        call("GetDiagnostics", {"location": "ftp://user:hunter2@host/x"}),
        r'[2,"m1","GetDiagnostics",{"location":"ftp:\/\/user:hunter2@host\/x"}]',
        call("X", {"apn": {"apn": "a", "simPin": "hunter2"}}),
        call("X", {"vpn": {"server": "v", "key": "hunter2"}}),
        call("DataTransfer", {"vendorId": "v", "clientSecret": "hunter2"}),
        '[2,"m1","X",{"pass\\u0077ord":"hunter2"}]',
        '[2,"m1","X",{"password":"hunter2"',
    ],
)
def test_no_secret_is_kept(frame: str) -> None:
    kept = shown(frame, 2_000)
    assert "hunter2" not in kept
    assert HIDDEN in kept


@pytest.mark.parametrize("word", security._SECRET.pattern.split("|"))
def test_whatever_is_named_like_a_secret_is_looked_for(word: str) -> None:
    """What is looked through at all, and what is hidden then, are told by the same words."""
    name = word.removesuffix("$")
    assert re.fullmatch("[a-z_]+", name)
    for spelled in (name, name.upper(), f"own{name.title()}"):
        for payload in ({spelled: 4711}, [{"key": spelled, "value": "4711"}]):
            kept = shown(call("X", payload), 2_000)
            assert "4711" not in kept
            assert HIDDEN in kept


@pytest.mark.parametrize(
    "frame",
    [
        call("Authorize", {"idToken": {"idToken": "04E1A2B3", "type": "ISO14443"}}),
        call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}),
        call("UpdateFirmware", {"location": "https://host/firmware.bin"}),
        "no message at all",
        "",
    ],
)
def test_all_else_is_kept_as_it_came(frame: str) -> None:
    assert shown(frame, 2_000) == frame


def test_what_is_long_is_cut_after_its_secrets_were_hidden() -> None:
    frame = call("X", {"value": "hunter2", "filling": "x" * 500, "key": "AuthorizationKey"})
    kept = shown(frame, 100)
    assert len(kept) == 100
    assert "hunter2" not in kept


def test_what_is_too_long_to_be_searched_for_secrets_is_left_out() -> None:
    """One station's frame must not hold up the others while it is gone through."""
    filling: list[Any] = [[] for _ in range(MAX_SEARCHED)]
    frame = call("X", {"key": "AuthorizationKey", "value": "hunter2", "filling": filling})
    assert shown(frame, 2_000) == HIDDEN
    assert shown(frame.replace("AuthorizationKey", "Other"), 2_000) != HIDDEN


def test_rows_are_stored_in_the_order_of_their_key(site: Site) -> None:
    rows = [Message("s1", at(n // 2), n, IN, "call", "Heartbeat", "[]", 2) for n in range(4)]
    site.run(messages.record, rows)
    assert [site.get(Message, "s1", row.at, row.n) for row in rows] == rows
