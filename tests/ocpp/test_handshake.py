"""What is put right about WebSocket itself (over real sockets: tests/quirks/test_handshake.py)."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from csms.ocpp.handshake import MISSING_UPGRADE, Unannounced, mend

KEY = ("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEA==")


@pytest.mark.parametrize("said", [[], ["keep-alive"], ["close", "keep-alive"]])
def test_a_plain_wish_for_a_websocket_is_understood(said: list[str]) -> None:
    headers = Headers([("Upgrade", "WebSocket"), KEY, *(("Connection", s) for s in said)])
    request = Request("/CP", headers)
    assert mend(request) == (MISSING_UPGRADE,)
    assert request.headers.get_all("Connection") == [*said, "Upgrade"]


@pytest.mark.parametrize(
    "headers",
    [
        [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), KEY],
        [("Connection", "keep-alive")],
        [("Upgrade", "h2c"), KEY],
        [("Upgrade", "websocket")],
    ],
)
def test_nothing_else_is_touched(headers: list[tuple[str, str]]) -> None:
    request = Request("/CP", Headers(headers))
    assert mend(request) == ()
    assert list(request.headers.raw_items()) == headers


@pytest.mark.parametrize("takeover", [True, False])
def test_compressed_frames_are_read_and_plain_ones_written(takeover: bool) -> None:
    theirs = PerMessageDeflate(False, not takeover, 15, 15)
    ours = Unannounced()
    for text in (b"[2,1]" * 500, b"[2,1]" * 500, b""):
        assert bytes(ours.decode(theirs.encode(Frame(Opcode.TEXT, text))).data) == text
    plain = Frame(Opcode.TEXT, b"x")
    assert ours.decode(plain) is plain
    assert ours.encode(plain) is plain
