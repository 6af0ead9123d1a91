"""Parts that settings describe by themselves."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from csms.bus.local import LocalBus
from csms.bus.post import Post
from csms.core.errors import NodeUnreachable
from csms.fresh import keyring_of
from csms.parts import http_limits, membership_of, node_name, post_of
from csms.serving import HttpLimits
from csms.settings import Settings
from csms.storage.open import open_inline
from tests.test_app import settings

SERVER = {"store": {"url": "postgresql://csms@db.example.com/csms"}}


def test_a_node_of_a_server_is_named_by_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node_name(settings(tmp_path)) == "node-1"
    assert node_name(settings(tmp_path, node="x", **SERVER)) == "x"
    monkeypatch.setattr(socket, "gethostname", lambda: "büro 7")
    assert node_name(settings(tmp_path, **SERVER)) == "b-ro-7"


@pytest.mark.parametrize(
    ("more", "why"),
    [({}, "a database file has one node only"), (SERVER, "set bus.url")],
)
async def test_where_there_is_no_way_to_other_nodes_it_is_said(
    tmp_path: Path, more: dict[str, object], why: str
) -> None:
    post = made(settings(tmp_path, **more))
    with pytest.raises(NodeUnreachable, match=why):
        await post.ask("b", "inquire", {})


async def test_nodes_of_a_server_reach_each_other_over_the_broker(tmp_path: Path) -> None:
    given = settings(tmp_path, bus={"url": "mqtt://127.0.0.1:1"}, **SERVER)
    assert isinstance(made(given), Post)


def test_how_long_operators_and_partners_are_waited_for_can_be_set(tmp_path: Path) -> None:
    given = {"header_timeout_s": 1.0, "body_timeout_s": 2.0, "send_timeout_s": 3.0}
    limits = http_limits(settings(tmp_path, http={"port": 0, **given}))
    assert {name: getattr(limits, name) for name in given} == given
    assert http_limits(settings(tmp_path)) == HttpLimits()


def test_whose_word_about_an_address_counts_can_be_set(tmp_path: Path) -> None:
    given = settings(tmp_path, http={"port": 0, "trusted_proxies": ["10.0.0.0/8"]})
    assert http_limits(given).trusted_proxies == ("10.0.0.0/8",)


def made(given: Settings) -> Any:
    membership = membership_of(given, open_inline(), lambda: 0)  # type: ignore[arg-type]
    return post_of(given, keyring_of(given), membership, LocalBus())
