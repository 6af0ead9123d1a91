"""Broken JSON that is mended where its meaning is plain, and nowhere else (quirk 42)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.ocpp.broken_json import CUT_OFF, MAX_CHARS, MAX_MENDS, MENDED, mend, without_halves


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"transactionId":,"a":1}', {"a": 1}),
        ('{"a":1,"transactionId":}', {"a": 1}),
        ('{"transactionId":}', {}),
        ('{"sampledValue":[,{"value":"1"}]}', {"sampledValue": [{"value": "1"}]}),
        ('{"a":[{"b":1},]}', {"a": [{"b": 1}]}),
        ('{,"a":5,,"b":6,}', {"a": 5, "b": 6}),
        ("[[1],,,[2],]", [[1], [2]]),
        ('{"a":[{"b":"]}"]}', {"a": [{"b": "]}"}]}),
        (" [ 1 , ] ", [1]),
    ],
)
def test_what_is_plainly_meant(text: str, meant: Any) -> None:
    mended = mend(text)
    assert mended is not None
    assert (json.loads(mended.text), mended.kind) == (meant, MENDED)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"a":{"b":[1', {"a": {"b": []}}),
        ('{"a":{"b":[1,', {"a": {"b": [1]}}),
        ('{"meterStop":12', {}),
        ('{"meterStop":12}', None),
        ('[{"meterStop":12}', [{"meterStop": 12}]),
        ('[{"a":"whole"', [{"a": "whole"}]),
        ('[{"a":"par', [{}]),
        ('[{"a":"whole","b', [{"a": "whole"}]),
        ('[{"a":"whole","b"', [{"a": "whole"}]),
        ('[{"a":"whole","b":', [{"a": "whole"}]),
        ('[{"a":true', [{"a": True}]),
        ('[{"a":tr', [{}]),
        ('[{"a":-', [{}]),
        ('[{"a":"x\\\\', [{}]),
    ],
)
def test_what_was_cut_off_loses_what_is_not_whole(text: str, meant: Any) -> None:
    """A number at the very end may have been a longer one: nothing comes out that was not sent."""
    mended = mend(text)
    assert mended is not None
    if meant is None:
        assert mended.kind == MENDED
    else:
        assert (json.loads(mended.text), mended.kind) == (meant, CUT_OFF)


@pytest.mark.parametrize(
    "text", ['{"a" "b"}', '{"a":1}}', "[1] [2]", "hello", "NaN", "[1 2]", "]", '{"a":1]', "[x]"]
)
def test_what_is_not_plain_stays_broken(text: str) -> None:
    mended = mend(text)
    if mended is not None:
        with pytest.raises(ValueError):
            json.loads(mended.text)


def test_the_work_is_bounded() -> None:
    assert mend("[" + "," * MAX_MENDS + "1]") is not None
    assert mend("[" + "," * (MAX_MENDS + 1) + "1]") is None
    assert mend("[" + " " * MAX_CHARS + "1,]") is None


def test_the_work_grows_with_the_text_however_deep_it_is() -> None:
    """One frame must not hold up the other stations: brackets that never match are looked up, not
    searched for among thousands of open ones."""
    flat = "[" + "1," * 13_000 + "{[}," * 1_000
    deep = "[" * 27_000 + "{[}," * 1_000

    def cost(text: str) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            mend(text)
            times.append(time.process_time() - began)
        return min(times)

    assert cost(deep) < 4 * cost(flat)


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_a_half_of_a_pair_in_what_is_nested_too_deeply_stays_broken(depth: int) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        without_halves('[2,"\\ud800",' + "[" * depth + "]" * depth + "]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def parts(value: Any) -> list[Any]:
    """Every scalar of a value, and every key."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in (k, *parts(v))]
    if isinstance(value, list):
        return [p for v in value for p in parts(v)]
    return [value]


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(JSON, st.data())
def test_a_message_that_was_cut_off_anywhere_says_nothing_new(
    value: Any, data: st.DataObject
) -> None:
    whole = json.dumps([value])
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    mended = mend(cut)
    if mended is None or not mended.text:
        return
    known = parts([value])
    for part in parts(json.loads(mended.text)):
        assert part in known
