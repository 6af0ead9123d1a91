"""What an offender makes the process keep does not grow with what it sends.

The database is left out (rows have their own retention): counted is what Python holds.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from structlog.testing import capture_logs

from csms.storage.tables.columns import MOMENT
from tests.fuzz.frames import frames
from tests.fuzz.network import VERSIONS, Network, Peer

WARM_UP, ROUNDS = 6, 10
ALLOWED_BYTES_PER_FRAME = 64
"""Noise of the measurement and of what is bounded and not full yet: far below one remembered id or
frame. Over twice as many rounds it is half of that."""


def collected(version: str) -> list[bytes]:
    """Some frames of a station of that version."""
    found: list[bytes] = []

    @seed(5)
    @settings(
        max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(frames(version))
    def collect(frame: bytes) -> None:
        # Large ones would only hide what is small and kept.
        if len(frame) < 2_000:
            found.append(frame)

    collect()
    return found


def made_new(frame: bytes, number: int) -> bytes:
    """The frame with ids, names and transactions that nobody has used before."""
    for name in (b'"m1"', b'"m2"', b'"tx-1"', b'"nobody"', b'"Nonsense"', b'"extra"'):
        frame = frame.replace(name, b'"%s%d"' % (name[1:-1], number))
    return frame


@pytest.mark.parametrize("version", list(VERSIONS))
def test_nothing_is_kept_of_what_was_sent(version: str) -> None:
    sent = collected(version)
    assert len(sent) > 50
    with asyncio.Runner() as runner, capture_logs() as logs:
        grown = runner.run(_rounds(version, sent, logs))
    per_frame = grown / (ROUNDS * len(sent))
    assert per_frame < ALLOWED_BYTES_PER_FRAME, f"{per_frame:.0f} bytes are kept of each frame"


async def _rounds(version: str, sent: list[bytes], logs: list[Any]) -> int:
    network = Network()
    offender = Peer(network, "offender", version)
    offender.registers("accepted")
    number = 0
    before = 0
    async with network.live(offender):
        tracemalloc.start()
        try:
            for round_ in range(WARM_UP + ROUNDS):
                if round_ == WARM_UP:
                    before = _held(network, offender, logs)
                for frame in sent:
                    number += 1
                    await offender.gives(made_new(frame, number))
                    offender.socket.sent.clear()
                # A call that is never answered is given up, and forgotten in the end.
                await offender.link.call(f"ours-{number}", "Reset", {}, 0.001)
                offender.link._timeouts_in_a_row = 0
            return _held(network, offender, logs) - before
        finally:
            tracemalloc.stop()


def _held(network: Network, offender: Peer, logs: list[Any]) -> int:
    # The times that were written last are remembered, a thousand of them.
    MOMENT.to_db.__self__._recent.clear()  # type: ignore[attr-defined]
    # So are rows, at most so many.
    kept = network.store._runner._kept
    assert kept is not None
    kept.clear()
    logs.clear()
    network.store.marks.clear()
    network.lates.clear()
    offender.socket.sent.clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
