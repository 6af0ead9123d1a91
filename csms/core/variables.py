"""Variables of stations: how they are named, which names mean the same, when two values agree.

A variable's name is a text: the configuration key of a station that has keys, and
`Component[instance]@evse.connector/Variable[instance]` of one that has components (all but the two
names may be left out). Names compare without regard to case, and names that mean the same have the
same `key`, so that `HeartbeatInterval` works on any station.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from csms.core.errors import Invalid
from csms.core.security import names_secret

MAX_NAME = 400
MAX_VALUE = 2_500

# Key of OCPP 1.6 (9 and Security Whitepaper 2) -> variable of OCPP 2.x (2.0.1 Part 2 chapter 2.2).
SAME = (
    ("AdditionalRootCertificateCheck", "SecurityCtrlr/AdditionalRootCertificateCheck"),
    ("AllowOfflineTxForUnknownId", "AuthCtrlr/OfflineTxForUnknownIdEnabled"),
    ("AuthorizationCacheEnabled", "AuthCacheCtrlr/Enabled"),
    ("AuthorizationKey", "SecurityCtrlr/BasicAuthPassword"),
    ("AuthorizeRemoteTxRequests", "AuthCtrlr/AuthorizeRemoteStart"),
    ("CertificateSignedMaxChainSize", "SecurityCtrlr/MaxCertificateChainSize"),
    ("ChargeProfileMaxStackLevel", "SmartChargingCtrlr/ProfileStackLevel"),
    ("ChargingScheduleMaxPeriods", "SmartChargingCtrlr/PeriodsPerSchedule"),
    ("ClockAlignedDataInterval", "AlignedDataCtrlr/Interval"),
    ("ConnectionTimeOut", "TxCtrlr/EVConnectionTimeOut"),
    ("ConnectorSwitch3to1PhaseSupported", "SmartChargingCtrlr/Phases3to1"),
    ("CpoName", "SecurityCtrlr/OrganizationName"),
    ("GetConfigurationMaxKeys", "DeviceDataCtrlr/ItemsPerMessage[GetVariables]"),
    ("HeartbeatInterval", "OCPPCommCtrlr/HeartbeatInterval"),
    ("LocalAuthListEnabled", "LocalAuthListCtrlr/Enabled"),
    ("LocalAuthorizeOffline", "AuthCtrlr/LocalAuthorizeOffline"),
    ("LocalPreAuthorize", "AuthCtrlr/LocalPreAuthorize"),
    ("MaxChargingProfilesInstalled", "SmartChargingCtrlr/Entries[ChargingProfiles]"),
    ("MaxEnergyOnInvalidId", "TxCtrlr/MaxEnergyOnInvalidId"),
    ("MeterValueSampleInterval", "SampledDataCtrlr/TxUpdatedInterval"),
    ("MeterValuesAlignedData", "AlignedDataCtrlr/Measurands"),
    ("MeterValuesSampledData", "SampledDataCtrlr/TxUpdatedMeasurands"),
    ("ResetRetries", "OCPPCommCtrlr/ResetRetries"),
    ("SecurityProfile", "SecurityCtrlr/SecurityProfile"),
    ("SendLocalListMaxLength", "LocalAuthListCtrlr/ItemsPerMessage"),
    ("StopTransactionOnEVSideDisconnect", "TxCtrlr/StopTxOnEVSideDisconnect"),
    ("StopTransactionOnInvalidId", "TxCtrlr/StopTxOnInvalidId"),
    ("StopTxnAlignedData", "AlignedDataCtrlr/TxEndedMeasurands"),
    ("StopTxnSampledData", "SampledDataCtrlr/TxEndedMeasurands"),
    ("TransactionMessageAttempts", "OCPPCommCtrlr/MessageAttempts[TransactionEvent]"),
    ("TransactionMessageRetryInterval", "OCPPCommCtrlr/MessageAttemptInterval[TransactionEvent]"),
    ("UnlockConnectorOnEVSideDisconnect", "OCPPCommCtrlr/UnlockOnEVSideDisconnect"),
    ("WebSocketPingInterval", "OCPPCommCtrlr/WebSocketPingInterval"),
)
_TO_PATH = {plain.casefold(): path for plain, path in SAME}
_TO_PLAIN = {path.casefold(): plain for plain, path in SAME}

# Lists whose order is their meaning, and lists that have none, whatever a station says of their
# type (OCPP 2.0.1 Part 2 chapter 2; of the keys of 1.6 none has an order). By the name of the
# variable, so that those of one EVSE are among them.
_ORDERED = frozenset({"networkconfigurationpriority", "timesource"})
_UNORDERED = frozenset(
    {
        "connectorphaserotation",
        "measurands",
        "txstartedmeasurands",
        "txupdatedmeasurands",
        "txendedmeasurands",
        "txstartpoint",
        "txstoppoint",
    }
)
_SETS = frozenset({"memberlist", "optionlist"})

_RESERVED = re.compile(r"[%\[\]@/]")
_ESCAPED = re.compile(r"%(25|5[BD]|40|2F)", re.IGNORECASE)
_PIECE = r"([^\[\]@/]+)(?:\[([^\[\]@/]*)\])?"
_PATH = re.compile(rf"{_PIECE}(?:@(\d{{1,9}})(?:\.(\d{{1,9}}))?)?/{_PIECE}", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Path:
    """A variable of a component, where the component may be one of several and at an EVSE."""

    component: str
    variable: str
    component_instance: str | None = None
    evse: int | None = None
    connector: int | None = None
    variable_instance: str | None = None

    def __str__(self) -> str:
        place = "" if self.evse is None else f"@{self.evse}"
        if place and self.connector is not None:
            place += f".{self.connector}"
        return (
            f"{_piece(self.component, self.component_instance)}{place}"
            f"/{_piece(self.variable, self.variable_instance)}"
        )


def _piece(name: str, instance: str | None) -> str:
    text = _escape(name)
    return text if instance is None else f"{text}[{_escape(instance)}]"


def _escape(text: str) -> str:
    return _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def parse(name: str) -> Path:
    """The path that a name says; that of a plain key where the meaning is known. Raises
    `Invalid`."""
    found = _PATH.fullmatch(_TO_PATH.get(name.casefold(), name))
    if found is None:
        raise Invalid(
            f"{name}: the variables of this station are named like OCPPCommCtrlr/HeartbeatInterval "
            "or EVSE@1/AvailabilityState"
        )
    component, instance, evse, connector, variable, variable_instance = found.groups()
    return Path(
        _unescape(component),
        _unescape(variable),
        None if instance is None else _unescape(instance),
        None if evse is None else int(evse),
        None if connector is None else int(connector),
        None if variable_instance is None else _unescape(variable_instance),
    )


def plain(name: str) -> str:
    """The configuration key that a name says."""
    return _TO_PLAIN.get(name.casefold(), name)


def key_of(name: str) -> str:
    """What names that mean the same have in common; how variables are looked up."""
    folded = name.strip().casefold()
    return _TO_PATH.get(folded, folded).casefold()


def checked(name: str, value: str) -> tuple[str, str]:
    """A name and a value that an operator gives. Raises `Invalid`; for a secret it says where
    secrets are set."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"the name of a variable has 1 to {MAX_NAME} printable characters")
    if is_secret(name):
        raise Invalid(
            f"{name} is a secret and never kept as configuration: csms station rotate gives the "
            "station a new one"
        )
    if len(value) > MAX_VALUE or "\0" in value:
        raise Invalid(f"{name}: a value has at most {MAX_VALUE} characters")
    return name, value


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds a secret, which is never stored or shown."""
    return names_secret(key_of(name)) or names_secret(name)


def agree(name: str, reported: str | None, wanted: str, data_type: str | None = None) -> bool:
    """Whether a reported value is the wanted one, however the station writes it: numbers by value,
    lists that are sets in any order, the rest without regard to case and outer spaces. `data_type`:
    what is known of it (OCPP 2.0.1 DataEnumType); where nobody knows, the order counts: to set a
    value once more does no harm, and one that was never set must not be called the wanted one."""
    if reported is None:
        return False
    if reported == wanted:
        return True
    one, other = _items(reported), _items(wanted)
    return one == other or (_is_set(name, data_type) and sorted(one) == sorted(other))


def _is_set(name: str, data_type: str | None) -> bool:
    variable = key_of(name).rpartition("/")[2].partition("[")[0]
    if variable in _ORDERED:
        return False
    return variable in _UNORDERED or (data_type or "").casefold() in _SETS


def _items(value: str) -> list[str]:
    return [_plain_value(item) for item in value.split(",")]


def _plain_value(text: str) -> str:
    text = text.strip().casefold()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return str(number.normalize()) if number.is_finite() else text


def chosen(names: Iterable[str]) -> dict[str, str]:
    """Key -> name, each meaning once: a station must not be asked for a variable twice in one
    message (OCPP 2.0.1 B05.FR.13)."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(key_of(name), name)
    return found
