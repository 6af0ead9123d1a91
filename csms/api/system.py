"""What the API works with, handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from fastapi import Request

from csms.core.audit import Actor
from csms.core.commands import Command, Kind
from csms.core.errands import Errand
from csms.core.inquiries import Answer, Scope
from csms.core.partners import Partner, PartnerToken
from csms.core.ports import Store
from csms.core.quirks import Catalogue
from csms.core.reconciliation import Question
from csms.core.reports import Report
from csms.core.security import Keyring
from csms.core.taxes import NO_TAXES, TaxTable
from csms.flows.logins import Logins, Told
from csms.observability import Metrics


class Commanding(Protocol):
    """Submits commands; see `flows.commands.Commander.submit`."""

    async def submit(
        self,
        station_id: str,
        kind: Kind,
        parameters: Mapping[str, Any],
        requested_by: str,
        *,
        wait_s: float = 0.0,
        idempotency_key: str | None = None,
        actor: Actor | None = None,
    ) -> Command: ...


class Connections(Protocol):
    """What is done with partners; see `ocpi.roaming.Roaming`."""

    @property
    def versions_url(self) -> str: ...

    def invitation(self, secret: str) -> PartnerToken: ...

    async def find(self, name_or_id: str) -> Partner: ...

    async def register(self, name: str, url: str, token: str) -> tuple[Partner, list[str]]: ...

    async def act(self, action: str, partner: Partner) -> tuple[Partner, list[str]]: ...


class Planned(Protocol):
    """An errand that can be entered and sent; see `ocpi.errands.Planned`."""

    @property
    def errand(self) -> Errand: ...

    @property
    def kind(self) -> str | None: ...


class Errands(Protocol):
    """What other networks are asked for; see `ocpi.errands.Errands`."""

    async def start(
        self,
        requested_by: str,
        party: str,
        location_id: str,
        token: tuple[str, str, str],
        evse_uid: str | None = None,
        connector_id: str | None = None,
    ) -> Planned: ...

    async def stop(self, requested_by: str, party: str, session_id: str) -> Planned: ...

    async def unlock(
        self, requested_by: str, party: str, location_id: str, evse_uid: str, connector_id: str
    ) -> Planned: ...

    async def send(self, planned: Any) -> Errand: ...

    async def outcome(self, errand_id: str, wait_s: float) -> Errand: ...


class Configuring(Protocol):
    """Asks stations for variables and sets what is desired; see
    `flows.configuration.Configuration`."""

    async def apply(self, station_id: str) -> Answer | None: ...

    async def refresh(self, station_id: str, names: Sequence[str]) -> Answer: ...

    async def report(self, station_id: str, scope: Scope, by: str) -> Report | None: ...


class Contacting(Protocol):
    """Asks stations by itself; see `flows.contact.Contact`."""

    async def check(self, station_id: str, question: Question) -> Answer: ...


class Wakeups(Protocol):
    """Tells when the journal grew; see `bus.local.LocalBus`."""

    async def grown(self, within_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class System:
    """One system as the API sees it.

    `seen(station_id)`: when the live link of a station last said something, None without a link
    here. `drop_link(station_id)`: end the link, so that a new secret has to be shown.
    `stopping()`: True once the process is on its way out; `unready()`: why nobody should be sent to
    this node now, None when all is well. `warnings()`: what an operator should see to although the
    system works. `treat(station_id)`: its switches were changed, apply them to the link;
    `look_at(station_id)`: it has something to be told, contact it now; on whichever node the link
    is. `catalogue`: what is known of makes; `taxes`: by place and date; `tolerance_percent`: of a
    partner's bill to what was expected. `connections`: partners,
    and `errands` at their stations, None without roaming.
    """

    store: Store
    commander: Commanding
    logins: Logins
    bus: Wakeups
    metrics: Metrics
    keyring: Keyring
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    new_secret: Callable[[], str]
    seen: Callable[[str], datetime | None]
    drop_link: Callable[[str], None]
    stopping: Callable[[], bool]
    party: str
    station_url: str
    node: str
    configuration: Configuring
    contact: Contacting
    treat: Callable[[str], None] = lambda station_id: None
    look_at: Callable[[str], None] = lambda station_id: None
    unready: Callable[[], str | None] = lambda: None
    catalogue: Catalogue = field(default_factory=Catalogue)
    taxes: TaxTable = NO_TAXES
    tolerance_percent: Decimal = Decimal("0.5")
    max_wait_s: float = 60.0
    max_body_bytes: int = 1_048_576
    event_streams: int = 100
    warnings: Callable[[], list[str]] = list
    connections: Connections | None = None
    errands: Errands | None = None
    recent_secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Secrets just issued, by Idempotency-Key, so that a retry can show them again."""
    recent_told: dict[str, Told] = field(default_factory=dict)
    """What stations said to secrets just issued, likewise."""


def system_of(request: Request) -> System:
    """The system that a request came to (a FastAPI dependency)."""
    found: System = request.app.state.system
    return found
