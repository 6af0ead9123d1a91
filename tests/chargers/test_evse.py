"""One EVSE and its states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chargers.car import Car
from chargers.evse import Authorization, Evse, cause_of_start
from chargers.facts import Cause, ConnectorState, Token
from chargers.meter import Meter

AT = datetime(2024, 1, 1, tzinfo=UTC)


def evse(**changes: bool) -> Evse:
    return Evse(1, 2, 11_000, dc=changes.get("dc", False), meter=Meter(1_000))


def test_a_session_goes_through_its_states() -> None:
    place = evse()
    states = [place.state(1)]
    place.plug_in(Car(), 1)
    states.append(place.state(1))
    place.authorization = Authorization(Token("T"))
    running = place.begin("tx", AT)
    states.append(place.state(1))
    running.drawing = False
    states.append(place.state(1))
    place.end(AT)
    states.append(place.state(1))
    place.unplug()
    states.append(place.state(1))
    assert states == [
        ConnectorState.AVAILABLE,
        ConnectorState.PLUGGED,
        ConnectorState.CHARGING,
        ConnectorState.SUSPENDED,
        ConnectorState.FINISHING,
        ConnectorState.AVAILABLE,
    ]
    assert place.state(2) is ConnectorState.AVAILABLE


def test_energy_flows_only_while_a_transaction_runs() -> None:
    place = evse()
    place.plug_in(Car(soc=0.1), 2)
    hour = timedelta(hours=1)
    assert place.reading(AT + hour).energy_wh == 1_000
    place.authorization = Authorization(Token("T"))
    place.begin("tx", AT + hour)
    assert place.reading(AT + 2 * hour).energy_wh == 12_000
    place.end(AT + 2 * hour)
    assert place.reading(AT + 3 * hour).energy_wh == 12_000
    assert place.reading(AT + 3 * hour).power_w == 0


def test_only_dc_knows_the_state_of_charge() -> None:
    for dc, expected in ((True, 20), (False, None)):
        place = evse(dc=dc)
        place.plug_in(Car(soc=0.2), 1)
        assert place.reading(AT).soc_percent == expected


def test_one_car_at_a_time_and_only_where_a_plug_is() -> None:
    place = evse()
    with pytest.raises(ValueError, match="no connector"):
        place.plug_in(Car(), 3)
    place.plug_in(Car(), 1)
    with pytest.raises(ValueError, match="holds a car"):
        place.plug_in(Car(), 2)


def test_what_began_a_transaction() -> None:
    local, remote = Authorization(Token("T")), Authorization(Token("T"), 1, remote=True)
    assert cause_of_start(local, plugged_first=True) is Cause.AUTHORIZED
    assert cause_of_start(local, plugged_first=False) is Cause.PLUGGED_IN
    assert cause_of_start(remote, plugged_first=False) is Cause.REMOTE_START
