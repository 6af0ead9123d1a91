"""A station that answers the calls of an exchange, without a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from csms.core.inquiries import Answer, Inquiry
from csms.ocpp.asking import Exchange, Heard, unsendable
from csms.ocpp.versions import PROTOCOLS


def ended(exchange: Exchange) -> Answer:
    """The answer of an exchange that makes no call."""
    try:
        made = next(exchange)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError(f"it called {made}")


@dataclass
class Answering:
    """`on(action, answer)`: a result, a `Fault`, a `Silence`, or a function of the payload; several
    are given in turn, the last one for ever. `heard` are the calls."""

    protocol: str
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _answers: dict[str, list[Any]] = field(default_factory=dict)

    def on(self, action: str, *answers: Any) -> None:
        self._answers[action] = list(answers)

    def is_asked(self, inquiry: Inquiry) -> Answer:
        version = PROTOCOLS[self.protocol]
        exchange = version.ask(inquiry)
        said: Heard | None = None
        while True:
            try:
                action, payload = next(exchange) if said is None else exchange.send(said)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            fault = unsendable((action, payload), version.dialect.schemas)
            assert fault is None, fault
            self.heard.append((action, payload))
            said = self._said(action, payload)

    def _said(self, action: str, payload: dict[str, Any]) -> Any:
        answers = self._answers.get(action)
        assert answers, f"no answer to {action}"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(payload) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]
