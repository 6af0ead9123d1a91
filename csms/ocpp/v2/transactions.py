"""TransactionEvent (OCPP 2.0.1 E01 to E15).

Always answered with a result: only what does not even name its transaction is refused.
"""

from __future__ import annotations

from typing import Any

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
from csms.core.ids import Origin
from csms.core.ports import Ask, Need, Reply, Tx
from csms.core.times import believed, plausible
from csms.core.tokens import Shown
from csms.core.transactions import ENDED, STARTED, UPDATED, Transaction, TransactionReport
from csms.core.visitors import ASK_WITHIN_S, HomeAnswer
from csms.ocpp import wire
from csms.ocpp.routing import Answer, Payload, unusable
from csms.ocpp.v2.authorization import id_token_info, shown
from csms.ocpp.v2.details import details
from csms.ocpp.v2.metering import samples

COST_DEADLINE_S = 2.0
_EVENTS = {"Started": STARTED, "Updated": UPDATED, "Ended": ENDED}


def event_needs(origin: Origin, payload: Payload) -> tuple[Need, ...]:
    wire_id = wire.name(wire.mapping(payload, "transactionInfo"), "transactionId")
    token = shown(payload)
    started = payload.get("eventType") == "Started"
    evse = _positive(wire.mapping(payload, "evse"), "id") if started else None
    return (
        transactions.needs_wire(origin.station_id, wire_id or ""),
        *(authorization.needs(token.uid) if token else ()),
        *((stations.needs(origin.station_id),) if token or started else ()),
        *(_start_needs(origin.station_id, token) if started else ()),
        *((locations.needs_evse(origin.station_id, evse),) if evse else ()),
    )


def _start_needs(station_id: str, token: Shown | None) -> tuple[Need, ...]:
    return (
        Need(Transaction, "open_of_station", (station_id, True)),
        commands.needs_awaiting(station_id),
        *((orders.needs_place(station_id, token.uid),) if token else ()),
    )


def transaction_event(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    info = wire.mapping(payload, "transactionInfo")
    wire_id = wire.name(info, "transactionId")
    event = _EVENTS.get(str(payload.get("eventType")))
    if wire_id is None or event is None:
        names = ("transactionInfo", "transactionId") if wire_id is None else ("eventType",)
        return unusable(payload, *names)
    evse = wire.mapping(payload, "evse")
    at = wire.moment(payload.get("timestamp"))
    report = TransactionReport(
        wire_id=wire_id,
        event=event,
        seq=max(0, wire.integer(payload, "seqNo") or 0),
        at=believed(at, origin.at),
        evse=_positive(evse, "id"),
        connector=_positive(evse, "connectorId"),
        token=shown(payload),
        charging_state=wire.text(info, "chargingState", 64),
        stop_reason=wire.text(info, "stoppedReason", 64),
        remote_start_id=wire.integer(info, "remoteStartId"),
        reservation_id=wire.integer(payload, "reservationId"),
        offline=payload.get("offline") is True,
        clock_suspect=not plausible(at, origin.at),
        samples=samples(tx, origin, payload),
        details=details(payload),
    )
    found = charging.event(tx, origin, report)
    asked = found.ask if found is not None and event != ENDED else None
    if asked is not None:

        def answered(tx: Tx, answer: HomeAnswer | None) -> Reply[Payload]:
            settled = charging.settle_event(tx, origin, report, asked, answer)
            return Reply({"idTokenInfo": id_token_info(settled)})

        return Ask(asked, ASK_WITHIN_S, answered)
    answer: dict[str, Any] = {} if found is None else {"idTokenInfo": id_token_info(found)}
    if event == ENDED:
        return _with_cost(tx, origin, wire_id, answer)
    return Reply(answer)


def _with_cost(tx: Tx, origin: Origin, wire_id: str, answer: dict[str, Any]) -> Answer:
    """The final cost goes with the answer to the end (OCPP 2.0.1 I03.FR.02), where a tariff
    applied; free is 0.00. It is computed outside of this transaction, which has stored the end by
    then; a station does not wait for it longer than `COST_DEADLINE_S`. Running costs are not told.
    """
    (t,) = tx.find(Transaction, "wire", origin.station_id, wire_id)
    price = billing.owed(tx, t.id)
    if price is None:
        return Reply(answer)

    def then(tx: Tx, found: billing.Computed | None) -> Reply[Payload]:
        if found is not None:
            billing.settle(tx, t.id, found)
        settled = billing.owed(tx, t.id)
        if settled is None or settled.after_taxes is None:
            return Reply(answer)
        # The wire has JSON numbers only: this is the text of the amount, read once.
        return Reply({**answer, "totalCost": float(settled.after_taxes)})

    if price.state in billing.KNOWN:
        return then(tx, None)
    return Ask(billing.PriceAsked(t.id), COST_DEADLINE_S, then)


def _positive(payload: Payload, name: str) -> int | None:
    number = wire.integer(payload, name)
    return number if number is not None and number > 0 else None
