"""Flags: what people should know before they believe a transaction.

A flag says why a part of the record is an estimate, was decided by a rule, or rests on somebody's
word. It changes nothing by itself; `csms transaction list --doubtful` shows what is flagged.
"""

from __future__ import annotations

ASSIGNED = "assigned"
CLOCK_SUSPECT = "clock_suspect"
CONTRADICTED = "contradicted"
END_BELOW_READING = "end_below_reading"
END_MISSING = "end_missing"
END_MISSING_PERHAPS = "end_missing?"
REGISTER_SUSPECT = "register_suspect"
SEQUENCE_GAP = "sequence_gap"
SEQUENCE_REPEATED = "sequence_repeated"
STOP_BELOW_START = "stop_below_start"
SUPERSEDED = "superseded"

MEANING = {
    ASSIGNED: "an operator placed a report from quarantine here",
    CLOCK_SUSPECT: "the station's clock cannot be believed: times are those of receipt",
    CONTRADICTED: "the station named two EVSEs, connectors or remote starts: the smaller counts",
    END_BELOW_READING: "the meter at the end is below a reading before it",
    END_MISSING: "the station says it is over, and sent no end: the end is an estimate",
    END_MISSING_PERHAPS: "its connector is free, and no end came: it may be over",
    REGISTER_SUSPECT: "registers contradict each other: the energy is the least they agree on",
    SEQUENCE_GAP: "messages between its start and its end never came",
    SEQUENCE_REPEATED: "the station gave one number to messages that differ: all of them count",
    STOP_BELOW_START: "the meter at the stop is below that at the start: the samples count",
    SUPERSEDED: "a later charge began on its EVSE, and no end came: the end is an estimate",
}

# About an end that was not reported: they go when it is.
_UNTIL_REPORTED = frozenset({SUPERSEDED, END_MISSING, END_MISSING_PERHAPS})
# No reason for people to look: nothing about the record depends on them.
HARMLESS = frozenset({CLOCK_SUSPECT, SEQUENCE_REPEATED})


def with_flag(flags: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """Flags are a sorted set."""
    assert flag in MEANING, flag
    return flags if flag in flags else tuple(sorted((*flags, flag)))


def without(flags: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """The flags less one."""
    return tuple(f for f in flags if f != flag) if flag in flags else flags


def once_reported(flags: tuple[str, ...]) -> tuple[str, ...]:
    """The flags less those that are about an end that was not reported."""
    return tuple(f for f in flags if f not in _UNTIL_REPORTED)
