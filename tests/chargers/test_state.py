"""What a charger keeps over a loss of power."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chargers.car import Car
from chargers.charger import Charger
from chargers.clock import ScaledClock
from chargers.facts import Cause, Kind, Reading, Token, TransactionMessage
from chargers.ledger import Ledger
from chargers.profile import ChargerProfile
from chargers.state import State, StateError, file_of, load, save

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
STARTED = TransactionMessage(
    kind=Kind.STARTED,
    transaction="t-1",
    number=0,
    evse=1,
    connector=1,
    cause=Cause.AUTHORIZED,
    reading=Reading(NOW, 1_000, 11_000, 20),
    charging=True,
    token=Token("CARD", "ISO14443"),
    offline=True,
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    ledger = Ledger()
    record = ledger.started(STARTED, Token("CARD"))
    record.readings.append(Reading(NOW, 1_100, 0))
    ended = replace(STARTED, kind=Kind.STOPPED, token=None, number=1)
    ledger.made(ended)
    state = State(NOW + timedelta(seconds=5), {1: 1_100, 2: 7}, [STARTED, ended], [record])
    file = file_of(tmp_path / "new", "CP 1/x")
    assert file.name == "CP%201%2Fx.json"
    assert load(file) is None
    save(file, state)
    assert load(file) == state


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"saved_at": "yesterday"}'])
def test_a_file_that_is_no_state_says_what_to_do(tmp_path: Path, content: str) -> None:
    file = tmp_path / "CP-1.json"
    file.write_text(content)
    with pytest.raises(StateError, match=r"remove it to start anew"):
        load(file)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot write"):
        save(tmp_path / "file" / "CP-1.json", State(NOW))


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_charge_outlives_the_process_in_the_middle_of_it(
    central: Any, tmp_path: Path, version: str
) -> None:
    """The process ends while the link is down and a car charges; the next one tells everything, the
    end with what the meter had counted."""
    profile = ChargerProfile(id="CP-1", version=version, meter_interval_s=60)
    start = datetime.now(UTC)
    async with Charger(
        profile, central.url, clock=ScaledClock(600, start), state=tmp_path
    ) as first:
        await first.booted()
        first.plug_in(1, Car(battery_wh=1_000_000))
        await first.tap(1, "CARD")
        await first.until(lambda: first.ledger.transactions[0].start_acknowledged)
        first.drop_link(stay_down=True)
        await first.until(lambda: len(first.outbox) >= 3)
    kept = json.loads(file_of(tmp_path, "CP-1").read_text())
    assert kept["messages"][-1]["cause"] == "power loss"
    later = ScaledClock(600, datetime.fromisoformat(kept["saved_at"]))
    second = Charger(profile, central.url, clock=later, state=tmp_path)
    assert [m.kind for m in second.outbox][-1] is Kind.STOPPED
    async with second:
        await second.until(lambda: not second.outbox)
        (record,) = second.ledger.transactions
        assert record.stop_acknowledged
        assert record.acknowledged
        assert record.stop_cause == "power loss"
        assert record.energy_wh > 0
        assert second.evses[0].meter.wh == record.meter_stop_wh
    assert load(file_of(tmp_path, "CP-1")).messages == []  # type: ignore[union-attr]
    stops = central.of("StopTransaction", "TransactionEvent")
    last = stops[-1].fields
    if version == "1.6":
        assert (last["reason"], last["meter_stop"]) == ("PowerLoss", record.meter_stop_wh)
    else:
        assert last["transaction_info"]["stopped_reason"] == "PowerLoss"
        numbers = [seen.fields["seq_no"] for seen in stops]
        assert numbers == sorted(set(numbers)), "each once, in order"
