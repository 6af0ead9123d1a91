"""What only OCPP 2.1 has."""

from __future__ import annotations

import pytest

from csms.core.ids import Origin
from csms.ocpp.routing import Work, dispatch, serve
from csms.ocpp.rpc import Notice
from tests.support.ocpp import NOW, Inbound, minimal_request


@pytest.fixture
def station() -> Inbound:
    return Inbound("ocpp2.1")


def test_a_tax_number_is_not_confirmed_and_named_in_the_answer(station: Inbound) -> None:
    assert station.answers("VatNumberValidation", vatNumber="DE123") == {
        "status": "Rejected",
        "vatNumber": "DE123",
    }


def test_each_certificate_that_was_asked_about_is_in_the_answer(station: Inbound) -> None:
    request = minimal_request("2.1", "GetCertificateChainStatus")
    asked = request["certificateStatusRequests"] * 2
    answer = station.answers("GetCertificateChainStatus", certificateStatusRequests=asked)
    assert len(answer["certificateStatus"]) == 2
    for status, one in zip(answer["certificateStatus"], asked, strict=True):
        assert status["status"] == "Failed"
        assert status["certificateHashData"] == one["certificateHashData"]


def test_a_send_is_kept(station: Inbound) -> None:
    payload = minimal_request("2.1", "NotifyPeriodicEventStream")
    work = dispatch(station.protocol.dialect, Notice("1", "NotifyPeriodicEventStream", payload))
    assert isinstance(work, Work)
    station.store.run(serve, Origin("s1", "CS s1", "2.1", NOW), work)
    assert [row["action"] for row in station.journal("station_reported")] == [
        "NotifyPeriodicEventStream"
    ]
