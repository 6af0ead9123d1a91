"""A station's calls on the inbound path without a socket: dispatch, then serve, on a real store."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, TypeVar

from csms.core import stations, tokens
from csms.core.availability import Connector
from csms.core.ids import Origin
from csms.core.metering import MeterSample
from csms.core.ports import Reply
from csms.core.quarantine import Quarantined
from csms.core.stations import NewStation, Registration, Station
from csms.core.tokens import Token
from csms.core.transactions import Transaction
from csms.ocpp.routing import Answer, Before, Refusal, dispatch, needs, serve
from csms.ocpp.rpc import Call, ErrorCode
from csms.ocpp.versions import PROTOCOLS
from csms.storage.open import open_inline

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
PARTY = "CA*NTH"
E = TypeVar("E")

_FOLDERS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}


def at_once(coroutine: Coroutine[Any, Any, E]) -> E:
    """The result of a coroutine that never waits, such as a read through the inline store."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited")


class Inbound:
    """One station and the central system's inbound path.

    `answers` gives the result's payload and holds it against the response schema of the version;
    `refuses` gives the refusal. `now` is the time of receipt and moves only when told to.
    """

    def __init__(
        self,
        protocol: str = "ocpp1.6",
        *,
        registration: Registration | None = Registration.ACCEPTED,
        evses: int = 2,
        store: Any = None,
        station_id: str = "s1",
        strict: bool = False,
    ) -> None:
        self.protocol = PROTOCOLS[protocol]
        self.store = store or open_inline()
        self.station_id = station_id
        self.identity = f"CS {station_id}"
        self.now = NOW
        self.strict = strict
        self._calls = 0
        new = NewStation(self.identity, PARTY, evses)
        self.store.run(stations.onboard, station_id, new, NOW)
        if registration is not None:
            self.registers(registration)

    # -- what the station does --

    def later(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now

    def calls(self, action: str, payload: dict[str, Any]) -> Answer:
        self._calls += 1
        call = Call(f"m{self._calls}", action, payload)
        work = dispatch(self.protocol.dialect, call, strict=self.strict)
        if isinstance(work, Refusal):
            return work
        origin = Origin(self.station_id, self.identity, self.protocol.version, self.now)
        declared = {need.kind for need in needs(origin, work)}
        always = work.route.before is Before.ALWAYS and not work.violations
        assert always or Station in declared, "whether it is served depends on the station"
        return self.store.run(serve, origin, work)

    def answers(self, action: str, payload: dict[str, Any] | None = None, **fields: Any) -> Any:
        answer = self.calls(action, {**(payload or {}), **fields})
        assert isinstance(answer, Reply), answer
        faults = self.protocol.dialect.schemas.response_faults(action, answer.value)
        assert not faults, faults
        return answer.value

    def refuses(self, action: str, payload: dict[str, Any] | None = None, **fields: Any) -> Refusal:
        answer = self.calls(action, {**(payload or {}), **fields})
        assert isinstance(answer, Refusal), answer
        return answer

    # -- what the operator did --

    def adds_token(self, uid: str, **fields: Any) -> Token:
        kind = fields.pop("kind", "rfid")
        token = Token(PARTY, "", kind, uid, NOW, **fields)
        return self.store.run(tokens.add, token, NOW)

    def registers(self, registration: Registration) -> None:
        self.store.run(
            lambda tx: stations.change(tx, self.station_id, NOW, registration=registration)
        )

    def upgrades(self, protocol: str) -> None:
        """From now on the station speaks another version."""
        self.protocol = PROTOCOLS[protocol]

    # -- what is stored --

    def rows(self, kind: type[E], **where: Any) -> list[E]:
        return at_once(self.store.reader.page(kind, where, limit=1_000))

    def count(self, kind: type[Any], **where: Any) -> int:
        return at_once(self.store.reader.count(kind, where))

    @property
    def station(self) -> Station:
        return at_once(self.store.reader.get(Station, self.station_id))

    @property
    def violations(self) -> dict[str, int]:
        return dict(self.station.violations)

    def connector(self, evse: int, connector: int = 1) -> Connector:
        return at_once(self.store.reader.get(Connector, self.station_id, evse, connector))

    @property
    def transactions(self) -> list[Transaction]:
        return self.rows(Transaction, station_id=self.station_id)

    @property
    def transaction(self) -> Transaction:
        (only,) = self.transactions
        return only

    @property
    def samples(self) -> list[MeterSample]:
        return self.rows(MeterSample, station_id=self.station_id)

    @property
    def readings(self) -> list[dict[str, Any]]:
        """All stored readings, in the order of their times."""
        rows = sorted(self.samples, key=lambda row: row.at)
        return [reading for row in rows for reading in json.loads(row.readings)]

    @property
    def quarantined(self) -> list[tuple[str, str]]:
        return [(row.kind, row.reason) for row in self.rows(Quarantined)]

    def journal(self, *kinds: str) -> list[dict[str, Any]]:
        """The data of the journal rows, of these kinds if any are named."""
        rows = at_once(self.store.reader.journal(0, 1_000))
        return [json.loads(row.data) for row in rows if not kinds or row.kind in kinds]

    @property
    def marks(self) -> list[str]:
        return self.store.marks


def told_unusable(refusal: Refusal, path: str, value: Any) -> None:
    """The refusal names the field by its path; one that is not there is said to be missing."""
    if value is None:
        assert refusal.code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
        assert refusal.description == f"{path}: is missing"
    else:
        assert refusal.code is ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
        assert refusal.description == f"{path}: not usable"


# -- payloads --------------------------------------------------------------------------------------


def start(**fields: Any) -> dict[str, Any]:
    """A 1.6 StartTransaction."""
    return {
        "connectorId": 1,
        "idTag": "04A2",
        "meterStart": 1_000,
        "timestamp": "2024-05-01T12:00:00Z",
        **fields,
    }


def stop(transaction_id: Any, **fields: Any) -> dict[str, Any]:
    """A 1.6 StopTransaction."""
    return {
        "transactionId": transaction_id,
        "meterStop": 3_500,
        "timestamp": "2024-05-01T13:00:00Z",
        **fields,
    }


def meter(*samples: dict[str, Any], at: str = "2024-05-01T12:10:00Z", **fields: Any) -> Any:
    """A 1.6 MeterValues with the sampled values of one moment."""
    value = {"timestamp": at, "sampledValue": list(samples)}
    return {"connectorId": 1, "meterValue": [value], **fields}


def event(kind: str, seq: int, **fields: Any) -> dict[str, Any]:
    """A 2.x TransactionEvent; `info` adds to transactionInfo, `wh` is a register reading."""
    info = {"transactionId": "tx-1", **fields.pop("info", {})}
    at = fields.setdefault("timestamp", f"2024-05-01T12:{seq:02}:00Z")
    if "wh" in fields:
        sampled = {"value": fields.pop("wh")}
        fields["meterValue"] = [{"timestamp": at, "sampledValue": [sampled]}]
    return {
        "eventType": kind,
        "triggerReason": "Trigger",
        "seqNo": seq,
        "transactionInfo": info,
        **fields,
    }


def rfid(uid: str) -> dict[str, str]:
    return {"idToken": uid, "type": "ISO14443"}


# -- the least that a schema asks for --------------------------------------------------------------


def minimal_request(version: str, action: str) -> Any:
    """A request with its required fields only, made from the schema file itself."""
    folder = files("ocpp").joinpath(_FOLDERS[version], "schemas")
    for name in (action, f"{action}Request"):
        file = folder.joinpath(f"{name}.json")
        if file.is_file():
            schema = json.loads(file.read_text("utf-8-sig"))
            return _minimal(schema, schema.get("definitions", {}))
    raise AssertionError(f"no schema for {action}")


def _minimal(node: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in node:
        return _minimal(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "enum" in node:
        return node["enum"][0]
    if node.get("format") == "date-time":
        return "2024-05-01T12:00:00Z"
    kind = node.get("type", "string")
    if kind == "object":
        fields = node.get("properties", {})
        return {name: _minimal(fields[name], definitions) for name in node.get("required", [])}
    if kind == "array":
        return [_minimal(node["items"], definitions) for _ in range(node.get("minItems", 0))]
    plain = {"string": "x", "integer": 1, "number": 1, "boolean": False}
    return (
        max(plain[kind], node.get("minimum", 0)) if kind in ("integer", "number") else plain[kind]
    )
