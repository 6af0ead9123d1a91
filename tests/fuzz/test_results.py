"""What stations answer to our own calls: results that fit, that nearly do, and that mean harm.

They go as frames through the machine of a link and the decoders of each version, and what comes out
is stored by the flow that asked. Whoever asked gets an answer, and what is stored is in bounds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from csms.core import device_model, inquiries, stations
from csms.core.device_model import Desired, State, Variable
from csms.core.inquiries import (
    Answer,
    ChangeProfile,
    GivePassword,
    Inquiry,
    Limits,
    Scope,
    TransactionState,
    TransactionStatus,
    TriggerReadings,
    TriggerStatus,
)
from csms.core.reports import Report
from csms.core.stations import NewStation
from csms.core.variables import MAX_VALUE
from csms.flows.configuration import Configuration
from csms.ocpp import asking
from csms.ocpp.asking import Heard, Silence
from csms.ocpp.rpc import Failure, Result, Rpc
from csms.ocpp.versions import PROTOCOLS
from csms.storage.open import open_inline
from tests.fuzz.network import VERSIONS
from tests.fuzz.payloads import HUGE, ODD_TEXTS, nearly, nested, valid
from tests.support.nodes import OneNode
from tests.support.ocpp import NOW, PARTY, at_once

EXAMPLES = 40
# Names in the form of both versions, of which the pools of payloads make some as well.
NAMES = ("x", "North", "Connector/Power", "EVSE@1/AvailabilityState", "EVSE/Power", "a//b")
SECRETS = ("AuthorizationKey", "SecurityCtrlr/BasicAuthPassword")
MAX_CALLS = 40
ODD = st.one_of(
    st.sampled_from((*ODD_TEXTS, *HUGE, None, True, [], {}, [[]], [{}], nested(40), nested(300))),
    st.lists(st.sampled_from((None, 1, "x", {}, [], {"key": 5}, {"name": {}})), max_size=3),
)
WORDS = ("Accepted", "accepted", "Rejected", "RebootRequired", "NotSupported", "UnknownVariable")


@st.composite
def hostile(draw: st.DrawFn, payload: Any) -> Any:
    """A result whose fields exist and hold anything."""
    made = {name: draw(ODD) for name in payload} if isinstance(payload, dict) else draw(ODD)
    return made if draw(st.booleans()) else draw(ODD)


@st.composite
def echoed(draw: st.DrawFn, asked: dict[str, Any]) -> Any:
    """The items that were asked about, in the words of a result, with any value and any status."""
    values = st.one_of(st.sampled_from(("17", "", "true", " 17 ", "L" * 3_000)), ODD)
    word = st.sampled_from(WORDS)
    items = asked.get("getVariableData") or asked.get("setVariableData")
    if items:
        results = [
            {**item, "attributeStatus": draw(word), "attributeValue": draw(values)}
            for item in items
        ]
        name = "getVariableResult" if "getVariableData" in asked else "setVariableResult"
        return {name: results * draw(st.sampled_from((1, 2)))}
    entries = ((key, draw(ODD), draw(values)) for key in asked.get("key", ""))
    keys = [{"key": key, "readonly": readonly, "value": value} for key, readonly, value in entries]
    return {"configurationKey": keys, "unknownKey": draw(ODD), "status": draw(word)}


@st.composite
def replies(draw: st.DrawFn, version: str, message_id: str, call: tuple[str, Any]) -> str | None:
    """The frame that a station answers with; None for none."""
    action, asked = call
    kind = draw(st.sampled_from(("fits", "nearly", "nearly", "hostile", "echoed", "echoed", "no")))
    if kind == "no":
        code = draw(st.sampled_from(("NotImplemented", "InternalError", "", 5, None)))
        refusal = json.dumps([4, message_id, code, draw(ODD), draw(ODD)])
        return draw(st.sampled_from((None, refusal)))
    name = f"{action}Response"
    fits = valid(version, name)
    if kind == "fits":
        payload = draw(fits)
    elif kind == "nearly":
        payload = draw(nearly(version, name)).payload
    elif kind == "hostile":
        payload = draw(hostile(draw(fits)))
    else:
        payload = draw(echoed(asked))
    return json.dumps([3, message_id, payload])


@dataclass
class Hostile(OneNode):
    """A station behind the machine of its link; `draws` gives what it answers."""

    version: str
    draws: st.DataObject
    rpc: Rpc = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.protocol = PROTOCOLS[VERSIONS[self.version]]
        self.rpc = Rpc(self.protocol.dialect.version)

    def holds(self, station_id: str) -> bool:
        return True

    def may_contact(self, station_id: str) -> bool:
        return True

    async def ask(self, station_id: str, inquiry: Inquiry, timeout_s: float) -> Answer:
        exchange = self.protocol.ask(inquiry)
        said: Heard | None = None
        before = self.calls
        while True:
            try:
                call = next(exchange) if said is None else exchange.send(said)
            except StopIteration as end:
                answer: Answer = end.value
                assert isinstance(answer, get_args(inquiries.Answer)), answer
                return answer
            assert asking.unsendable(call, self.protocol.dialect.schemas) is None, call
            said = self._hears(call)
            assert self.calls - before <= MAX_CALLS, "it is asked without an end"

    def _hears(self, call: tuple[str, Any]) -> Heard:
        self.calls += 1
        message_id = f"c{self.calls}"
        self.rpc.call(message_id, *call, self.calls)
        frame = self.draws.draw(replies(self.version, message_id, call))
        outcome = None if frame is None else self.rpc.receive(frame)
        if isinstance(outcome, Result | Failure):
            return asking.heard(outcome)
        self.rpc.expire(self.calls)
        return Silence("timed_out")


@pytest.mark.parametrize("version", VERSIONS)
def test_whatever_a_station_answers_who_asked_gets_an_answer(version: str) -> None:
    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=(Phase.generate,),
    )
    @given(st.data())
    def holds(draws: st.DataObject) -> None:
        at_once(_asks(Hostile(version, draws)))

    holds()


async def _asks(station: Hostile) -> None:
    """Everything that is ever asked of a station, and what is stored of its answers."""
    store = open_inline()
    store.run(stations.onboard, "s1", NewStation("CS 1", PARTY, 2), NOW)
    flow = Configuration(store, station, _now)
    wanted = dict.fromkeys(NAMES[:-1], "17")
    store.run(device_model.want, "s1", wanted, "op", NOW)
    await flow.report("s1", station.draws.draw(st.sampled_from(list(Scope))), "op")
    await flow.refresh("s1", (*NAMES, *SECRETS))
    await flow.apply("s1")
    await flow.verify("s1", list(wanted))
    for inquiry in (
        TransactionStatus("tx-1"),
        TriggerStatus(1, 1),
        TriggerStatus(),
        TriggerReadings(1),
        GivePassword("0123456789abcdef"),
        ChangeProfile(2, "wss://csms.example/ocpp"),
        inquiries.WriteVariables((("x", "17"), ("Connector/Power", "1")), Limits(1, 200)),
    ):
        answer = await station.ask("s1", inquiry, 1.0)
        if isinstance(answer, TransactionState):
            assert answer.ongoing in (True, False, None)
    found = at_once(store.reader.page(Variable, {"station_id": "s1"}, limit=10_000))
    for one in found:
        said = [text for text in (one.actual, one.target) if text is not None]
        assert all(len(text) <= MAX_VALUE for text in said), one.name
        assert one.name.encode(), "a name is text that can be written"
        assert not (one.key in map(str.casefold, SECRETS) and said), one
    states = {d.state for d in at_once(store.reader.page(Desired, {"station_id": "s1"}))}
    assert states <= set(State)
    for report in at_once(store.reader.page(Report, {"station_id": "s1"})):
        assert report.variables <= len(found), report


def _now() -> datetime:
    return NOW
