"""The ports: what the core asks of the outside is what the stores give."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from csms.core.ports import Ask, Need, Reader, Reply, Store, Tx
from csms.core.stations import Station
from csms.storage.batch import Overlay
from csms.storage.lanes import LanedStore
from csms.storage.open import open_inline
from csms.storage.reader import EntityReader
from csms.storage.store import InlineStore, QueuedStore


def names(kind: type[Any]) -> set[str]:
    """The methods and properties of a class."""
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("port", "given"),
    [(Tx, Overlay), (Reader, EntityReader), (Store, QueuedStore), (Store, LanedStore)],
    ids=["Tx", "Reader", "Store", "lanes"],
)
def test_what_is_asked_is_given(port: type[Any], given: type[Any]) -> None:
    assert names(port) <= names(given)


def test_the_store_for_tests_is_used_like_the_other() -> None:
    assert "transact" in names(InlineStore)
    assert {"reader", "trouble"} <= set(vars(open_inline()))


def test_a_need_is_known_by_what_it_names() -> None:
    """Equal needs are one look-up of a batch."""
    assert len({Need(Station, None, ("s1",)), Need(Station, None, ("s1",))}) == 1
    assert Need(Station, "identity", ("s1",)) != Need(Station, None, ("s1",))


@pytest.mark.parametrize(
    "value", [Reply(1), Ask("question", 5.0, lambda tx, answer: Reply(answer))]
)
def test_what_crosses_threads_is_frozen(value: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)
