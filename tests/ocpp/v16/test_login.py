"""AuthorizationKey and SecurityProfile of a 1.6 station (Security Whitepaper A01, A05)."""

from __future__ import annotations

import pytest

from csms.core.inquiries import (
    ChangeProfile,
    Declined,
    GivePassword,
    NoAnswer,
    Setting,
    Settings,
    Unsupported,
)
from csms.ocpp.asking import Fault, Silence
from tests.support.inquiries import Answering

TOKEN = "00112233445566778899aabbccddeeff00112233"


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        ("Accepted", Setting.APPLIED),
        ("RebootRequired", Setting.REBOOT_REQUIRED),
        ("Rejected", Setting.REJECTED),
        ("NotSupported", Setting.UNSUPPORTED),
        ("Perhaps", Setting.REJECTED),
    ],
)
def test_a_password_is_its_40_hexadecimal_digits(status: str, setting: Setting) -> None:
    station = Answering("ocpp1.6")
    station.on("ChangeConfiguration", {"status": status})
    answer = station.is_asked(GivePassword(TOKEN))
    reason = None if setting is Setting.APPLIED else status
    assert answer == Settings((("AuthorizationKey", setting, reason),))
    wanted = {"key": "AuthorizationKey", "value": TOKEN}
    assert station.heard == [("ChangeConfiguration", wanted)]


def test_a_profile_is_a_key() -> None:
    station = Answering("ocpp1.6")
    station.on("ChangeConfiguration", {"status": "Accepted"})
    answer = station.is_asked(ChangeProfile(2, "wss://host:9443/ocpp"))
    assert answer == Settings((("SecurityProfile", Setting.APPLIED, None),))
    assert station.heard[0][1] == {"key": "SecurityProfile", "value": "2"}


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (Silence("timed_out"), NoAnswer("timed_out")),
        (Fault("NotImplemented", unsupported=True), Unsupported("NotImplemented")),
        (Fault("InternalError", unsupported=False), Declined("InternalError")),
    ],
)
def test_what_is_no_result(said: object, answer: object) -> None:
    station = Answering("ocpp1.6")
    station.on("ChangeConfiguration", said)
    assert station.is_asked(GivePassword(TOKEN)) == answer


def test_it_takes_no_login_with_an_address() -> None:
    station = Answering("ocpp1.6")
    answer = station.is_asked(ChangeProfile(2, "wss://host/ocpp", identity="NEW-1"))
    assert isinstance(answer, Declined)
    assert station.heard == []
