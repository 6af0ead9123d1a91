"""The roaming demonstration, as a newcomer runs it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from csms.cli.demo import DemoFailed
from csms.cli.demo_networks import NORTH, SOUTH
from csms.cli.demo_roaming import Side, introduction
from tests.support.system import csms


@pytest.mark.slow
async def test_both_networks_end_with_the_same_bills() -> None:
    code, out, err = await csms("demo", "--roaming", "--seconds", "14", "--output", "json")
    assert code == 0, err
    report = json.loads(out)
    assert list(report) == ["north", "south", "difference"]
    assert report["difference"] == 0
    for name, currency in (("north", "CAD"), ("south", "USD")):
        sums: dict[str, Any] = report[name]
        assert sums["currency"] == currency
        assert sums["cdrs"] >= 1
        assert sums["started_elsewhere"] >= 1
        assert sums["refused"] >= 1, "the blocked card came by"
        assert Decimal(sums["energy_kwh"]) > 0
        taxes = sum(Decimal(amount) for amount in sums["taxes"].values())
        assert Decimal(sums["after_taxes"]) - Decimal(sums["before_taxes"]) == taxes
        assert sums["difference"] == sums["roaming_fee"] == "0"
    assert set(report["north"]["taxes"]) <= {"GST", "QST", "HST"}


def side(handler: Any) -> Side:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://api")
    return Side(NORTH, "http://127.0.0.1:1", "key", "ws://127.0.0.1:2/ocpp", client)


async def test_what_the_api_refuses_ends_the_demonstration_with_its_words() -> None:
    refusing = side(lambda request: httpx.Response(409, json={"detail": "no such thing"}))
    with pytest.raises(DemoFailed, match=r"North: POST /tokens: .*no such thing"):
        await refusing.write("POST", "/tokens", {})


def test_the_introduction_can_be_pasted() -> None:
    north = side(lambda request: httpx.Response(200))
    south = Side(SOUTH, "http://127.0.0.1:3", "other", "ws://127.0.0.1:4/ocpp", north.client)
    text = introduction((north, south), Path("/bin/csms"))
    assert "export CSMS_URL=http://127.0.0.1:1 CSMS_API_KEY=key" in text
    assert "/bin/csms roaming locations --near 40.70,-74.02" in text
