"""The message log: gathered at the links, bounded, written late (DESIGN rule 1)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.core.errors import StoreUnavailable
from csms.core.messages import Message
from csms.flows import messages as flow
from csms.flows.messages import CHUNK, MAX_WAITING_CHARS, MessageLimits, MessageLog
from csms.ocpp.rpc import Call, ErrorCode, Failure, Ignored, Notice, Refused, Result
from csms.storage.open import open_inline
from csms.storage.store import InlineStore

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
CALL = Call("m1", "Heartbeat", {})


def a_log(store: Any = None, **limits: Any) -> MessageLog:
    return MessageLog(store or open_inline(), MessageLimits(**limits), lambda: NOW)


async def stored(log: MessageLog) -> list[Message]:
    store: InlineStore = log._store  # type: ignore[assignment]
    return await store.reader.page(Message, limit=1_000)


async def test_what_is_heard_and_said_is_written() -> None:
    log = a_log()
    tap = log.tap("s1")
    tap.heard(CALL, b'[2,"m1","Heartbeat",{}]', NOW)
    tap.said("result", "Heartbeat", '[3,"m1",{}]')
    assert await stored(log) == []
    await log.write()
    heard, said = await stored(log)
    assert (heard.direction, heard.kind, heard.action) == ("in", "call", "Heartbeat")
    assert (heard.text, heard.size, heard.at) == ('[2,"m1","Heartbeat",{}]', 23, NOW)
    assert (said.direction, said.kind, said.n) == ("out", "result", heard.n + 1)
    assert (log.written, log.left_out) == (2, 0)


@pytest.mark.parametrize(
    ("received", "kind", "action"),
    [
        (CALL, "call", "Heartbeat"),
        (Notice("m", "NotifyPeriodicEventStream", {}), "send", "NotifyPeriodicEventStream"),
        (Result("m", "Reset", {}), "result", "Reset"),
        (Failure("m", "Reset", ErrorCode.NOT_SUPPORTED), "error", "Reset"),
        (Refused("[4]", "no_json"), "refused", None),
        (Ignored("unknown_id"), "ignored", None),
        (Call("m", "x" * 300, {}), "call", "x" * 64),
    ],
)
async def test_every_kind_of_frame(received: Any, kind: str, action: str | None) -> None:
    log = a_log()
    log.tap("s1").heard(received, "text", NOW)
    await log.write()
    (row,) = await stored(log)
    assert (row.kind, row.action) == (kind, action)


async def test_a_link_that_floods_is_cut_short_and_the_gap_is_said() -> None:
    log = a_log(burst=3, per_minute=60)
    tap, other = log.tap("s1"), log.tap("s2")
    for n in range(10):
        tap.heard(CALL, f"{n}", NOW + timedelta(seconds=n))
    other.heard(CALL, "other", NOW)
    assert log.left_out == 7
    log.second += 1
    tap.heard(CALL, "10", NOW + timedelta(seconds=10))
    tap.said("result", "Heartbeat", "11")
    await log.write()
    rows = await stored(log)
    assert [(row.text, row.skipped) for row in rows] == [
        ("0", 0),
        ("1", 0),
        ("2", 0),
        ("10", 7),
        ("other", 0),
    ]


async def test_what_was_saved_up_is_at_most_a_burst() -> None:
    log = a_log(burst=2, per_minute=60)
    tap = log.tap("s1")
    log.second += 1_000
    for n in range(9):
        tap.heard(CALL, f"{n}", NOW)
    assert len(log.waiting) == 2


async def test_the_process_has_a_bound_too() -> None:
    log = a_log(rows_per_s=100)
    for n in range(300):
        log.tap(f"s{n}").heard(CALL, "x", NOW)
    assert (len(log.waiting), log.left_out) == (200, 100)
    await log.write()
    assert log.written == min(CHUNK, 200)


async def test_what_waits_is_bounded_in_size_as_well() -> None:
    """Links that are heard may send half a megabyte a frame."""
    log = a_log()
    frame = "x" * 500_000
    for n in range(100):
        log.tap(f"s{n}").heard(CALL, frame, NOW)
    assert sum(len(noted.frame) for noted in log.waiting) <= MAX_WAITING_CHARS
    assert len(log.waiting) + log.left_out == 100
    await log.write()
    assert (log.waiting_chars, len(log.waiting)) == (0, 0)
    log.tap("s").heard(CALL, frame, NOW)
    assert len(log.waiting) == 1


async def test_large_frames_are_written_while_others_have_their_turn() -> None:
    log = a_log()
    for n in range(10):
        log.tap(f"s{n}").heard(CALL, "x" * 100_000, NOW)
    writing = asyncio.create_task(log.write())
    seen = []
    while not writing.done():
        await asyncio.sleep(0)
        seen.append(len(log.waiting))
    assert {9, 5, 1} <= set(seen)


async def test_an_outage_costs_the_log_and_nothing_else() -> None:
    class Down:
        async def transact(self, fn: Any, *args: Any) -> None:
            raise StoreUnavailable("the disk is full")

    log = a_log(Down())
    log.tap("s1").heard(CALL, "x", NOW)
    await log.write()
    assert (log.written, log.left_out, len(log.waiting)) == (0, 1, 0)


@pytest.mark.parametrize("frame", [b"\xff\xfe[2", "a\0b", "\ud800"])
async def test_text_that_no_database_takes_is_written_all_the_same(frame: Any) -> None:
    log = a_log()
    log.tap("s1").heard(Refused("", "not_utf8"), frame, NOW)
    await log.write()
    assert len(await stored(log)) == 1


async def test_it_writes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "EVERY_S", 0.001)
    log = a_log()
    log.tap("s1").heard(CALL, "x", NOW)
    running = asyncio.create_task(log.run())
    async with asyncio.timeout(10):
        while not log.written:
            await asyncio.sleep(0)
    assert log.second > 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
