"""Sessions in a few words, for tests of prices."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from csms.core.pricing.cost import Cost, Policy, price
from csms.core.pricing.periods import Period
from csms.core.pricing.tariff import Terms, parse

EXAMPLES = Path(__file__).parent.parent / "data" / "ocpi"
BERLIN = ZoneInfo("Europe/Berlin")
# A Monday.
MONDAY = "2026-03-02"
SATURDAY = "2026-03-07"


def example(name: str) -> Terms:
    """A tariff of the specification."""
    return parse(json.loads((EXAMPLES / f"{name}.json").read_text()))


def terms(*elements: Any, **fields: Any) -> Terms:
    """A tariff of elements; each is (components, restrictions) or components alone, and a component
    is `{"ENERGY": 0.25}` or `{"ENERGY": (0.25, step, vat)}`."""
    given = []
    for item in elements:
        components, restrictions = item if isinstance(item, tuple) else (item, None)
        parts = []
        for kind, value in components.items():
            price_, step, vat = (
                (*value, None, None)[:3]
                if isinstance(value, tuple)
                else (
                    value,
                    1,
                    None,
                )
            )
            part = {"type": kind, "price": price_, "step_size": 1 if step is None else step}
            parts.append(part | ({} if vat is None else {"vat": vat}))
        given.append(
            {"price_components": parts} | ({"restrictions": restrictions} if restrictions else {})
        )
    return parse({"currency": "EUR", "elements": given, "tax_included": "NO"} | fields)


class Session:
    """Periods one after the other, from a local time on."""

    def __init__(self, start: str, zone: ZoneInfo = BERLIN) -> None:
        self.at = datetime.fromisoformat(start).replace(tzinfo=zone)
        self.zone = zone
        self.periods: list[Period] = []

    def _add(self, minutes: float, **fields: Any) -> Session:
        # On instants, not on wall clocks: a change of the hour lies between.
        start = datetime.fromtimestamp(self.at.timestamp(), ZoneInfo("UTC"))
        end = start + timedelta(minutes=minutes)
        self.periods.append(Period(start, end, **fields))
        self.at = end
        return self

    def charge(
        self, minutes: float = 0, kwh: object = 0, kw: object = None, amps: object = None
    ) -> Session:
        """Charging for so long."""
        power = None if kw is None else Decimal(str(kw))
        current = None if amps is None else Decimal(str(amps))
        return self._add(
            minutes,
            energy_wh=Decimal(str(kwh)) * 1000,
            time_s=Decimal(str(minutes)) * 60,
            min_power=power,
            max_power=power,
            min_current=current,
            max_current=current,
        )

    def park(self, minutes: float) -> Session:
        """Plugged in and asking for no power."""
        return self._add(minutes, parking_s=Decimal(str(minutes)) * 60)

    def reserve(self, minutes: float, *, expired: bool = False) -> Session:
        """Reserved, before the car came (or never came)."""
        seconds = Decimal(str(minutes)) * 60
        return self._add(minutes, reservation_s=seconds, expired=expired)

    def cost(self, tariff: Terms, policy: Policy | None = None) -> Cost:
        """What it costs."""
        return price(tariff, self.periods, self.zone, policy)

    def paid(self, tariff: Terms, policy: Policy | None = None) -> tuple[str, str]:
        """Totals before and after taxes, as text; no warnings are expected."""
        found = self.cost(tariff, policy)
        assert found.warnings == ()
        assert sum(x.amount for x in found.total.taxes) == (
            found.total.after_taxes - found.total.before_taxes
        )
        return f"{found.total.before_taxes}", f"{found.total.after_taxes}"
