"""Fleet files and what is wrong with them; a fleet from its start to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chargers.driver import Habits
from chargers.fleet import Fleet, FleetError, FleetPlan, read_plan
from chargers.profile import ChargerProfile

GOOD = """
url = "ws://127.0.0.1:9000/ocpp"
speed = 60
seed = 1
tokens = ["A", "B"]
[driver]
stay_s = [60, 120]
[[charger]]
id = "CP-1"
version = "2.1"
dc = true
power_w = 150000
retry_interval_s = 5
faults = ["nul"]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "fleet.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_good_file(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path, GOOD))
    assert plan.tokens == ("A", "B")
    assert plan.habits == Habits(stay_s=(60.0, 120.0))
    assert plan.chargers == (
        ChargerProfile(
            id="CP-1", version="2.1", dc=True, power_w=150_000, retry_interval_s=5, faults=("nul",)
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("url =", "uri =", "uri: allowed is one of the keys url, speed"),
        ("ws://", "http://", "url = 'http://127.0.0.1:9000/ocpp': allowed is an address"),
        ("speed = 60", "speed = 0", "speed = 0: allowed is a number above 0"),
        ("seed = 1", 'seed = "x"', "seed = 'x': allowed is a whole number"),
        ('["A", "B"]', "[]", "tokens = []: allowed is a list of texts"),
        ("[60, 120]", "[120, 60]", "driver.stay_s = [120, 60]: allowed is two numbers"),
        ("stay_s", "stays", "driver.stays: allowed is one of the keys gap_s"),
        ('version = "2.1"', 'version = "2.2"', "charger[1].version = '2.2': allowed is one of 1.6"),
        ("dc = true", "dc = 1", "charger[1].dc = 1: allowed is true or false"),
        ("150000", "true", "charger[1].power_w = True: allowed is a whole number"),
        ('["nul"]', '["nulls"]', "charger[1].faults = 'nulls': allowed is some of clock-1970"),
        ('["nul"]', '"nul"', "charger[1].faults = 'nul': allowed is a list of texts"),
        ("power_w", "power", "charger[1].power: allowed is one of the keys id, version"),
        ('id = "CP-1"', "", "charger[1].id: allowed is a text: every charger needs one"),
        ("[[charger]]", '[[charger]]\nid = "CP-1"\n[[charger]]', "charger[2].id = 'CP-1'"),
        ("[[charger]]", "[charger]", "charger: allowed is one or more [[charger]] tables"),
        ("seed = 1", "seed =", "the file: allowed is TOML (Invalid value (at line 4"),
    ],
)
def test_an_error_names_file_key_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    file = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(FleetError) as caught:
        read_plan(file)
    assert str(caught.value).startswith(f"{file}: {expected}")


def test_who_comes_to_a_charger(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path, f'{GOOD}drivers = ["C"]\n[[charger]]\nid = "CP-2"\n'))
    assert plan.drivers == {"CP-1": ("C",)}
    assert read_plan(write(tmp_path, f"{GOOD}drivers = []\n")).drivers == {"CP-1": ()}
    with pytest.raises(FleetError, match=r"charger\[1\].drivers = 'C': allowed is a list of texts"):
        read_plan(write(tmp_path, f'{GOOD}drivers = "C"\n'))


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD + "token = 12345\n")
    with pytest.raises(FleetError) as caught:
        read_plan(file)
    assert "12345" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="one that can be read"):
        read_plan(tmp_path / "none.toml")


async def test_a_fleet_charges_stops_and_tells_everything(central: Any) -> None:
    plan = FleetPlan(
        url=central.url,
        tokens=("A", "B"),
        chargers=tuple(
            ChargerProfile(id=f"CP-{version}", version=version, evses=2, meter_interval_s=20)
            for version in ("1.6", "2.0.1", "2.1")
        ),
        speed=300,
        seed=3,
        habits=Habits(gap_s=(1, 5), stay_s=(30, 90), linger_s=(1, 3)),
    )
    fleet = Fleet(plan)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fleet.run(stop))
        for charger in fleet.chargers:
            await charger.until(lambda charger=charger: len(charger.ledger.finished) >= 2)
        stop.set()
    assert not fleet.undrained
    for charger in fleet.chargers:
        ledger = charger.ledger
        assert not ledger.running
        assert all(record.acknowledged for record in ledger.transactions)
        assert (ledger.rejected, ledger.unusable, ledger.given_up) == (0, 0, 0)


async def test_what_could_not_be_told_is_known_at_the_end(central: Any) -> None:
    central.refuse = lambda action, fields: "transaction_info" in fields
    profile = ChargerProfile(id="CP-1", version="2.1")
    habits = Habits(gap_s=(0, 0), stay_s=(600, 600), linger_s=(0, 0))
    plan = FleetPlan(central.url, ("A",), (profile,), speed=60, seed=1, habits=habits)
    fleet = Fleet(plan)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fleet.run(stop, drain_s=0.1))
        await fleet.chargers[0].until(lambda: bool(fleet.chargers[0].ledger.running))
        stop.set()
    assert fleet.undrained == fleet.chargers


def test_an_authority_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a certificate")
    plan = read_plan(write(tmp_path, f'ca = "ca.pem"\n{GOOD}'))
    assert plan.ca == tmp_path / "ca.pem"
    with pytest.raises(FleetError, match=r"ca = 'no\.pem': allowed is a file with certificates"):
        read_plan(write(tmp_path, f'ca = "no.pem"\n{GOOD}'))
