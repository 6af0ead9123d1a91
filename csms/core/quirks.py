"""Quirks: how a station is to be treated, because of what it is known to do otherwise.

A *switch* is one way of treatment with a default that suits every station that keeps to the
specification. A *catalogue* is data: *entries* that say for which makes (vendor, model, firmware)
which switches stand otherwise, and where that is known from. What an operator has set for one
station goes before the catalogue, and that before the defaults.

General leniency needs no switch: only what cannot be decided from the message itself has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from csms.core import events, policies
from csms.core.errors import Invalid
from csms.core.ports import Tx
from csms.core.stations import Station

Value = bool | int | str


@dataclass(frozen=True, slots=True)
class Switches:
    """How one station is treated; the meaning of each is in `SWITCHES`."""

    version: str = "offered"
    ping: bool = True
    silent_link_s: int = 0
    compression: str = "offered"
    trigger: str = "all"
    trigger_boot: bool = True
    settle_s: int = 0
    contact: bool = True


DEFAULTS = Switches()


class Switch(NamedTuple):
    """What a switch may be: one of `choices`, a number from `low` to `high`, or yes and no."""

    meaning: str
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = 0


SWITCHES: Mapping[str, Switch] = {
    "version": Switch(
        "OCPP version to speak: chosen among those the station offers, and assumed when it offers "
        "none; offered: what the station prefers, and a station that offers none is refused",
        ("offered", "1.6", "2.0.1", "2.1"),
    ),
    "ping": Switch("send WebSocket pings; without them only silence tells that a link is dead"),
    "silent_link_s": Switch(
        "cut a link that was silent for so many seconds, where no pings are sent; "
        "0: ocpp.silent_link_s of the settings",
        high=86_400,
    ),
    "compression": Switch(
        "offered: agree to compression where the station offers it; off: never agree; "
        "assumed: read compressed messages of a station that does not announce them",
        ("offered", "off", "assumed"),
    ),
    "trigger": Switch(
        "TriggerMessage. all: as it is; global: without naming an EVSE; none: never",
        ("all", "global", "none"),
    ),
    "trigger_boot": Switch("let a BootNotification be triggered; some stations restart upon it"),
    "settle_s": Switch(
        "after a link opens, wait so many seconds, or until the station has booted, before any "
        "call of ours",
        high=600,
    ),
    "contact": Switch(
        "ask the station by itself after it connects: about its transactions, connectors, "
        "variables, and set what is desired; without it only operators ask"
    ),
}
assert set(SWITCHES) == {f.name for f in fields(Switches)}


@dataclass(frozen=True, slots=True)
class Make:
    """What a station has said of itself when it booted; None before."""

    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None


UNKNOWN_MAKE = Make()


def make_of(station: Station) -> Make:
    """The make of a station, as far as it is known."""
    return Make(station.vendor, station.model, station.firmware)


@dataclass(frozen=True, slots=True)
class Entry:
    """Switches of some makes. `vendor` and `model` are patterns (`*`, `?`) without regard to case;
    `firmware` is a pattern, or bounds such as `>=1.2, <2`. `source`: where it is known from."""

    name: str
    vendor: str
    model: str
    firmware: str
    switches: Mapping[str, Value]
    source: str

    def fits(self, make: Make) -> bool:
        """Whether a station of that make is meant. One that has never booted is nobody's."""
        return (
            make != UNKNOWN_MAKE
            and _like(make.vendor or "", self.vendor)
            and _like(make.model or "", self.model)
            and _in_range(make.firmware or "", self.firmware)
        )


class Treated(NamedTuple):
    """The value of one switch, and where it comes from: `default`, `operator`, or the name of an
    entry with its source."""

    name: str
    value: Value
    origin: str
    source: str | None = None


class Catalogue(NamedTuple):
    """The entries of the data files, in their order: of several that fit, the last one counts."""

    entries: tuple[Entry, ...] = ()

    def explain(self, make: Make, own: Mapping[str, Any]) -> list[Treated]:
        """Every switch with its origin. `own`: what the operator has set; what is no switch any
        more, or not a value of it, is left out."""
        found = {name: Treated(name, getattr(DEFAULTS, name), "default") for name in SWITCHES}
        for entry in self.entries:
            if entry.fits(make):
                for name, value in entry.switches.items():
                    found[name] = Treated(name, value, entry.name, entry.source)
        for name, value in own.items():
            if name in SWITCHES and _fault(name, value) is None:
                found[name] = Treated(name, value, "operator")
        return list(found.values())

    def switches(self, make: Make, own: Mapping[str, Any]) -> Switches:
        """How a station of that make is treated."""
        treated: dict[str, Any] = {t.name: t.value for t in self.explain(make, own)}
        return Switches(**treated)


# -- values ----------------------------------------------------------------------------------------


def _fault(name: str, value: object) -> str | None:
    """Why a switch cannot have that value, None when it can."""
    switch = SWITCHES[name]
    if switch.choices:
        fits = isinstance(value, str) and value in switch.choices
        return None if fits else f"{name} is one of {', '.join(switch.choices)}"
    if switch.high:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and switch.low <= value <= switch.high:  # type: ignore[operator]
            return None
        return f"{name} is a whole number from {switch.low} to {switch.high}"
    return None if isinstance(value, bool) else f"{name} is true or false"


_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def checked(name: str, value: object) -> Value:
    """The value for a switch, from JSON, TOML or as text. Raises `Invalid` with what is allowed."""
    if name not in SWITCHES:
        raise Invalid(f"there is no switch {name}; there are {', '.join(SWITCHES)}")
    if isinstance(value, str) and not SWITCHES[name].choices:
        text = value.strip().lower()
        value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else _WORDS.get(text, value)
        if not SWITCHES[name].high and type(value) is int and value in (0, 1):
            value = bool(value)
    fault = _fault(name, value)
    if fault is not None:
        raise Invalid(fault)
    assert isinstance(value, bool | int | str)
    return value


# -- makes -----------------------------------------------------------------------------------------

_NUMBERS = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_BOUND = re.compile(r"\s*(<=|>=|<|>|=)\s*(\d+(?:\.\d+)*)\s*", re.ASCII)
_HOLDS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}
MAX_VERSION_PARTS = 8


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text.casefold(), pattern.casefold())


def _in_range(firmware: str, wanted: str) -> bool:
    if wanted[:1] not in ("<", ">", "="):
        return _like(firmware, wanted)
    said = _NUMBERS.search(firmware)
    if said is None:
        return False
    version = _version(said[0])
    bounds = (_BOUND.fullmatch(part) for part in wanted.split(","))
    return all(b is not None and _HOLDS[b[1]](version, _version(b[2])) for b in bounds)


def _version(text: str) -> tuple[int, ...]:
    """Comparable: 1.8 is 1.8.0. Digits beyond what a version has do not count."""
    parts = [int(part[:12]) for part in text.split(".")[:MAX_VERSION_PARTS]]
    return tuple(parts + [0] * (MAX_VERSION_PARTS - len(parts)))


# -- the data file ---------------------------------------------------------------------------------

_ENTRY_FIELDS = {"name", "vendor", "model", "firmware", "switches", "source"}


def parse(data: Mapping[str, Any], base: Catalogue, file: str) -> Catalogue:
    """The catalogue of a data file: `[[entry]]` tables behind those of `base`, or in their place
    with `extends = false`. Raises `Invalid` that names file and entry."""
    unknown = sorted(set(data) - {"entry", "extends"})
    if unknown:
        raise Invalid(f"{file}: {unknown[0]}: there is no such key; entries are [[entry]]")
    extends, rows = data.get("extends", True), data.get("entry", [])
    if not isinstance(extends, bool):
        raise Invalid(f"{file}: extends: is true or false")
    if not isinstance(rows, list):
        raise Invalid(f"{file}: entry: write entries as [[entry]]")
    entries = [_entry(row, f"{file}: entry {n}") for n, row in enumerate(rows, start=1)]
    names: set[str] = set()
    for entry in entries:
        if entry.name in names:
            raise Invalid(f"{file}: entry {entry.name}: there are two of this name")
        names.add(entry.name)
    kept = [e for e in base.entries if e.name not in names] if extends else []
    return Catalogue((*kept, *entries))


def _entry(row: Any, where: str) -> Entry:
    if not isinstance(row, Mapping):
        raise Invalid(f"{where}: write entries as [[entry]]")
    name = row.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise Invalid(f"{where}: name: is needed, of small letters, digits and hyphens")
    where = f"{where} ({name})"
    unknown = sorted(set(row) - _ENTRY_FIELDS)
    if unknown:
        raise Invalid(f"{where}: {unknown[0]}: there is no such key")
    texts = {}
    for field, default in (("vendor", None), ("model", "*"), ("firmware", "*"), ("source", None)):
        text = row.get(field, default)
        if not isinstance(text, str) or not text.strip():
            raise Invalid(f"{where}: {field}: is needed, as text")
        texts[field] = text.strip()
    firmware = texts["firmware"]
    if firmware[0] in "<>=" and not all(_BOUND.fullmatch(part) for part in firmware.split(",")):
        raise Invalid(f"{where}: firmware: bounds look like >=1.2, <2")
    switches = row.get("switches")
    if not isinstance(switches, Mapping) or not switches:
        raise Invalid(f"{where}: switches: is needed, like {{ ping = false }}")
    try:
        values = {switch: checked(switch, value) for switch, value in switches.items()}
    except Invalid as error:
        raise Invalid(f"{where}: switches: {error.detail}") from error
    return Entry(name, texts["vendor"], texts["model"], firmware, values, texts["source"])


# -- what an operator sets -------------------------------------------------------------------------


def set_switch(tx: Tx, station_id: str, name: str, value: object, now: datetime) -> None:
    """Set a switch of one station; None gives it back to what its make says. Repeating it changes
    nothing. Raises `Invalid`."""
    policy = policies.of(tx, station_id)
    own = dict(policy.switches)
    if value is None:
        if name not in SWITCHES and name not in own:
            checked(name, value)
        own.pop(name, None)
    else:
        own[name] = checked(name, value)
    if own != policy.switches:
        tx.save(policy._replace(switches=own))
        tx.record(events.StationChanged(at=now, station_id=station_id, fields=(f"switch {name}",)))
