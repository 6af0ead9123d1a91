"""What a charger is: its identity, its hardware and its habits, as one frozen value.

A profile knows nothing of networks, clocks or messages. Times are virtual seconds (they run
`speed` times faster than the wall clock) unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargers.faults import FAULTS

VERSIONS = ("1.6", "2.0.1", "2.1")


class ProfileError(ValueError):
    """A field of a profile has a value that no charger can have.

    `field` names it and `allowed` says in words what would be right.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} = {value!r}: allowed is {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


@dataclass(frozen=True, kw_only=True)
class ChargerProfile:
    """The fixed properties of one charger.

    Raises `ProfileError` on construction when a field is out of its range, so that a charger
    made of a profile never has to ask again.
    """

    id: str
    """Identity on the wire: last segment of the URL and user name of HTTP Basic."""
    version: str = "1.6"
    """OCPP version: '1.6', '2.0.1' or '2.1'."""
    token: str | None = None
    """Password for HTTP Basic; None connects without an Authorization header."""
    evses: int = 1
    connectors_per_evse: int = 1
    power_w: int = 11_000
    """What one EVSE can deliver."""
    dc: bool = False
    """DC chargers know the car's state of charge and report it."""
    vendor: str = "Simulated"
    model: str = "Charger"
    firmware: str = "1.0.0"
    serial: str | None = None
    """Serial number in the boot message; None derives it from the id."""
    meter_interval_s: int = 60
    """Virtual seconds between meter values of a running transaction; 0 sends none."""
    heartbeat_interval_s: int = 300
    """Used until the central system names an interval, and when it names 0."""
    connection_timeout_s: int = 60
    """Virtual seconds an authorized driver has for plugging in."""
    message_timeout_s: float = 30.0
    """Wall seconds to wait for the answer to a message: networks do not run faster with speed."""
    attempts: int = 3
    """How often a message about a transaction is tried before it is given up."""
    retry_interval_s: float = 60.0
    """Virtual seconds between two attempts, times the number of the attempt."""
    reconnect_min_s: float = 1.0
    """Virtual seconds before the first attempt to reconnect; doubles each time, jittered."""
    reconnect_max_s: float = 60.0
    reboot_s: float = 5.0
    """Virtual seconds a reset keeps the charger away."""
    boot_on_reconnect: bool = True
    """False does what most real chargers do: after a lost link no BootNotification is sent."""
    allow_offline_unknown: bool = False
    """True lets any token charge while the link is down; False only those accepted before."""
    outbox_limit: int = 10_000
    """Messages kept while the link is down; beyond it the oldest meter values are dropped."""
    limit_wh: int = 0
    """Energy at which a charge ends by itself, as if every driver set it; 0 sets none."""
    faults: tuple[str, ...] = ()
    """What it gets wrong: names of `chargers.faults.FAULTS`."""

    def __post_init__(self) -> None:
        if not self.id or len(self.id) > 48 or ":" in self.id:
            raise ProfileError("id", self.id, "a text of 1 to 48 characters without ':'")
        if self.version not in VERSIONS:
            raise ProfileError("version", self.version, "one of " + ", ".join(VERSIONS))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ProfileError(name, value, f"a number from {low} to {high}")
        for name, limit in _TEXTS:
            text = getattr(self, name)
            if not text or len(text) > limit:
                raise ProfileError(name, text, f"a text of 1 to {limit} characters")
        for fault in self.faults:
            if fault not in FAULTS:
                raise ProfileError("faults", fault, "some of " + ", ".join(FAULTS))
        if self.reconnect_max_s < self.reconnect_min_s:
            raise ProfileError("reconnect_max_s", self.reconnect_max_s, "reconnect_min_s or more")

    @property
    def serial_number(self) -> str:
        """The serial number of the boot message: at most 25 characters, as OCPP demands."""
        return (self.serial or f"SN-{self.id}")[:25]


# Shorter of the limits of 1.6 and 2.x, so that a profile works with every version.
_TEXTS = (("vendor", 20), ("model", 20), ("firmware", 50))

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("evses", 1, 100),
    ("connectors_per_evse", 1, 10),
    ("power_w", 1, 5_000_000),
    ("meter_interval_s", 0, 86_400),
    ("limit_wh", 0, 10_000_000),
    ("heartbeat_interval_s", 1, 86_400),
    ("connection_timeout_s", 1, 86_400),
    ("message_timeout_s", 0.01, 600),
    ("attempts", 1, 100),
    ("retry_interval_s", 0, 86_400),
    ("reconnect_min_s", 0.01, 86_400),
    ("reconnect_max_s", 0.01, 86_400),
    ("reboot_s", 0, 86_400),
    ("outbox_limit", 10, 1_000_000),
)
