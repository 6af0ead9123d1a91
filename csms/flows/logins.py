"""Bringing a new secret or a higher security profile to a station that is connected.

What is certain is stored before the station is asked and after it has answered; an answer that is
lost leaves both ways to log in open, so that no station is locked out by us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from csms.core import logins
from csms.core.inquiries import (
    Answer,
    ChangeProfile,
    GivePassword,
    Inquiry,
    NoAnswer,
    Setting,
    Settings,
)
from csms.core.logins import Profile
from csms.core.ports import Store
from csms.core.stations import Registration, Station


class Taken(StrEnum):
    """What became of the attempt to tell a station."""

    ACCEPTED = "accepted"
    REBOOT_REQUIRED = "reboot_required"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Told:
    """What became of it, and the reason in words where there is one."""

    taken: Taken
    detail: str | None = None


class Reach(Protocol):
    """Whoever can ask stations."""

    async def reaches(self, station_id: str) -> bool: ...

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer: ...


class Logins:
    """Tells stations how to log in."""

    def __init__(
        self, store: Store, links: Reach, clock: Callable[[], datetime], timeout_s: float = 30.0
    ) -> None:
        self._store = store
        self._links = links
        self._clock = clock
        self._timeout_s = timeout_s

    async def push(self, station: Station, credential_id: str, secret: str) -> Told:
        """Give a station a secret that it has been offered. If the station refuses it, it is taken
        back and the old one stays (OCPP 1.6 Security Whitepaper A01.FR.04, OCPP 2.0.1 A01.FR.04).
        Otherwise both work until the station has used the new one."""
        told = await self._tell(station, GivePassword(secret))
        if told.taken is Taken.REFUSED:
            await self._store.transact(
                logins.withdraw, station.id, credential_id, self._clock(), lane=station.id
            )
        return told

    async def change_profile(self, station: Station, wanted: ChangeProfile) -> Told:
        """Bring a station to a higher profile. Lower ones are refused once it has booted on it, and
        not before: it may fall back (A05.FR.08)."""
        profile = Profile(wanted.profile)
        await self._store.transact(
            logins.want_profile, station.id, profile, self._clock(), lane=station.id
        )
        told = await self._tell(station, wanted)
        if told.taken in (Taken.REFUSED, Taken.NOT_SENT):
            await self._store.transact(
                logins.unwant_profile, station.id, self._clock(), lane=station.id
            )
        return told

    async def move(self, station: Station, wanted: ChangeProfile) -> Told:
        """Send a station to another central system. Here nothing changes: it may come back."""
        return await self._tell(station, wanted)

    async def _tell(self, station: Station, inquiry: Inquiry) -> Told:
        if station.registration == Registration.REJECTED:
            # OCPP 2.0.1 B03.FR.03: nothing is sent to a station that is not wanted.
            return Told(Taken.NOT_SENT, "the station is rejected, so nothing is sent to it")
        if not await self._links.reaches(station.id):
            return Told(Taken.NOT_SENT, "the station is not connected")
        return understood(await self._links.ask(station.id, inquiry, self._timeout_s))


def understood(answer: Answer) -> Told:
    """What an answer means for the login."""
    if isinstance(answer, NoAnswer):
        if answer.reason == "offline":
            return Told(Taken.NOT_SENT, "the station is not connected")
        words = {"timed_out": "the station did not answer in time", "closed": "the link was lost"}
        return Told(Taken.NO_ANSWER, words.get(answer.reason, answer.reason))
    if isinstance(answer, Settings):
        ((_, setting, reason),) = answer.outcomes
        if setting is Setting.APPLIED:
            return Told(Taken.ACCEPTED)
        if setting is Setting.REBOOT_REQUIRED:
            return Told(Taken.REBOOT_REQUIRED)
        return Told(Taken.REFUSED, f"the station answered {reason}")
    return Told(Taken.REFUSED, getattr(answer, "reason", None))
