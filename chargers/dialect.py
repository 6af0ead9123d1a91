"""The seam between a charger and the OCPP versions.

A `Dialect` turns the charger's facts into messages and says what the answers mean. `Wishes` is
the other direction: what a central system may want, which a dialect reads from incoming calls.
Nothing outside the dialects asks which version it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from chargers.configuration import Configuration
from chargers.facts import (
    Acknowledged,
    Booted,
    BootReason,
    ConnectorState,
    Kind,
    Reading,
    Target,
    Token,
    TransactionMessage,
    Trigger,
    Verdict,
)
from chargers.ledger import TransactionRecord
from chargers.profile import ChargerProfile
from chargers.wire import Caller, Handler


class Wishes(Protocol):
    """What the central system may want of a charger.

    All methods answer at once and start what takes time afterwards: a handler that waited for
    the network would wait for its own connection.
    """

    @property
    def profile(self) -> ChargerProfile: ...

    @property
    def configuration(self) -> Configuration: ...

    def remote_start(
        self, token: Token, evse: int | None, remote_start_id: int | None
    ) -> Verdict: ...

    def remote_stop(self, transaction: str) -> Verdict: ...

    def reset(
        self, *, evse: int | None, hard: bool, when_idle: bool, resume: bool = False
    ) -> Verdict: ...

    def unlock(self, target: Target, *, end_transaction: bool) -> Verdict: ...

    def change_availability(self, targets: Sequence[Target], *, operative: bool) -> Verdict: ...

    def trigger(self, trigger: Trigger, target: Target) -> Verdict: ...

    def clear_cache(self) -> None: ...

    def transaction_status(self, transaction: str | None) -> tuple[bool | None, bool]:
        """Whether a transaction goes on (None: no one was named), and whether anything about it, or
        about any, waits to be sent."""

    def settings_changed(self) -> None:
        """A setting has a new value: let it take effect."""

    def states(self) -> list[tuple[Target, ConnectorState]]:
        """The state of the station and of every connector, in order."""

    def now(self) -> datetime: ...

    def send_later(self, name: str, send: Callable[[Caller], Awaitable[None]]) -> None:
        """Run `send` once the call being handled has been answered."""


class Dialect(Protocol):
    """One OCPP version. Methods that take a `Caller` may raise its `CallFailed`."""

    @property
    def package(self) -> str:
        """The module of the `ocpp` package that holds the version's ChargePoint."""

    @property
    def subprotocol(self) -> str: ...

    @property
    def readings_are_meter_values(self) -> bool:
        """True when a triggered MeterValues belongs to the transaction that runs."""

    def routes(self, wishes: Wishes) -> Mapping[str, Handler]:
        """Action -> handler, for every call this version's charger obeys."""

    def status_word(self, target: Target, state: ConnectorState) -> str | None:
        """What the version calls a state; None when it does not report that target."""

    def carries(self, kind: Kind) -> bool:
        """Whether the version has a transaction message of this kind."""

    async def boot(self, call: Caller, profile: ChargerProfile, reason: BootReason) -> Booted: ...

    async def heartbeat(self, call: Caller) -> None: ...

    async def authorize(self, call: Caller, token: Token) -> str:
        """Ask about a token; returns its status as sent, 'Accepted' when it may charge."""

    async def report_status(
        self, call: Caller, target: Target, word: str, at: datetime
    ) -> None: ...

    async def meter_values(self, call: Caller, target: Target, reading: Reading) -> None:
        """Meter values outside any transaction."""

    async def deliver(
        self, call: Caller, message: TransactionMessage, record: TransactionRecord
    ) -> Acknowledged:
        """Send one message about a transaction. Called again with the same for a retry."""
