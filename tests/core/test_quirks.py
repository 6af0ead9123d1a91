"""Switches: what they may be, for which makes they stand otherwise, and whose word counts."""

from __future__ import annotations

from typing import Any

import pytest

from csms.core.errors import Invalid
from csms.core.policies import Policy
from csms.core.quirks import (
    DEFAULTS,
    SWITCHES,
    Catalogue,
    Make,
    Switches,
    checked,
    parse,
    set_switch,
)
from tests.support.charging import NOW, Site

MAKE = Make("EN+", "AC7000-AE-25", "V43.0.552")


def catalogue(*entries: dict[str, Any], **top: Any) -> Catalogue:
    rows = [{"name": f"e{n}", "source": "a/b#1", **entry} for n, entry in enumerate(entries)]
    return parse({"entry": rows, **top}, Catalogue(), "own.toml")


def test_what_keeps_to_the_specification_is_treated_by_default() -> None:
    assert Catalogue().switches(MAKE, {}) == DEFAULTS == Switches()
    assert all(switch.meaning for switch in SWITCHES.values())


def test_the_operator_goes_before_the_catalogue_and_that_before_the_default() -> None:
    known = catalogue(
        {"vendor": "EN+*", "switches": {"ping": False, "settle_s": 5}},
        {"vendor": "*", "model": "ac7*", "switches": {"settle_s": 10}},
    )
    assert known.switches(MAKE, {"ping": True}) == Switches(settle_s=10)
    told = {t.name: (t.value, t.origin, t.source) for t in known.explain(MAKE, {"ping": True})}
    assert told["ping"] == (True, "operator", None)
    assert told["settle_s"] == (10, "e1", "a/b#1")
    assert told["trigger"] == ("all", "default", None)
    assert list(told) == list(SWITCHES)


def test_before_its_first_boot_a_station_has_no_make() -> None:
    known = catalogue({"vendor": "*", "switches": {"ping": False}})
    assert known.switches(Make(), {}).ping is True
    assert known.switches(Make(), {"ping": False}).ping is False
    assert known.switches(Make(None, "ACChargePoint"), {}).ping is False


@pytest.mark.parametrize(
    ("wanted", "firmware", "fits"),
    [
        ("*", None, True),
        ("1.*", "1.8.21", True),
        ("<=1.8.21", "1.8.21", True),
        ("<=1.8.21", "V1.8.22-rc1", False),
        (">=1.8, <2", "1.8", True),
        (">=1.8, <2", "1.10.3", True),
        (">=1.8, <2", "2.0.0", False),
        ("=1.8", "1.8.0", True),
        (">1", "no number at all", False),
        (">1", None, False),
        ("<1", "9" * 5_000, False),
    ],
)
def test_a_range_of_firmware(wanted: str, firmware: str | None, fits: bool) -> None:
    known = catalogue({"vendor": "ABB", "firmware": wanted, "switches": {"ping": False}})
    assert known.switches(Make("abb", "Terra", firmware), {}).ping is not fits


def test_what_is_no_switch_any_more_is_left_out() -> None:
    assert Catalogue().switches(MAKE, {"gone": 1, "trigger": "loudly", "ping": False}) == Switches(
        ping=False
    )


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("ping", "off", False),
        ("ping", "Yes", True),
        ("ping", "0", False),
        ("ping", True, True),
        ("settle_s", " 30 ", 30),
        ("settle_s", 0, 0),
        ("version", "2.0.1", "2.0.1"),
    ],
)
def test_values_come_as_json_or_as_text(name: str, given: object, value: object) -> None:
    assert checked(name, given) == value
    assert type(checked(name, given)) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("pong", True, "there is no switch pong; there are version, ping"),
        ("ping", 2, "ping is true or false"),
        ("ping", "maybe", "ping is true or false"),
        ("settle_s", 601, "settle_s is a whole number from 0 to 600"),
        ("settle_s", True, "settle_s is a whole number"),
        ("settle_s", "-1", "settle_s is a whole number"),
        ("version", 1.6, "version is one of offered, 1.6, 2.0.1, 2.1"),
        ("version", ["1.6"], "version is one of"),
    ],
)
def test_what_a_switch_cannot_be(name: str, given: object, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked(name, given)
    assert caught.value.detail.startswith(words)


# -- the data file ---------------------------------------------------------------------------------

GOOD = {"name": "a", "vendor": "V", "switches": {"ping": False}, "source": "a/b#1"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"entires": []}, "entires: there is no such key"),
        ({"extends": "no"}, "extends: is true or false"),
        ({"entry": {}}, "entry: write entries as [[entry]]"),
        ({"entry": [5]}, "entry 1: write entries as [[entry]]"),
        ({"entry": [{}]}, "entry 1: name: is needed"),
        ({"entry": [{**GOOD, "name": "A b"}]}, "entry 1: name: is needed"),
        ({"entry": [{**GOOD, "vednor": "x"}]}, "entry 1 (a): vednor: there is no such key"),
        ({"entry": [{**GOOD, "vendor": 5}]}, "entry 1 (a): vendor: is needed, as text"),
        ({"entry": [{**GOOD, "source": " "}]}, "entry 1 (a): source: is needed"),
        ({"entry": [{**GOOD, "firmware": ">=x"}]}, "entry 1 (a): firmware: bounds look like"),
        ({"entry": [{**GOOD, "switches": {}}]}, "entry 1 (a): switches: is needed"),
        (
            {"entry": [{**GOOD, "switches": {"pong": 1}}]},
            "entry 1 (a): switches: there is no switch pong",
        ),
        ({"entry": [GOOD, GOOD]}, "entry a: there are two of this name"),
    ],
)
def test_a_mistake_names_file_and_entry(data: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(data, Catalogue(), "own.toml")
    assert caught.value.detail.startswith(f"own.toml: {words}")


def test_a_second_file_adds_to_the_first_or_takes_its_place() -> None:
    base = catalogue(
        {"vendor": "A", "switches": {"ping": False}}, {"vendor": "B", "switches": {"settle_s": 1}}
    )
    own = {"entry": [{**GOOD, "name": "e0", "vendor": "C"}]}
    added = parse(own, base, "own.toml")
    assert [(e.name, e.vendor) for e in added.entries] == [("e1", "B"), ("e0", "C")]
    alone = parse({**own, "extends": False}, base, "own.toml")
    assert [(e.name, e.vendor) for e in alone.entries] == [("e0", "C")]


# -- what an operator sets -------------------------------------------------------------------------


def test_an_operator_sets_a_switch_and_gives_it_back() -> None:
    site = Site()
    site.run(set_switch, "s1", "settle_s", "30", NOW)
    site.run(set_switch, "s1", "ping", False, NOW)
    assert site.get(Policy, "s1").switches == {"settle_s": 30, "ping": False}
    site.run(set_switch, "s1", "ping", None, NOW)
    site.run(set_switch, "s1", "ping", None, NOW)
    assert site.get(Policy, "s1").switches == {"settle_s": 30}
    with pytest.raises(Invalid):
        site.run(set_switch, "s1", "pong", True, NOW)
    with pytest.raises(Invalid):
        site.run(set_switch, "s1", "pong", None, NOW)


def test_the_same_again_is_no_event() -> None:
    site = Site()
    for _ in range(2):
        site.run(set_switch, "s1", "ping", False, NOW)
    assert [kind for kind in site.journal() if kind == "station_changed"] == ["station_changed"]
