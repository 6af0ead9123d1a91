"""Telling stations how to log in: what is stored whatever the station says, or does not say."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import policies, security, stations
from csms.core.inquiries import (
    Answer,
    ChangeProfile,
    Declined,
    GivePassword,
    Inquiry,
    NoAnswer,
    Setting,
    Settings,
    Unsupported,
)
from csms.core.security import BASIC, Credential
from csms.core.stations import NewStation, Registration, Station
from csms.flows.logins import Logins, Taken
from csms.storage.open import open_inline
from tests.support.nodes import OneNode
from tests.support.ocpp import NOW, PARTY, at_once

WISH = ChangeProfile(2, "wss://host:9443/ocpp")


def settled(setting: Setting) -> Settings:
    return Settings((("thing", setting, setting.value),))


class Network(OneNode):
    """A station with an old secret and a new one, that answers what it is told to."""

    def __init__(self, answer: Answer, *, connected: bool = True) -> None:
        self.answer = answer
        self.connected = connected
        self.asked: list[Inquiry] = []
        self.store = open_inline()
        self.station: Station = self.store.run(
            stations.onboard, "s1", NewStation("CP-1", PARTY), NOW
        )
        for name, when in (("old", NOW), ("new", NOW.replace(year=2025))):
            credential = Credential(name, "s1", BASIC, "k", name, when)
            self.store.run(security.add, credential, NOW)
        self.logins = Logins(self.store, self, lambda: NOW, 1.0)

    def holds(self, station_id: str) -> bool:
        return self.connected

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        self.asked.append(inquiry)
        return self.answer

    @property
    def secrets(self) -> list[str]:
        found = self.store.run(lambda tx: tx.find(Credential, "station", "s1"))
        return sorted(row.id for row in found)

    @property
    def policy(self) -> Any:
        return self.store.run(lambda tx: policies.of(tx, "s1"))

    def journal(self) -> str:
        return "".join(row.data for row in at_once(self.store.reader.journal(0, 1_000)))


@pytest.mark.parametrize(
    ("answer", "taken", "secrets"),
    [
        (settled(Setting.APPLIED), Taken.ACCEPTED, ["new", "old"]),
        (settled(Setting.REBOOT_REQUIRED), Taken.REBOOT_REQUIRED, ["new", "old"]),
        (settled(Setting.REJECTED), Taken.REFUSED, ["old"]),
        (settled(Setting.UNSUPPORTED), Taken.REFUSED, ["old"]),
        (Declined("InternalError"), Taken.REFUSED, ["old"]),
        (Unsupported("NotImplemented"), Taken.REFUSED, ["old"]),
        (NoAnswer("timed_out"), Taken.NO_ANSWER, ["new", "old"]),
        (NoAnswer("closed"), Taken.NO_ANSWER, ["new", "old"]),
        (NoAnswer("offline"), Taken.NOT_SENT, ["new", "old"]),
    ],
)
async def test_a_new_secret(answer: Answer, taken: Taken, secrets: list[str]) -> None:
    """A01.FR.03 to FR.05; an answer that is lost leaves both."""
    network = Network(answer)
    told = await network.logins.push(network.station, "new", "the secret itself")
    assert told.taken is taken
    assert network.secrets == secrets
    assert network.asked == [GivePassword("the secret itself")]
    assert "the secret itself" not in network.journal()
    assert "the secret itself" not in repr(network.asked)


async def test_nothing_is_sent_to_a_station_that_is_not_there_or_not_wanted() -> None:
    """OCPP 2.0.1 B03.FR.03."""
    network = Network(settled(Setting.APPLIED), connected=False)
    told = await network.logins.push(network.station, "new", "secret")
    assert (told.taken, told.detail) == (Taken.NOT_SENT, "the station is not connected")
    network.connected = True
    rejected = network.station._replace(registration=Registration.REJECTED)
    told = await network.logins.push(rejected, "new", "secret")
    assert told.taken is Taken.NOT_SENT
    assert network.asked == []
    assert network.secrets == ["new", "old"]


@pytest.mark.parametrize(
    ("answer", "taken", "wanted"),
    [
        (settled(Setting.APPLIED), Taken.ACCEPTED, 2),
        (settled(Setting.REBOOT_REQUIRED), Taken.REBOOT_REQUIRED, 2),
        (settled(Setting.REJECTED), Taken.REFUSED, None),
        (Declined("Rejected: NoSecurityDowngrade"), Taken.REFUSED, None),
        (NoAnswer("timed_out"), Taken.NO_ANSWER, 2),
        (NoAnswer("offline"), Taken.NOT_SENT, None),
    ],
)
async def test_a_higher_profile(answer: Answer, taken: Taken, wanted: int | None) -> None:
    """Nothing is refused before the station has booted on it, whatever it answers (A05.FR.08)."""
    network = Network(answer)
    told = await network.logins.change_profile(network.station, WISH)
    assert told.taken is taken
    assert (network.policy.min_profile, network.policy.wanted_profile) == (0, wanted)
