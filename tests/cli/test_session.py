"""What all commands share: options, limits, and commands that can be pasted."""

from __future__ import annotations

import json
import shlex

import pytest

from csms.cli.session import paste

from .conftest import Api, page


@pytest.mark.parametrize("word", ["CP-1", "Depot 7", "a'b", "$HOME", "-x"])
def test_what_is_printed_can_be_pasted(word: str) -> None:
    assert shlex.split(paste("station", "show", word)) == ["csms", "station", "show", word]


def test_the_format_of_the_command_wins_over_that_of_the_root(api: Api) -> None:
    api.on("GET", "/tokens", page())
    assert json.loads(api.run("-o", "json", "token", "list").stdout) == []
    assert api.run("-o", "json", "token", "list", "-o", "table").stdout == ""


def test_a_list_that_ends_where_it_is_cut_says_nothing(api: Api) -> None:
    api.on("GET", "/transactions", page(*({"id": n} for n in range(100))))
    result = api.run("transaction", "list")
    assert (len(result.stdout.splitlines()), result.stderr) == (101, "")


def test_a_limit_is_kept_and_not_commented(api: Api) -> None:
    api.on("GET", "/transactions", page({"id": 1}, {"id": 2}, following="more"))
    result = api.run("transaction", "list", "--limit", "2")
    assert (len(result.stdout.splitlines()), result.stderr) == (3, "")
    assert api.requests[0].url.params["limit"] == "2"
