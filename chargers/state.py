"""What a charger keeps over a loss of power: its meters, and what it has not yet been heard on.

One JSON file per charger, replaced as a whole, so that whenever the process ends there is a state
to go on from: at most `SAVE_EVERY_S` old. A transaction that ran then is ended by the restart, with
what its meter had counted by the last save, as a charger does that finds itself without power.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chargers.facts import Cause, Kind, Reading, Token, TransactionMessage
from chargers.ledger import TransactionRecord

SAVE_EVERY_S = 0.5
"""Wall seconds."""


class StateError(Exception):
    """A state file that cannot be read, or not written; the text says which, for a person."""


@dataclass
class State:
    """What is kept. `meters`: Wh by EVSE. `records`: of transactions that have messages here."""

    saved_at: datetime
    meters: dict[int, int] = field(default_factory=dict)
    messages: list[TransactionMessage] = field(default_factory=list)
    records: list[TransactionRecord] = field(default_factory=list)


def file_of(folder: Path, charger_id: str) -> Path:
    """The file of a charger; any identity makes a name."""
    return folder / f"{quote(charger_id, safe='')}.json"


def save(file: Path, state: State) -> None:
    """Replace the file. Raises `StateError`."""
    beside = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(asdict(state), default=_plain), encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        raise StateError(f"cannot write {file}: {error.strerror}") from error


def load(file: Path) -> State | None:
    """What was saved, None when there is nothing yet. Raises `StateError`."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return State(
            saved_at=datetime.fromisoformat(content["saved_at"]),
            meters={int(evse): int(wh) for evse, wh in content["meters"].items()},
            messages=[_message(one) for one in content["messages"]],
            records=[_record(one) for one in content["records"]],
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{file} holds no state of a charger: remove it to start anew") from error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    assert isinstance(value, Enum)
    return value.value


def _reading(content: dict[str, Any]) -> Reading:
    return Reading(**{**content, "at": datetime.fromisoformat(content["at"])})


def _message(content: dict[str, Any]) -> TransactionMessage:
    token = content["token"]
    known = {
        "kind": Kind(content["kind"]),
        "cause": Cause(content["cause"]),
        "reading": _reading(content["reading"]),
        "token": None if token is None else Token(**token),
    }
    return TransactionMessage(**{**content, **known})


def _record(content: dict[str, Any]) -> TransactionRecord:
    ended = content["ended_at"]
    known = {
        "started_at": datetime.fromisoformat(content["started_at"]),
        "ended_at": None if ended is None else datetime.fromisoformat(ended),
        "readings": [_reading(one) for one in content["readings"]],
    }
    names = {f.name for f in fields(TransactionRecord)}
    return TransactionRecord(**{n: v for n, v in {**content, **known}.items() if n in names})
