"""BasicAuthPassword and network profiles of a 2.x station (OCPP 2.0.1 A01, A05, B09)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from csms.core.inquiries import ChangeProfile, Declined, GivePassword, Setting, Settings
from csms.ocpp.asking import Askers, Exchange, Fault, Heard, Silence, by_status, of_silence_or_fault
from csms.ocpp.routing import Payload

_SETTINGS = {
    "Accepted": Setting.APPLIED,
    "RebootRequired": Setting.REBOOT_REQUIRED,
    "NotSupportedAttributeType": Setting.UNSUPPORTED,
    "UnknownComponent": Setting.UNSUPPORTED,
    "UnknownVariable": Setting.UNSUPPORTED,
}
_PASSWORD = ("SecurityCtrlr", "BasicAuthPassword")
_PRIORITY = ("OCPPCommCtrlr", "NetworkConfigurationPriority")


def give_password(inquiry: GivePassword) -> Exchange:
    """A01.FR.02: the text itself; 40 characters are what every station takes."""
    answered = yield _set(_PASSWORD, inquiry.password)
    return _settled(_PASSWORD, answered)


def change_profile_201(inquiry: ChangeProfile) -> Exchange:
    """As `change_profile`; the network profile of 2.0.1 has no login."""
    if inquiry.identity is not None or inquiry.password is not None:
        return Declined("only stations of OCPP 2.1 take an identity or a password with an address")
    return (yield from change_profile(inquiry))


def change_profile(inquiry: ChangeProfile) -> Exchange:
    """B09: a free slot gets the new address and profile, and goes before those in use, which stay
    behind it as the way back (A05)."""
    order = inquiry.priority
    if not order:
        answered = yield _get(_PRIORITY)
        if isinstance(answered, Silence):
            return of_silence_or_fault(answered)
        order = _slots(answered)
    slot = inquiry.slot
    if slot is None:
        if not order:
            return Declined(
                "the station does not say which network slots it uses: name a free one (--slot) "
                "and the order (--priority)"
            )
        slot = next(n for n in count(1) if n not in order)
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": inquiry.url,
        "messageTimeout": inquiry.message_timeout_s,
        "securityProfile": inquiry.profile,
        "ocppInterface": inquiry.interface,
    }
    if inquiry.identity is not None:
        profile["identity"] = inquiry.identity
    if inquiry.password is not None:
        profile["basicAuthPassword"] = inquiry.password
    made = yield "SetNetworkProfile", {"configurationSlot": slot, "connectionData": profile}
    if isinstance(made, Fault | Silence):
        return of_silence_or_fault(made)
    if made.get("status") != "Accepted":
        return by_status(made)
    wanted = [slot, *(n for n in order if n != slot)]
    answered = yield _set(_PRIORITY, ",".join(str(n) for n in wanted))
    return _settled(_PRIORITY, answered)


def _get(of: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    component, variable = of
    wanted = {"component": {"name": component}, "variable": {"name": variable}}
    return "GetVariables", {"getVariableData": [wanted]}


def _set(of: tuple[str, str], value: str) -> tuple[str, dict[str, Any]]:
    component, variable = of
    wanted = {
        "component": {"name": component},
        "variable": {"name": variable},
        "attributeValue": value,
    }
    return "SetVariables", {"setVariableData": [wanted]}


def _settled(of: tuple[str, str], answered: Heard) -> Settings | Any:
    """What the station said to the one variable that was set."""
    if isinstance(answered, Fault | Silence):
        return of_silence_or_fault(answered)
    status = str(_first(answered, "setVariableResult").get("attributeStatus", ""))
    setting = _SETTINGS.get(status, Setting.REJECTED)
    return Settings(((".".join(of), setting, None if setting is Setting.APPLIED else status),))


def _slots(answered: Payload | Fault) -> tuple[int, ...]:
    if isinstance(answered, Fault):
        return ()
    text = _first(answered, "getVariableResult").get("attributeValue")
    parts: Sequence[str] = text.split(",") if isinstance(text, str) else ()
    return tuple(int(part) for part in parts if part.strip().isdecimal())


def _first(answered: Payload, name: str) -> Payload:
    listed = answered.get(name)
    found = listed[0] if isinstance(listed, list) and listed else {}
    return found if isinstance(found, dict) else {}


ASKERS: Askers = {GivePassword: give_password, ChangeProfile: change_profile_201}
ASKERS_21: Askers = {**ASKERS, ChangeProfile: change_profile}
