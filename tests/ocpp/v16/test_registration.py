"""BootNotification and Heartbeat of a 1.6 station (OCPP 1.6 4.2, 4.6)."""

from __future__ import annotations

from csms.core.ids import Origin
from csms.core.ports import Reply
from csms.core.stations import Registration
from csms.ocpp.v16.registration import Intervals, boot_answer
from tests.support.ocpp import NOW, Inbound

BOOT = {"chargePointVendor": "Acme", "chargePointModel": "X1"}


def test_the_first_boot_accepts_a_new_station() -> None:
    station = Inbound(registration=None)
    assert station.answers("BootNotification", BOOT) == {
        "status": "Accepted",
        "currentTime": "2024-05-01T12:00:00Z",
        "interval": 300,
    }
    assert station.station.registration == Registration.ACCEPTED


def test_pending_and_rejected_stations_are_told_when_to_try_again() -> None:
    for registration, status in (
        (Registration.PENDING, "Pending"),
        (Registration.REJECTED, "Rejected"),
    ):
        station = Inbound(registration=registration)
        answer = station.answers("BootNotification", BOOT)
        assert answer["status"] == status
        assert 48 <= answer["interval"] <= 72
        assert station.station.registration == registration


def test_those_who_wait_do_not_all_come_back_together() -> None:
    told = {
        boot_answer(
            Origin(f"s{n}", f"CS {n}", "1.6", NOW), Registration.PENDING, Intervals(boot_retry_s=60)
        )["interval"]
        for n in range(200)
    }
    assert len(told) > 15
    assert (min(told), max(told)) >= (48, 70)


def test_every_field_of_a_boot_is_stored() -> None:
    station = Inbound()
    station.answers(
        "BootNotification",
        BOOT,
        chargePointSerialNumber="SN 1",
        chargeBoxSerialNumber="box",
        firmwareVersion="1.2.3",
        iccid="8901",
        imsi="302",
        meterType="M",
        meterSerialNumber="M1",
    )
    row = station.station
    assert (row.vendor, row.model, row.serial, row.firmware) == ("Acme", "X1", "SN 1", "1.2.3")
    assert row.booted_at == NOW
    (booted,) = station.journal("station_booted")
    assert (booted["vendor"], booted["model"], booted["firmware"]) == ("Acme", "X1", "1.2.3")


def test_the_old_serial_number_field_counts_when_it_is_the_only_one() -> None:
    station = Inbound()
    station.answers("BootNotification", BOOT, chargeBoxSerialNumber="box")
    assert station.station.serial == "box"


def test_a_later_boot_that_says_less_forgets_nothing() -> None:
    station = Inbound()
    station.answers("BootNotification", BOOT, firmwareVersion="1.2.3")
    station.answers("BootNotification", BOOT)
    assert station.station.firmware == "1.2.3"


# Quirk 32: empty strings where a field should be left out.
def test_empty_optional_fields_are_as_good_as_none(station16: Inbound) -> None:
    station16.answers(
        "BootNotification", BOOT, iccid="", imsi="", meterSerialNumber="", meterType=""
    )
    assert station16.violations == {}


# Quirk 31: serial numbers and models longer than the specification has room for.
def test_an_over_long_serial_number_is_kept_whole(station16: Inbound) -> None:
    """It names the station (OCPP 2.0.1 B01.FR.11 compares it), so it is never cut."""
    serial = "S" * 33
    answer = station16.answers("BootNotification", BOOT, chargePointSerialNumber=serial)
    assert answer["status"] == "Accepted"
    assert station16.station.serial == serial
    assert station16.violations == {"too_long": 1}


def test_an_over_long_model_is_cut(station16: Inbound) -> None:
    station16.answers("BootNotification", BOOT, chargePointModel="M" * 23)
    assert station16.station.model == "M" * 20
    assert station16.violations == {"truncated": 1}


def test_a_boot_without_vendor_is_answered_all_the_same(station16: Inbound) -> None:
    assert station16.answers("BootNotification", chargePointModel="X1")["status"] == "Accepted"
    assert station16.violations == {"missing_field": 1}


def test_heartbeat_tells_the_time_in_plain_utc(station16: Inbound) -> None:
    """Quirk 39: no offset, no fraction."""
    station16.later(microseconds=123_456)
    assert station16.answers("Heartbeat") == {"currentTime": "2024-05-01T12:00:00Z"}


def test_a_make_that_was_not_known_is_told_apart() -> None:
    station = Inbound()
    said = (BOOT, BOOT, {**BOOT, "firmwareVersion": "2.0"}, BOOT)
    found = [station.calls("BootNotification", payload) for payload in said]
    # A boot that leaves the firmware out says nothing new about it.
    assert [isinstance(a, Reply) and a.new_make for a in found] == [True, False, True, False]
