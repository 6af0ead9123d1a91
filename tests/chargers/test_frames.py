"""The client's half of a WebSocket: what it sends and what it understands."""

from __future__ import annotations

import pytest

from chargers.frames import (
    CLOSE,
    TEXT,
    FrameError,
    FrameReader,
    header_size,
    inflated,
    masked,
    upgrade,
)


def server(payload: bytes, opcode: int = TEXT) -> bytes:
    size = (
        bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    )
    return bytes([0x80 | opcode]) + size + payload


@pytest.mark.parametrize("length", [0, 5, 125, 126, 4_000])
def test_frames_are_masked_with_zeros(length: int) -> None:
    payload = b"x" * length
    frame = masked(payload)
    assert frame[header_size(payload) :] == payload
    assert frame[1] & 0x80


def test_a_compressed_frame_can_be_read_again() -> None:
    text = b'[2,"1","Heartbeat",{}]' * 20
    frame = masked(text, compressed=True)
    assert frame[0] & 0x40
    assert inflated(bytes(frame[header_size(frame[8:]) :])) == text or len(frame) < len(text)


@pytest.mark.parametrize("cut", range(1, 9))
def test_frames_are_found_however_they_come(cut: int) -> None:
    data = server(b"one") + server(b"y" * 300) + server(b"\x03\xe8", CLOSE)
    reader, found = FrameReader(), []
    for at in range(0, len(data), cut):
        found += reader.feed(data[at : at + cut])
    assert found == [(TEXT, b"one"), (TEXT, b"y" * 300), (CLOSE, b"\x03\xe8")]
    assert reader.empty


@pytest.mark.parametrize("data", [b"\x81\xff" + b"x" * 20, b"\x01\x03one"])
def test_what_it_does_not_understand_is_said(data: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(data)


def test_the_request_names_who_comes() -> None:
    request = upgrade("/ocpp/CP-1", "ocpp1.6", "CP-1", "secret", deflate=True).decode()
    assert request.startswith("GET /ocpp/CP-1 HTTP/1.1\r\n")
    assert "Authorization: Basic Q1AtMTpzZWNyZXQ=\r\n" in request
    assert "server_no_context_takeover" in request
    assert request.endswith("\r\n\r\n")
