"""Taxes by place and date, and the tables that come with the program."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from csms.core.errors import Invalid
from csms.core.pricing.money import Rounding, rounded, taxed
from csms.core.taxes import COLUMNS, NO_TAXES, Place, TaxTable, parse, table

TABLES = Path(__file__).parents[2] / "config" / "taxes"
HEAD = ",".join(COLUMNS) + "\n"
TODAY = date(2026, 3, 1)


def shipped() -> TaxTable:
    return table((path.name, path.read_text()) for path in sorted(TABLES.glob("*.csv")))


def rates(found: TaxTable, place: Place, day: date = TODAY) -> list[tuple[str, str]]:
    return [(tax.name, str(tax.percentage)) for tax in found.at(place, day).taxes]


@pytest.mark.parametrize("path", sorted(TABLES.rglob("*.csv")), ids=lambda p: p.stem)
def test_every_table_that_comes_with_the_program_is_valid(path: Path) -> None:
    assert all(len(rate.source) > 10 for rate in parse(path.name, path.read_text()))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("AB", [("GST", "5")]),
        ("British Columbia", [("GST", "5")]),
        ("NB", [("HST", "15")]),
        ("NL", [("HST", "15")]),
        ("NS", [("HST", "14")]),
        ("ON", [("HST", "13")]),
        ("PE", [("HST", "15")]),
        ("Québec", [("GST", "5"), ("QST", "9.975")]),
        ("YT", [("GST", "5")]),
    ],
)
def test_the_provinces_of_canada(state: str, expected: list[tuple[str, str]]) -> None:
    assert rates(shipped(), Place("CA", state)) == expected


def test_all_provinces_and_territories_have_rates() -> None:
    codes = ["AB", "BC", "MB", "NB", "NL", "NS", "NT", "NU", "ON", "PE", "QC", "SK", "YT"]
    assert all(rates(shipped(), Place("CA", code)) for code in codes)


def test_nova_scotia_changed_on_a_day() -> None:
    """CRA Notice 342: 14 % since 2025-04-01."""
    there = Place("CA", "NS")
    assert rates(shipped(), there, date(2025, 3, 31)) == [("HST", "15")]
    assert rates(shipped(), there, date(2025, 4, 1)) == [("HST", "14")]


def test_the_member_states_of_the_union_have_one_rate_each() -> None:
    found = shipped()
    states = set(found.rates) - {"CA"}
    assert len(states) == 27
    for day in (date(2025, 1, 1), date(2025, 7, 15), TODAY):
        assert all(len(found.at(Place(state), day).taxes) == 1 for state in states)
    assert rates(found, Place("EE")) == [("VAT", "24")]


def test_a_single_rate_is_known_as_such_where_nothing_is_in_doubt() -> None:
    """OCPI 2.2.1 mod_tariffs, PriceComponent.vat has room for one percentage."""
    found = shipped()
    assert found.at(Place("DE"), TODAY).single == 19
    assert found.at(Place("CA", "ON"), TODAY).single == 13
    assert found.at(Place("CA", "QC"), TODAY).single is None, "two that are stacked"
    assert found.at(Place("US", "CA"), TODAY).single is None, "none is known"
    federal = table(
        [("t.csv", HEAD + "CA,,,GST,5,2020-01-01,,price,x\nCA,QC,,QST,9,2020-01-01,,price,x\n")]
    )
    assert federal.at(Place("CA"), TODAY).single is None, "the region is not known"


def test_quebec_adds_up_to_the_cent() -> None:
    """Revenu Québec's own example: 100.00 is 5.00 GST, 9.98 QST, 114.98."""
    taxes = shipped().at(Place("CA", "QC"), TODAY).taxes
    found = rounded(taxed(Decimal(100), taxes, included=False), Rounding(), "CAD")
    assert [str(line.amount) for line in found.taxes] == ["5.00", "9.98"]
    assert str(found.after_taxes) == "114.98"


# -- how a place is resolved -----------------------------------------------------------------------

STACKED = HEAD + (
    "US,,,Federal,1,2026-01-01,,price,x\n"
    "US,CA,,State,6,2026-01-01,,price,x\n"
    "US,CA,Oakland,City,3,2026-01-01,,price,x\n"
    "US,CA,94601,District,0.5,2026-01-01,,price,x\n"
)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place("US", "CA"), ["Federal", "State"]),
        (Place("US", "California", ("OAKLAND", "94601")), ["Federal", "State", "City", "District"]),
        (Place("US", "NV", ("Oakland",)), ["Federal"]),
        (Place("US", None), ["Federal"]),
    ],
)
def test_rows_are_stacked_from_the_country_to_the_locality(
    place: Place, expected: list[str]
) -> None:
    found = table([("t.csv", STACKED)], {"State": "SR-1"})
    assert [name for name, _ in rates(found, place)] == expected
    accounts = [tax.account_number for tax in found.at(place, TODAY).taxes if tax.name == "State"]
    assert accounts in ([], ["SR-1"])


def test_what_is_missing_is_said() -> None:
    found = table([("t.csv", STACKED)])
    assert found.at(Place("US", "Atlantis"), TODAY).doubts == (
        "the taxes of US depend on the region, which is not known",
    )
    assert found.at(Place("US", "CA"), TODAY).doubts == ()
    assert found.at(Place("US", "CA"), date(2025, 1, 1)).doubts == (
        "no rate of US holds there on 2025-01-01",
    )
    assert NO_TAXES.at(Place("DE"), TODAY).doubts == ("there is no tax table for DE",)


def test_remarks_and_empty_lines_are_skipped() -> None:
    (rate,) = parse("t.csv", f"\ufeff# taxes\n\n{HEAD}\n# one\nDE,,,VAT,19,2025-01-01,,price,x\n")
    assert (rate.tax, rate.where) == ("VAT", "t.csv:6")
    assert parse("t.csv", "# nothing\n") == []


ROW = "DE,,,VAT,19,2025-01-01,,price,x\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("country,tax\n", "t.csv:1: the columns must be"),
        (HEAD + "DE,,,VAT,19\n", "t.csv:2: 5 values in 9 columns"),
        (HEAD + ROW.replace("DE", "XX"), "t.csv:2: country"),
        (HEAD + ROW.replace("DE,,", "CA,ZZ,"), "t.csv:2: region: ZZ is no region of CA"),
        (HEAD + ROW.replace("VAT", ""), "t.csv:2: tax"),
        (HEAD + ROW.replace(",x", ", "), "t.csv:2: source: every rate says"),
        (HEAD + ROW.replace("19", "190"), "t.csv:2: percentage"),
        (HEAD + ROW.replace("19,", "a lot,"), "t.csv:2: percentage"),
        (HEAD + ROW.replace("2025-01-01", "2025-13-01"), "t.csv:2: valid_from"),
        (HEAD + ROW.replace(",,price", ",soon,price"), "t.csv:2: valid_to"),
        (HEAD + ROW.replace(",,price", ",2025-01-01,price"), "t.csv:2: valid_to is not after"),
        (HEAD + ROW.replace("price", "all"), "t.csv:2: base: price or price.taxes is expected"),
        (HEAD + ROW + ROW, "t.csv:3: overlaps t.csv:2: VAT"),
        (HEAD + ROW + ROW.replace("2025-01-01,", "2020-01-01,2025-01-02"), "t.csv:3: overlaps"),
        (HEAD + '"DE\n",,,VAT,19,2025-01-01,,price,x\n', "t.csv"),
    ],
    ids=str,
)
def test_a_bad_table_is_refused_with_file_and_line(text: str, fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        table([("t.csv", text)])


def test_two_files_may_not_overlap_either() -> None:
    with pytest.raises(Invalid, match=r"b\.csv:2: overlaps a\.csv:2"):
        table([("a.csv", HEAD + ROW), ("b.csv", HEAD + ROW)])


def test_a_rate_that_follows_another_does_not_overlap_it() -> None:
    later = ROW.replace("19,2025-01-01", "20,2027-01-01")
    found = table([("t.csv", HEAD + ROW.replace(",,price", ",2027-01-01,price") + later)])
    assert rates(found, Place("DE"), date(2027, 1, 1)) == [("VAT", "20")]


def test_a_tax_may_be_on_other_taxes() -> None:
    """Quebec until 2012 (QST on the price with GST): 7.5 % of 105 is 7.875."""
    rows = "CA,QC,,GST,5,2010-01-01,,price,x\nCA,QC,,QST,7.5,2010-01-01,,price+taxes,x\n"
    taxes = table([("t.csv", HEAD + rows)]).at(Place("CA", "QC"), date(2010, 6, 1)).taxes
    money = taxed(Decimal(100), taxes, included=False)
    assert [(line.name, str(line.percentage), line.amount) for line in money.taxes] == [
        ("GST", "5", Decimal(5)),
        ("QST", "7.5", Decimal("7.875")),
    ]
    back = taxed(money.after_taxes, taxes, included=True)
    assert back.before_taxes == Decimal(100)
    assert back.after_taxes == money.after_taxes == Decimal("112.875")
