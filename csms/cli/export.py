"""`csms transaction export`: transactions for spreadsheets and programs, page by page.

One page is in memory at a time, however many there are. A file appears under its name only when it
is complete.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from csms.cli.charging import transactions
from csms.cli.client import Client, Row
from csms.cli.failures import usage
from csms.cli.moments import SinceOption, UntilOption, moment
from csms.cli.output import note
from csms.cli.session import Session

Sink = Callable[[str], object]
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1, 9999))
# Described in docs/export.md; columns are added at the end, never renamed.
COLUMNS = (
    "id",
    "station",
    "station_id",
    "party_id",
    "evse",
    "connector",
    "token_uid",
    "group_id",
    "outcome",
    "started_at",
    "ended_at",
    "energy_wh",
    "meter_start_wh",
    "meter_last_wh",
    "stop_reason",
    "stop_token_uid",
    "end_kind",
    "open",
    "offline",
    "missing_messages",
    "flags",
    "wire_id",
    "reservation_id",
    "command_id",
    "received_at",
)
READING_COLUMNS = (
    "transaction_id",
    "station",
    "at",
    "measurand",
    "value",
    "unit",
    "phase",
    "location",
    "context",
)
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class ExportFormat(StrEnum):
    """How the file is written."""

    CSV = "csv"
    JSONL = "jsonl"


def found(
    client: Client, station: str | None, party: str | None, since: str | None, until: str | None
) -> Iterator[Row]:
    """Transactions that began in that time, the newest first."""
    first, last = _at(since) or EARLIEST, _at(until) or LATEST
    for row in client.pages("/transactions", {"station": station}):
        # What was received before cannot have begun after: nothing older follows.
        if (_at(row.get("received_at")) or LATEST) < first:
            return
        began = _at(row.get("started_at")) or EARLIEST
        if first <= began < last and party in (None, row.get("party_id")):
            yield row


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _samples(client: Client, row: Row) -> Iterator[Row]:
    return client.pages(f"/transactions/{row['id']}/meter-values")


def write_jsonl(sink: Sink, client: Client, row: Row, with_samples: bool) -> None:
    """A line with everything that the API says of a transaction."""
    whole = {**row, "meter_values": list(_samples(client, row))} if with_samples else row
    sink(json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n")


def csv_line(values: list[Any]) -> str:
    """A line by RFC 4180. A text that a spreadsheet would take for a formula gets a `'` before."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([_cell(value) for value in values])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def write_csv(sink: Sink, client: Client, row: Row, with_samples: bool) -> None:
    """A line of a transaction, or one for each of its readings."""
    if not with_samples:
        sink(csv_line([row.get(name) for name in COLUMNS]))
        return
    for sample in _samples(client, row):
        for reading in sample.get("readings") or []:
            facts = {
                **reading,
                "transaction_id": row["id"],
                "station": row.get("station"),
                "at": sample.get("at"),
            }
            sink(csv_line([facts.get(name) for name in READING_COLUMNS]))


@contextmanager
def _target(session: Session, file: Path | None) -> Iterator[Sink]:
    """Where it is written: standard output, or a file that appears when it is complete."""
    if file is None:
        yield session.out.raw
        return
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as writing:
            yield writing.write
        part.replace(file)
    except OSError as error:
        what = f"cannot write {file}: {error.strerror}"
        raise usage(what, "name a file that can be written") from None
    finally:
        part.unlink(missing_ok=True)


@transactions.command("export")
def export(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Without it, standard output.", show_default=False),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        ExportFormat, typer.Option("--format", "-f", help="csv, or a JSON object on each line.")
    ] = ExportFormat.CSV,
    since: SinceOption = None,
    until: UntilOption = None,
    station: Annotated[
        str | None, typer.Option("--station", help="Of one station.", show_default=False)
    ] = None,
    party: Annotated[
        str | None, typer.Option("--party", help="Of one owner, like CA*NTH.", show_default=False)
    ] = None,
    meter_values: Annotated[
        bool,
        typer.Option(
            "--meter-values", help="With their meter values; csv: a line for each reading instead."
        ),
    ] = False,
) -> None:
    """Transactions that began in a time, the newest first, for spreadsheets and programs.

    The columns are described in docs/export.md. However many there are, memory stays small.

    Example: `csms transaction export june.csv --since 2031-06-01 --until 2031-07-01`

    Example: `csms transaction export --format jsonl --station CP-1 --meter-values > CP-1.jsonl`
    """
    session = Session.of(context, None)
    file = None if file == Path("-") else file
    began, ended = moment(since, "--since"), moment(until, "--until")
    write = write_csv if format is ExportFormat.CSV else write_jsonl
    count = 0
    with _target(session, file) as sink, _progress() as tell:
        if format is ExportFormat.CSV:
            sink(csv_line(list(READING_COLUMNS if meter_values else COLUMNS)))
        for row in found(session.client, station, party, began, ended):
            write(sink, session.client, row, meter_values)
            count += 1
            tell(count)
    if file is not None:
        note(f"{count} transactions are in {file}")


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """How many there are so far; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    with Console(stderr=True, markup=False).status("0 transactions") as status:
        yield lambda count: status.update(f"{count} transactions") if count % 100 == 0 else None
