"""`csms station import, export`: stations from a file, and into one.

The file is CSV with a header. Each row stands alone and may be sent again: what is there stays.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from csms.cli.client import Row
from csms.cli.failures import ExitCode, Failure, usage
from csms.cli.output import as_json, cell, note, progress
from csms.cli.session import OutputOption, Session
from csms.cli.stations import ADD, LOOK, app

ROWS_AT_ONCE = 200
WAIT_S = 60.0
# Column -> the field of the API, and what it is made of.
_COLUMNS: Mapping[str, tuple[str, type]] = {
    "identity": ("identity", str),
    "secret": ("secret", str),
    "weak_secret": ("weak_secret", bool),
    "evses": ("evses", int),
    "connectors": ("connectors", int),
    "party": ("party_id", str),
    "owner": ("party_id", str),
    "vendor": ("vendor", str),
    "model": ("model", str),
    "serial": ("serial", str),
}
# What an export says beyond that.
_PASSED_OVER = ("firmware", "version", "registration", "exceptions", "connected", "last_seen_at")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "@")
_BOOLS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class ExportFormat(StrEnum):
    """How a file of stations is written."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the file, with its line number for people."""

    number: int
    fields: Row


# -- import ----------------------------------------------------------------------------------------


@app.command("import", rich_help_panel=ADD)
def import_stations(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header.")],
    tokens_out: Annotated[
        Path | None,
        typer.Option("--tokens-out", metavar="FILE", help="New tokens are added to this file."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Take in stations from a file. It may be repeated: what is there already stays.

    Columns: identity; secret (that the station has; empty: a new token is made); weak_secret (yes:
    take one that may be guessed, as an exception of that station); evses, connectors (of each
    EVSE); party (its owner, also called owner); vendor, model, serial. Only identity is needed.

    Example: `csms station import stations.csv --dry-run`

    Example: `csms station import stations.csv --tokens-out tokens.csv`
    """
    session = Session.of(context, output)
    lines = read_lines(file)
    if tokens_out is None and not dry_run:
        lacking = _would_get_tokens(session, lines)
        if lacking:
            raise usage(
                f"{lacking} of {len(lines)} rows have no secret and would get new tokens",
                "say where these are written: --tokens-out FILE",
            )
    tokens = None if tokens_out is None or dry_run else _Tokens(tokens_out)
    results: list[dict[str, Any]] = []
    try:
        with progress("importing", len(lines)) as advance:
            for start in range(0, len(lines), ROWS_AT_ONCE):
                part = lines[start : start + ROWS_AT_ONCE]
                body = {"rows": [line.fields for line in part], "dry_run": dry_run}
                answer = session.client.write("POST", "/station-imports", body, wait_s=WAIT_S)
                for line, row in zip(part, answer["rows"], strict=True):
                    if tokens is not None and row.get("token"):
                        tokens.write(row["identity"], row["token"])
                    results.append({"line": line.number, **row, "token": None})
                advance(len(part))
    finally:
        if tokens is not None:
            tokens.close()
    _report(session, results, tokens, dry_run=dry_run)


def _would_get_tokens(session: Session, lines: list[Line]) -> int:
    """How many stations would be added with a new token; those that are there keep theirs."""
    count = 0
    bare = [line.fields for line in lines if "secret" not in line.fields]
    for start in range(0, len(bare), ROWS_AT_ONCE):
        body = {"rows": bare[start : start + ROWS_AT_ONCE], "dry_run": True}
        answer = session.client.write("POST", "/station-imports", body, wait_s=WAIT_S)
        count += sum(row["result"] == "added" for row in answer["rows"])
    return count


def read_lines(file: Path) -> list[Line]:
    """The rows of a file, checked as far as that is possible here. Raises `Failure` naming every
    line that is wrong (the first twenty)."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise usage(
            f"cannot read {file}: {error.strerror}", "name a file that can be read"
        ) from None
    except UnicodeDecodeError:
        raise usage(f"{file} is not text in UTF-8", "save it as CSV in UTF-8") from None
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=_delimiter(text))
    lines: list[Line] = []
    wrong: list[str] = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(file, header)
        for cells in reader:
            if not any(text.strip() for text in cells):
                continue
            try:
                lines.append(Line(reader.line_num, _fields(header, cells)))
            except ValueError as error:
                wrong.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        raise usage(f"{file}, line {reader.line_num}: {error}", "mend that line") from None
    wrong += _repeated(lines)
    if wrong:
        more = f" (and {len(wrong) - 20} more)" if len(wrong) > 20 else ""
        raise usage(f"{file}: " + "; ".join(wrong[:20]) + more, "mend these lines")
    if not lines:
        raise usage(f"{file} has no rows below its header", "add a line for each station")
    return lines


def _delimiter(text: str) -> str:
    """A comma, or the semicolon of spreadsheets in countries where a comma is in numbers."""
    header = text.partition("\n")[0]
    return ";" if ";" in header and "," not in header else ","


def _check_header(file: Path, header: list[str]) -> None:
    known = (*_COLUMNS, *_PASSED_OVER)
    unknown = [name for name in header if name not in known]
    if unknown or "identity" not in header:
        what = f"unknown column {cell(unknown[0])}" if unknown else "no column identity"
        raise usage(f"{file}: {what}", f"its first line names columns of: {', '.join(_COLUMNS)}")
    if len(set(header)) != len(header):
        raise usage(f"{file}: a column is named twice", "take one of them away")


def _fields(header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} values for {len(header)} columns")
    fields: dict[str, Any] = {}
    for name, raw in zip(header, cells, strict=True):
        text = raw.strip()
        if text[:1] == "'" and text[1:2] in _FORMULA:
            # As an export writes it.
            text = text[1:]
        if not text or name not in _COLUMNS:
            continue
        field, kind = _COLUMNS[name]
        if kind is int:
            if not (text.isascii() and text.isdecimal()):
                raise ValueError(f"{name}: {cell(text)!r} is no whole number")
            fields[field] = int(text)
        elif kind is bool:
            if text.lower() not in _BOOLS:
                raise ValueError(f"{name}: {cell(text)!r} is neither yes nor no")
            fields[field] = _BOOLS[text.lower()]
        else:
            fields[field] = text
    if "identity" not in fields:
        raise ValueError("identity is empty")
    return fields


def _repeated(lines: Iterable[Line]) -> Iterator[str]:
    first: dict[str, int] = {}
    for line in lines:
        identity = str(line.fields["identity"])
        if identity in first:
            yield f"line {line.number}: {cell(identity)} is in line {first[identity]} already"
        first.setdefault(identity, line.number)


_HEADER = "identity,token"


class _Tokens:
    """The file of new tokens, for its owner only; each is on disk before the next batch is sent.
    One that is there is gone on with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.count = 0
        try:
            self._new = not file.exists() or not file.stat().st_size
            if not self._new and not file.read_text("utf-8").startswith(_HEADER):
                what = f"--tokens-out: {file} is no file of tokens"
                raise usage(what, "name a new file, or the one of an import before")
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            what = f"--tokens-out: cannot write {file}: {why}"
            raise usage(what, "name a file that can be written") from None
        self._out = os.fdopen(descriptor, "a", encoding="utf-8", newline="")
        self._csv = csv.writer(self._out)
        if self._new:
            self._csv.writerow(("identity", "token"))

    def write(self, identity: str, token: str) -> None:
        """Keep one token."""
        self._csv.writerow((identity, token))
        self._out.flush()
        self.count += 1

    def close(self) -> None:
        """End the file; a new one that holds no token is taken away."""
        self._out.close()
        if self._new and not self.count:
            self.file.unlink()


def _report(
    session: Session, results: list[dict[str, Any]], tokens: _Tokens | None, *, dry_run: bool
) -> None:
    """A line for each row that is not plainly done, and the sums. Raises `Failure` when one was
    refused."""
    out = session.out
    sums = {
        name: sum(r["result"] == name for r in results)
        for name in ("added", "updated", "unchanged", "refused")
    }
    if out.is_json:
        out.json({"dry_run": dry_run, **sums, "rows": results})
    else:
        for row in results:
            if row["result"] != "added" or dry_run:
                detail = f": {cell(row['detail'])}" if row.get("detail") else ""
                identity = cell(row["identity"])
                out.line(f"line {row['line']}: {identity} {row['result']}{detail}")
        words = ", ".join(f"{count} {name}" for name, count in sums.items() if count)
        out.line(f"{'would be: ' if dry_run else ''}{words}")
        if tokens is not None and tokens.count:
            some = "1 new token is" if tokens.count == 1 else f"{tokens.count} new tokens are"
            out.line(f"{some} in {tokens.file}, and nowhere else")
    if sums["refused"]:
        what = f"{sums['refused']} of {len(results)} rows were refused"
        raise Failure(ExitCode.FAILED, what, "mend them and import the same file again")


# -- export ----------------------------------------------------------------------------------------

_EXPORTED = (
    *("identity", "secret", "evses", "connectors", "party", "vendor", "model", "serial"),
    *("firmware", "version", "registration", "exceptions", "last_seen_at"),
)


@app.command("export", rich_help_panel=LOOK)
def export_stations(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Default: standard output.")
    ] = None,
    output: Annotated[
        ExportFormat | None,
        typer.Option(
            "--output", "-o", help="Default: by the file's name, else csv.", show_default=False
        ),
    ] = None,
) -> None:
    """Write all stations into a file that `csms station import` reads.

    Secrets are not part of it: this system keeps only hashes of them. `json` is a list with
    everything that is known, `jsonl` the same with a station on each line.

    Example: `csms station export stations.csv`

    Example: `csms station export --output jsonl`
    """
    session = Session.of(context, None)
    file = None if file == Path("-") else file
    by_name = {".json": ExportFormat.JSON, ".jsonl": ExportFormat.JSONL}
    how = output or by_name.get(file.suffix if file else "", ExportFormat.CSV)
    rows = session.client.pages("/stations")
    if file is None:
        count = _write(sys.stdout, rows, how)
    else:
        try:
            with file.open("w", encoding="utf-8", newline="") as out:
                count = _write(out, rows, how)
        except OSError as error:
            what = f"cannot write {file}: {error.strerror}"
            raise usage(what, "name a file that can be written") from None
    where = "" if file is None else f" in {file}"
    note(f"{count} stations{where}, without secrets: only hashes of them are kept here")


def _write(out: Any, rows: Iterable[Row], how: ExportFormat) -> int:
    """Write them as they come; how many there were."""
    count = 0
    if how is ExportFormat.CSV:
        table = csv.writer(out)
        table.writerow(_EXPORTED)
        for count, row in enumerate(rows, start=1):  # noqa: B007
            table.writerow([_exported(row, name) for name in _EXPORTED])
        return count
    lines = how is ExportFormat.JSONL
    between, end = ("\n", "\n") if lines else (",\n", "\n]\n")
    out.write("" if lines else "[\n")
    for count, row in enumerate(rows, start=1):
        out.write(f"{between if count > 1 else ''}{as_json(row, indent=None)}")
    out.write(end if count or not lines else "")
    return count


def _exported(row: Row, name: str) -> Any:
    plugs = [c for c in row.get("connectors") or [] if c.get("evse") and c.get("connector")]
    match name:
        case "secret":
            return ""
        case "evses":
            return max((c["evse"] for c in plugs), default=1)
        case "connectors":
            return max((c["connector"] for c in plugs), default=1)
        case "party":
            return row.get("party_id")
        case "exceptions":
            return " ".join(row.get("exceptions") or {})
    value = row.get(name)
    # A spreadsheet would take what a station says of itself for a formula; an import takes the
    # mark away again.
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value
