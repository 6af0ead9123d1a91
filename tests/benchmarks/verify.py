"""Whether everything that was acknowledged is in the database, exactly once.

Read with plain SQL after the server was killed, so that neither its caches nor its own code take
part. A script's messages are numbered without gaps, so counts, distinct counts, ends and sums say
it all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from tests.benchmarks.scripts import FIRST, UPDATES, Script, wire_id

MAX_SHOWN = 5


def faults(database: Path, load: str, scripts: Sequence[Script], start: datetime) -> list[str]:
    """What is wrong, in words; empty when nothing is."""
    check = {"meter": _meter_faults, "transactions": _transaction_faults}[load]
    with closing(sqlite3.connect(database)) as connection:
        (health,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        found = [] if health == "ok" else [f"the database is damaged: {health}"]
        found += check(connection, scripts, start)
        found += _quarantine(connection)
    more = len(found) - MAX_SHOWN
    return [*found[:MAX_SHOWN], f"and {more} more"] if more > 0 else found


def _quarantine(connection: sqlite3.Connection) -> list[str]:
    (kept,) = connection.execute("SELECT count(*) FROM quarantine").fetchone()
    return [f"{kept} reports are in quarantine"] if kept else []


def _meter_faults(
    connection: sqlite3.Connection, scripts: Sequence[Script], start: datetime
) -> Iterable[str]:
    samples = _samples(connection)
    events = dict(
        connection.execute(
            "SELECT json_extract(data, '$.transaction_id'), count(*) FROM journal"
            " WHERE kind = 'transaction_updated' GROUP BY 1"
        )
    )
    energies = dict(connection.execute("SELECT id, energy_wh FROM transactions"))
    for script in scripts:
        transaction_id, count = int(script.name), script.acknowledged
        expected = _expected(0, count, start)
        stored = samples.get(transaction_id, _NOTHING)
        if stored != expected:
            yield f"transaction {transaction_id}: samples {stored}, acknowledged {expected}"
        if events.get(transaction_id, 0) != count:
            yield f"transaction {transaction_id}: {events.get(transaction_id, 0)} events of {count}"
        # The start said the register of the first sample as well.
        if energies.get(transaction_id) != max(0, count - 1):
            yield f"transaction {transaction_id}: {energies.get(transaction_id)} Wh of {count - 1}"


def _transaction_faults(
    connection: sqlite3.Connection, scripts: Sequence[Script], start: datetime
) -> Iterable[str]:
    samples = _samples(connection)
    rows = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT wire_id, id, open, seen, energy_wh, outcome FROM transactions"
            # Ids that we gave to 1.6 stations.
            " WHERE wire_id NOT LIKE '#%'"
        )
    }
    expected_rows = 0
    for script in scripts:
        each = script.messages_each
        for count, first in enumerate(range(0, script.acknowledged, each)):
            name = wire_id(script.name, count)
            expected_rows += 1
            said = min(each, script.acknowledged - first)
            metered = max(0, min(said - 1, UPDATES))
            found = rows.get(name)
            if found is None:
                yield f"transaction {name} is missing"
                continue
            row = (int(said < each), _seen(said), max(0, metered - 1), "accepted")
            if found[1:] != row:
                yield f"transaction {name}: {found[1:]}, acknowledged {row}"
            expected = _expected(first + 1, metered, start)
            stored = samples.get(found[0], _NOTHING)
            if stored != expected:
                yield f"transaction {name}: samples {stored}, acknowledged {expected}"
    if len(rows) != expected_rows:
        yield f"{len(rows)} transactions of {expected_rows}"


# Number of samples, of different times, first and last time, sum of the registers.
_Samples = tuple[int, int, str | None, str | None, int]
_NOTHING: _Samples = (0, 0, None, None, 0)


def _samples(connection: sqlite3.Connection) -> dict[int, _Samples]:
    found = connection.execute(
        "SELECT transaction_id, count(*), count(DISTINCT at), min(at), max(at),"
        " sum(CAST(json_extract(readings, '$[0].value') AS INTEGER)) FROM meter_samples GROUP BY 1"
    )
    return {row[0]: row[1:] for row in found}


def _expected(first: int, count: int, start: datetime) -> _Samples:
    """What the messages `first` to `first + count` of a script leave behind."""
    if count == 0:
        return _NOTHING
    last = first + count - 1
    total = count * FIRST + (first + last) * count // 2
    return count, count, _stored(start, first), _stored(start, last), total


def _stored(start: datetime, seconds: int) -> str:
    return (start + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def _seen(messages: int) -> str:
    return f"0-{messages - 1}" if messages > 1 else "0"
