"""What stations get wrong about WebSocket itself, put right around the library.

A request without `Connection: Upgrade` (quirk 2) and compressed frames that nobody announced (quirk
11) would end the link before a word of OCPP was said.
"""

from __future__ import annotations

from websockets.asyncio.server import ServerConnection
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.http11 import Request

MISSING_UPGRADE = "missing_upgrade_header"


def mend(request: Request) -> tuple[str, ...]:
    """Put right a request that plainly asks for a WebSocket; what was wrong, as violations."""
    headers = request.headers
    said = ",".join(headers.get_all("Connection")).lower()
    if "upgrade" in {option.strip() for option in said.split(",")}:
        return ()
    asked = [value.strip().lower() for value in headers.get_all("Upgrade")]
    if asked != ["websocket"] or not headers.get_all("Sec-WebSocket-Key"):
        return ()
    # Beside whatever else it said (keep-alive, mostly).
    headers["Connection"] = "Upgrade"
    return (MISSING_UPGRADE,)


class Unannounced(PerMessageDeflate):
    """Reads compressed messages and writes plain ones, for stations that compress unasked.

    Plain frames pass as they are. Inflating with a kept window also reads what was compressed
    without one.
    """

    def __init__(self) -> None:
        super().__init__(False, True, 15, 12)

    def encode(self, frame: Frame) -> Frame:
        return frame


def compress(connection: ServerConnection, how: str) -> None:
    """Before the answer to the handshake is made: `off` offers nothing."""
    if how == "off":
        connection.protocol.available_extensions = None


def inflate(connection: ServerConnection, how: str) -> None:
    """After the answer is made and before a frame can come: `assumed` reads compressed frames
    also where none were agreed on."""
    if how == "assumed" and not connection.protocol.extensions:
        connection.protocol.extensions.append(Unannounced())
