"""The versions that we speak, by sub-protocol: each a set of routes in and encoders out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from csms.core.commands import Command, Kind
from csms.core.inquiries import Inquiry
from csms.core.quirks import DEFAULTS, Switches
from csms.ocpp import asking
from csms.ocpp.asking import Askers, Exchange
from csms.ocpp.commands import Encoded, encode
from csms.ocpp.routing import Answer, Dialect
from csms.ocpp.v2 import commands as v2_commands
from csms.ocpp.v2 import device_model as v2_device_model
from csms.ocpp.v2.routes import DIALECT_21, DIALECT_201
from csms.ocpp.v16 import commands as v16_commands
from csms.ocpp.v16 import device_model as v16_device_model
from csms.ocpp.v16.registration import Intervals
from csms.ocpp.v16.routes import DIALECT as DIALECT_16


@dataclass(frozen=True, slots=True)
class Protocol:
    """One version: how its calls are served, its commands said, its inquiries asked."""

    subprotocol: str
    dialect: Dialect
    encoders: Mapping[Kind, Callable[[Command], Encoded]]
    askers: Askers = field(default_factory=dict)

    @property
    def version(self) -> str:
        return self.dialect.version

    def encode(self, command: Command, switches: Switches = DEFAULTS) -> Encoded:
        """See `commands.encode`."""
        return encode(command, self.encoders, self.dialect.schemas, self.dialect.routes, switches)

    def ask(self, inquiry: Inquiry, switches: Switches = DEFAULTS) -> Exchange:
        """See `asking.begin`."""
        return asking.begin(inquiry, self.askers, switches)


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.subprotocol: protocol
    for protocol in (
        Protocol("ocpp1.6", DIALECT_16, v16_commands.ENCODERS, v16_device_model.ASKERS),
        Protocol("ocpp2.0.1", DIALECT_201, v2_commands.ENCODERS, v2_device_model.ASKERS),
        Protocol("ocpp2.1", DIALECT_21, v2_commands.ENCODERS_21, v2_device_model.ASKERS_21),
    )
}


def protocols(intervals: Intervals) -> Mapping[str, Protocol]:
    """The versions, with what stations are told when they boot."""
    return {name: _with(protocol, intervals) for name, protocol in PROTOCOLS.items()}


def _with(protocol: Protocol, intervals: Intervals) -> Protocol:
    routes = dict(protocol.dialect.routes)
    boot = routes["BootNotification"]
    # Of this one route it is known that its handler takes intervals.
    handle: Callable[..., Answer] = boot.handle
    routes["BootNotification"] = replace(boot, handle=partial(handle, intervals=intervals))
    return replace(protocol, dialect=replace(protocol.dialect, routes=routes))


def choose(offered: Sequence[str], wanted: str = DEFAULTS.version) -> Protocol | None:
    """The first of the station's sub-protocols that we speak (OCPP-J 2.0.1 3.2); the `wanted`
    version (the switch `version`) goes before the others if it is offered."""
    names = [name for name in offered if name in PROTOCOLS]
    preferred = f"ocpp{wanted}"
    return PROTOCOLS[preferred if preferred in names else names[0]] if names else None


def assumed(wanted: str) -> Protocol | None:
    """What a station speaks that offers nothing of ours (quirk 1): the switch `version` says it."""
    return PROTOCOLS.get(f"ocpp{wanted}")
