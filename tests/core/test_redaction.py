"""A pseudonym takes the place of a driver's names, and of nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core.redaction import Names, Redactor

NEW = "forgotten-0123456789abcdef"


def redactor(*uids: str) -> Redactor:
    return Redactor(Names(uids or ("04E1A2B3",), ["CA-NTH-C1"], ["Ana's card"]), NEW)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("04E1A2B3", NEW),
        ("04e1a2b3", NEW),
        (" 04 E1 A2 B3\x00", NEW),
        ("no token 04e1a2b3 (rfid) of CA*NTH", f"no token {NEW} (rfid) of CA*NTH"),
        ("card=04E1A2B3,", f"card={NEW},"),
        ("card 04 e1 a2 b3.", f"card {NEW}."),
        ('{"card":"04E1A2B3"}', f'{{"card":"{NEW}"}}'),
        ("/tokens/rfid/04E1A2B3", f"/tokens/rfid/{NEW}"),
        ("ca-nth-c1", NEW),
        ("about CA-NTH-C1", "about CA-NTH-C1"),
        ("04E1A2B3C", "04E1A2B3C"),
        ("X04E1A2B3", "X04E1A2B3"),
        ("04E1A2B3-2", "04E1A2B3-2"),
        ("7.04E1A2B3", "7.04E1A2B3"),
        ("Ana's card", "Ana's card"),
        ("", ""),
    ],
)
def test_a_uid_is_a_whole_text_or_a_word(before: str, after: str) -> None:
    assert redactor().text(before) == after
    assert redactor().text(after) == after


def test_a_short_uid_is_a_whole_text_only() -> None:
    short = redactor("12")
    assert short.text("12") == NEW
    assert short.text("12 stations, 12 cards") == "12 stations, 12 cards"


def test_numbers_amounts_and_places_are_no_names() -> None:
    said = {
        "value": "1000",
        "energy_wh": 1000,
        "before_taxes": "1000",
        "evse_uid": "1000",
        "idTag": "1000",
        "idToken": {"idToken": 1000, "type": "Central"},
        "list": [1000, "1000"],
        "label": "ana's card",
    }
    named = {
        **said,
        "idTag": NEW,
        "idToken": {"idToken": NEW, "type": "Central"},
        "list": [1000, NEW],
        "label": NEW,
    }
    assert redactor("1000").value(said) == named
    text = json.dumps(said, separators=(",", ":"))
    assert json.loads(redactor("1000").json(text)) == named


def test_another_uid_that_holds_this_one_as_a_word_stays_where_uids_stand() -> None:
    fleet = redactor("FLEET")
    assert fleet.value({"idTag": "FLEET 7", "uid": "FLEET-7"}) == {
        "idTag": "FLEET 7",
        "uid": "FLEET-7",
    }


def test_a_json_text_keeps_every_other_byte() -> None:
    text = '{ "kwh":1.50,\n "cdr_token" : {"uid":"04E1A2B3"}, "x":"\\u00e9\\/" }'
    assert redactor().json(text) == text.replace("04E1A2B3", NEW)
    assert redactor().json(text.replace("04E1A2B3", "04E1A2B\\u0033")) == text.replace(
        "04E1A2B3", NEW
    )
    nested = json.dumps({"data": json.dumps({"card": "04E1A2B3", "at": "a\n04E1A2B3"})})
    assert redactor().json(nested) == nested.replace("04E1A2B3", NEW)
    assert redactor().json('{"04E1A2B3": 1}') == f'{{"{NEW}": 1}}'


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","DataTransfer",{"data":"04E1A2B3 was here and mo',
        '[2,"1","Authorize",{"idTag":"04E1A2B3"',
        "04E1A2B3 is no JSON",
        '["\\x","04E1A2B3"]',
    ],
)
def test_what_was_cut_off_or_is_broken_is_gone_through_as_well(text: str) -> None:
    assert redactor().json(text) == text.replace("04E1A2B3", NEW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_names_nobody_is_never_touched(value: Any) -> None:
    text = json.dumps(value)
    if "04e1a2b3" not in text.casefold():
        assert redactor().json(text) == text
        assert redactor().value(value) == value


PIECES = st.lists(
    st.sampled_from(
        ["04E1A2B3", "04e1 a2b3", "card ", '"', "\\", "\n", "-", ".", "7", "é", ":", "CA-NTH-C1"]
    )
    | st.text(max_size=3),
    max_size=8,
).map("".join)


@given(st.dictionaries(st.sampled_from(["uid", "info", "label", "id"]), PIECES), PIECES)
def test_a_second_time_changes_nothing(said: dict[str, str], more: str) -> None:
    """Rows are gone through until nothing changes in them."""
    found = redactor()
    for text in (json.dumps(said), json.dumps(said, ensure_ascii=False), more, f"[{more}"):
        once = found.json(text)
        assert found.json(once) == once
    assert found.value(found.value(said)) == found.value(said)
    assert json.loads(found.json(json.dumps(said))) == found.value(said)


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_any_uid_is_found_where_it_stands_alone(uid: str, other: str) -> None:
    found = Redactor(Names([uid]), NEW)
    text = json.dumps({"idTag": uid, "x": [other, 1]})
    assert json.loads(found.json(text))["idTag"] == NEW
    assert found.json(found.json(text)) == found.json(text)
