"""AuthorizationKey and SecurityProfile of a 1.6 station (Security Whitepaper A01, A05)."""

from __future__ import annotations

from csms.core.inquiries import ChangeProfile, Declined, GivePassword, Setting, Settings
from csms.ocpp.asking import Askers, Exchange, Fault, Silence, of_silence_or_fault

_SETTINGS = {
    "Accepted": Setting.APPLIED,
    "RebootRequired": Setting.REBOOT_REQUIRED,
    "NotSupported": Setting.UNSUPPORTED,
}
PASSWORD, PROFILE = "AuthorizationKey", "SecurityProfile"


def give_password(inquiry: GivePassword) -> Exchange:
    """A01.FR.02. The key is bytes that travel as their hexadecimal digits; our tokens are 40 of
    them. The station shows the bytes or the digits later, and both are known."""
    return (yield from _change(PASSWORD, inquiry.password))


def change_profile(inquiry: ChangeProfile) -> Exchange:
    """A05. The address is none of OCPP 1.6: a station takes its own with the other scheme, or needs
    it set by its maker's key first."""
    if inquiry.identity is not None or inquiry.password is not None:
        return Declined("only stations of OCPP 2.1 take an identity or a password with an address")
    return (yield from _change(PROFILE, str(inquiry.profile)))


def _change(key: str, value: str) -> Exchange:
    answered = yield "ChangeConfiguration", {"key": key, "value": value}
    if isinstance(answered, Fault | Silence):
        return of_silence_or_fault(answered)
    status = str(answered.get("status", ""))
    setting = _SETTINGS.get(status, Setting.REJECTED)
    return Settings(((key, setting, None if setting is Setting.APPLIED else status),))


ASKERS: Askers = {GivePassword: give_password, ChangeProfile: change_profile}
