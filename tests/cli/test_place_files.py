"""Files with locations: CSV, OCPI JSON and GeoJSON, read into one shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from csms.cli.failures import ExitCode, Failure
from csms.cli.place_files import COLUMNS, read

HEAD = ",".join(COLUMNS)
LINE = "L1,Depot,1 Main St,Laval,H7,QC,CAN,45.57,-73.69,America/Toronto,"


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "places"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_has_a_line_for_each_evse(tmp_path: Path) -> None:
    text = f"{HEAD}\n{LINE}CP-1,1,CA*NTH*E1,IEC_62196_T2,SOCKET,AC_3_PHASE,230,32,\n"
    text += "L1,,,,,,,,,,CP-1,2,,,,,,,\n\nL2,,,,,,,,,,,,,,,,,,\n"
    first, second = read(file(tmp_path, "\ufeff" + text))
    assert (first["id"], first["name"], first["time_zone"]) == ("L1", "Depot", "America/Toronto")
    assert first["coordinates"] == {"latitude": "45.57", "longitude": "-73.69"}
    assert first["evses"] == [
        {
            "station": "CP-1",
            "evse": 1,
            "evse_id": "CA*NTH*E1",
            "connectors": [
                {
                    "standard": "IEC_62196_T2",
                    "format": "SOCKET",
                    "power_type": "AC_3_PHASE",
                    "max_voltage": 230,
                    "max_amperage": 32,
                }
            ],
        },
        {"station": "CP-1", "evse": 2},
    ]
    assert second == {"id": "L2", "evses": []}


def test_columns_may_be_left_out(tmp_path: Path) -> None:
    assert read(file(tmp_path, "id,city\nL1,Laval\n")) == [
        {"id": "L1", "city": "Laval", "evses": []}
    ]


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x[0], lambda x: {"data": x}])
def test_ocpi_json_is_taken_as_it_is(tmp_path: Path, wrap: Any) -> None:
    """A list, one location, or the answer of an OCPI server."""
    given = [{"id": "L1", "evses": [{"uid": "1"}]}]
    assert read(file(tmp_path, json.dumps(wrap(given)))) == given


def test_geojson_points_are_locations(tmp_path: Path) -> None:
    """RFC 7946: longitude comes first."""
    point = {
        "type": "Feature",
        "id": "L1",
        "geometry": {"type": "Point", "coordinates": [-73.69, 45.57]},
        "properties": {"city": "Laval"},
    }
    (found,) = read(file(tmp_path, json.dumps({"type": "FeatureCollection", "features": [point]})))
    assert found == {
        "id": "L1",
        "city": "Laval",
        "coordinates": {"latitude": "45.57", "longitude": "-73.69"},
    }


def feature(**changes: Any) -> str:
    point = {"geometry": {"type": "Point", "coordinates": [1, 2]}} | changes
    return json.dumps({"type": "FeatureCollection", "features": [point]})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no columns"),
        ("id,colour\n", "unknown columns: colour"),
        ("id,city\nL1\n", ":2: it has not as many values"),
        ("id,city\nL1,a,b\n", ":2: it has not as many values"),
        ("id,city\n,Laval\n", ":2: id: every line names"),
        ("id,city\nL1,Laval\nL1,Toronto\n", ":3: city: another line of L1"),
        ("id,station,evse\nL1,CP-1,one\n", ":2: evse: a whole number"),
        ("{", "not valid JSON"),
        ("[1]", "no locations"),
        ('{"a": 1}', "no locations"),
        (feature(geometry=None), "feature 1: a Point"),
        (feature(geometry={"type": "Point", "coordinates": [1]}), "feature 1: coordinates"),
        (b"\xff\xfe\xff", "not UTF-8"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_said_with_its_line(
    tmp_path: Path, text: str | bytes, fault: str
) -> None:
    with pytest.raises(Failure) as caught:
        read(file(tmp_path, text))
    assert fault in caught.value.line
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="No such file"):
        read(tmp_path / "nothing")
