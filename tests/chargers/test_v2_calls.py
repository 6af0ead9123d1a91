"""Variables and reports of 2.0.1 and 2.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chargers.car import Car
from chargers.charger import Charger

Make = Callable[..., Charger]


def variable(component: str, name: str, instance: str | None = None) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name, "instance": instance}}


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_variables(central: Any, make_charger: Make, version: str) -> None:
    async with make_charger(version) as charger:
        await charger.booted()
        wanted = [
            variable("OCPPCommCtrlr", "HeartbeatInterval"),
            variable("ocppcommctrlr", "messageattempts", "transactionevent"),
            variable("SecurityCtrlr", "BasicAuthPassword"),
            variable("OCPPCommCtrlr", "Colour"),
            variable("Kettle", "Colour"),
            variable("TxCtrlr", "EVConnectionTimeOut") | {"attribute_type": "MaxSet"},
        ]
        answer = await central.call("GetVariables", get_variable_data=wanted)
        results = answer.get_variable_result
        assert [one["attribute_status"] for one in results] == [
            "Accepted",
            "Accepted",
            "Rejected",
            "UnknownVariable",
            "UnknownComponent",
            "NotSupportedAttributeType",
        ]
        assert [one.get("attribute_value") for one in results[:3]] == ["300", "3", None]
        changes = [
            variable("SampledDataCtrlr", "TxUpdatedInterval") | {"attribute_value": "15"},
            variable("SampledDataCtrlr", "TxUpdatedInterval") | {"attribute_value": "often"},
        ]
        answer = await central.call("SetVariables", set_variable_data=changes)
        assert [one["attribute_status"] for one in answer.set_variable_result] == [
            "Accepted",
            "Rejected",
        ]


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_a_full_inventory_comes_in_parts(
    central: Any, make_charger: Make, version: str
) -> None:
    async with make_charger(version, evses=5) as charger:
        await charger.booted()
        answer = await central.call("GetBaseReport", request_id=9, report_base="SummaryInventory")
        assert answer.status == "NotSupported"
        answer = await central.call("GetBaseReport", request_id=9, report_base="FullInventory")
        assert answer.status == "Accepted"
        await central.until(
            lambda: any(not seen.fields.get("tbc") for seen in central.of("NotifyReport"))
        )
    parts = [seen.fields for seen in central.of("NotifyReport")]
    assert [part["seq_no"] for part in parts] == list(range(len(parts)))
    assert len(parts) > 1
    assert {part["request_id"] for part in parts} == {9}
    names = [item["variable"]["name"] for part in parts for item in part["report_data"]]
    assert names.count("AvailabilityState") == 5
    assert charger.ledger.rejected == 0


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_the_status_of_a_transaction_tells_what_waits(
    central: Any, make_charger: Make, version: str
) -> None:
    """E14: what was not acknowledged waits in the queue, also when the charge has ended."""
    async with make_charger(version) as charger:
        await charger.booted()
        answer = await central.call("GetTransactionStatus")
        assert (answer.ongoing_indicator, answer.messages_in_queue) == (None, False)
        charger.plug_in(1, Car())
        await charger.tap(1, "DRIVER-1")
        await charger.until(lambda: not charger.outbox)
        number = charger.ledger.transactions[0].central_id
        answer = await central.call("GetTransactionStatus", transaction_id=number)
        assert (answer.ongoing_indicator, answer.messages_in_queue) == (True, False)
        central.refuse = lambda action, fields: action == "TransactionEvent"
        charger.unplug(1)
        await charger.until(lambda: bool(charger.outbox))
        answer = await central.call("GetTransactionStatus", transaction_id=number)
        assert (answer.ongoing_indicator, answer.messages_in_queue) == (False, True)
