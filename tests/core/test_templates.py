"""Templates: what stations of a make shall have, said once."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core import device_model, stations, templates
from csms.core.device_model import Desired
from csms.core.errors import Invalid, NotFound
from csms.core.ids import Origin
from csms.core.stations import BootReport, NewStation
from csms.core.templates import Template
from csms.storage.open import open_inline
from csms.storage.store import InlineStore
from tests.support.ocpp import NOW, PARTY, at_once


@pytest.fixture
def store() -> InlineStore:
    made = open_inline()
    made.run(stations.onboard, "s1", NewStation("CP-1", PARTY), NOW)
    origin = Origin("s1", "CP-1", "1.6", NOW)
    made.run(stations.boot, origin, BootReport("ABB", "Terra 54", firmware="1.8.21"))
    return made


def template(name: str = "terra", **fields: Any) -> Template:
    values = fields.pop("values", {"HeartbeatInterval": "300"})
    made = Template(name, PARTY, None, None, None, values, "op", NOW)
    return made._replace(**fields)


def values(store: InlineStore) -> dict[str, str]:
    return {d.name: d.value for d in at_once(store.reader.page(Desired))}


@pytest.mark.parametrize(
    ("globs", "matching"),
    [
        ({}, True),
        ({"vendor": "abb"}, True),
        ({"vendor": "A*", "model": "terra*", "firmware": "1.8.*"}, True),
        ({"vendor": "Alfen"}, False),
        ({"firmware": "1.9*"}, False),
        ({"party_id": "CA*OTH"}, False),
    ],
)
def test_a_template_is_for_stations_of_its_party_and_make(
    store: InlineStore, globs: dict[str, str], matching: bool
) -> None:
    store.run(templates.put, template(**globs))
    store.run(templates.apply, "s1", NOW)
    assert values(store) == ({"HeartbeatInterval": "300"} if matching else {})


def test_of_two_templates_the_first_by_name_counts(store: InlineStore) -> None:
    store.run(templates.put, template("b", values={"HeartbeatInterval": "60", "X": "1"}))
    store.run(templates.put, template("a"))
    store.run(templates.apply, "s1", NOW)
    assert values(store) == {"HeartbeatInterval": "300", "X": "1"}


def test_one_template_may_be_applied_alone(store: InlineStore) -> None:
    store.run(templates.put, template("b", values={"X": "1"}))
    store.run(templates.put, template("a"))
    store.run(templates.apply, "s1", NOW, "b")
    assert values(store) == {"X": "1"}


def test_what_an_operator_set_stays(store: InlineStore) -> None:
    store.run(device_model.want, "s1", {"HeartbeatInterval": "10"}, "op", NOW)
    store.run(templates.put, template())
    store.run(templates.apply, "s1", NOW)
    assert values(store) == {"HeartbeatInterval": "10"}


def test_a_changed_template_changes_what_it_brought(store: InlineStore) -> None:
    for value in ("300", "200"):
        store.run(templates.put, template(values={"HeartbeatInterval": value}))
        store.run(templates.apply, "s1", NOW)
        assert values(store) == {"HeartbeatInterval": value}


def test_a_removed_template_leaves_what_it_brought(store: InlineStore) -> None:
    store.run(templates.put, template())
    store.run(templates.apply, "s1", NOW)
    store.run(templates.remove, "terra")
    assert values(store) == {"HeartbeatInterval": "300"}
    with pytest.raises(NotFound, match="csms config templates list"):
        store.run(templates.remove, "terra")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a b"},
        {"name": ""},
        {"values": {}},
        {"values": {"AuthorizationKey": "x"}},
        {"values": {"HeartbeatInterval": "1", "OCPPCommCtrlr/HeartbeatInterval": "2"}},
        {"values": {f"K{n}": "1" for n in range(201)}},
        {"party_id": "nobody"},
    ],
)
def test_what_makes_no_sense_is_refused(store: InlineStore, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        store.run(templates.put, template(**fields))


def test_a_name_belongs_to_one_party(store: InlineStore) -> None:
    store.run(templates.put, template())
    with pytest.raises(Invalid, match="belongs to"):
        store.run(templates.put, template(party_id="CA*OTH"))
