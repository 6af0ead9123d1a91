"""StartTransaction, StopTransaction (OCPP 1.6 4.8, 4.10).

Both are always answered, whatever the checks say: an error makes the station repeat the message and
blocks everything that it has queued behind it.
"""

from __future__ import annotations

from csms.core import (
    authorization,
    billing,
    charging,
    commands,
    locations,
    orders,
    stations,
    transactions,
)
from csms.core.authorization import Authorization
from csms.core.charging import StartReport, StopReport
from csms.core.ids import Origin
from csms.core.ports import Ask, Need, Reply, Tx
from csms.core.tokens import Shown
from csms.core.transactions import Transaction
from csms.core.visitors import ASK_WITHIN_S, HomeAnswer
from csms.ocpp import wire
from csms.ocpp.routing import Answer, Payload
from csms.ocpp.v16.authorization import id_tag_info, meant, shown
from csms.ocpp.v16.metering import UNKNOWN_ID, samples

# A start without a token (free vending) is recorded as by nobody.
NOBODY = Shown("", "none")
NO_ID = 0


def start_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    report = _start(payload, shown(payload))
    return (
        stations.needs(origin.station_id),
        *charging.needs_start(origin, report),
        Need(Transaction, "open_of_station", (origin.station_id, True)),
        commands.needs_awaiting(origin.station_id),
        orders.needs_place(origin.station_id, report.token.uid),
        *authorization.needs(report.token.uid),
        locations.needs_evse(origin.station_id, report.evse),
    )


def start_transaction(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    report = _start(payload, meant(tx, payload))
    started = charging.start(tx, origin, report)
    number, asked = started.transaction_id, started.authorization.ask
    if asked is None:
        return _started(number, started.authorization)

    def answered(tx: Tx, answer: HomeAnswer | None) -> Reply[Payload]:
        return _started(number, charging.settle(tx, origin, number, report.token, asked, answer))

    return Ask(asked, ASK_WITHIN_S, answered)


def _start(payload: Payload, token: Shown | None) -> StartReport:
    reservation = wire.integer(payload, "reservationId")
    return StartReport(
        evse=max(0, wire.integer(payload, "connectorId") or 0),
        token=token or NOBODY,
        at=wire.moment(payload.get("timestamp")),
        meter_wh=wire.watt_hours(payload, "meterStart"),
        # Some stations send 0 for "none".
        reservation_id=reservation or None,
    )


def _started(number: int, found: Authorization) -> Reply[Payload]:
    return Reply({"transactionId": number, "idTagInfo": id_tag_info(found)})


def stop_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    transaction_id = wire.integer(payload, "transactionId") or 0
    token = shown(payload)
    found = (
        (transactions.needs(transaction_id), billing.needs(transaction_id))
        if transaction_id > 0
        else (Need(Transaction, "open_of_station", (origin.station_id, True)),)
    )
    return (*found, *(authorization.needs(token.uid) if token else ()))


def stop_transaction(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    transaction_id = wire.integer(payload, "transactionId")
    if transaction_id is None:
        # One that is left out stands for none, like -1; one that was never ours is another's.
        transaction_id = NO_ID if payload.get("transactionId") is None else UNKNOWN_ID
    report = StopReport(
        transaction_id=transaction_id,
        at=wire.moment(payload.get("timestamp")),
        meter_wh=wire.watt_hours(payload, "meterStop"),
        token=meant(tx, payload),
        reason=wire.text(payload, "reason", 64),
        samples=samples(tx, origin, payload, "transactionData"),
    )
    found = charging.stop(tx, origin, report)
    return Reply({} if found is None else {"idTagInfo": id_tag_info(found)})
