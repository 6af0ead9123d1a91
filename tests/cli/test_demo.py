"""The demonstration, as a newcomer runs it."""

from __future__ import annotations

import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from csms.cli.demo import CHARGERS, sentence
from csms.cli.local import started
from csms.settings import Settings
from tests.support.system import csms


async def test_it_ends_by_itself_with_one_object_on_stdout() -> None:
    code, out, err = await csms("demo", "--seconds", "12", "--output", "json")
    assert code == 0, err
    report = json.loads(out)
    assert list(report) == ["1.6", "2.0.1", "2.1"]
    for sums in report.values():
        assert sums["stations"] == 2
        assert sums["transactions_finished"] >= 1
        assert sums["energy_counted_wh"] == sums["energy_recorded_wh"] > 0
        assert sums["messages"] > 0
        assert sums["rejected"] == 0


async def test_without_a_terminal_it_prints_plain_lines_that_can_be_pasted() -> None:
    code, out, err = await csms("demo", "--seconds", "6")
    assert code == 0, err
    assert "\x1b" not in out
    assert "export CSMS_URL=http://127.0.0.1:" in out
    assert "booted: Simulated" in out
    assert "OCPP 2.1: stations 2" in out


async def test_ports_taken_since_they_were_looked_at_are_given_up_for_others(
    tmp_path: Path,
) -> None:
    """Two demonstrations that start together both found 9000 free."""
    settings = Settings.model_validate(
        {
            "ocpp": {"host": "127.0.0.1"},
            "store": {"url": f"sqlite:///{tmp_path}/demo.db"},
            "security": {"keys": {"demo": "ab" * 32}, "current": "demo"},
        }
    )
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.ocpp.port = settings.http.port = other.getsockname()[1]
        async with AsyncExitStack() as stack:
            system = await started(stack, settings)
            assert other.getsockname()[1] not in (system.ocpp_port, system.http_port)


def test_the_six_chargers_are_of_every_kind() -> None:
    assert sorted(c["version"] for c in CHARGERS) == ["1.6"] * 2 + ["2.0.1"] * 2 + ["2.1"] * 2
    assert any(c.get("evses") == 2 for c in CHARGERS)
    assert any(c.get("dc") for c in CHARGERS)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("transaction_ended", "12:00:01  CP-1  transaction 7 ended (Local): 1.50 kWh"),
        ("meter_values_recorded", None),
    ],
)
def test_events_are_told_insentences(kind: str, said: str | None) -> None:
    event = {
        "at": "2026-01-01T12:00:01Z",
        "station": "CP-1",
        "transaction_id": 7,
        "energy_wh": 1500,
        "stop_reason": "Local",
    }
    assert sentence(kind, event) == said
