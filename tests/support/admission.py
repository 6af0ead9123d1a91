"""The admission over a store with two stations, and attempts to come in."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count
from typing import Any

from csms.core import security, stations
from csms.core.security import BASIC, Credential
from csms.core.stations import NewStation, UnknownStation
from csms.ocpp.admission import Admission, AdmissionLimits, Admitted, Denial
from csms.storage.open import open_inline
from tests.support.ocpp import NOW, PARTY
from tests.support.ocpp_links import KEYRING, basic

HEX = "00112233445566778899aabbccddeeff00112233"


class Door:
    """`CS 1` has the secret `HEX`, `CS 2` another."""

    def __init__(self, **limits: Any) -> None:
        self.store = open_inline()
        ids = count(1)
        self.admission = Admission(
            self.store, KEYRING, AdmissionLimits(**limits), lambda: f"new {next(ids)}", PARTY
        )
        for identity, secret in (("CS 1", HEX), ("CS 2", "other secret")):
            self.store.run(stations.onboard, identity, NewStation(identity, PARTY), NOW)
            self.give(identity, secret.encode())

    def give(self, identity: str, secret: bytes, *, weak: bool = False) -> None:
        key_id, hashed = KEYRING.hash(secret)
        given = Credential(f"c-{identity}", identity, BASIC, key_id, hashed, NOW, weak=weak)
        self.store.run(security.issue, given, NOW)

    async def knocks(
        self,
        identity: str,
        user: Any = None,
        password: Any = None,
        minutes: float = 0,
        address: str = "192.0.2.7",
        *,
        secure: bool = False,
    ) -> Admitted | Denial:
        header = None if password is None else basic(user or identity, password)
        path = "/ocpp/" + identity.replace(" ", "%20")
        now = NOW + timedelta(minutes=minutes)
        return await self.admission.admit(path, header, address, now, secure=secure)

    async def refusals(self) -> list[tuple[str | None, str, str]]:
        """What the journal says of refused logins: station, reason, address."""
        rows = await self.store.reader.journal(0, 1_000)
        told = [
            (row.station_id, json.loads(row.data)) for row in rows if row.kind == "link_refused"
        ]
        return [(station_id, data["reason"], data["remote_address"]) for station_id, data in told]

    async def listed(self) -> set[str]:
        """The unknown identities that an operator sees."""
        return {one.identity for one in await self.store.reader.page(UnknownStation)}
