"""Events: stable names, JSON-ready values (feeds and partners depend on both)."""

from __future__ import annotations

import orjson

from csms.core import events
from csms.core.events import Event, event_name
from tests.support.charging import NOW


def test_events_are_named_by_their_class() -> None:
    assert event_name(events.StationBooted) == "station_booted"
    assert event_name(events.ConnectorStatusChanged) == "connector_status_changed"
    kinds = [k for k in vars(events).values() if isinstance(k, type) and issubclass(k, Event)]
    names = [event_name(kind) for kind in kinds]
    assert len(names) == len(set(names))


def test_events_are_json_ready() -> None:
    event = events.StationChanged(at=NOW, station_id="s1", fields=("ping",))
    found = orjson.loads(orjson.dumps(event))
    assert found == {"at": NOW.isoformat(), "station_id": "s1", "fields": ["ping"]}
