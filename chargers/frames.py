"""The client's half of a WebSocket, cut down to what a load generator needs; no I/O.

Frames are masked, as RFC 6455 demands, with a mask of zeros: the payload can then be changed in
place, and the server unmasks it at the same cost as any other.
"""

from __future__ import annotations

import base64
import zlib

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_FINAL, _COMPRESSED, _MASKED = 0x80, 0x40, 0x80
_NO_MASK = bytes(4)
_FLUSHED = b"\x00\x00\xff\xff"

DEFLATE = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"


class FrameError(Exception):
    """The server sent what this small reader does not understand."""


def upgrade(path: str, subprotocol: str, user: str, password: str, *, deflate: bool) -> bytes:
    """The HTTP request that opens a link, with Basic credentials."""
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
        f"Authorization: Basic {basic}",
    ]
    if deflate:
        lines.append(f"Sec-WebSocket-Extensions: {DEFLATE}")
    return "\r\n".join([*lines, "", ""]).encode()


def masked(payload: bytes, opcode: int = TEXT, *, compressed: bool = False) -> bytearray:
    """One frame from client to server. `header_size` says where the payload begins."""
    first = _FINAL | opcode
    if compressed:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        flushed = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
        payload, first = flushed.removesuffix(_FLUSHED), first | _COMPRESSED
    size = len(payload)
    assert size < 65_536, "no station message is that long"
    length = bytes([_MASKED | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytearray(bytes([first]) + length + _NO_MASK + payload)


def header_size(payload: bytes) -> int:
    """How many bytes of a masked frame come before this payload."""
    return 6 if len(payload) < 126 else 8


def inflated(payload: bytes) -> bytes:
    """The text of a compressed frame that was made without context takeover."""
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(payload + _FLUSHED)


class FrameReader:
    """Cuts what the server sends into whole frames, however TCP cut it."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def empty(self) -> bool:
        """Whether everything that came was whole frames."""
        return not self._buffer

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The opcode and payload of every frame that is complete by now."""
        data = self._buffer + data
        found = []
        while True:
            if len(data) < 2:
                break
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size > 126:
                raise FrameError("a frame that is masked or longer than 65,535 bytes")
            if len(data) < start + size:
                break
            payload = data[start : start + size]
            if not data[0] & _FINAL:
                raise FrameError("a fragmented message")
            found.append((data[0] & 0x0F, inflated(payload) if data[0] & _COMPRESSED else payload))
            data = data[start + size :]
        self._buffer = data
        return found
