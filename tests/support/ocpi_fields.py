"""The objects of OCPI 2.2.1 as we have them, beside the tables of the specification.

The specification (CC BY-ND) is not part of this project. With a checkout of `ocpi/ocpi`, branch
`release-2.2.1-bugfixes`, named by OCPI_221_SPECIFICATION, the comparison is made again:

    python -m tests.support.ocpi_fields > docs/ocpi-2.2.1-fields.md
"""

from __future__ import annotations

import os
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from csms.ocpi.wire.types import Marker, OneOf, Wire
from csms.ocpi.wire.v221 import (
    cdrs,
    commands,
    locations,
    registration,
    sessions,
    tariffs,
    tokens,
)

VARIABLE = "OCPI_221_SPECIFICATION"
DOCUMENT = Path(__file__).parents[2] / "docs" / "ocpi-2.2.1-fields.md"
MODULES = (registration, locations, tariffs, tokens, sessions, cdrs, commands)
# Chapters whose objects we have.
CHAPTERS = (
    "version_information_endpoint",
    "credentials",
    "types",
    "mod_locations",
    "mod_tariffs",
    "mod_tokens",
    "mod_sessions",
    "mod_cdrs",
    "mod_commands",
)
# Headings that do not carry the name of their object.
NAMES = {"Data": "VersionDetails", "Credentials object": "Credentials"}


class Field(NamedTuple):
    """One field: `said` is its type with length, `cardinality` 1, ?, * or +."""

    kind: str
    name: str
    cardinality: str
    said: str


def ours() -> dict[tuple[str, str], Field]:
    """Every field of our objects."""
    found = {}
    for kind in kinds():
        hints = get_type_hints(kind, include_extras=True)
        for name, info in kind.model_fields.items():
            cardinality, said = _describe(hints[name], bool(info.metadata))
            if cardinality == "1" and not info.is_required():
                cardinality = "?"
            found[kind.__name__, name] = Field(kind.__name__, name, cardinality, said)
    return found


def kinds() -> Iterator[type[Wire]]:
    """Our objects, in the order of the modules."""
    for module in MODULES:
        for value in vars(module).values():
            own = isinstance(value, type) and issubclass(value, Wire) and value is not Wire
            if own and value.__module__ == module.__name__:
                yield value


def enums() -> dict[str, OneOf]:
    """Our enumerations by name."""
    return {v.enum: v for m in MODULES for v in vars(m).values() if isinstance(v, OneOf)}


def _describe(hint: Any, at_least_one: bool) -> tuple[str, str]:
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (a for a in get_args(hint) if a is not type(None))
        return "?", _said(inner)
    if get_origin(hint) is tuple:
        return "+" if at_least_one else "*", _said(get_args(hint)[0])
    return "1", _said(hint)


def _said(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return next(m.said for m in get_args(hint)[1:] if isinstance(m, Marker))
    return str(hint.__name__)


# -- the specification -----------------------------------------------------------------------------


def checkout() -> Path | None:
    """Where the specification is, if anywhere."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


def tables(folder: Path) -> Iterator[tuple[str, str, list[list[str]]]]:
    """Heading, first line and cells of every table."""
    for chapter in CHAPTERS:
        heading, inside = "", None
        for line in (folder / f"{chapter}.asciidoc").read_text().splitlines():
            if line.strip() == "|===":
                if inside is None:
                    inside = []
                else:
                    yield heading, "|".join(inside[0]) if inside else "", inside[1:]
                    inside = None
            elif inside is not None and line.startswith("|"):
                inside.append([cell.strip() for cell in line[1:].split("|")])
            elif title := re.match(r"=+ (.*)", line):
                heading = title.group(1).strip()


def theirs(folder: Path) -> dict[tuple[str, str], Field]:
    """Every field of the specification's objects."""
    found = {}
    for heading, header, rows in tables(folder):
        if not header.startswith("Property"):
            continue
        name = NAMES.get(heading) or re.sub(r"_|\*| _?(object|class)", "", heading, flags=re.I)
        for cells in rows:
            if len(cells) >= 3 and re.fullmatch(r"[a-z_]+", cells[0]):
                field = Field(name, cells[0], cells[2], _plain(cells[1]))
                found[name, cells[0]] = field
    return found


def their_enums(folder: Path) -> dict[str, set[str]]:
    """Values of the specification's enumerations."""
    found = {}
    for heading, header, rows in tables(folder):
        if "_enum_" not in heading:
            continue
        column = 1 if header.startswith("Module") else 0
        values = {_plain(cells[column]) for cells in rows if len(cells) > column}
        found[heading.replace("_enum_", "").strip()] = values
    return found


def _plain(cell: str) -> str:
    """`<<anchor,CiString>>(36)` is `CiString(36)`."""
    text = re.sub(r"<<[^,>]*,([^>]*)>>", r"\1", cell)
    # The digits of an int are a hint for people; nothing is cut there.
    return re.sub(r"^int\(\d\)$", "int", text.replace("`", "").strip())


# -- the document ----------------------------------------------------------------------------------

HEAD = """\
# Objects of OCPI 2.2.1

Every field of every object that this project reads or writes, with its cardinality (1, ?
optional, \\* list, + list of at least one), type and length. *as specified* is the result of a
comparison with the property tables of the specification (`ocpi/ocpi`, branch
`release-2.2.1-bugfixes`); a test makes it again wherever a checkout of the specification is
present.
"""


def render(compared: dict[tuple[str, str], Field]) -> str:
    """The document, from our fields and those that they were compared with."""
    lines, kind = [HEAD], ""
    for key, field in ours().items():
        if field.kind != kind:
            kind = field.kind
            lines.append(f"\n## {kind}\n\n| field | card. | type | |\n| --- | --- | --- | --- |")
        spec = compared.get(key)
        verdict = "as specified" if field == spec else f"specified: {spec}"
        lines.append(f"| `{field.name}` | {field.cardinality} | {field.said} | {verdict} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    place = checkout()
    assert place is not None, f"set {VARIABLE}"
    print(render(theirs(place)), end="")
