"""Our objects are those of the specification, field by field.

Runs in full where a checkout of `ocpi/ocpi` (branch release-2.2.1-bugfixes) is named by
OCPI_221_SPECIFICATION; the text of the specification is not part of this project.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from csms.ocpi.wire import reading
from csms.ocpi.wire.types import Wire
from csms.ocpi.wire.v221.cdrs import CDR
from csms.ocpi.wire.v221.locations import Location
from csms.ocpi.wire.v221.registration import Credentials
from csms.ocpi.wire.v221.sessions import Session
from csms.ocpi.wire.v221.tariffs import Tariff
from csms.ocpi.wire.v221.tokens import Token
from tests.support import ocpi_fields
from tests.support.ocpi_objects import NOW

# Errors of the specification's own examples, which are forgiven.
KNOWN = {"tariff_put_example.json": ("last_updated: missing",)}
EXAMPLES = {
    "cdr_example*": CDR,
    "credentials_example*": Credentials,
    "location_example*": Location,
    "session_example*": Session,
    "tariff_*": Tariff,
    "token_example*": Token,
}


@pytest.fixture
def specification() -> Path:
    found = ocpi_fields.checkout()
    if found is None:
        pytest.skip(f"{ocpi_fields.VARIABLE} names no checkout of the specification")
    return found


def test_every_field_has_the_cardinality_type_and_length_of_the_specification(
    specification: Path,
) -> None:
    ours = ocpi_fields.ours()
    kinds = {kind.__name__ for kind in ocpi_fields.kinds()}
    theirs = {k: f for k, f in ocpi_fields.theirs(specification).items() if f.kind in kinds}
    assert len(theirs) > 200
    assert ours == theirs


def test_every_enumeration_has_the_values_of_the_specification(specification: Path) -> None:
    theirs = ocpi_fields.their_enums(specification)
    ours = {name: set(enum.values) for name, enum in ocpi_fields.enums().items()}
    assert ours == theirs


def test_every_example_of_the_specification_survives(specification: Path) -> None:
    seen = 0
    for pattern, kind in EXAMPLES.items():
        for path in sorted((specification / "examples").glob(f"{pattern}.json")):
            example: type[Wire] = kind
            value = reading.load(path.read_bytes())
            read = reading.parse(example, value, NOW)
            assert read.deviations == KNOWN.get(path.name, ())
            back = reading.load(reading.dump(read.value))
            assert {**back, **value} == back
            seen += 1
    assert seen > 30


def test_the_document_shows_the_comparison(specification: Path) -> None:
    assert ocpi_fields.DOCUMENT.read_text() == ocpi_fields.render(ocpi_fields.theirs(specification))


def test_the_document_shows_the_objects_as_they_are() -> None:
    text = ocpi_fields.DOCUMENT.read_text()
    assert text == ocpi_fields.render(ocpi_fields.ours())
    assert len(re.findall("as specified", text)) > 200
