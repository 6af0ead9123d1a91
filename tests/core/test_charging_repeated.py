"""Every message of a 1.6 charge, repeated as stations do (3 in OCPP 1.6 3.7): nothing changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from csms.core.metering import MeterSample
from csms.core.transactions import Transaction
from tests.support.charging import Site, at, wh

UNSET = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Messages of one 1.6 charge in order, and how often each is sent (a retry comes before the
    next message: OCPP 1.6 3.7)."""
    clock = draw(st.sampled_from(["right", "unset"]))
    messages: list[tuple[Any, ...]] = [("start", 0, clock)]
    register, seconds = 1_000, 0
    for _ in range(draw(st.integers(0, 4))):
        register += draw(st.integers(0, 4_000))
        seconds += draw(st.integers(0, 900))
        messages.append(("meter", seconds, register, draw(st.sampled_from(["named", "-1", None]))))
    register += draw(st.integers(0, 4_000))
    seconds += draw(st.integers(1, 900))
    messages.append(("stop", seconds, register, draw(st.sampled_from(["named", "-1"]))))
    if draw(st.booleans()):
        messages.append(("meter", seconds + 60, register + 500, "named"))
    times = [draw(st.integers(1, 3)) for _ in messages]
    return messages, times


def play(messages: list[tuple[Any, ...]], times: list[int]) -> Site:
    site = Site()
    tid = 0
    for message, count in zip(messages, times, strict=True):
        for n in range(count):
            match message:
                case ("start", seconds, clock):
                    when = at(seconds) if clock == "right" else UNSET
                    tid = site.start(seconds, clock=when, received=seconds + n).transaction_id
                case ("meter", seconds, register, name):
                    wire_id = {"named": tid, "-1": -1, None: None}[name]
                    site.meter([wh(register, seconds)], wire_id, seconds=seconds + n)
                case ("stop", seconds, register, name):
                    wire_id = tid if name == "named" else -1
                    site.stop(wire_id, seconds, register, received=seconds + n)
    return site


@given(sessions())
@settings(max_examples=60, deadline=None)
def test_repeated_messages_change_neither_energy_nor_samples(
    session: tuple[list[tuple[Any, ...]], list[int]],
) -> None:
    messages, times = session
    once, often = play(messages, [1] * len(messages)), play(messages, times)
    ours = {"received_at": None, "end_received_at": None, "heard_at": None}

    def seen(site: Site) -> Any:
        samples = [row._replace(received_at=None) for row in site.rows(MeterSample)]
        return [row._replace(**ours) for row in site.rows(Transaction)], samples, site.reasons()

    assert seen(often) == seen(once)
    (row,) = once.rows(Transaction)
    register = next(message[2] for message in messages if message[0] == "stop")
    assert row.energy_wh == register - 1_000
