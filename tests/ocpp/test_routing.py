"""From a call to what the store has to run: what all versions share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from csms.core.ids import Origin
from csms.core.ports import Need, Reply, Tx
from csms.core.stations import Registration, Station
from csms.ocpp.routing import (
    MAX_STORED_REPORT_BYTES,
    Answer,
    Before,
    Dialect,
    Payload,
    Refusal,
    Route,
    Work,
    count_refusal,
    dispatch,
    needs,
    serve,
    stored,
)
from csms.ocpp.rpc import Call, ErrorCode
from tests.support.ocpp import NOW, Inbound, start

ORIGIN = Origin("s1", "CS s1", "1.6", NOW)


def echo(tx: Tx, origin: Origin, payload: Payload) -> Answer:
    return Reply(payload)


def dialect(strict_new: bool = False, **routes: Route) -> Dialect:
    return Dialect("1.6", routes, strict_new)


def call(action: str = "StartTransaction", *violations: str, **fields: Any) -> Call:
    return Call("m1", action, start(**fields), violations)


def test_a_valid_payload_is_passed_on_as_it_is() -> None:
    asked = call()
    work = dispatch(dialect(StartTransaction=Route(echo, money=True)), asked)
    assert isinstance(work, Work)
    assert work.payload is asked.payload
    assert work.violations == ()


def test_what_the_frame_bent_is_counted_too() -> None:
    work = dispatch(
        dialect(StartTransaction=Route(echo, money=True)),
        call("StartTransaction", "numeric_message_id", meterStart="5"),
    )
    assert isinstance(work, Work)
    assert work.violations == ("numeric_message_id", "text_to_number")


def test_what_could_be_repaired_and_what_could_not_are_both_counted() -> None:
    work = dispatch(
        dialect(StartTransaction=Route(echo, money=True)), call(meterStart="5", idTag="n" * 300)
    )
    assert isinstance(work, Work)
    assert (work.payload["meterStart"], work.payload["idTag"]) == (5, "n" * 300)
    assert sorted(work.violations) == ["text_to_number", "too_long"]


def test_a_fault_that_no_repair_mends_is_counted_beside_one_that_is_mended() -> None:
    work = dispatch(
        dialect(StartTransaction=Route(echo, money=True)), call(meterStart=[], connectorId="1")
    )
    assert isinstance(work, Work)
    assert sorted(work.violations) == ["text_to_number", "wrong_type"]


def test_a_fault_is_refused_where_no_money_depends_on_it() -> None:
    refusal = dispatch(dialect(StartTransaction=Route(echo)), call(meterStart="5"))
    assert refusal == Refusal(
        ErrorCode.TYPE_CONSTRAINT_VIOLATION, "/meterStart: not of type integer"
    )


def test_known_to_the_version_and_not_served() -> None:
    assert dispatch(dialect(), call()) == Refusal(
        ErrorCode.NOT_SUPPORTED, "StartTransaction: not a call that a station makes of its system"
    )
    assert dispatch(dialect(), call("Sing\n" + "g" * 99)) == Refusal(
        ErrorCode.NOT_IMPLEMENTED, f"Sing{'g' * 45}: no action of OCPP 1.6"
    )


@pytest.mark.parametrize("field", ["idTag"])
def test_a_name_is_never_cut(field: str) -> None:
    route = Route(echo, money=True)
    work = dispatch(dialect(StartTransaction=route), call(**{field: "n" * 300}))
    assert isinstance(work, Work)
    assert work.payload[field] == "n" * 300
    assert work.violations == ("too_long",)


@pytest.mark.parametrize("field", ["signedMeterData", "publicKey"])
def test_what_is_signed_is_never_cut(field: str) -> None:
    """Half a signature proves nothing."""
    route = Route(echo, money=True)
    signed = {"signedMeterData": "A", "signingMethod": "", "encodingMethod": "", "publicKey": "K"}
    signed[field] = "s" * 40_000
    moment = {"timestamp": "2024-05-01T12:00:00Z"}
    sampled = [{"value": 1.0, "signedMeterValue": signed}]
    payload = {"evseId": 1, "meterValue": [{**moment, "sampledValue": sampled}]}
    work = dispatch(
        Dialect("2.0.1", {"MeterValues": route}, False), Call("m1", "MeterValues", payload)
    )
    assert isinstance(work, Work)
    assert work.payload == payload
    assert work.violations == ("too_long",)


def test_a_call_reads_its_station_and_what_its_route_says() -> None:
    wanted = Need(Station, "identity", ("x",))
    route = Route(echo, needs=lambda origin, payload: (wanted,))
    assert needs(ORIGIN, Work(route, {}, (), False)) == (Need(Station, None, ("s1",)), wanted)


def test_the_station_is_read_only_where_it_decides_or_is_counted_with() -> None:
    """What a charge depends on is served in every state of its station."""
    route = Route(echo, before=Before.ALWAYS)
    assert needs(ORIGIN, Work(route, {}, (), False)) == ()
    bent = Work(route, {}, ("bent",), False)
    assert needs(ORIGIN, bent) == (Need(Station, None, ("s1",)),)


# Who is served when (OCPP 2.0.1 B02.FR.09, B03.FR.07; OCPP 1.6 5.4).
SERVED = {
    # (before, strict_new): the registrations that are served
    (Before.NEVER, True): {"accepted"},
    (Before.NEVER, False): {"accepted", "new"},
    (Before.ALWAYS, True): {"accepted", "new", "pending", "rejected"},
    (Before.ALWAYS, False): {"accepted", "new", "pending", "rejected"},
}


@pytest.mark.parametrize("registration", list(Registration))
@pytest.mark.parametrize(("before", "strict_new"), list(SERVED))
def test_who_is_served(registration: Registration, before: Before, strict_new: bool) -> None:
    station = Inbound(registration=registration)
    work = Work(Route(echo, before=before), {"a": 1}, ("bent",), strict_new)
    answer = station.store.run(serve, ORIGIN, work)
    if registration in SERVED[before, strict_new]:
        assert answer == Reply({"a": 1})
        assert station.violations == {"bent": 1}
    else:
        assert answer == Refusal(ErrorCode.SECURITY_ERROR, f"the station is {registration}")
        assert station.violations == {}


def test_a_handler_that_raises_leaves_nothing_behind() -> None:
    def handle(tx: Tx, origin: Origin, payload: Payload) -> Answer:
        count_refusal(tx, origin, "half done")
        raise RuntimeError("a fault of ours")

    station = Inbound()
    with pytest.raises(RuntimeError):
        station.store.run(serve, ORIGIN, Work(Route(handle), {}, ("bent",), False))
    assert station.violations == {}


def test_violations_are_counted_by_kind_and_the_kinds_are_bounded() -> None:
    station = Inbound()
    for n in range(200):
        station.store.run(count_refusal, ORIGIN, f"kind {n}")
        station.store.run(count_refusal, ORIGIN, "kind 0")
    assert station.violations["kind 0"] == 201
    assert station.violations["other"] > 100
    assert len(station.violations) <= 65


def report(station: Inbound, text: str) -> dict[str, Any]:
    """What the journal keeps of a report with that text."""
    route = stored("Sing", lambda payload: {"heard": len(payload["text"])})
    work = Work(route, {"text": text}, (), False)
    assert station.store.run(serve, ORIGIN, work) == Reply({"heard": len(text)})
    return dict(station.journal("station_reported")[-1]["payload"])


@pytest.mark.parametrize("text", ["la", "la" * 20_000, "\u00e9" * 20_000])
def test_a_report_is_kept_whole(text: str) -> None:
    station = Inbound()
    assert report(station, text) == {"text": text}
    assert station.violations == {}


@pytest.mark.parametrize("letter", ["l", "\u00e9"])
def test_a_report_is_kept_up_to_a_size_and_beyond_it_that_is_counted(letter: str) -> None:
    """The size is that of the stored bytes."""
    station = Inbound()
    room = (MAX_STORED_REPORT_BYTES - len('{"text":""}')) // len(letter.encode())
    assert report(station, letter * room) == {"text": letter * room}
    assert station.violations == {}
    kept = report(station, letter * (room + 1))
    assert "text" not in kept
    assert station.violations == {"report_too_large": 1}


def test_routes_are_values() -> None:
    assert replace(stored("Sing", {}), before=Before.ALWAYS).before is Before.ALWAYS
