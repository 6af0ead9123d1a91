"""The cost of a session: the worked examples of OCPI mod_tariffs and mod_cdrs by their names, and
the rules that they leave out.

Two printed results contradict the rules of their own specification; the rules win:
`tariff_4_complex` prints 2.28 for 114 minutes at 1.25 per hour, which are 2.375;
`tariff_3_alt_url` prints a breakdown of 20.45 kWh beside the text that says 20.5 kWh are billed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from csms.core.pricing.cost import Part, Policy, price, too_much
from csms.core.pricing.money import Tax, Treatment
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import Dimension
from tests.support.pricing import MONDAY, SATURDAY, Session, example, terms

NOON = f"{MONDAY}T12:00"
GST_QST = (Tax("GST", Decimal(5), "R1"), Tax("QST", Decimal("9.975"), "T1"))

WORKED: list[tuple[str, Session, str, str]] = [
    ("tariff_8_simple_025kwh", Session(NOON).charge(60, 20), "5.00", "5.50"),
    ("tariff_9_025kwh_start", Session(NOON).charge(60, 20), "5.50", "6.10"),
    ("tariff_12_025kwh_min_price", Session(NOON).charge(60, 20), "5.00", "5.50"),
    ("tariff_12_025kwh_min_price", Session(NOON).charge(60, "1.9"), "0.50", "0.55"),
    ("tariff_10_025kwh_parking_start", Session(NOON).charge(60, 20).park(40), "7.00", "7.90"),
    ("tariff_6_025kwh_start_max_price", Session(NOON).charge(60, 50), "10.00", "11.00"),
    ("tariff_6_025kwh_start_max_price", Session(NOON).charge(60, 30), "8.00", "8.85"),
    ("tariff_1_simple_2hour", Session(NOON).charge(150, 20), "5.00", "5.50"),
    ("tariff_1_simple_2hour", Session(NOON).charge(150, 20).park(500), "5.00", "5.50"),
    ("tariff_19_simple_north_american_exclusive", Session(NOON).charge(150), "5.00", "5.00"),
    ("tariff_13_simple_3hour_5parking", Session(NOON).charge(150).park(42), "11.25", "12.75"),
    ("tariff_2_alt_text", Session(NOON).charge(150), "4.75", "5.00"),
    ("tariff_3_alt_url", Session(NOON).charge(60, "20.45"), "5.63", "6.24"),
    (
        "tariff_4_complex",
        Session(f"{MONDAY}T09:30").charge(165, amps=16).park(42),
        "9.00",
        "10.30",
    ),
    (
        "tariff_4_complex",
        Session(f"{SATURDAY}T13:30").charge(114, amps=43).park(71),
        "12.38",
        "13.98",
    ),
    ("tariff_5_free_of_charge", Session(NOON).charge(60, 20).park(600), "0.00", "0.00"),
    (
        "tariff_15_reservation_5_euro_per_hour",
        Session(NOON).reserve(15).charge(60, 20),
        "6.75",
        "7.60",
    ),
    (
        "tariff_16_reservation_2_euro_fee_5_euro_per_hour",
        Session(NOON).reserve(13).charge(60, 20),
        "8.75",
        "10.00",
    ),
    (
        "tariff_17_reservation_with_expire_fee",
        Session(NOON).reserve(22).charge(60, 20),
        "6.50",
        "7.30",
    ),
    (
        "tariff_17_reservation_with_expire_fee",
        Session(NOON).reserve(60, expired=True),
        "6.00",
        "7.20",
    ),
    (
        "tariff_18_reservation_with_expire_time",
        Session(NOON).reserve(22).charge(60, 20),
        "7.00",
        "7.90",
    ),
    (
        "tariff_18_reservation_with_expire_time",
        Session(NOON).reserve(90, expired=True),
        "9.00",
        "10.80",
    ),
    (
        "tariff_14_step_size",
        Session(f"{MONDAY}T16:55").charge(5).charge(5).park(2),
        "0.55",
        "0.55",
    ),
    ("tariff_14_step_size", Session(f"{MONDAY}T16:35").charge(25).charge(10), "1.30", "1.30"),
    (
        "tariff_14_step_size",
        Session(f"{MONDAY}T19:40").charge(12).park(8).park(12),
        "0.73",
        "0.73",
    ),
    (
        "tariffrestriction_example_max_power",
        Session(NOON).charge(10, 1, 6).charge(50, 40, 48).charge(8, "0.5", 4),
        "20.30",
        "24.36",
    ),
    (
        "tariffrestriction_example_max_duration",
        Session(NOON).charge(30, 5).charge(10, "1.2"),
        "0.30",
        "0.36",
    ),
]


@pytest.mark.parametrize(
    ("name", "session", "before", "after"),
    WORKED,
    ids=[f"{name}_{number}" for number, (name, *_) in enumerate(WORKED)],
)
def test_the_worked_examples_of_the_specification(
    name: str, session: Session, before: str, after: str
) -> None:
    assert session.paid(example(name)) == (before, after)


def test_tariff_20_simple_north_american_inclusive() -> None:
    """All taxes that are due are in the 5.25; in Quebec they are two lines."""
    found = (
        Session(NOON)
        .charge(150)
        .cost(example("tariff_20_simple_north_american_inclusive"), Policy(GST_QST))
    )
    assert found.total.after_taxes == Decimal("5.25")
    assert [(x.name, x.amount, x.account_number) for x in found.total.taxes] == [
        ("GST", Decimal("0.23"), "R1"),
        ("QST", Decimal("0.45"), "T1"),
    ]
    assert found.total.before_taxes == Decimal("4.57")


def test_mod_cdrs_step_size_examples() -> None:
    """The examples in the text of mod_cdrs, step_size, in its order."""
    both = terms({"TIME": (1, 300), "PARKING_TIME": (1, 300)})
    found = Session(NOON).charge(21).park(7).cost(both)
    assert {x.dimension: x.billed / 60 for x in found.lines} == {
        Dimension.TIME: 21,
        Dimension.PARKING_TIME: 10,
    }
    before, after = {"end_time": "17:00"}, {"start_time": "17:00"}
    energy = terms(({"ENERGY": (0.2, 500)}, before), ({"ENERGY": (0.27, 500)}, after))
    found = Session(f"{MONDAY}T16:00").charge(60, "4.3").charge(20, "1.1").cost(energy)
    assert [x.billed for x in found.lines] == [Decimal("4.3"), Decimal("1.2")]
    time = terms(({"TIME": (5, 600)}, before), ({"TIME": (7, 600)}, after))
    found = Session(f"{MONDAY}T16:54").charge(6).charge(22).cost(time)
    assert [x.billed / 60 for x in found.lines] == [6, 24]
    parking = terms({"TIME": (1, 600), "PARKING_TIME": (2, 600)})
    found = Session(NOON).charge(21).park(16).cost(parking)
    assert [x.billed / 60 for x in found.lines] == [21, 20]


# -- P1 to P13, where no example goes --------------------------------------------------------------

CASES: dict[str, tuple[Any, Session, str]] = {
    "P2: the first element that has the dimension counts, each dimension for itself": (
        terms(({"ENERGY": 1}, {"min_kwh": 5}), {"ENERGY": 2, "TIME": 6}),
        Session(NOON).charge(60, 5).charge(60, 5),
        "27.00",
    ),
    "P2: a dimension that no element prices is free": (
        terms(({"ENERGY": 1}, {"max_kwh": 5})),
        Session(NOON).charge(60, 5).charge(60, 5),
        "5.00",
    ),
    "P3: FLAT once, when the first one becomes active": (
        terms(({"FLAT": 1}, {"start_time": "13:00"}), {"ENERGY": 0}),
        Session(NOON).charge(60, 1).charge(30, 1).charge(30, 1),
        "1.00",
    ),
    "P3: a second FLAT is not added to the first (multiple flat fees)": (
        terms(({"FLAT": 1}, {"end_time": "13:00"}), ({"FLAT": 5}, {"start_time": "13:00"})),
        Session(NOON).charge(60).charge(60),
        "1.00",
    ),
    "P3: the FLAT of a reservation is separate": (
        terms(({"FLAT": 2}, {"reservation": "RESERVATION"}), {"FLAT": 1}),
        Session(NOON).reserve(10).charge(60),
        "3.00",
    ),
    "P4: min_kwh includes its value, max_kwh does not": (
        terms(({"ENERGY": 1}, {"max_kwh": 10}), ({"ENERGY": 2}, {"min_kwh": 10})),
        Session(NOON).charge(10, 10).charge(10, 10),
        "30.00",
    ),
    "P4: durations count from the start of the session, for parking too": (
        terms(({"PARKING_TIME": 0}, {"max_duration": 5400}), {"PARKING_TIME": 6}),
        Session(NOON).charge(60, 1).park(30).park(30),
        "3.00",
    ),
    "P4: a duration does not count the reservation": (
        terms(({"ENERGY": 1}, {"max_duration": 3600}), {"ENERGY": 2}),
        Session(NOON).reserve(45).charge(60, 1).charge(10, 1),
        "3.00",
    ),
    "P4: a night window wraps, and its morning is the next day": (
        terms(
            ({"TIME": 1}, {"start_time": "22:00", "end_time": "06:00", "day_of_week": ["MONDAY"]}),
            {"TIME": 2},
        ),
        Session(f"{MONDAY}T22:00").charge(120).charge(60),
        "4.00",
    ),
    "P4: an end at 00:00 is the end of the day": (
        terms(({"TIME": 1}, {"start_time": "20:00", "end_time": "00:00"}), {"TIME": 2}),
        Session(f"{MONDAY}T23:00").charge(60).charge(60),
        "3.00",
    ),
    "P4: equal times are the whole day": (
        terms(({"TIME": 1}, {"start_time": "08:00", "end_time": "08:00"}), {"TIME": 2}),
        Session(f"{MONDAY}T07:00").charge(120),
        "2.00",
    ),
    "P4: start_date is included, end_date is not": (
        terms(({"TIME": 1}, {"start_date": "2026-03-02", "end_date": "2026-03-03"}), {"TIME": 2}),
        Session("2026-03-01T23:00").charge(60).charge(1440).charge(60),
        "28.00",
    ),
    "P4: a minimum power is that of the whole period": (
        terms(({"ENERGY": 1}, {"min_power": 50}), {"ENERGY": 2}),
        Session(NOON).charge(6, 5, 50).charge(6, 5, 49.9),
        "15.00",
    ),
    "P5: the time is that of the place": (
        terms(({"TIME": 1}, {"start_time": "12:00", "end_time": "13:00"}), {"TIME": 100}),
        Session(NOON).charge(60),
        "1.00",
    ),
    "P6: ten minutes written as 0.1667 h are one block of ten minutes": (
        terms({"TIME": (6, 600)}),
        Session(NOON).charge(10.002),
        "1.00",
    ),
    "P6: no steps": (
        terms({"ENERGY": (1, 0), "TIME": (60, 0)}),
        Session(NOON).charge(1.5, "0.0005"),
        "1.50",
    ),
    "P6: energy is billed by the Wh, upwards": (
        terms({"ENERGY": (1000, 1)}),
        Session(NOON).charge(1, "0.1152"),
        "116.00",
    ),
    "P6: what is free by a price of 0 is free in steps as well": (
        terms(({"TIME": (1, 900)}, {"end_time": "20:00"}), {"TIME": (0, 900)}),
        Session(f"{MONDAY}T19:52").charge(8).charge(12),
        "0.25",
    ),
    "P6: charging time is rounded where parking is free": (
        terms({"TIME": (6, 600), "PARKING_TIME": (0, 600)}),
        Session(NOON).charge(11).park(3),
        "2.00",
    ),
    "P8: what expired has the price of a reservation where it has none of its own": (
        terms(
            ({"FLAT": 4}, {"reservation": "RESERVATION_EXPIRES"}),
            ({"TIME": 6, "FLAT": 1}, {"reservation": "RESERVATION"}),
        ),
        Session(NOON).reserve(30, expired=True),
        "7.00",
    ),
    "P8: a reservation has no price where the tariff has none for it": (
        terms({"TIME": 6, "FLAT": 1}),
        Session(NOON).reserve(30).charge(10),
        "2.00",
    ),
    "P9: a maximum before taxes alone": (
        terms({"ENERGY": 1}, max_price={"before_taxes": 3}),
        Session(NOON).charge(1, 9),
        "3.00",
    ),
    "P9: a minimum where nothing was charged": (
        terms({"ENERGY": 1}, min_price={"before_taxes": 1}),
        Session(NOON).charge(1, 0),
        "1.00",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(case: str) -> None:
    tariff, session, before = CASES[case]
    assert session.paid(tariff)[0] == before


def test_the_clock_goes_forward() -> None:
    """P5: on 2026-03-29 in Berlin 01:59 is followed by 03:00; a window of that hour is empty."""
    night = terms(({"TIME": 100}, {"start_time": "02:00", "end_time": "03:00"}), {"TIME": 6})
    assert Session("2026-03-29T01:30").charge(30).charge(30).paid(night)[0] == "6.00"


def test_the_clock_goes_back() -> None:
    """P5: on 2026-10-25 in Berlin the hour from 02:00 occurs twice, and both are of the window."""
    night = terms(({"TIME": 60}, {"start_time": "02:00", "end_time": "03:00"}), {"TIME": 6})
    session = Session("2026-10-25T01:00").charge(60).charge(60).charge(60).charge(60)
    assert session.paid(night)[0] == "132.00"


def test_a_tariff_that_is_not_applicable_to_taxes_has_none() -> None:
    plain = terms({"ENERGY": (1, 1, 20)}, tax_included="N/A")
    assert Session(NOON).charge(1, 10).paid(plain, Policy(GST_QST)) == ("10.00", "10.00")


def test_vat_of_a_component_goes_before_the_taxes_of_the_place() -> None:
    """P10; a component without VAT gets those of the place."""
    mixed = terms({"ENERGY": (1, 1, 20), "FLAT": 10})
    found = Session(NOON).charge(1, 10).cost(mixed, Policy(GST_QST))
    assert [(x.name, str(x.amount)) for x in found.total.taxes] == [
        ("GST", "0.50"),
        ("QST", "1.00"),
        ("VAT", "2.00"),
    ]
    assert str(found.total.after_taxes) == "23.50"


def test_a_vat_of_0_is_a_line_of_its_own() -> None:
    """OCPI 2.2.1 mod_tariffs, PriceComponent: none is different from 0 %."""
    found = Session(NOON).charge(1, 10).cost(terms({"ENERGY": (1, 1, 0)}))
    assert [(x.name, x.percentage, x.amount) for x in found.total.taxes] == [("VAT", 0, 0)]


@pytest.mark.parametrize("treatment", [Treatment.EXEMPT, Treatment.REVERSE_CHARGE])
@pytest.mark.parametrize(("included", "before"), [("NO", "11.50"), ("YES", "10.00")])
def test_no_tax_is_charged_where_the_contract_says_so(
    treatment: Treatment, included: str, before: str
) -> None:
    """An inclusive price is taken apart all the same: the buyer does not pay our tax."""
    tariff = terms({"ENERGY": (1, 1, 15)}, tax_included=included)
    found = Session(NOON).charge(1, "11.5").cost(tariff, Policy(treatment=treatment))
    assert (str(found.total.before_taxes), found.total.taxes) == (before, ())
    assert found.total.after_taxes == found.total.before_taxes
    assert found.notes == (f"no tax is charged: {treatment.value.replace('_', ' ')}",)


def test_an_inclusive_price_without_a_known_rate_is_said() -> None:
    found = Session(NOON).charge(60).cost(example("tariff_20_simple_north_american_inclusive"))
    assert (str(found.total.after_taxes), found.total.taxes) == ("2.10", ())
    assert found.warnings == ("the prices include taxes, and no rate is known to take them apart",)


def test_what_nobody_knows_is_taken_to_match_and_said() -> None:
    """P4: an unknown power."""
    fast = terms(({"ENERGY": 2}, {"min_power": 50}), {"ENERGY": 1})
    found = Session(NOON).charge(10, 1).cost(fast)
    assert str(found.total.before_taxes) == "2.00"
    assert found.warnings == ("period 1: power is not known: element 1 is taken to apply",)


@pytest.mark.parametrize(
    ("restrictions", "session"),
    [
        ({"start_time": "12:30"}, Session(NOON).charge(60, 1)),
        ({"start_time": "12:10", "end_time": "12:20"}, Session(NOON).charge(60, 1)),
        ({"max_kwh": 5}, Session(NOON).charge(60, 6)),
        ({"max_duration": 3599}, Session(NOON).charge(60, 1)),
        ({"day_of_week": ["TUESDAY"]}, Session(NOON).charge(1440, 1)),
    ],
    ids=["start", "window", "energy", "duration", "day"],
)
def test_a_period_that_hides_a_change_is_charged_by_its_start(
    restrictions: dict[str, Any], session: Session
) -> None:
    """P1: a partner's fault; not guessed at, and said."""
    found = session.cost(terms(({"TIME": 1}, restrictions), {"TIME": 2}))
    assert found.warnings == (
        "period 1: the price of TIME changes within it; it is charged as at its start",
    )


def test_the_search_for_changes_within_periods_has_an_end_and_that_is_said() -> None:
    """It is only to warn: what is charged does not depend on it."""
    past = [
        ({"TIME": 9}, {"end_date": "2020-01-01", "end_time": f"{n // 60:02}:{n % 60:02}"})
        for n in range(199)
    ]
    session = Session(NOON)
    for _ in range(5):
        session.charge(1_440)
    found = session.cost(terms(*past, {"TIME": 1}))
    assert found.warnings == ("not every period is looked through for a price that changes",)
    assert str(found.total.before_taxes) == "120.00"


def test_how_much_is_too_much_depends_on_periods_and_elements() -> None:
    """Quarter hours for a month under a few elements, or for days under one for each."""
    assert not too_much(terms(*[{"TIME": 1}] * 16), 31 * 96)
    assert not too_much(terms(*[{"TIME": 1}] * 96), 5 * 96)
    assert too_much(terms(*[{"TIME": 1}] * 200), 31 * 96)


@pytest.mark.parametrize(
    "restrictions",
    [{"end_time": "13:00"}, {"max_kwh": 1}, {"max_duration": 3600}, {"end_date": "2026-03-03"}],
    ids=str,
)
def test_a_period_that_ends_where_a_price_changes_is_as_it_should_be(
    restrictions: dict[str, Any],
) -> None:
    Session(NOON).charge(60, 1).paid(terms(({"TIME": 1}, restrictions), {"TIME": 2}))


def test_every_line_says_why() -> None:
    day = terms(
        ({"ENERGY": (0.5, 100), "PARKING_TIME": 1}, {"start_time": "09:00", "end_time": "18:00"}),
        {"ENERGY": 0.25, "FLAT": 1},
    )
    found = Session(f"{MONDAY}T17:00").charge(60, "1.05").charge(60, 1).park(5).cost(day)
    said = {(x.dimension, x.element): x.why for x in found.lines}
    assert said[Dimension.ENERGY, 1] == ("element 1 applies: 09:00 to 18:00",)
    assert said[Dimension.ENERGY, 2] == (
        "element 1 does not apply: it is 18:00, not within 09:00 to 18:00; "
        "element 2 applies: it has no restrictions",
    )
    assert said[Dimension.FLAT, 2] == ("element 2 applies: it has no restrictions",)
    assert said[Dimension.PARKING_TIME, None] == ("no element with a price for it applies: free",)
    stepped = Session(NOON).charge(60, "1.05").cost(day).lines
    assert stepped[-1].why[-1] == "1050 Wh are billed as 1100 Wh, in steps of 100 Wh"


def test_parts_are_those_of_a_charge_detail_record() -> None:
    found = (
        Session(NOON)
        .reserve(22)
        .charge(60, 20)
        .cost(example("tariff_17_reservation_with_expire_fee"))
    )
    assert {part: str(money.after_taxes.normalize()) for part, money in found.parts.items()} == {
        Part.FIXED: "0.6",
        Part.ENERGY: "5.5",
        Part.RESERVATION: "1.2",
    }
    assert (found.energy_wh, found.time_s, found.reservation_s) == (20_000, 3600, 1320)


def test_nothing_costs_nothing() -> None:
    found = price(terms({"FLAT": 1}), [], UTC)
    assert (found.total.after_taxes, found.lines) == (0, ())


def test_energy_that_flows_back_is_paid_back_and_not_rounded() -> None:
    """OCPI 2.2.1 mod_cdrs: a negative ENERGY is energy fed into the grid."""
    session = Session(NOON).charge(10, "2.0001").charge(10, -5)
    assert session.paid(terms({"ENERGY": (1, 1000)}))[0] == "-3.00"


def test_a_period_that_runs_backwards_is_said() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    wrong = Period(at, at.replace(year=2025), energy_wh=Decimal(1000))
    found = price(terms({"ENERGY": 1}), [wrong], UTC)
    assert found.warnings == ("period 1 ends before it starts",)
    assert str(found.total.after_taxes) == "1.00"


def test_a_currency_without_cents_is_rounded_to_whole_units() -> None:
    yen = terms({"ENERGY": (55, 1, 10)}, currency="JPY")
    assert Session(NOON).charge(1, "1.5").paid(yen) == ("83", "91")
