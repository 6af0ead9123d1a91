"""Configuration templates: what stations of a make shall have, said once.

A template enters its values as desired ones of the stations that it matches, on their first contact
and after a change of firmware, or when an operator applies it. What an operator has set for one
station stays, whatever a template says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from csms.core import device_model, variables
from csms.core.device_model import MAX_DESIRED, Desired
from csms.core.entities import entity
from csms.core.errors import Invalid, NotFound
from csms.core.ids import party_id
from csms.core.ports import Need, Tx
from csms.core.stations import Station, require

MAX_TEMPLATES = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@entity("configuration_templates", key=("name",), finders={"party": ("party_id",)})
class Template(NamedTuple):
    """Values for stations of a party. `vendor`, `model` and `firmware` are globs (`ABB*`); None
    matches any. Of several templates with the same variable the first by name counts."""

    name: str
    party_id: str
    vendor: str | None
    model: str | None
    firmware: str | None
    values: Mapping[str, str]
    by: str
    at: datetime


def needs(station_party: str) -> Need:
    """Declares the read of a party's templates."""
    return Need(Template, "party", (station_party,))


def put(tx: Tx, template: Template) -> Template:
    """Make a template or change it. Raises `Invalid`."""
    if _NAME.fullmatch(template.name) is None:
        raise Invalid("a template's name has 1 to 64 letters, digits, dots, dashes or underscores")
    party_id(template.party_id)
    checked = dict(variables.checked(name, value) for name, value in template.values.items())
    if not checked or len(checked) > MAX_DESIRED:
        raise Invalid(f"a template has 1 to {MAX_DESIRED} values")
    if len(variables.chosen(checked)) < len(checked):
        raise Invalid("two of the template's names mean the same variable")
    before = tx.get(Template, template.name)
    if before is not None and before.party_id != template.party_id:
        raise Invalid(f"template {template.name} belongs to {before.party_id}")
    if before is None and len(tx.find(Template, "party", template.party_id)) >= MAX_TEMPLATES:
        raise Invalid(f"a party has at most {MAX_TEMPLATES} templates")
    template = template._replace(values=checked)
    tx.save(template)
    return template


def remove(tx: Tx, name: str) -> None:
    """Forget a template; the values that it brought stay desired. Raises `NotFound`."""
    if tx.get(Template, name) is None:
        raise NotFound(f"no template {name}; csms config templates list shows those there are")
    tx.delete(Template, name)


def matches(template: Template, station: Station) -> bool:
    """Whether a template is for that station."""
    if template.party_id != station.party_id:
        return False
    pairs = (
        (template.vendor, station.vendor),
        (template.model, station.model),
        (template.firmware, station.firmware),
    )
    return all(
        glob is None or fnmatchcase((said or "").casefold(), glob.casefold())
        for glob, said in pairs
    )


def apply(tx: Tx, station_id: str, now: datetime, only: str | None = None) -> list[Desired]:
    """Enter the values of the templates that match a station (`only`: of that one); what changed.
    Raises `NotFound`."""
    station = require(tx, station_id)
    result: list[Desired] = []
    taken: set[str] = set()
    for template in tx.find(Template, "party", station.party_id):
        if not matches(template, station) or only not in (None, template.name):
            continue
        fresh = {n: v for n, v in template.values.items() if variables.key_of(n) not in taken}
        taken |= {variables.key_of(name) for name in fresh}
        result += device_model.want(tx, station_id, fresh, template.by, now, template.name)
    return result
