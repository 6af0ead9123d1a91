"""The types that OCPI objects are made of (types.asciidoc), as markers on Python types.

A field is `Annotated[str, Ci(36)]`: a marker checks what comes in and knows what the specification
calls it. Checks are strict. While a partner's object is read (`reading.parse`) the validation
carries a `Leniency`: what can still be understood is then accepted, and each deviation is noted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError, core_schema

MAX_DEVIATIONS = 100
MAX_DIGITS = 30

_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# RFC 3339 in UTC, zone designator optional, as types.asciidoc lists the forms.
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")


@dataclass
class Leniency:
    """What a partner's object was forgiven: `FIELD: what` in order. `received_at` stands in for a
    missing `last_updated`."""

    received_at: datetime
    deviations: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Remember one deviation; the list has a bound."""
        if len(self.deviations) < MAX_DEVIATIONS:
            self.deviations.append(what)


def _forgive(info: ValidationInfo, kind: str, message: str) -> None:
    """Note a deviation where we read leniently, raise where we are strict."""
    if not isinstance(info.context, Leniency):
        raise PydanticCustomError("ocpi", message)
    info.context.note(f"{info.field_name or 'item'}: {kind}")


class Marker:
    """Base of the markers: `name` and `length` as the specification writes them."""

    name: ClassVar[str] = ""
    length: int | None = None

    @property
    def said(self) -> str:
        """The type as the specification says it, such as `CiString(36)`."""
        return self.name if self.length is None else f"{self.name}({self.length})"

    def check(self, value: Any, info: ValidationInfo) -> Any:
        """The checked value. Raises `PydanticCustomError`."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self.check)


@dataclass(frozen=True)
class Text(Marker):
    """string: printable, case matters."""

    length: int | None
    name: ClassVar[str] = "string"

    def check(self, value: Any, info: ValidationInfo) -> str:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            _forgive(info, "number_for_text", "must be a string")
            value = str(value)
        if not isinstance(value, str):
            raise PydanticCustomError("ocpi", "must be a string")
        if "\x00" in value or not value.isprintable():
            if _CONTROL.search(value):
                _forgive(info, "not_printable", "must be printable")
                value = _CONTROL.sub(" ", value)
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise PydanticCustomError("ocpi", "must be Unicode text") from error
        if self.length is not None and len(value) > self.length:
            # Kept whole: a name that is cut could become another one.
            _forgive(info, "too_long", f"must have at most {self.length} characters")
        return str(value)


@dataclass(frozen=True)
class Ci(Text):
    """CiString: printable ASCII, compared without regard to case, kept as written."""

    name: ClassVar[str] = "CiString"

    def check(self, value: Any, info: ValidationInfo) -> str:
        text = super().check(value, info)
        if not _PRINTABLE_ASCII.fullmatch(text):
            _forgive(info, "not_ascii", "must be printable ASCII")
        return text


@dataclass(frozen=True)
class Url(Text):
    """URL: a string(255)."""

    length: int | None = 255
    name: ClassVar[str] = "URL"

    @property
    def said(self) -> str:
        return self.name

    def check(self, value: Any, info: ValidationInfo) -> str:
        text = super().check(value, info)
        if not re.match(r"https?://[^/\s]", text, re.IGNORECASE):
            _forgive(info, "not_a_url", "must be a URL")
        return text


@dataclass(frozen=True)
class Moment(Marker):
    """DateTime: RFC 3339, always UTC; `+00:00` is not one of the forms."""

    name: ClassVar[str] = "DateTime"

    def check(self, value: Any, info: ValidationInfo) -> datetime:
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise PydanticCustomError("ocpi", "must have a time zone")
            return value.astimezone(UTC)
        if not isinstance(value, str):
            raise PydanticCustomError("ocpi", "must be a DateTime such as 2018-01-01T01:08:01Z")
        text = value.strip()
        if not _DATE_TIME.fullmatch(text):
            _forgive(info, "date_time_form", "must be a DateTime such as 2018-01-01T01:08:01Z")
        try:
            at = datetime.fromisoformat(text)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise PydanticCustomError("ocpi", "no such date or time") from error


@dataclass(frozen=True)
class Number(Marker):
    """number: a JSON number; Decimal here, never float."""

    name: ClassVar[str] = "number"

    def check(self, value: Any, info: ValidationInfo) -> Decimal:
        if isinstance(value, str):
            _forgive(info, "text_for_number", "must be a number")
            try:
                value = Decimal(value.strip())
            except InvalidOperation as error:
                raise PydanticCustomError("ocpi", "must be a number") from error
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise PydanticCustomError("ocpi", "must be a number")
        number = Decimal(value)
        if not number.is_finite() or abs(number.adjusted()) > MAX_DIGITS:
            raise PydanticCustomError("ocpi", "must be a number of sensible size")
        return number


@dataclass(frozen=True)
class Whole(Marker):
    """int."""

    length: int | None = None
    name: ClassVar[str] = "int"

    def check(self, value: Any, info: ValidationInfo) -> int:
        if isinstance(value, str | Decimal):
            try:
                number = Decimal(value)
                whole = int(number) if abs(number) < Decimal(2**63) else None
            except (InvalidOperation, ValueError, OverflowError) as error:
                raise PydanticCustomError("ocpi", "must be an integer") from error
            if whole is None or number != whole:
                raise PydanticCustomError("ocpi", "must be an integer")
            _forgive(info, "form_of_integer", "must be an integer")
            value = whole
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            raise PydanticCustomError("ocpi", "must be an integer")
        return value


@dataclass(frozen=True)
class Flag(Marker):
    """boolean."""

    name: ClassVar[str] = "boolean"

    def check(self, value: Any, info: ValidationInfo) -> bool:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            _forgive(info, "text_for_boolean", "must be true or false")
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise PydanticCustomError("ocpi", "must be true or false")
        return value


@dataclass(frozen=True)
class OneOf(Marker):
    """An enumeration. `open`: values that we do not know are kept (2.3.0 names these OpenEnum; a
    peer of a later version sends them in 2.2.1 as well)."""

    enum: str
    values: frozenset[str]
    open: bool = False
    name: ClassVar[str] = "enum"

    @property
    def said(self) -> str:
        return self.enum

    def check(self, value: Any, info: ValidationInfo) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= 255 or _CONTROL.search(value):
            raise PydanticCustomError("ocpi", f"must be a value of {self.enum}")
        if value in self.values:
            return value
        for known in self.values:
            if known.casefold() == value.strip().casefold():
                _forgive(info, "case_of_value", f"must be a value of {self.enum}")
                return known
        if not self.open:
            raise PydanticCustomError("ocpi", f"must be a value of {self.enum}")
        return value


def one_of(enum: str, values: str, *, open: bool = False) -> OneOf:  # noqa: A002
    """An enumeration from its values, separated by spaces."""
    return OneOf(enum, frozenset(values.split()), open)


class Wire(BaseModel):
    """Base of every object: immutable, unknown fields survive, null is the same as absent."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, Mapping):
            return given
        present = {name: value for name, value in given.items() if value is not None}
        if isinstance(info.context, Leniency) and "last_updated" in cls.model_fields:
            needed = cls.model_fields["last_updated"].is_required()
            if needed and "last_updated" not in present:
                info.context.note("last_updated: missing")
                present["last_updated"] = info.context.received_at
        return present


# The types of more than one module.
DateTime = Annotated[datetime, Moment()]
Decimal4 = Annotated[Decimal, Number()]
Integer = Annotated[int, Whole()]
Boolean = Annotated[bool, Flag()]
Address = Annotated[str, Url()]
