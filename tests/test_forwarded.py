"""Anybody can send X-Forwarded-For; whose counts is the operator's decision."""

from __future__ import annotations

import pytest

from csms.forwarded import Proxies


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ([], ["203.0.113.9"], "127.0.0.1"),
        (["10.0.0.0/8"], ["203.0.113.9"], "127.0.0.1"),
        (["127.0.0.1"], ["203.0.113.9"], "203.0.113.9"),
        # What the proxy has added itself is on the right.
        (["127.0.0.0/8"], ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["127.0.0.0/8"], ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["127.0.0.0/8", "203.0.113.0/24"], ["6.6.6.6, 2001:db8::1, 203.0.113.9"], "2001:db8::1"),
        (["0.0.0.0/0"], ["6.6.6.6, 203.0.113.9"], "6.6.6.6"),
        (["127.0.0.0/8"], ["<script>"], "127.0.0.1"),
        (["127.0.0.0/8"], ["6.6.6.6, unknown"], "127.0.0.1"),
        (["127.0.0.0/8"], [""], "127.0.0.1"),
        (["127.0.0.0/8"], [], "127.0.0.1"),
    ],
)
def test_the_right_most_address_that_is_not_itself_trusted(
    trusted: list[str], forwarded: list[str], address: str
) -> None:
    assert Proxies(trusted).client("127.0.0.1", forwarded) == address


def test_who_is_trusted() -> None:
    proxies = Proxies(["10.0.0.0/8", "2001:db8::7"])
    assert [a in proxies for a in ("10.1.2.3", "11.1.2.3", "2001:db8::7", "::1")] == [
        True,
        False,
        True,
        False,
    ]
