"""The settings of a charger that the central system may read and change.

Each setting has one name here; a dialect maps the names of its version to these. Values are
texts on the wire and are checked before they are stored.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import Enum

from chargers.outbox import Retries
from chargers.profile import ChargerProfile

PASSWORD = "password"  # noqa: S105 - the name of the setting, not a password


class Change(Enum):
    """How the wish to change a setting went."""

    DONE = "done"
    REFUSED = "refused"
    READ_ONLY = "read only"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Setting:
    """What is known of a setting apart from its value.

    `kind` is 'integer', 'boolean', 'string' or 'secret' (write-only). `low` and `high` bound
    integers, and the length of texts.
    """

    name: str
    kind: str
    low: int = 0
    high: int = 86_400
    read_only: bool = False


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("heartbeat_interval_s", "integer"),
        Setting("meter_interval_s", "integer"),
        Setting("connection_timeout_s", "integer", low=1),
        Setting("attempts", "integer", low=1, high=100),
        Setting("retry_interval_s", "integer"),
        Setting("authorize_remote_start", "boolean"),
        Setting("stop_on_invalid_token", "boolean"),
        Setting("allow_offline_unknown", "boolean"),
        Setting(PASSWORD, "secret", low=1, high=64),
        Setting("evses", "integer", read_only=True),
        Setting("items_per_message", "integer", read_only=True),
        Setting("features", "string", read_only=True),
    )
}


class Configuration:
    """The current values of one charger's settings. Survives resets, as a real one's do."""

    def __init__(self, profile: ChargerProfile) -> None:
        self.retries = Retries(profile.attempts, profile.retry_interval_s)
        """Shared with the outbox, so that a change takes effect with the next attempt."""
        self._password = None if profile.token is None else profile.token.encode()
        self._default_heartbeat_s = profile.heartbeat_interval_s
        self._values = {
            "heartbeat_interval_s": str(profile.heartbeat_interval_s),
            "meter_interval_s": str(profile.meter_interval_s),
            "connection_timeout_s": str(profile.connection_timeout_s),
            "attempts": str(profile.attempts),
            "retry_interval_s": str(round(profile.retry_interval_s)),
            "authorize_remote_start": "false",
            "stop_on_invalid_token": "true",
            "allow_offline_unknown": "true" if profile.allow_offline_unknown else "false",
            "evses": str(profile.evses),
            "items_per_message": "50",
            "features": "Core,RemoteTrigger",
        }

    @property
    def password(self) -> bytes | None:
        """The bytes of the HTTP Basic password for the next connection."""
        return self._password

    @property
    def heartbeat_interval_s(self) -> int:
        """Never 0: an interval of 0 means that the charger is to choose."""
        return self.integer("heartbeat_interval_s") or self._default_heartbeat_s

    def text(self, name: str) -> str | None:
        """The value as it goes over the wire; None for a secret."""
        return self._values.get(name)

    def integer(self, name: str) -> int:
        return int(self._values[name])

    def flag(self, name: str) -> bool:
        return self._values[name] == "true"

    def read_only(self, name: str) -> bool:
        return SETTINGS[name].read_only

    def change(self, name: str, value: str, *, hex_secret: bool = False) -> Change:
        """Set `name` to the text `value` if it may be changed and the value is possible.

        `hex_secret` says that a secret arrives as hex digits where it looks like them
        (1.6: AuthorizationKey, while the Authorization header carries the decoded bytes).
        """
        setting = SETTINGS.get(name)
        if setting is None:
            return Change.UNKNOWN
        if setting.read_only:
            return Change.READ_ONLY
        checked = _checked(setting, value)
        if checked is None:
            return Change.REFUSED
        if setting.kind == "secret":
            self._password = _secret_bytes(checked, hex_secret=hex_secret)
            return Change.DONE
        self._values[name] = checked
        if name == "attempts":
            self.retries.attempts = int(checked)
        elif name == "retry_interval_s":
            self.retries.interval_s = float(checked)
        return Change.DONE


def _checked(setting: Setting, value: str) -> str | None:
    """The value in its canonical form, or None when it is not possible."""
    text = value if setting.kind == "secret" else value.strip()
    if setting.kind == "integer":
        # Not str.isdigit: that is true for digits which int() refuses.
        if not text or set(text) - set(string.digits) or len(text) > 9:
            return None
        return str(int(text)) if setting.low <= int(text) <= setting.high else None
    if setting.kind == "boolean":
        return text.lower() if text.lower() in ("true", "false") else None
    return text if setting.low <= len(text) <= setting.high else None


def _secret_bytes(text: str, *, hex_secret: bool) -> bytes:
    if hex_secret and len(text) % 2 == 0 and not set(text) - set(string.hexdigits):
        return bytes.fromhex(text)
    return text.encode()
