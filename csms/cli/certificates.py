"""What `csms init --tls` tells people of the certificates that it has made; `authority` makes them,
and is loaded only then."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csms.cli.authority import Made

TLS_PORT = 9443


def tell(made: Made, host: str | None) -> None:
    """What was made, and what to do with it, for people."""
    print(f"Wrote certificates for {', '.join(names(host))}.")
    print("Stations have to know the authority that signed them; install this file in each:")
    print()
    print(f"  {made.authority}")
    print()
    print(f"Keep {made.authority_key} to yourself: whoever has it can be this server.")


def tls_url(host: str | None) -> str | None:
    """What installers type into stations, None where no name was given."""
    return f"wss://{host}:{TLS_PORT}/ocpp" if host else None


def names(host: str | None) -> tuple[str, ...]:
    """What the certificates stand for: the host given, and this machine as seen from itself."""
    return tuple(dict.fromkeys((host or socket.gethostname(), "localhost", "127.0.0.1", "::1")))


def relative(made: Made, folder: Path) -> list[tuple[str, str]]:
    """The pairs of files, as the configuration in that folder names them."""
    return [(str(c.relative_to(folder)), str(k.relative_to(folder))) for c, k in made.pairs]
