"""The store of the simulation, when it is away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from csms.core import tokens
from csms.core.errors import StoreUnavailable
from csms.core.tokens import Token
from tests.simulation.stores import GRACE_S, SimStore
from tests.support.virtual import passing, run_virtually

NOW = datetime(2031, 1, 1, tzinfo=UTC)


def card(uid: str) -> Token:
    return Token("CA*NTH", "", "rfid", uid, NOW)


async def cards(store: SimStore) -> list[str]:
    return [token.uid for token in await store.reader.page(Token)]


def test_what_waits_is_done_when_it_is_back_in_time() -> None:
    async def main() -> list[str]:
        store = SimStore()
        store.go(loses=False)
        waiting = asyncio.create_task(store.transact(tokens.add, card("A"), NOW))
        await passing(GRACE_S - 1)
        assert store.trouble is not None
        assert not waiting.done()
        store.come_back()
        await waiting
        return await cards(store)

    assert run_virtually(main()) == ["A"]


def test_after_the_grace_nothing_is_done_and_everybody_is_told() -> None:
    async def main() -> list[str]:
        store = SimStore()
        store.go(loses=False)
        with pytest.raises(StoreUnavailable):
            await store.transact(tokens.add, card("A"), NOW)
        with pytest.raises(StoreUnavailable):
            await store.reader.page(Token)
        store.come_back()
        return await cards(store)

    assert run_virtually(main()) == []


def test_a_commit_that_hung_is_stored_although_it_failed() -> None:
    async def main() -> list[str]:
        store = SimStore()
        store.go(loses=True)
        with pytest.raises(StoreUnavailable):
            await store.transact(tokens.add, card("A"), NOW)
        store.come_back()
        return await cards(store)

    assert run_virtually(main()) == ["A"]


def test_one_that_was_killed_writes_nothing() -> None:
    async def main() -> list[str]:
        store = SimStore()
        life = store.life()
        life.over = True
        with pytest.raises(asyncio.CancelledError):
            await life.transact(tokens.add, card("A"), NOW)
        return await cards(store)

    assert run_virtually(main()) == []
