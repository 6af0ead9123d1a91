"""Events as others read them: CloudEvents 1.0, and the topics that they go to."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from csms.bus.events import cloud_event, topic
from csms.core.events import Event, event_name
from csms.core.ports import JournalRow

AT = datetime(2031, 5, 1, 10, tzinfo=UTC)
ROW = JournalRow(4711, AT, "station_booted", "s1", '{"vendor":"ACME","firmware":null}')
PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_an_event_has_what_the_specification_asks_for() -> None:
    """CloudEvents 1.0 3.1: id, source, specversion, type; JSON format 3.1: data as JSON."""
    assert json.loads(cloud_event("/csms/CA*NTH", ROW, "CP-1")) == {
        "specversion": "1.0",
        "id": "4711",
        "source": "/csms/CA*NTH",
        "type": "csms.station_booted",
        "time": "2031-05-01T10:00:00Z",
        "datacontenttype": "application/json",
        "subject": "s1",
        "station": "CP-1",
        "data": {"vendor": "ACME", "firmware": None},
    }


def test_what_is_about_no_station_has_no_subject() -> None:
    event = json.loads(cloud_event("/csms/CA*NTH", ROW._replace(station_id=None)))
    assert "subject" not in event
    assert "station" not in event


@pytest.mark.parametrize(
    ("station_id", "expected"),
    [
        ("s1", "csms/events/s1/station_booted"),
        (None, "csms/events/-/station_booted"),
        ("a/b+c#", "csms/events/a_b_c_/station_booted"),
    ],
)
def test_a_topic_has_three_levels_below_the_prefix(station_id: str | None, expected: str) -> None:
    assert topic("csms", ROW._replace(station_id=station_id)) == expected


def test_the_page_names_every_event_and_its_fields() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    written = {name: re.findall(r"`(\w+)`", cell) for name, cell in rows}
    expected = {
        event_name(kind): [f.name for f in fields(kind) if f.name not in ("at", "station_id")]
        for kind in Event.__subclasses__()
    }
    assert written == expected
