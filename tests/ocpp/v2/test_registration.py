"""BootNotification and Heartbeat of a 2.x station (OCPP 2.0.1 B01 to B03, G02)."""

from __future__ import annotations

from csms.core.ports import Reply
from csms.core.stations import Registration
from csms.ocpp.rpc import ErrorCode
from tests.support.ocpp import NOW, Inbound, event, rfid

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "X1", "vendorName": "Acme"}}


def test_the_first_boot_accepts_a_new_station(protocol: str) -> None:
    station = Inbound("ocpp2.0.1", registration=None)
    assert station.answers("BootNotification", BOOT) == {
        "status": "Accepted",
        "currentTime": "2024-05-01T12:00:00Z",
        "interval": 300,
    }
    assert station.station.registration == Registration.ACCEPTED
    station.answers("Heartbeat")


def test_pending_until_the_operator_accepts() -> None:
    """TC_B_02, TC_B_30, TC_B_31."""
    station = Inbound("ocpp2.0.1", registration=Registration.PENDING)
    answer = station.answers("BootNotification", BOOT)
    assert answer["status"] == "Pending"
    assert 48 <= answer["interval"] <= 72
    assert station.refuses("Heartbeat").code is ErrorCode.SECURITY_ERROR


def test_every_field_of_a_boot_is_stored(station2: Inbound) -> None:
    details = {**BOOT["chargingStation"], "serialNumber": "S" * 33, "firmwareVersion": "1.2"}
    station2.answers("BootNotification", reason="Watchdog", chargingStation=details)
    row = station2.station
    assert (row.vendor, row.model, row.serial, row.firmware) == ("Acme", "X1", "S" * 33, "1.2")
    assert row.booted_at == NOW
    (booted,) = station2.journal("station_booted")
    assert booted["reason"] == "Watchdog"
    assert station2.violations == {"too_long": 1}


def test_the_accepted_state_outlives_the_link(station2: Inbound) -> None:
    """Quirk 26, reference 7.1: a reconnect without a boot is the rule."""
    again = Inbound(station2.protocol.subprotocol, store=station2.store, station_id="other")
    again.station_id = station2.station_id
    assert again.answers("Heartbeat") == {"currentTime": "2024-05-01T12:00:00Z"}


def test_the_charge_of_a_station_that_never_booted_is_recorded() -> None:
    station = Inbound("ocpp2.0.1", registration=None)
    station.adds_token("04A2")
    answer = station.answers("TransactionEvent", event("Started", 0, idToken=rfid("04A2")))
    assert answer == {"idTokenInfo": {"status": "Accepted"}}
    station.answers("TransactionEvent", event("Ended", 1))
    assert not station.transaction.open
    assert station.station.registration == Registration.NEW


def test_a_bent_boot_is_understood(station2: Inbound) -> None:
    bent = {"model": 17, "vendorName": "V" * 80, "modem": {"iccid": "", "imsi": None}, "x": 1}
    answer = station2.answers("BootNotification", reason="Boredom", chargingStation=bent)
    assert answer["status"] == "Accepted"
    assert (station2.station.model, station2.station.vendor) == ("17", "V" * 50)


def test_a_boot_that_says_nothing_is_answered(station2: Inbound) -> None:
    assert station2.answers("BootNotification")["status"] == "Accepted"
    assert station2.violations == {"missing_field": 1}


def test_a_make_that_was_not_known_is_told_apart() -> None:
    station = Inbound("ocpp2.0.1")
    newer = {"model": "X1", "vendorName": "Acme", "firmwareVersion": "2.0"}
    said = (BOOT, BOOT, {**BOOT, "chargingStation": newer})
    found = [station.calls("BootNotification", payload) for payload in said]
    assert [isinstance(a, Reply) and a.new_make for a in found] == [True, False, True]
