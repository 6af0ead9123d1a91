"""What is new each time: the time, identifiers, secrets, and the keys that hash them.

Only shells call these; the core gets their results as arguments. Apart from the composition root,
because commands that start no system want them too, and loading a system takes seconds.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from csms.core import security
from csms.core.errors import Invalid
from csms.core.ports import Store
from csms.core.security import ApiKey, Keyring, Role
from csms.settings import Settings

# 160 bits as 40 hex digits: what fits OCPP 1.6 AuthorizationKey (20 bytes, sent as 40 hex digits)
# and 2.x BasicAuthPassword (up to 40 characters) alike.
TOKEN_BYTES = 20


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A fresh identifier of 32 hex digits that sorts by time (as UUIDv7, RFC 9562 5.7)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def new_secret() -> str:
    """A fresh secret of 160 random bits."""
    return secrets.token_hex(TOKEN_BYTES)


def keyring_of(settings: Settings) -> Keyring:
    """The keys for hashing. Raises `Invalid` when none is configured."""
    keys = {name: bytes.fromhex(value) for name, value in settings.security.keys.items()}
    current = settings.security.current
    if current not in keys:
        raise Invalid(
            "security.current must name one of security.keys; make a configuration with: csms init"
        )
    return Keyring(keys, current)


async def ensure_admin_key(store: Store, keyring: Keyring, secret: str) -> None:
    """Make the first admin key known, from the secret that `csms init` showed; may be repeated."""
    key_id, _, text = secret.partition(".")
    if await store.reader.get(ApiKey, key_id) is None:
        hashing, hashed = keyring.hash(text.encode())
        key = ApiKey(key_id, "first", Role.ADMIN, hashing, hashed, now())
        await store.transact(security.add_key, key)
