"""The captured traffic once more, over real WebSockets: gateway, links, calls that cross.

What `test_replay` shows of the functions behind a message, this shows of everything before them:
handshake, reader, machine, worker, and the recorded calls of the central system, made again with
their ids while the station talks.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import pytest

from csms.core import tokens
from csms.core.metering import MeterSample
from csms.core.quarantine import Quarantined
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.ocpp.link import Lost
from csms.storage.open import open_inline
from tests.ocpp.test_replay import EXPECTED, FRAMES, TOKENS, UNANSWERED
from tests.support.ocpp import NOW, PARTY
from tests.support.ocpp_links import Central, Socket, listening

CALL, RESULT, ERROR = 2, 3, 4
# Longer than any test: a call that was never answered ends with its link.
CALL_S = 60.0


class Stations:
    """The stations of one recording, on their links; a line of it at a time."""

    def __init__(self, central: Central, stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> None:
        self.central = central
        self._stack = stack
        self._tasks = tasks
        self._sockets: dict[str, Socket] = {}
        self._waiting: dict[str, list[Any]] = {}
        self.transaction_ids: dict[int, int] = {}
        self.outcomes: list[asyncio.Task[Any]] = []
        self.asked: Counter[str] = Counter()

    async def opens(self, name: str, subprotocol: str) -> None:
        if name not in self.central.secrets:
            await self.central.onboard(name, registration=None)
        connected = self.central.connect(name, (subprotocol,))
        self._sockets[name] = await self._stack.enter_async_context(connected)
        self._waiting[name] = []

    async def _read(self, name: str, wanted: Any) -> Any:
        """The next message of that kind and id; others are kept for their own line."""
        kept = self._waiting[name]
        while True:
            for message in kept:
                if message[:2] == wanted:
                    kept.remove(message)
                    return message
            kept.append(await self._sockets[name].reads())

    async def sends(self, name: str, frame: str) -> Any:
        """What a station said; the answer to it when it was a call."""
        kind, message_id, *rest = json.loads(frame)
        if kind != CALL:
            await self._sockets[name].sends(frame)
            return None
        action, payload = rest
        named = payload.get("transactionId")
        if named in self.transaction_ids:
            payload["transactionId"] = self.transaction_ids[named]
        await self._sockets[name].sends([kind, message_id, action, payload])
        return (await self._read(name, [RESULT, message_id]))[2]

    async def is_asked(self, name: str, frame: str) -> None:
        """A call of the recorded central system, made again."""
        kind, message_id, *rest = json.loads(frame)
        if kind != CALL:
            return
        action, payload = rest
        named = payload.get("transactionId")
        if named in self.transaction_ids:
            payload["transactionId"] = self.transaction_ids[named]
        self.asked[action] += 1
        call = self.central.link(name).call(message_id, action, payload, CALL_S)
        self.outcomes.append(self._tasks.create_task(call))
        assert await self._read(name, [CALL, message_id]) == [kind, message_id, action, payload]


async def replayed(file: str, central: Central) -> Stations:
    lines = [json.loads(line) for line in (FRAMES / file).read_text().splitlines()]
    messages = [json.loads(line["frame"]) for line in lines if "frame" in line]
    recorded = {
        m[1]: m[2]["transactionId"]
        for m in messages
        if m[0] == RESULT and "idTagInfo" in m[2]
        if "transactionId" in m[2]
    }
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        replay = Stations(central, stack, tasks)
        for line in lines:
            central.clock.now = datetime.fromisoformat(line["at"])
            name = line["station"]
            if line.get("event") == "open":
                await replay.opens(name, line["subprotocol"])
            elif line.get("from") == "station":
                answer = await replay.sends(name, line["frame"])
                message_id = json.loads(line["frame"])[1]
                if answer is not None and message_id in recorded and "transactionId" in answer:
                    replay.transaction_ids[recorded[message_id]] = answer["transactionId"]
            elif line.get("from") == "central":
                await replay.is_asked(name, line["frame"])
        await stack.aclose()
    return replay


@pytest.mark.parametrize("file", sorted(EXPECTED))
async def test_a_recording_over_real_links(file: str) -> None:
    store = open_inline()
    for uid in TOKENS:
        store.run(tokens.add, Token(PARTY, "", "rfid", uid, NOW, concurrent=True), NOW)
    async with listening(store) as central:
        replay = await replayed(file, central)
        theirs = {ours: str(recorded) for recorded, ours in replay.transaction_ids.items()}
        samples = await store.reader.page(MeterSample, limit=1_000)
        counted = Counter(row.transaction_id for row in samples)
        for name, expected in EXPECTED[file].items():
            rows = await store.reader.page(Transaction, {"station_id": f"id {name}"}, limit=1_000)
            found = {
                theirs.get(row.id, row.wire_id): (row.open, row.energy_wh, counted[row.id])
                for row in rows
            }
            assert found == {
                wire_id: (row["open"], row["energy_wh"], row["samples"])
                for wire_id, row in expected["transactions"].items()
            }
            station = await central.station(name)
            assert dict(station.violations) == expected["violations"]
            assert station.registration == "accepted"
        assert await store.reader.page(Quarantined) == []
        lost = [one for one in replay.outcomes if isinstance(one.result(), Lost)]
        assert len(lost) == sum(UNANSWERED.get(file, {}).values())
