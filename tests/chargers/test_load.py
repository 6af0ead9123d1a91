"""What each profile makes a station say, and what a part of the load is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chargers.crowd import Crowd, Meet, Member, Say, Settled, Step, Wait
from chargers.load import (
    _SCRIPTS,
    LoadError,
    Plan,
    Profile,
    added_up,
    allow_files,
    stations,
)


def plan(**more: Any) -> Plan:
    given: dict[str, Any] = {
        "url": "ws://127.0.0.1:1/ocpp",
        "tokens": Path("tokens.csv"),
        "profile": Profile.STEADY,
        "count": 1,
        **more,
    }
    return Plan(**given)


def played(profile: Profile, number: int = 0, most: int = 30, **more: Any) -> list[Step]:
    """The steps of a station that is answered well; `number`: which one it is."""
    crowd = Crowd("127.0.0.1", 1, "/ocpp")
    member: Member | None = None
    for n in range(number + 1):
        member = crowd.join(f"CP-{n}", "t", lambda member: iter(()))  # type: ignore[arg-type, return-value]
    assert member is not None
    script = _SCRIPTS[profile](plan(profile=profile, **more), member)
    steps, answer = [], None
    try:
        while len(steps) < most:
            step = script.send(answer)
            steps.append(step)
            answer = None
            if isinstance(step, Say):
                answer = {"status": "Accepted", "interval": 300, "transactionId": 7}
    except StopIteration:
        pass
    return steps


def said(steps: list[Step]) -> list[str]:
    return [step.action for step in steps if isinstance(step, Say)]


ARRIVAL = ["BootNotification", "StatusNotification", "StatusNotification"]


def test_most_send_heartbeats_and_a_fifth_charges() -> None:
    heartbeats = played(Profile.STEADY, number=1)
    assert said(heartbeats)[:5] == [*ARRIVAL, "Heartbeat", "Heartbeat"]
    assert Wait(300.0) in heartbeats
    charging = played(Profile.STEADY, number=5)
    assert said(charging)[:6] == [*ARRIVAL, "StartTransaction", "MeterValues", "MeterValues"]
    readings = [s.payload for s in charging if isinstance(s, Say) and s.action == "MeterValues"]
    registers = [int(r["meterValue"][0]["sampledValue"][0]["value"]) for r in readings]
    assert registers == sorted(set(registers))
    assert readings[0]["transactionId"] == 7


def test_a_storm_ends_when_all_have_reported() -> None:
    steps = played(Profile.BOOT_STORM)
    assert said(steps)[:3] == ARRIVAL
    assert steps[3] == Settled()


def test_of_the_statuses_of_a_storm_so_many_are_other_ones() -> None:
    for number in range(20):
        steps = played(Profile.BOOT_STORM, number, most=4, changed=10.0)
        told = [s.payload["status"] for s in steps if isinstance(s, Say) and "status" in s.payload]
        assert told == ["Available" if number % 5 else "Unavailable", "Available"]


def test_all_start_when_all_have_met() -> None:
    steps = played(Profile.START_STORM, most=8)
    assert steps[3] == Meet()
    assert said(steps)[3:] == ["StartTransaction", "MeterValues"]
    assert Settled() in steps


def test_a_history_is_told_whole_and_in_order() -> None:
    steps = played(Profile.HISTORY, most=400, samples=50)
    assert said(steps) == [
        "BootNotification",
        "StartTransaction",
        *["MeterValues"] * 50,
        "StopTransaction",
    ]
    at = [
        s.payload["meterValue"][0]["timestamp"]
        for s in steps
        if isinstance(s, Say) and s.action == "MeterValues"
    ]
    assert at == sorted(set(at))


def test_a_station_that_has_to_wait_boots_again() -> None:
    script = _SCRIPTS[Profile.BOOT_STORM](
        plan(),
        Crowd("h", 1, "").join("CP-1", "t", lambda member: iter(())),  # type: ignore[arg-type, return-value]
    )
    assert isinstance(next(script), Say)
    assert script.send({"status": "Pending", "interval": 7}) == Wait(7.0)
    again = next(script)
    assert isinstance(again, Say)
    assert again.action == "BootNotification"


def test_each_driver_charges_at_one_place() -> None:
    (one,) = [s for s in played(Profile.HISTORY, samples=1) if isinstance(s, Say)][1:2]
    assert one.payload["idTag"] == "LOAD"
    (many,) = [
        s for s in played(Profile.HISTORY, number=3, samples=1, drivers=10) if isinstance(s, Say)
    ][1:2]
    assert many.payload["idTag"] == "LOAD-3"


def test_parts_share_the_stations(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text("identity,token\r\n" + "".join(f"CP-{n},t{n}\r\n" for n in range(10)))
    parts = [stations(plan(tokens=file, count=7, part=p, parts=2)) for p in (0, 1)]
    assert [len(part) for part in parts] == [4, 3]
    assert sorted(parts[0] + parts[1]) == [(f"CP-{n}", f"t{n}") for n in range(7)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("identity,token\n", "has 0 stations, and 1 are asked for"),
        ("name\nx\n", "allowed is a CSV with identity and token"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "tokens.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(LoadError, match=why):
        stations(plan(tokens=file))


def test_more_files_than_allowed_are_refused_with_what_to_do() -> None:
    with pytest.raises(LoadError, match="more --processes, or ulimit -n"):
        allow_files(100_000_000)


def test_what_processes_tell_is_added_up() -> None:
    one = {
        "counts": {"answered": 3},
        "latencies": [(10, 3)],
        "stations": 2,
        "settled": 2,
        "settled_s": 1.25,
        "seconds": 1.25,
        "cpu_s": 0.5,
        "began_at": 1_000.5,
        "changes": {"CP-1": 1_001.0},
    }
    other = {"settled_s": 2.0, "seconds": 2.0, "began_at": 1_000.0, "changes": {"CP-2": 1_002.0}}
    found = added_up([one, {**one, **other}])
    assert (found["began_at"], found["changes"]) == (1_000.0, {"CP-1": 1_001.0, "CP-2": 1_002.0})
    assert (found["stations"], found["settled_s"], found["generator_cpu_s"]) == (4, 2.0, 1.0)
    assert found["counts"] == {"answered": 6}
    assert added_up([one, {**one, "settled_s": None}])["settled_s"] is None
