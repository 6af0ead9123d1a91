"""Sealing: a partner's token, encrypted at rest because it has to be sent again; what nodes tell
each other, which nobody else on the broker may read or make up.

AES-GCM with a key derived from one of the configured keys; the sealed text names the key, so that
an older one can still open it while it is configured. What it belongs to is part of the seal: a
sealed text that is moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from csms.core.errors import Invalid

NONCE_BYTES = 12
PARTNER = "csms sealed partner token"


class Vault:
    """Seals with the current key, opens with any of them. `purpose`: what is sealed for one does
    not open for another; `what` it is, for people."""

    def __init__(
        self,
        keys: Mapping[str, bytes],
        current: str,
        purpose: str = PARTNER,
        what: str = "a partner's token",
    ) -> None:
        self.current = current
        self._what = what
        self._ciphers = {
            key_id: AESGCM(hmac.new(key, purpose.encode(), sha256).digest())
            for key_id, key in keys.items()
        }

    def seal(self, secret: str, belongs_to: str) -> str:
        """The sealed text `KEY_ID:BASE64`."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, secret.encode(), belongs_to.encode())
        return f"{self.current}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, belongs_to: str) -> str:
        """The secret. Raises `Invalid` when no configured key opens it."""
        key_id, _, text = sealed.rpartition(":")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Invalid(f"{self._what} is sealed with the key {key_id}: configure it again")
        try:
            raw = base64.b64decode(text, validate=True)
            secret = cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], belongs_to.encode())
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise Invalid(f"{self._what} was not sealed here, or was altered") from error
        return secret.decode()

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed with the current key."""
        return sealed.rpartition(":")[0] == self.current
