"""Many stations at a time: what another system knew of them comes over in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import APIRouter

from csms.api.auth import AdminWriter, Writer
from csms.api.shapes import Import, Imported, ImportedRow, ImportRow
from csms.api.stations import new_credential
from csms.core import imports, logins
from csms.core.errors import CsmsError, StoreUnavailable
from csms.core.imports import Rehearsed, Result, Row
from csms.core.ports import Tx
from csms.core.security import Credential
from csms.core.stations import NewStation

router = APIRouter(tags=["stations"])


@router.post("/station-imports")
async def import_stations(given: Import, writer: AdminWriter) -> Imported:
    """Take in up to 200 stations. Each row stands alone: one that is refused does not stop the
    others, and all may be sent again. New tokens are in the answer and nowhere else."""
    numbered = [replace(writer, key=_row_key(writer, n)) for n in range(len(given.rows))]
    taking = (
        _take(one, row, dry_run=given.dry_run)
        for one, row in zip(numbered, given.rows, strict=True)
    )
    return Imported(rows=list(await asyncio.gather(*taking)))


def _row_key(writer: Writer, number: int) -> str | None:
    return None if writer.key is None else f"{writer.key}#{number}"


async def _take(writer: Writer, row: ImportRow, *, dry_run: bool) -> ImportedRow:
    provided = writer.provided
    token = writer.secret()
    secret = row.secret or token
    try:
        party = writer.who.party_for(row.party_id, provided.party)
        wanted = Row(
            NewStation(row.identity, party, row.evses, row.connectors),
            row.vendor,
            row.model,
            row.serial,
            given=row.secret is not None,
            weak_allowed=row.weak_secret,
        )
        credential = new_credential(provided, secret)._replace(
            weak=row.secret is not None and logins.is_weak(secret.encode())
        )
        arguments = (provided.new_id(), wanted, credential, provided.clock())
        if dry_run:
            await provided.store.transact(imports.rehearse, *arguments)
        answer = await writer.run(
            "station_imported",
            row.identity,
            _take_in,
            *arguments,
            station_id=arguments[0],
            party_id=party,
            facts=row.model_dump(exclude_defaults=True, exclude={"secret"}),
        )
        issued = answer["result"] == Result.ADDED and row.secret is None
        if issued:
            writer.issued(token, again=answer["credential_id"] != credential.id)
    except Rehearsed as rehearsed:
        return _shown(row, rehearsed.outcome.result, rehearsed.outcome.detail)
    except StoreUnavailable:
        # Nothing is said of a single row: the whole request can be sent again.
        raise
    except CsmsError as error:
        return _shown(row, Result.REFUSED, error.detail or error.code)
    return _shown(row, answer["result"], answer["detail"], token if issued else None)


def _shown(
    row: ImportRow, result: str, detail: str | None = None, token: str | None = None
) -> ImportedRow:
    return ImportedRow(identity=row.identity, result=result, detail=detail, token=token)


def _take_in(
    tx: Tx, station_id: str, row: Row, credential: Credential, now: datetime
) -> Mapping[str, str | None]:
    outcome = imports.take_in(tx, station_id, row, credential, now)
    return {
        "result": outcome.result.value,
        "detail": outcome.detail,
        "credential_id": outcome.credential_id,
    }
