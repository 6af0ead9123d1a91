"""Broken JSON of stations, mended where its meaning is plain (quirks 4 and 42 of the field).

What is mended: a key without its value (`"transactionId":,`), commas that lead, trail or double
(`[,{`), and brackets that were never closed. A message that was cut off loses its last piece when
that cannot be known to be whole: `"meterStop":12` may have been 12345. Nothing is ever added but
brackets, so no value comes out that was not sent. Everything else stays broken.

Used only after the parser has refused a frame; one pass, linear in the text, with a limit of mends.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import orjson

MAX_MENDS: Final = 1_000
MAX_CHARS: Final = 32_768
"""Stations that break JSON have small buffers; the pass costs a microsecond per piece."""

MENDED: Final = "mended_json"
CUT_OFF: Final = "cut_off_json"

_TOKEN: Final = re.compile(
    r"""[\s]*+(?:
    (?P<string>"(?:[^"\\]|\\.)*+")
    | (?P<scalar>-?\d[\d.eE+-]*+|true|false|null)
    | (?P<mark>[\[\]{},:])
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_WORDS: Final = ("true", "false", "null")
_CLOSES: Final = {"]": "[", "}": "{"}
_CLOSED_BY: Final = {"[": "]", "{": "}"}


class Mended(NamedTuple):
    """JSON text, and how it came about: `mended_json` or `cut_off_json`."""

    text: str
    kind: str


def mend(text: str) -> Mended | None:
    """The text as it was plainly meant; None when it was not plain."""
    end = len(text.rstrip())
    if end > MAX_CHARS:
        return None
    mender = _Mender()
    place = 0
    while place < end:
        piece = _TOKEN.match(text, place)
        if piece is None:
            # What is left is a piece of a string or a word: only at the end of all that is plain.
            if not _is_piece(text[place:end].lstrip()):
                return None
            mender.cut_off = True
            break
        place = piece.end()
        if piece.lastgroup == "scalar" and place == end and piece["scalar"] not in _WORDS:
            mender.cut_off = True
            break
        if not mender.take(piece[piece.lastgroup or 0], piece.lastgroup == "mark"):
            return None
    return mender.finish()


def _is_piece(rest: str) -> bool:
    return rest.startswith('"') or any(word.startswith(rest) for word in _WORDS) or rest == "-"


class _Mender:
    """Takes piece after piece and keeps what is sound."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._open: list[str] = []
        # How many of each are open, so that no search goes through thousands of them.
        self._depth = {"[": 0, "{": 0}
        self._mends = 0
        self.cut_off = False

    def take(self, piece: str, is_mark: bool) -> bool:
        """One more piece; False when the text is beyond mending."""
        if is_mark and piece in _CLOSES:
            return self._close(piece)
        if self._out and not self._open:
            return False  # Something behind the end of the message.
        if is_mark and piece == ",":
            self._drop_empty_pair()
            if not self._out or self._out[-1] in ("[", "{", ","):
                self._mends += 1
                return self._mends <= MAX_MENDS
        elif not (is_mark and piece == ":"):
            if self._out and self._out[-1] not in ("[", "{", ",", ":"):
                return False  # Two values without a comma: run together they would be a third.
            if is_mark:
                self._open.append(piece)
                self._depth[piece] += 1
        self._out.append(piece)
        return True

    def _close(self, piece: str) -> bool:
        self._tidy()
        while self._open and self._open[-1] != _CLOSES[piece]:
            if not self._depth[_CLOSES[piece]]:
                return False
            self._mends += 1
            self._out.append(_CLOSED_BY[self._opened_last()])
        if not self._open:
            return False
        self._opened_last()
        self._out.append(piece)
        return self._mends <= MAX_MENDS

    def _opened_last(self) -> str:
        """The innermost open bracket, which is closed now."""
        bracket = self._open.pop()
        self._depth[bracket] -= 1
        return bracket

    def _tidy(self) -> None:
        """Before a closing bracket: no key without a value, no comma."""
        self._drop_empty_pair()
        while self._out and self._out[-1] == ",":
            self._out.pop()
            self._mends += 1

    def _drop_empty_pair(self) -> None:
        if len(self._out) > 1 and self._out[-1] == ":":
            del self._out[-2:]
            self._mends += 1

    def finish(self) -> Mended | None:
        """The whole, with what was left open closed."""
        kind = MENDED
        if self._open or self.cut_off:
            kind = CUT_OFF
            self._tidy()
            if self._open and self._open[-1] == "{" and self._has_bare_key():
                self._out.pop()
                self._tidy()
            while self._open:
                self._out.append(_CLOSED_BY[self._opened_last()])
        return Mended("".join(self._out), kind) if self._mends <= MAX_MENDS else None

    def _has_bare_key(self) -> bool:
        """Whether the last piece is the key of a pair whose colon never came."""
        return self._out[-1].startswith('"') and self._out[-2] in ("{", ",")


# -- halves of surrogate pairs ---------------------------------------------------------------------

HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def without_halves(text: str) -> Any:
    """JSON with halves of surrogate pairs in its texts, which `orjson` refuses: each is replaced by
    a question mark. Raises `ValueError`."""
    try:
        message = json.loads(text, parse_constant=_no_constant)
        if type(message) is list and len(message) > 1 and not _echoes(message[1]):
            message[1] = None
        clean = json.dumps(message, ensure_ascii=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return orjson.loads(clean.encode("utf-8", "replace"))


def _echoes(message_id: Any) -> bool:
    return type(message_id) is not str or message_id.isascii() or not _SURROGATE.search(message_id)


def _no_constant(name: str) -> None:
    raise ValueError(name)
