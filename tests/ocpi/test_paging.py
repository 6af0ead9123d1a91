"""Lists in pages (transport_and_format, pagination)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from csms.core.errors import Invalid
from csms.ocpi import paging
from csms.ocpi.paging import Query

AT = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://example.com/ocpi/2.2.1/sender/tokens"


def test_a_page_says_how_many_there_are_and_where_it_goes_on() -> None:
    asked = paging.query({"limit": "2", "date_from": "2026-01-01T00:00:00Z"})
    answer = paging.answer([1, 2, 3, 4, 5], asked, URL, str, 3)
    assert answer.data == ["1", "2"]
    assert answer.headers["X-Total-Count"] == "5"
    assert answer.headers["X-Limit"] == "3"
    link = paging.next_of(answer.headers)
    assert link is not None
    assert dict(httpx.URL(link).params) == {
        "offset": "2",
        "limit": "2",
        "date_from": "2026-01-01T00:00:00Z",
    }


def test_the_last_page_has_no_link_and_no_page_is_larger_than_ours() -> None:
    answer = paging.answer([1, 2, 3], paging.query({"limit": "2000"}), URL, str, 2)
    assert answer.data == ["1", "2"]
    assert "Link" in answer.headers
    last = paging.answer([1, 2, 3], paging.query({"offset": "2"}), URL, str, 2)
    assert last.data == ["3"]
    assert "Link" not in last.headers
    assert paging.answer([1], paging.query({"offset": "9"}), URL, str, 2).data == []
    assert "Link" not in paging.answer([1], paging.query({"limit": "0"}), URL, str, 2).headers


def test_date_from_is_inclusive_and_date_to_exclusive() -> None:
    asked = Query(date_from=AT, date_to=AT + timedelta(seconds=1))
    assert asked.takes(AT)
    assert not asked.takes(AT + timedelta(seconds=1))
    assert not asked.takes(AT - timedelta(milliseconds=1))
    # What we tell in milliseconds is asked for in milliseconds.
    assert Query(date_from=AT + timedelta(milliseconds=1)).takes(AT + timedelta(microseconds=1_400))
    assert not Query(date_to=AT + timedelta(milliseconds=1)).takes(
        AT + timedelta(microseconds=1_400)
    )


@pytest.mark.parametrize(
    "wrong", [{"limit": "-1"}, {"offset": "x"}, {"limit": "9" * 30}, {"date_from": "yesterday"}]
)
def test_a_query_that_is_not_understood_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        paging.query(wrong)


def test_an_offset_in_a_query_is_understood_in_spite_of_its_plus() -> None:
    assert paging.query({"date_from": "2026-01-01T02:00:00 02:00"}).date_from == AT


def test_links_are_found_in_their_forms() -> None:
    for text in ('<a?b=1>; rel="next"', "<a?b=1>;rel=next", '<x>; rel="prev", <a?b=1>; rel="next"'):
        assert paging.next_of({"link": text}) == "a?b=1"
    assert paging.next_of({"link": '<x>; rel="prev"'}) is None
    assert paging.next_of({}) is None
    assert paging.total_of({"x-total-count": "7"}) == 7
    assert paging.total_of({"x-total-count": "many"}) is None


def test_a_link_that_a_partner_has_made_up_is_none() -> None:
    """What it writes is bounded, and looked through once: all others wait meanwhile."""
    most = paging.MAX_LINK_CHARS
    for made_up in ("<" * most, "<a>;" * (most // 4), "<a>" + "; rel" * (most // 5), " " * most):
        assert paging.next_of({"link": made_up}) is None
    assert paging.next_of({"link": f"<{'a' * most}>; rel=next"}) is None


def test_addresses() -> None:
    assert paging.address(URL, AT, 5) == f"{URL}?date_from=2026-01-01T00%3A00%3A00Z&limit=5"
    assert paging.moved_back(f"{URL}?offset=10&limit=5", 2) == f"{URL}?offset=8&limit=5"
    assert paging.moved_back(URL, 2) == URL


def test_every_segment_below_an_endpoint_is_encoded_whole() -> None:
    assert paging.below(f"{URL}/", "CA", "a/b c?") == f"{URL}/CA/a%2Fb%20c%3F"
    assert paging.below(f"{URL}?x=1", "CA") == f"{URL}/CA?x=1"
