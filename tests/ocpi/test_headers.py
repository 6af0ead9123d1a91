"""The headers of OCPI (transport_and_format)."""

from __future__ import annotations

import pytest

from csms.ocpi.headers import RAW, Ids, Routing, authorization, presented, usable_token


def test_the_token_is_base64_of_its_text() -> None:
    assert authorization("example-token") == "Token ZXhhbXBsZS10b2tlbg=="
    assert authorization("example-token", RAW) == "Token example-token"


@pytest.mark.parametrize(
    "value",
    [
        "Token ZXhhbXBsZS10b2tlbg==",
        # The specification's own example carries a line break.
        "Token ZXhhbXBsZS10b2tlbgo=",
        "token ZXhhbXBsZS10b2tlbg",
        "Token  example-token",
    ],
)
def test_every_form_of_the_header_is_read(value: str) -> None:
    assert "example-token" in presented(value)


def test_a_token_that_looks_like_base64_is_also_read_as_it_is() -> None:
    assert presented("Token deadbeef")[-1] == "deadbeef"


@pytest.mark.parametrize(
    "value", [None, "", "Token", "Bearer abc", "Token " + "a" * 2_000, "Token é"]
)
def test_what_is_no_token_is_none(value: str | None) -> None:
    assert presented(value) == ()


def test_usable_tokens() -> None:
    assert usable_token("!~")
    for wrong in ("", "a b", "a" * 65, "é", "a\n"):
        assert not usable_token(wrong)


def test_ids_are_echoed_and_made_where_they_are_missing() -> None:
    given = {"X-Request-ID": "r", "X-Correlation-ID": "c"}
    assert Ids.of(given, "fresh").headers() == given
    assert Ids.of({}, "fresh") == Ids("fresh", "fresh")
    assert Ids.of({"X-Request-ID": "r"}, "fresh") == Ids("r", "r")
    assert Ids.of({"X-Request-ID": "x" * 200}, "fresh").request == "fresh"
    assert Ids.of({"X-Request-ID": "a\r\nb"}, "fresh").request == "fresh"


def test_routing_is_swapped_in_the_answer() -> None:
    routing = Routing.of(
        {
            "OCPI-to-country-code": "nl",
            "OCPI-to-party-id": "Abc",
            "OCPI-from-country-code": "CA",
            "OCPI-from-party-id": "NTH",
        }
    )
    assert routing == Routing("NL*ABC", "CA*NTH")
    assert routing.swapped().headers() == {
        "OCPI-to-country-code": "CA",
        "OCPI-to-party-id": "NTH",
        "OCPI-from-country-code": "NL",
        "OCPI-from-party-id": "ABC",
    }
    assert Routing.of({"OCPI-to-party-id": "ABC"}) == Routing()
