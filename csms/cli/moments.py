"""Times as people type them: `2h` ago, a date, an ISO 8601 time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from csms.cli.failures import usage

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From then on: 2h, 7d, or an ISO time.", show_default=False
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="TIME", help="Before then: 2h, 7d, or an ISO time.", show_default=False
    ),
]


def moment(text: str | None, option: str, now: datetime | None = None) -> str | None:
    """The time in RFC 3339; without a zone it is local. Raises `Failure` naming the option."""
    if text is None:
        return None
    wanted = text.strip()
    try:
        ago = _AGO.fullmatch(wanted)
        if ago is not None:
            at = (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            at = datetime.fromisoformat(wanted).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        example = "examples are 2h, 7d, 2031-12-31 and 2031-12-31T18:00:00+01:00"
        raise usage(f"{option}: {text!r} is not a time", example) from None
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
