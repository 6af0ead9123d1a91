"""What is carried between nodes arrives as it was."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.core.commands import Command
from csms.core.errors import NodeUnreachable
from csms.core.inquiries import Answer, Inquiry
from csms.flows.post import NoPost, packed, packed_command, unpacked, unpacked_command
from tests.support.ocpp import NOW

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def carried(parcel: Any) -> Any:
    return orjson.loads(orjson.dumps(parcel))


@given(st.from_type(Inquiry) | st.from_type(Answer))  # type: ignore[arg-type]
def test_inquiries_and_answers_arrive_as_they_were(value: Inquiry | Answer) -> None:
    try:
        parcel = carried(packed(value))
    except (TypeError, ValueError):
        # Lone surrogates and objects that no station can have said.
        return
    assert unpacked(parcel) == value


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_commands_arrive_as_they_were(parameters: dict[str, Any]) -> None:
    command = Command("c", 1, "s", "call", parameters, "queued", NOW, "me", node="a")
    try:
        parcel = carried(packed_command(command))
    except (TypeError, ValueError):
        return
    assert unpacked_command(parcel) == command


@pytest.mark.parametrize(
    "parcel", [{}, {"kind": "Node", "value": {}}, {"kind": "NoAnswer", "value": {"reason": 1}}]
)
def test_anything_else_is_refused(parcel: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        unpacked(parcel)


async def test_without_a_way_to_others_it_says_what_to_do() -> None:
    with pytest.raises(NodeUnreachable, match=r"b cannot be asked: set bus.url"):
        await NoPost("set bus.url").ask("b", "inquire", {})
