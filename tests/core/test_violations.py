"""What each kind of fault means."""

from __future__ import annotations

from csms.core.violations import KINDS, explain
from csms.ocpp.rpc import ErrorCode
from csms.ocpp.validation import _CODES


def test_every_fault_and_every_error_has_words() -> None:
    assert {*_CODES, *map(str, ErrorCode)} <= set(KINDS)
    assert all(words and words == words.strip() for words in KINDS.values())


def test_a_refused_message_is_named() -> None:
    assert explain("trimmed") == KINDS["trimmed"]
    assert explain("Authorize: missing_field") == f"Authorize: {KINDS['missing_field']}"
    assert explain("Reset result: wrong_type") == "answered our Reset otherwise than specified"
    assert explain("something new") == KINDS["other"]
