"""Redaction: a pseudonym in the place of what names a driver, in values and texts of any form.

A uid is found where it stands for itself: as a whole value, or in a text as a word of its own. What
only contains it is another identifier (`FLEET-7` says nothing of `FLEET`) and stays. Numbers and
what is known to be no name (amounts, ids of places) stay as they are, and a JSON text keeps every
byte that is not replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from csms.core.tokens import uid_key

# In a sentence a shorter uid cannot be told from any other word.
MIN_WORD = 4
# What stands between the characters of a uid on some readers (see `uid_key`).
_GAP = r"[ \x00-\x1f\x7f]*"
# A word neither goes on nor is joined to another one.
_BEFORE = r"(?:(?<![0-9A-Za-z])(?<![0-9A-Za-z][-_.*@+#])|(?<=\\[nrtbf]))"
_AFTER = r"(?![0-9A-Za-z]|[-_.*@+#][0-9A-Za-z])"
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?', re.DOTALL)
# Fields that hold a uid and nothing else: no words are looked for in them.
UID_FIELDS = frozenset(
    {
        "uid",
        "uid_key",
        "token",
        "token_uid",
        "token_key",
        "stop_token_uid",
        "idTag",
        "parentIdTag",
        "idToken",
        "target",
    }
)
LABEL_FIELD = "label"
# Fields that never name a driver, whatever they hold.
_NO_NAMES = frozenset(
    {
        "id",
        "location",
        "location_id",
        "evse_id",
        "evse_uid",
        "evse_uids",
        "connector",
        "connector_id",
        "session_id",
        "cdr_id",
        "tariff_id",
        "transaction_id",
        "transactionId",
        "command_id",
        "quarantine_id",
        "station_id",
        "partner_id",
        "identity",
        "party_id",
        "country_code",
        "module",
        "kind",
        "type",
        "status",
        "state",
        "outcome",
        "action",
        "vendor",
        "model",
        "firmware",
        "value",
        "volume",
        "amount",
        "before_taxes",
        "after_taxes",
        "excl_vat",
        "incl_vat",
        "kwh",
        "energy_kwh",
        "currency",
        "percentage",
        "credit_of",
        "credit_reference_id",
        "auth_method",
        "valid",
        "whitelist",
    }
)


class Names(NamedTuple):
    """What names one driver. `uids`: tokens, and the aliases of them; `contracts`: contract ids and
    numbers printed on cards; `labels`: what people call the token."""

    uids: Sequence[str]
    contracts: Sequence[str] = ()
    labels: Sequence[str] = ()


class Redactor:
    """Puts `pseudonym` in the place of every one of these names. Doing it again changes nothing."""

    def __init__(self, names: Names, pseudonym: str) -> None:
        self._names = names
        self.pseudonym = pseudonym
        self._uids = frozenset(uid_key(uid) for uid in names.uids)
        self._contracts = frozenset(_folded(contract) for contract in names.contracts)
        self._labels = frozenset(_folded(label) for label in names.labels)
        words = sorted((key for key in self._uids if len(key) >= MIN_WORD), key=len, reverse=True)
        spelled = [_GAP.join(map(re.escape, word)) for word in words]
        self._word = (
            re.compile(f"{_BEFORE}(?:{'|'.join(spelled)}){_AFTER}", re.IGNORECASE)
            if spelled
            else None
        )
        # A token shown as a number, which lenient reading takes for a uid.
        digits = "|".join(re.escape(key) for key in self._uids if key.isascii() and key.isdigit())
        self._number = (
            re.compile(rf'("(?:{"|".join(sorted(UID_FIELDS))})"\s*:\s*)(?:{digits})(?![\d.eE])')
            if digits
            else None
        )

        # What a text in which nothing has to be changed never has in it.
        plain = [*self._uids, *self._contracts, *self._labels]
        simple = all(n.isascii() and n.isprintable() and not set(n) & set('"\\/') for n in plain)
        hints = "|".join(_GAP.join(map(re.escape, name)) for name in plain if name)
        self._hint = re.compile(rf"\\u|{hints}", re.IGNORECASE) if simple and hints else None

    def also(self, *contracts: str | None) -> Redactor:
        """The same, for these contracts as well."""
        more = [c for c in contracts if c and _folded(c) not in self._contracts]
        if not more:
            return self
        names = self._names._replace(contracts=[*self._names.contracts, *more])
        return Redactor(names, self.pseudonym)

    def is_uid(self, text: str | None) -> bool:
        """Whether a text is one of the uids."""
        return text is not None and uid_key(text) in self._uids

    def uid(self, text: str) -> str:
        """A field that holds a uid."""
        return self.pseudonym if self.is_uid(text) else text

    def text(self, text: str, field: str = "") -> str:
        """A text; `field`: what it is called, where that is known."""
        if field in _NO_NAMES or not text:
            return text
        if self.is_uid(text) or _folded(text) in self._contracts:
            return self.pseudonym
        if field == LABEL_FIELD and _folded(text) in self._labels:
            return self.pseudonym
        if self._word is None or field in UID_FIELDS:
            return text
        return self._word.sub(self.pseudonym, text)

    def value(self, value: Any, field: str = "") -> Any:
        """A JSON value, names of fields included."""
        if isinstance(value, str):
            return self.text(value, field)
        if isinstance(value, Mapping):
            return {self.text(name): self.value(item, name) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, field) for item in value]
        if field in UID_FIELDS and type(value) is int and str(value) in self._uids:
            return self.pseudonym
        return value

    def json(self, text: str) -> str:
        """A JSON text, also one that was cut off or is broken; of what is no JSON at all, words."""
        if self._hint is not None and not self._hint.search(text):
            return text
        if not text.lstrip().startswith(("{", "[")):
            return self.text(text)
        field, end = "", 0

        def literal(found: re.Match[str]) -> str:
            nonlocal field, end
            end = found.end()
            said = _said(found[1])
            if found[2]:
                field, after = said, self.text(said)
            else:
                after = self.text(said, field)
            if after == said:
                return found[0]
            return f"{json.dumps(after, ensure_ascii=False)}{found[2] or ''}"

        made = _LITERAL.sub(literal, text)
        rest = text[end:]
        if '"' in rest and self._word is not None:
            # The last text was cut off.
            made = made[: len(made) - len(rest)] + self._word.sub(self.pseudonym, rest)
        return self._number.sub(rf'\1"{self.pseudonym}"', made) if self._number else made


def _said(literal: str) -> str:
    """What a JSON text literal says; itself where its escapes are broken."""
    if "\\" not in literal:
        return literal
    try:
        return str(json.loads(f'"{literal}"', strict=False))
    except ValueError:
        return literal


def _folded(text: str) -> str:
    return text.strip().casefold()
