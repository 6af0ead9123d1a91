"""Commands and their results (mod_commands)."""

from __future__ import annotations

from typing import Annotated

from csms.ocpi.wire.types import Address, Ci, DateTime, Integer, Wire, one_of
from csms.ocpi.wire.v221.registration import DisplayText
from csms.ocpi.wire.v221.tokens import Token

COMMAND_TYPE = one_of(
    "CommandType",
    "CANCEL_RESERVATION RESERVE_NOW START_SESSION STOP_SESSION UNLOCK_CONNECTOR",
    open=True,
)
COMMAND_RESPONSE_TYPE = one_of(
    "CommandResponseType", "NOT_SUPPORTED REJECTED ACCEPTED UNKNOWN_SESSION"
)
COMMAND_RESULT_TYPE = one_of(
    "CommandResultType",
    "ACCEPTED CANCELED_RESERVATION EVSE_OCCUPIED EVSE_INOPERATIVE FAILED NOT_SUPPORTED REJECTED "
    "TIMEOUT UNKNOWN_RESERVATION",
)


class CommandResponse(Wire):
    result: Annotated[str, COMMAND_RESPONSE_TYPE]
    timeout: Integer
    message: tuple[DisplayText, ...] = ()


class CommandResult(Wire):
    result: Annotated[str, COMMAND_RESULT_TYPE]
    message: tuple[DisplayText, ...] = ()


class CancelReservation(Wire):
    response_url: Address
    reservation_id: Annotated[str, Ci(36)]


class ReserveNow(Wire):
    response_url: Address
    token: Token
    expiry_date: DateTime
    reservation_id: Annotated[str, Ci(36)]
    location_id: Annotated[str, Ci(36)]
    evse_uid: Annotated[str, Ci(36)] | None = None
    authorization_reference: Annotated[str, Ci(36)] | None = None


class StartSession(Wire):
    response_url: Address
    token: Token
    location_id: Annotated[str, Ci(36)]
    evse_uid: Annotated[str, Ci(36)] | None = None
    connector_id: Annotated[str, Ci(36)] | None = None
    authorization_reference: Annotated[str, Ci(36)] | None = None


class StopSession(Wire):
    response_url: Address
    session_id: Annotated[str, Ci(36)]


class UnlockConnector(Wire):
    response_url: Address
    location_id: Annotated[str, Ci(36)]
    evse_uid: Annotated[str, Ci(36)]
    connector_id: Annotated[str, Ci(36)]
