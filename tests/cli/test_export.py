"""`csms transaction export`."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from csms.api.shapes import TransactionOut
from csms.cli.export import COLUMNS, READING_COLUMNS

from .conftest import Api, page, problem

ROOT = Path(__file__).parents[2]


def row(number: int, hour: int = 10, **changes: Any) -> dict[str, Any]:
    began = f"2031-05-01T{hour:02}:00:00Z"
    return {
        "id": number,
        "station": "CP-1",
        "party_id": "CA*NTH",
        "started_at": began,
        "received_at": began,
        "energy_wh": 4_000,
        "open": False,
        "flags": ["a", "b"],
        "token_uid": "04E1",
        "stop_token_uid": None,
        **changes,
    }


def exported(api: Api, *args: str) -> list[dict[str, str]]:
    result = api.run("transaction", "export", *args)
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(result.stdout.splitlines()))


def test_the_columns_are_those_of_the_page_and_of_the_api() -> None:
    written = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/export.md").read_text(), re.MULTILINE)
    assert tuple(written) == COLUMNS + READING_COLUMNS
    assert set(COLUMNS) <= set(TransactionOut.model_fields)


def test_a_line_for_each_transaction_over_all_pages(api: Api) -> None:
    api.on("GET", "/transactions", page(row(3), row(2), following="c"), page(row(1)))
    lines = exported(api)
    assert [line["id"] for line in lines] == ["3", "2", "1"]
    assert lines[0]["energy_wh"] == "4000"
    assert (lines[0]["open"], lines[0]["flags"], lines[0]["stop_token_uid"]) == ("false", "a b", "")
    assert tuple(lines[0]) == COLUMNS


def test_a_dash_is_standard_output(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    api.on("GET", "/transactions", page(row(1)))
    assert [found["id"] for found in exported(api, "-")] == ["1"]
    assert list(tmp_path.iterdir()) == []


def test_only_what_began_in_that_time_and_nothing_older_is_asked_for(api: Api) -> None:
    late = row(4, 9, received_at="2031-05-01T13:00:00.5Z")
    api.on(
        "GET",
        "/transactions",
        page(row(5, 12), late, row(3, 11, started_at="2031-05-01T11:00:00.25Z"), following="c"),
        page(row(2, 10), row(1, 9), following="never"),
    )
    times = ("--since", "2031-05-01T10:00:00Z", "--until", "2031-05-01T12:00:00Z")
    assert [line["id"] for line in exported(api, *times)] == ["3", "2"]
    assert len(api.requests) == 2


def test_one_station_and_one_party(api: Api) -> None:
    api.on("GET", "/transactions", page(row(2), row(1, party_id="US*CPT")))
    assert [line["id"] for line in exported(api, "--party", "US*CPT", "--station", "CP-1")] == ["1"]
    assert api.requests[0].url.params["station"] == "CP-1"


@pytest.mark.parametrize(
    ("uid", "written"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("-12", "-12"), ('a,"b"\nc', 'a,"b"\nc'), ("ü", "ü")],
)
def test_a_text_is_no_formula(api: Api, tmp_path: Path, uid: str, written: str) -> None:
    api.on("GET", "/transactions", page(row(1, token_uid=uid)))
    file = tmp_path / "t.csv"
    assert api.run("transaction", "export", str(file)).exit_code == 0
    with file.open(newline="", encoding="utf-8") as lines:
        (line,) = csv.DictReader(lines)
    assert line["token_uid"] == written


def samples() -> httpx.Response:
    readings = [
        {"value": "-5.0", "measurand": "Power", "unit": "W", "phase": "L1"},
        {"value": "1000", "measurand": "Energy", "unit": "Wh"},
    ]
    return page({"at": "2031-05-01T10:01:00Z", "readings": readings})


def test_meter_values_are_lines_of_their_own(api: Api) -> None:
    api.on("GET", "/transactions", page(row(7)))
    api.on("GET", "/transactions/7/meter-values", samples())
    first, second = exported(api, "--meter-values")
    assert (first["transaction_id"], first["value"], first["phase"]) == ("7", "-5.0", "L1")
    assert (second["measurand"], second["station"], second["phase"]) == ("Energy", "CP-1", "")


def test_json_lines_hold_everything(api: Api) -> None:
    api.on("GET", "/transactions", page(row(7), row(6)))
    for number in (6, 7):
        api.on("GET", f"/transactions/{number}/meter-values", samples())
    result = api.run("transaction", "export", "--format", "jsonl", "--meter-values")
    first, _ = (json.loads(line) for line in result.stdout.splitlines())
    assert first["id"] == 7
    assert len(first["meter_values"][0]["readings"]) == 2


def test_a_file_appears_when_it_is_complete(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    gone = problem(503, "store_unavailable", "the disk is full")
    api.on("GET", "/transactions", page(row(2), following="c"), gone)
    assert api.run("transaction", "export", str(file)).exit_code == 1
    assert list(tmp_path.iterdir()) == []
    api.on("GET", "/transactions", page(row(2)))
    result = api.run("transaction", "export", str(file))
    assert "1 transactions are in" in result.stderr
    assert result.stdout == ""
    assert len(file.read_text().splitlines()) == 2


def test_a_file_that_cannot_be_written(api: Api, tmp_path: Path) -> None:
    api.on("GET", "/transactions", page())
    result = api.run("transaction", "export", str(tmp_path / "no" / "t.csv"))
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
