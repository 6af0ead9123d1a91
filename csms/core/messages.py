"""The message log: what was said on the links, for people who look for a fault.

It is bounded and written late: in a crash its tail may be lost, and nothing depends on it. Secrets
are hidden before anything is stored, and what is long is cut with its size said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from csms.core.entities import entity
from csms.core.ports import Tx
from csms.core.security import HIDDEN, may_hold_secret, without_secrets

# Directions, as the central system sees them.
IN, OUT = "in", "out"
# A token that is a code which a driver types (OCPP 2.0.1 IdTokenEnumType).
KEY_CODE = "KeyCode"

# What is longer is not looked through for secrets, which would hold up everybody: it is left out.
MAX_SEARCHED = 65_536


@entity("messages", key=("station_id", "at", "n"))
class Message(NamedTuple):
    """One frame on a station's link. `kind`: call, result, error, send, refused or ignored; `n`
    tells apart what came in one moment; `text` is the frame, cut to what the settings allow, and
    `size` its whole length; `skipped`: how many frames before it were left out."""

    station_id: str
    at: datetime
    n: int
    direction: str
    kind: str
    action: str | None
    text: str
    size: int
    skipped: int = 0


def record(tx: Tx, rows: Iterable[Message]) -> None:
    """Store what has gathered."""
    for row in rows:
        tx.save(row)


def shown(text: str, most: int) -> str:
    """A frame as it may be kept: without secrets, at most `most` characters of it."""
    if may_hold_secret(text) or KEY_CODE in text:
        text = _without_secrets(text)
    return text if len(text) <= most else text[:most]


def _without_secrets(text: str) -> str:
    """The frame again with its secrets hidden; of what is no JSON nothing can be told apart."""
    if len(text) > MAX_SEARCHED:
        return HIDDEN
    try:
        frame = orjson.loads(text)
    except ValueError:
        return HIDDEN
    return orjson.dumps(_hide(without_secrets(frame))).decode()


def _hide(value: Any) -> Any:
    """What only OCPP names so: a code that a driver types, the key of a VPN."""
    if isinstance(value, list):
        return [_hide(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    hidden = {"idToken"} if value.get("type") == KEY_CODE else set()
    if "password" in value:
        hidden.add("key")
    return {
        name: HIDDEN if name in hidden and isinstance(item, str) else _hide(item)
        for name, item in value.items()
    }
