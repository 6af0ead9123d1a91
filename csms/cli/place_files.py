"""Files with locations, read into the shape of OCPI: CSV, OCPI JSON, GeoJSON.

CSV has one line for each EVSE; lines with the same id are one location. Knows no server.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csms.cli.failures import Failure, usage

COLUMNS = (
    "id",
    "name",
    "address",
    "city",
    "postal_code",
    "state",
    "country",
    "latitude",
    "longitude",
    "time_zone",
    "station",
    "evse",
    "evse_id",
    "standard",
    "format",
    "power_type",
    "max_voltage",
    "max_amperage",
    "max_electric_power",
)
_OF_LOCATION = ("id", "name", "address", "city", "postal_code", "state", "country", "time_zone")
_NUMBERS = ("max_voltage", "max_amperage", "max_electric_power")
MAX_BYTES = 50_000_000


def read(path: Path) -> list[dict[str, Any]]:
    """The locations of a file, by what its content is. Raises `Failure` naming what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise usage(f"{path}: more than {MAX_BYTES // 1_000_000} MB", "split it")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise usage(f"{path}: {error.strerror}", "name a file that can be read") from None
    except UnicodeDecodeError:
        raise usage(f"{path}: not UTF-8 text", "save it as UTF-8") from None
    if text.lstrip()[:1] in ("{", "["):
        return _json(path, text)
    return _csv(path, text)


def _json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise usage(f"{path}: not valid JSON: {error}", "mend it there") from None
    if isinstance(found, dict) and found.get("type") == "FeatureCollection":
        return [_feature(path, n, f) for n, f in enumerate(found.get("features") or [], 1)]
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        # The answer of an OCPI server, as it was saved.
        found = found["data"]
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) and "id" in row for row in rows):
        example = "a list of OCPI locations, or a GeoJSON FeatureCollection, is expected"
        raise usage(f"{path}: no locations", example)
    return rows


def _feature(path: Path, number: int, feature: Any) -> dict[str, Any]:
    """A GeoJSON point (RFC 7946): its properties are those of a location."""
    where = f"{path}: feature {number}"
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        raise usage(f"{where}: a Point is expected", "leave out what is no place")
    coordinates = geometry.get("coordinates")
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        raise usage(f"{where}: coordinates: longitude and latitude are expected", "mend them there")
    longitude, latitude = coordinates[:2]
    properties = dict(feature.get("properties") or {})
    # A feature may have its id beside the properties.
    properties.setdefault("id", feature.get("id"))
    properties["coordinates"] = {"latitude": str(latitude), "longitude": str(longitude)}
    return properties


def _csv(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(text.splitlines())
    unknown = set(reader.fieldnames or ()) - set(COLUMNS)
    if not reader.fieldnames or unknown:
        what = f"unknown columns: {', '.join(sorted(unknown))}" if unknown else "no columns"
        raise usage(f"{path}: {what}", f"the columns are {','.join(COLUMNS)}")
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(reader, 2):
        if None in row or None in row.values():
            what = f"{path}:{number}: it has not as many values as there are columns"
            raise usage(what, "mend that line; a value with a comma stands in quotes")
        cells = {name: value.strip() for name, value in row.items() if value and value.strip()}
        if not cells:
            continue
        try:
            _add(found, cells)
        except Failure as failure:
            failure.what = f"{path}:{number}: {failure.what}"
            raise
    return list(found.values())


def _add(found: dict[str, dict[str, Any]], cells: Mapping[str, str]) -> None:
    """One line: its location, new or seen before, and its EVSE."""
    name = cells.get("id")
    if not name:
        raise usage("id: every line names its location", "fill in that column")
    location = found.setdefault(name, {"evses": []})
    said = dict(_location(cells))
    for key, value in said.items():
        if location.setdefault(key, value) != value:
            raise usage(f"{key}: another line of {name} says something else", "make them agree")
    evse = _evse(cells)
    if evse:
        location["evses"].append(evse)


def _location(cells: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name in _OF_LOCATION:
        if name in cells:
            yield name, cells[name]
    if "latitude" in cells or "longitude" in cells:
        wanted = ("latitude", "longitude")
        yield "coordinates", {name: cells.get(name, "") for name in wanted}


def _evse(cells: Mapping[str, str]) -> dict[str, Any]:
    evse: dict[str, Any] = {}
    if "station" in cells:
        evse["station"] = cells["station"]
        evse["evse"] = _whole("evse", cells.get("evse", "1"))
    if "evse_id" in cells:
        evse["evse_id"] = cells["evse_id"]
    connector: dict[str, Any] = {
        name: cells[name] for name in ("standard", "format", "power_type") if name in cells
    }
    connector |= {name: _whole(name, cells[name]) for name in _NUMBERS if name in cells}
    if connector:
        evse["connectors"] = [connector]
    return evse


def _whole(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise usage(f"{name}: a whole number is expected, not {text!r}", "mend it there")
    return int(text)
